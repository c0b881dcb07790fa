# Every way in, with the sizes asked for; issue: bzImage, vmlinux through PVH and through the Linux entry.

# boots NAME CPUS MEMORY_MIB ENDING ARGUMENTS...: one guest, and what all of them must see.
boots() {
	name=$1
	cpus=$2
	memory=$3
	ending=$4
	shift 4
	words="$cmdline mayfly.test=boot mayfly.argument=$ending"
	run_guest --cpus "$cpus" --mem "${memory}M" "$@" -- mayfly.test=boot "mayfly.argument=$ending"
	check "${name}_reaches_init" grep -q '^@init reached' console
	equal "${name}_has_its_cpus" "$cpus" "$(said cpus)"
	check "${name}_has_its_memory" kib_between $(((memory - 1) * 1024)) $((memory * 1024)) "$(said memory)"
	case " $(said cmdline) " in
	*" $words "*) ok "${name}_has_its_command_line" ;;
	*) not_ok "${name}_has_its_command_line" "wanted '$words' in '$(said cmdline)'" ;;
	esac
	equal "${name}_kernel_measures_and_waits_for_nothing" "" "$(said noise)"
	equal "${name}_modprobe_knows_its_drivers" there "$(said drivers)"
	check "${name}_counts_serial_interrupts" above_zero "$(said serial)"
	check "${name}_counts_timer_interrupts" above_zero "$(said timer)"
	equal "${name}_has_no_pci" 0 "$(said pci)"
	equal "${name}_uses_kvm_clock" kvm-clock "$(said clocksource)"
	equal "${name}_keeps_avx_registers" kept "$(said avx)"
	equal "${name}_${ending}_is_status_0" 0 "$status"
}

vmlinux="--initrd /guests/debian-initrd.img"
boots bzimage 1 1024 poweroff /guests/debian
boots bzimage_2_cpus 2 128 reboot /guests/debian
boots vmlinux_pvh 2 6144 poweroff $vmlinux --boot pvh --cmdline "$cmdline" /guests/vmlinux
boots vmlinux_linux 1 128 kbd $vmlinux --boot linux --cmdline "$cmdline" /guests/vmlinux

# A kernel that knows virtio_mmio.device= is told of each device in two ways.
if [ -e /guests/small-kernel ]; then
	truncate -s 1M once.img
	for acpi in force off; do
		boots "acpi_$acpi" 2 256 kbd $vmlinux --disk once.img --rng --cmdline "$cmdline acpi=$acpi" /guests/small-kernel
		equal "acpi_${acpi}_finds_each_device_once" 2 "$(said virtio)"
	done
fi

# Linux as a contender of the comparison.
# compares NAME TASK KERNEL
compares() {
	shown=no
	mayfly bench --task "$2" --only mayfly,mayfly-linux --kernel "$3" --hello /guests/hello --http /guests/http \
		--runs 1 --warmup 1 --json bench.json --svg bench.svg </dev/null >console 2>errors
	equal "$1" "0:mayfly,mayfly-linux" "$?:$(sed -n 's/^{"name":"\([a-z-]*\)","first_ms".*/\1/p' bench.json | sort | paste -sd , -)"
}

compares bench_linux hello /guests/debian-kernel
# HTTP needs a kernel with its network driver built in.
[ ! -e /guests/small-kernel ] || compares bench_linux_http http /guests/small-kernel
