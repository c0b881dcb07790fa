#!/bin/sh
# foreign.sh: two images as others make them, from the parts in build/linuxkit: foreign.raw, a disk with GPT, an ext4 root
# and extlinux, as a cloud image has it; foreign.iso, with isolinux's configuration, as Alpine writes it.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
out=$top/build/linuxkit
PATH=$PATH:/sbin:/usr/sbin
[ "${BED_ARCH:-x86}" = x86 ] || exit 0
[ ! "$out/foreign.iso" -nt "$out/built" ] || exit 0
work=$(mktemp -d "$out/work.XXXXXX")
trap 'rm -rf "$work"' EXIT

mkdir -p "$work/root" "$work/iso/boot/syslinux" "$work/iso/apks"
(cd "$work/root" && gzip -dc "$out/kit-initrd.img" | cpio -idm --quiet)
mkdir -p "$work/root/boot/extlinux"
cp "$out/kit-kernel" "$work/root/boot/vmlinuz-6.1.0-cloud-amd64"
cp "$out/kit-drivers.img" "$work/root/boot/initrd.img-6.1.0-cloud-amd64"
ln -s boot/vmlinuz-6.1.0-cloud-amd64 "$work/root/vmlinuz"
ln -s /boot/initrd.img-6.1.0-cloud-amd64 "$work/root/initrd.img"
cat >"$work/root/boot/extlinux/extlinux.conf" <<'CONF'
# As a distribution writes it
default l0
menu title Boot menu
prompt 0
timeout 50

label l0r
	menu label Rescue
	linux /boot/gone
	append single
label l0
	menu label Linux, with 6.1.0-cloud-amd64
	linux ../../vmlinuz
	initrd /initrd.img
	append root=/dev/sda1 rw console=ttyS0 quiet cryptomgr.notests
CONF
mkfs.ext4 -q -F -d "$work/root" "$work/part" 40M
truncate -s 44M "$out/foreign.raw.new"
printf 'label: gpt\nstart=2048, size=81920, type=L\n' | sfdisk -q "$out/foreign.raw.new"
dd if="$work/part" of="$out/foreign.raw.new" bs=1M seek=1 conv=notrunc,sparse status=none
mv "$out/foreign.raw.new" "$out/foreign.raw"

cp "$out/kit-kernel" "$work/iso/boot/vmlinuz-virt"
cp "$out/kit-initrd.img" "$work/iso/boot/initramfs-virt"
cat >"$work/iso/boot/syslinux/syslinux.cfg" <<'CONF'
TIMEOUT 10
PROMPT 1
DEFAULT virt

LABEL virt
MENU LABEL Linux virt
KERNEL /boot/vmlinuz-virt
INITRD /boot/initramfs-virt
FDTDIR /boot/dtbs-virt
APPEND modules=loop,squashfs,sd-mod,usb-storage quiet console=ttyS0 cryptomgr.notests
CONF
xorriso -as mkisofs -quiet -r -J -V 'alpine-virt' -o "$out/foreign.iso" "$work/iso" 2>/dev/null
