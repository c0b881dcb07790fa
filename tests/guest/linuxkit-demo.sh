#!/bin/sh
# linuxkit-demo.sh: makes build/demo/linuxkit-{kernel,initrd.img,cmdline} from Debian's packages, as LinuxKit's
# kernel+initrd build lays them out, and launches it: on this host's KVM where that runs Linux, else in the nested bed.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/bed.sh"

lacks=$(bed_lacks)
if [ -n "$lacks" ]; then
	echo "linuxkit-demo: $lacks" >&2
	exit 1
fi
[ -x "$monitor" ] || { echo "linuxkit-demo: no $monitor: run make first" >&2; exit 1; }
bed_prepare >&2 || exit 1

demo=$top/build/demo
mkdir -p "$demo"
for part in kernel initrd.img cmdline; do
	cp "$bed/l2/debian-$part" "$demo/linuxkit-$part"
done

# PVM emulates a guest's ring 0 and does not know all that Linux uses there.
if [ -w /dev/kvm ] && [ ! -d /sys/module/kvm_pvm ]; then
	exec "$monitor" run --rng --timeline "$demo/linuxkit" -- mayfly.test=demo
fi
echo "linuxkit-demo: this host's KVM does not run Linux: launching in the nested bed (emulated, allow 20 s)"
work=$(mktemp -d "$bed/run.XXXXXX")
trap 'bed_end "$work"' EXIT
trap 'exit 1' INT TERM
bed_boot demo "$work" 180 | tee "$work/log" | sed -n '/^demo: /,/^demo: status/p' &
wait $!
grep -q '^demo: status 0' "$work/log"
