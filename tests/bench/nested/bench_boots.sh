# What the comparisons share; they run in the bed's host level.

initrd=/guests/bench-initrd.img

# Each prints nanoseconds to the guest's init. The limit is of virtual time, too.
first_init() {
	timeout -s KILL 8 first "@init reached" "$@" 2>errors </dev/null
}
in_mayfly() {
	first_init mayfly run --mem 256M --initrd $initrd --cmdline "$words" "$@"
}

with_no_cache() {
	rm -rf /root/.cache
	in_mayfly "$@"
}
# kept COUNT: whether so many kernels and initrds are in the cache.
kept() {
	[ "$(ls /root/.cache/mayfly 2>/dev/null | grep -c ^data-)" = "$1" ]
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

# ratio NAME BOUND OTHER WORDS: of the other one's, in percent.
ratio() {
	eval "value=\$$1 other=\$$3"
	percent=$(((value * 100 + other / 2) / other))
	if [ "$value" -gt 0 ] && [ "$percent" -le "$2" ]; then
		ok "bench_$1: $percent % of $4, at most $2"
	else
		not_ok "bench_$1" "$percent % of $4, at most $2"
	fi
}
