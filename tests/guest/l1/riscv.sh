# A stock riscv64 kernel to its init, with the interrupt controller that this host's KVM leads to.

# boots NAME CPUS MEMORY_MIB ENDING ARGUMENTS...
boots() {
	name=$1
	cpus=$2
	memory=$3
	ending=$4
	shift 4
	run_guest --cpus "$cpus" --mem "${memory}M" "$@" -- mayfly.test=boot "mayfly.argument=$ending"
	check "${name}_reaches_init" grep -q '^@init reached' console
	equal "${name}_has_its_cpus" "$cpus" "$(said cpus)"
	check "${name}_has_its_memory" kib_between $(((memory - 1) * 1024)) $((memory * 1024)) "$(said memory)"
	equal "${name}_kernel_measures_and_waits_for_nothing" "" "$(said noise)"
	check "${name}_counts_serial_interrupts" above_zero "$(said serial)"
	equal "${name}_has_the_controller" "$controller" "$(said controller)"
	equal "${name}_uses_its_timer" riscv_clocksource "$(said clocksource)"
	equal "${name}_${ending}_is_status_0" 0 "$status"
}

# KVM has an AIA where this host's own CPU has one, and the guest then gets it.
controller=plic
! grep -qE "IMSIC|APLIC" /proc/interrupts || controller=aia
run_guest /guests/hello
equal hello "0:Hello from Mayfly!" "$status:$(tr -d '\r' <console)"
boots image_$controller 1 256 poweroff /guests/debian
boots image_${controller}_2_harts 2 512 reboot /guests/debian
