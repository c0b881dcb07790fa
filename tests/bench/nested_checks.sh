# Runs in the bed's host level: monitor's exec to the guest's init, QEMU's microvm against Mayfly, the same bzImage,
# initrd and command line. The runs alternate.

initrd=/guests/bench-initrd.img

# Each prints nanoseconds to the guest's init. The limit is of virtual time, too.
first_init() {
	timeout -s KILL 8 first "@init reached" "$@" 2>errors </dev/null
}
in_qemu() {
	first_init qemu-system-x86_64 -L /qemu -M microvm,rtc=on -accel kvm -cpu host -m 256M -nodefaults \
		-no-user-config -nographic -no-reboot -serial stdio -monitor none -kernel /guests/debian-kernel \
		-initrd $initrd -append "$words panic=-1"
}
in_mayfly() {
	first_init mayfly run --mem 256M --initrd $initrd --cmdline "$words" "$@"
}
with_no_cache() {
	rm -rf /root/.cache
	in_mayfly "$@"
}

# took NAME FUNCTION ARGUMENTS...: microseconds, in $NAME. QEMU's SVM stalls a guest now and then, the same one each time;
# a word more on its command line, and it does not.
took() {
	name=$1
	shift
	for try in 1 2 3; do
		words="console=ttyS0 quiet cryptomgr.notests try=$try"
		nanoseconds=$("$@") && break
		echo "# $name: no init at try $try: $(tail -n 1 errors)"
		nanoseconds=0
	done
	[ "$nanoseconds" -gt 0 ] || not_ok "bench_$name" "the guest did not reach its init"
	eval "$name=$((nanoseconds / 1000))"
}

kept() {
	[ "$(ls /root/.cache/mayfly 2>/dev/null | grep -c ^data-)" = 2 ]
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
	took qemu in_qemu
	took compressed in_mayfly --unpack off /guests/debian-kernel
	took cold with_no_cache /guests/debian-kernel
	# Kernel and initrd are written once the guest is gone.
	wait_for 30 kept
	took warm in_mayfly /guests/debian-kernel
	took vmlinux in_mayfly --boot pvh /guests/vmlinux
	small=0
	[ ! -e /guests/small-kernel ] || took small in_mayfly /guests/small-kernel
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
