#!/bin/sh
# test.sh GROUP...: build/linux/kernel in the nested bed of tests/guest: groups of the bed (boot exits disk net console
# report) with this kernel and no modules in place of Debian's. LINUX_KERNEL names another kernel. How long it takes from
# the monitor's exec to the guest's init, make bench-nested tells.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
here=$top/tests/guest
. "$here/bed.sh"
kernel=${LINUX_KERNEL:-$top/build/linux/kernel}
[ -e "$kernel" ] || { echo "linux: no $kernel: run make linux first" >&2; exit 1; }
bed_prepare

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
guests=$work/overlay/guests
mkdir -p "$guests" "$work/overlay/checks"
chmod 755 "$work/overlay"
# The guest's files without its modules.
cp -a "$bed/l2-system" "$work/system"
rm -rf "$work/system/lib/modules"
mkdir "$work/system/lib/modules"
: >"$work/system/lib/modules/order"
bed_cpio "$work/system" | gzip -1 -n >"$guests/debian-initrd.img"
cp "$kernel" "$guests/debian-kernel"
cp "$kernel" "$guests/vmlinux"
BED_OVERLAY=$work/overlay "$here/run.sh" "$@"
