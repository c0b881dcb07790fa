# Monitor's exec to the guest's init, QEMU's microvm against Mayfly, the same bzImage, initrd and command line. The runs
# alternate.

. /checks/bench_boots.sh

in_qemu() {
	first_init qemu-system-x86_64 -L /qemu -M microvm,rtc=on -accel kvm -cpu host -m 256M -nodefaults \
		-no-user-config -nographic -no-reboot -serial stdio -monitor none -kernel /guests/debian-kernel \
		-initrd $initrd -append "$words panic=-1"
}
for round in 1 2; do
	took qemu in_qemu
	took compressed in_mayfly --unpack off /guests/debian-kernel
	took cold with_no_cache /guests/debian-kernel
	# Kernel and initrd are written once the guest is gone.
	wait_for 30 kept 2
	took warm in_mayfly /guests/debian-kernel
	took vmlinux in_mayfly --boot pvh /guests/vmlinux
	small=0
	[ ! -e /guests/small-kernel ] || took small in_mayfly /guests/small-kernel
	echo "# round $round, us: QEMU microvm $qemu, bzImage as it is $compressed, cache cold $cold, warm $warm," \
		"vmlinux $vmlinux, guests/linux $small"
done
ratio warm 60 qemu "QEMU's"
ratio cold 75 qemu "QEMU's"
if [ "$small" -gt 0 ]; then
	ratio small 50 warm "Debian's"
else
	skip bench_small "no build/linux/kernel: make linux"
fi
