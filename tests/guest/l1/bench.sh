# From the monitor's exec to the guest's word that its init runs, in microseconds.

# measure NAME ARGUMENTS...
measure() {
	name=$1
	shift
	for round in 1 2 3; do
		took=$(timeout -s KILL "$limit" first "@init reached" mayfly run "$@" 2>errors </dev/null) &&
			echo "# $name: $((took / 1000)) us" || not_ok "$name" "the guest did not reach its init"
	done
}

measure bzimage /guests/debian
measure vmlinux --boot pvh --initrd /guests/debian-initrd.img --cmdline "$cmdline" /guests/vmlinux
