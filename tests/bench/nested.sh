#!/bin/sh
# nested.sh: Linux's boot, from the monitor's exec to the guest's init, under another monitor and under Mayfly on the KVM of
# the nested bed (tests/guest). Virtual time counts instructions: the same figures at each run, on any machine. The other
# one is this machine's QEMU as a microvm; with BED_ARCH=riscv it is kvmtool, of which LKVM=FILE names a riscv64 lkvm.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
here=$top/tests/guest
. "$here/bed.sh"
lacks=$(bed_lacks)
[ -z "$lacks" ] || { echo "skip bench-nested: $lacks"; exit 0; }
[ "${BED_ARCH:-x86}" = x86 ] || [ -x "${LKVM:-}" ] || {
	echo "skip bench-nested: LKVM=FILE is to name kvmtool's lkvm, built for riscv64"
	exit 0
}
bed_prepare

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
overlay=$work/overlay
mkdir -p "$overlay/checks" "$overlay/guests" "$overlay/qemu" "$overlay/bin" "$work/init"
chmod 755 "$overlay" "$work/init"
cp "$top"/tests/bench/nested/*.sh "$overlay/checks/"
if [ "${BED_ARCH:-x86}" = x86 ]; then
	bed_programs "$overlay" "$(command -v qemu-system-x86_64)"
	cp /usr/share/qemu/bios-microvm.bin /usr/share/qemu/linuxboot_dma.bin "$overlay/qemu/"
else
	cp "$LKVM" "$work/lkvm"
	bed_programs "$overlay" "$work/lkvm"
fi

# The bed's guest, with an init that only tells that it runs. The guest unpacks one archive after the other.
printf '#!/bin/sh\necho "@init reached"\nexec reboot -f\n' >"$work/init/init"
chmod 755 "$work/init/init"
{ cat "$bed/l2/debian-initrd.img"; bed_cpio "$work/init" | gzip -1 -n; } >"$overlay/guests/bench-initrd.img"
[ ! -e "$build/linux/kernel" ] || cp "$build/linux/kernel" "$overlay/guests/small-kernel"

export BED_ICOUNT=1 BED_LIMIT="${BED_LIMIT:-1800}" BED_OVERLAY="$overlay"
"$here/run.sh" "bench_${BED_ARCH:-x86}"
