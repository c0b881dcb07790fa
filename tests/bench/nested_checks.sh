# Runs in the bed's host level: monitor's exec to the guest's init, QEMU's microvm against Mayfly, the same bzImage,
# initrd and command line. The runs alternate.

words="console=ttyS0 quiet cryptomgr.notests"
initrd=/guests/bench-initrd.img

# took NAME COMMAND...: microseconds from exec to the guest's init, also kept in $NAME.
took() {
	name=$1
	shift
	nanoseconds=$(timeout -s KILL "$limit" first "@init reached" "$@" 2>errors </dev/null) || {
		not_ok "bench_$name" "the guest did not reach its init: $(tail -n 1 errors)"
		nanoseconds=0
	}
	eval "$name=$((nanoseconds / 1000))"
}

mayfly_took() {
	name=$1
	shift
	took "$name" mayfly run --mem 256M --initrd $initrd --cmdline "$words" "$@"
}

# ratio NAME BOUND: of QEMU's, in percent.
ratio() {
	eval "value=\$$1"
	percent=$(((value * 100 + qemu / 2) / qemu))
	if [ "$value" -gt 0 ] && [ "$percent" -le "$2" ]; then
		ok "bench_$1: $percent % of QEMU's, at most $2"
	else
		not_ok "bench_$1" "$percent % of QEMU's, at most $2"
	fi
}

for round in 1 2; do
	took qemu qemu-system-x86_64 -L /qemu -M microvm,rtc=on -accel kvm -cpu host -m 256M -nodefaults \
		-no-user-config -nographic -no-reboot -serial stdio -monitor none -kernel /guests/debian-kernel \
		-initrd $initrd -append "$words panic=-1"
	mayfly_took compressed --unpack off /guests/debian-kernel
	rm -rf /root/.cache
	mayfly_took cold /guests/debian-kernel
	# Written and linked once the guest is gone.
	wait_for 30 sh -c 'ls /root/.cache/mayfly/data-* >/dev/null 2>&1'
	mayfly_took warm /guests/debian-kernel
	mayfly_took vmlinux --boot pvh /guests/vmlinux
	small=0
	[ ! -e /guests/small-kernel ] || mayfly_took small /guests/small-kernel
	echo "# round $round, us: QEMU microvm $qemu, bzImage as it is $compressed, cache cold $cold, warm $warm," \
		"vmlinux $vmlinux, guests/linux $small"
done
ratio warm 60
ratio cold 75
if [ "$small" -gt 0 ]; then
	percent=$((small * 100 / warm))
	if [ $percent -le 50 ]; then
		ok "bench_guests_linux: $percent % of Debian's, at most 50"
	else
		not_ok bench_guests_linux "$percent % of Debian's, at most 50"
	fi
else
	skip bench_guests_linux "no build/linux/kernel: make linux"
fi
