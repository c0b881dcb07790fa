# Monitor's exec to the guest's init, kvmtool against Mayfly, the same Image, initrd and command line. The runs alternate.

. /checks/bench_boots.sh

in_kvmtool() {
	first_init lkvm run --nodefaults --console serial -c 1 -m 256 -k /guests/debian-kernel -i $initrd -p "$words" "$@"
}

for round in 1 2; do
	took kvmtool in_kvmtool
	took cold with_no_cache /guests/debian-kernel
	# The initrd is unpacked once the guest is gone.
	wait_for 30 kept 1
	took warm in_mayfly /guests/debian-kernel
	echo "# round $round, us: kvmtool $kvmtool, cache cold $cold, warm $warm"
done
ratio cold 90 kvmtool "kvmtool's"
ratio warm 90 kvmtool "kvmtool's"
