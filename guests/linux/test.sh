#!/bin/sh
# test.sh [GROUP...]: build/linux/kernel in the nested bed of tests/guest: groups of the bed (boot exits disk net console
# pci) with this kernel and no modules in place of Debian's; the guest's root has what is in kernel.tar, as LinuxKit puts
# it there. BED_ARCH=riscv takes build/riscv/linux/kernel, and the group riscv in place of boot. How long it takes from
# the monitor's exec to the guest's init, make bench-nested tells.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
here=$top/tests/guest
. "$here/bed.sh"
linux=$build/linux
for file in kernel kernel.tar; do
	[ -e "$linux/$file" ] || { echo "linux: no $linux/$file: run make linux first" >&2; exit 1; }
done
lacks=$(bed_lacks)
[ -z "$lacks" ] || { echo "skip linux: $lacks"; exit 0; }
bed_prepare
case ${BED_ARCH:-x86} in
riscv) groups="riscv disk net console exits pci" ;;
*) groups="boot exits disk net console pci" ;;
esac
[ $# -gt 0 ] || set -- $groups

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
guests=$work/overlay/guests
mkdir -p "$guests" "$work/overlay/checks"
chmod 755 "$work/overlay"
# The guest's files without its modules.
cp -a "$bed/l2-system" "$work/system"
rm -rf "$work/system/lib/modules"
tar -x -f "$linux/kernel.tar" -C "$work/system"
: >"$work/system/lib/modules/order"
bed_cpio "$work/system" | gzip -1 -n >"$guests/debian-initrd.img"
# Under all names that the groups know.
for name in debian-kernel vmlinux small-kernel; do
	ln -f "$linux/kernel" "$guests/$name" 2>/dev/null || cp "$linux/kernel" "$guests/$name"
done
BED_OVERLAY=$work/overlay "$here/run.sh" "$@"
