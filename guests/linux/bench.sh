# Runs in the bed's host level, among its groups of checks (tests/guest/l1): Debian's kernel and ours, alternating.

# took ARGUMENTS...: microseconds from exec to the guest's init, or nothing.
took() {
	nanoseconds=$(timeout -s KILL "$limit" first "@init reached" mayfly run "$@" --cmdline "$cmdline" \
		2>errors </dev/null) && echo $((nanoseconds / 1000))
}

with_initrd="--boot pvh --initrd /guests/small-initrd.img"
for round in 1 2; do
	full=$(took --boot pvh --initrd /guests/debian-initrd.img /guests/vmlinux)
	stock=$(took $with_initrd /guests/vmlinux)
	small=$(took $with_initrd /guests/small-kernel)
	echo "# round $round: Debian's kernel with its modules ${full:-failed} us, without ${stock:-failed} us; ours ${small:-failed} us"
	if [ -n "$stock" ] && [ -n "$small" ] && [ $((small * 2)) -le "$stock" ]; then
		ok "small_kernel_takes_at_most_half_$round"
	else
		not_ok "small_kernel_takes_at_most_half_$round" "ours ${small:-failed} us, Debian's ${stock:-failed} us"
	fi
done
