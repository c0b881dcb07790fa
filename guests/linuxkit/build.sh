#!/bin/sh
# build.sh [DIRECTORY]: a minimal image in LinuxKit's layout from Debian's packages, in each format that `linuxkit build`
# writes (README.md), as DIRECTORY/kit-* (build/linuxkit). What is up to date stays. Nothing is installed, nothing mounted.
# With BED_ARCH=riscv, for RISC-V (build/riscv/linuxkit): the formats that have their kernel beside them.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
here=$top/tests/guest
. "$here/bed.sh"
own=$top/guests/linuxkit
out=${1:-$build/linuxkit}
arch=${BED_ARCH:-x86}
stub=/usr/lib/systemd/boot/efi/linuxx64.efi.stub
arguments="console=tty0 console=ttyS0 quiet cryptomgr.notests"
drivers="virtio_mmio virtio_blk virtio_net"
systems="squashfs erofs isofs ext4"

tools="mksquashfs mkfs.erofs xorriso"
[ "$arch" != x86 ] || tools="$tools mkfs.vfat mkfs.ext4 mcopy sfdisk syslinux objcopy qemu-img"
for tool in $tools; do
	command -v $tool >/dev/null || PATH=$PATH:/sbin:/usr/sbin
	command -v $tool >/dev/null || { echo "linuxkit: no $tool on this machine" >&2; exit 1; }
done
[ "$arch" != x86 ] || [ -e $stub ] || { echo "linuxkit: no $stub (package systemd-boot-efi)" >&2; exit 1; }
bed_fetch
[ ! -e "$out/built" ] || [ -n "$(find "$own" "$bed/root/fetched" -newer "$out/built")" ] || exit 0
mkdir -p "$out"
rm -f "$out"/kit* "$out/built"
work=$(mktemp -d "$out/work.XXXXXX")
trap 'rm -rf "$work"' EXIT

# The root, of which LinuxKit makes a tar: /init, onboot and services.
bed_system "$work/root"
cp -r "$own/root/." "$work/root/"
chmod -R go-w "$work/root"
kernel=$(bed_kernel_file)

# Debian's kernel has its drivers as modules. LinuxKit's has them built in: its roots on a disk need no initrd.
bed_system "$work/drivers"
bed_modules "$work/drivers" $drivers crc32c-intel $systems
bed_module_order $drivers >"$work/drivers/lib/modules/order"
for kind in $systems; do
	bed_module_order crc32c-intel "$kind" >"$work/drivers/lib/modules/order.$kind"
done
install -m 755 "$own/drivers-init" "$work/drivers/init"
bed_cpio "$work/drivers" | gzip -n >"$out/kit-drivers.img"
bed_modules "$work/root" $drivers isofs evdev button

# kernel+initrd, tar-kernel-initrd
cp "$kernel" "$out/kit-kernel"
bed_cpio "$work/root" | gzip -n >"$out/kit-initrd.img"
printf %s "$arguments" >"$out/kit-cmdline"
mkdir "$work/boot"
cp "$kernel" "$work/boot/kernel"
cp "$out/kit-initrd.img" "$work/boot/initrd.img"
cp "$out/kit-cmdline" "$work/boot/cmdline"
tar --owner=0 --group=0 -C "$work/boot" -cf "$out/kit-initrd.tar" kernel initrd.img cmdline

# kernel+squashfs, kernel+erofs, kernel+iso: each under a name of its own, for the first that stands beside a kernel counts.
for kind in squash erofs iso; do
	ln "$out/kit-kernel" "$out/kit$kind-kernel"
	cp "$out/kit-cmdline" "$out/kit$kind-cmdline"
done
mksquashfs "$work/root" "$out/kitsquash-squashfs.img" -all-root -noappend -quiet -no-progress >/dev/null
mkfs.erofs -zlz4 --quiet "$out/kiterofs-erofs.img" "$work/root" >/dev/null 2>&1 ||
	mkfs.erofs -zlz4 "$out/kiterofs-erofs.img" "$work/root" >/dev/null
xorriso -as mkisofs -quiet -R -V LinuxKit -o "$out/kitiso.iso" "$work/root" 2>/dev/null
[ "$arch" = x86 ] || { touch "$out/built"; exit 0; }

# iso-bios: the root in the ISO, with a kernel and isolinux.
syslinux_config() {
	printf 'DEFAULT linux\nLABEL linux\n    KERNEL %s\n    INITRD %s\n    APPEND %s\n' "$@"
}
cp -r "$work/root" "$work/iso"
mkdir -p "$work/iso/isolinux" "$work/iso/boot"
cp "$kernel" "$work/iso/boot/kernel"
cp "$out/kit-drivers.img" "$work/iso/boot/drivers.img"
cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$work/iso/isolinux/"
syslinux_config /boot/kernel /boot/drivers.img "$arguments root=/dev/sr0" >"$work/iso/isolinux/isolinux.cfg"
xorriso -as mkisofs -quiet -l -J -R -V LinuxKit -c isolinux/boot.cat -b isolinux/isolinux.bin -no-emul-boot \
	-boot-load-size 4 -boot-info-table -o "$out/kit.iso" "$work/iso" 2>/dev/null

# iso-efi: the root in the ISO, with a kernel and grub's configuration. iso-efi-initrd: kernel and initrd.
grub_config() {
	printf "set timeout=0\nset gfxpayload=text\nmenuentry 'LinuxKit ISO Image' {\n\tlinux %s text\n\tinitrd %s\n}\n" "$@"
}
rm -r "$work/iso/isolinux"
mkdir -p "$work/iso/EFI/BOOT" "$work/efi/EFI/BOOT"
grub_config "/boot/kernel $arguments root=/dev/sr0" /boot/drivers.img >"$work/iso/EFI/BOOT/grub.cfg"
grub_config "/kernel $arguments" /initrd.img >"$work/efi/EFI/BOOT/grub.cfg"
cp "$work/boot/kernel" "$work/boot/initrd.img" "$work/efi/"
xorriso -as mkisofs -quiet -R -o "$out/kit-efi.iso" "$work/iso" 2>/dev/null
xorriso -as mkisofs -quiet -R -o "$out/kit-efi-initrd.iso" "$work/efi" 2>/dev/null

# partitioned IMAGE LABEL TYPE: the file system in $work/part as the only partition, from sector 2048 on.
partitioned() {
	size=$(stat -c %s "$work/part")
	truncate -s $((size + 3 * 1048576)) "$1"
	printf 'label: %s\nstart=2048, size=%s, type=%s, bootable\n' "$2" $((size / 512)) "$3" | sfdisk -q "$1"
	dd if="$work/part" of="$1" bs=1M seek=1 conv=notrunc,sparse status=none
}
# fat MIB FILES: a FAT file system in $work/part, a FAT32 if it can be one.
fat() {
	rm -f "$work/part"
	mkfs.vfat $([ "$1" -lt 33 ] || echo "-F 32") -C "$work/part" $(($1 * 1024)) >/dev/null
	shift
	mcopy -s -i "$work/part" "$@" ::/
}
mib=$((($(stat -c %s "$kernel") + $(stat -c %s "$out/kit-initrd.img")) / 1048576 + 2))

# raw-bios
syslinux_config /kernel /initrd.img "$arguments" >"$work/boot/syslinux.cfg"
fat $mib "$work/boot/kernel" "$work/boot/initrd.img" "$work/boot/syslinux.cfg"
syslinux --install "$work/part"
partitioned "$out/kit-bios.img" dos c
dd if=/usr/lib/syslinux/mbr/mbr.bin of="$out/kit-bios.img" bs=440 count=1 conv=notrunc status=none

# The unified kernel image, and raw-efi.
align() {
	echo $((($1 + 4095) / 4096 * 4096))
}
next=$(objdump -h $stub | awk 'NF == 7 { print "0x" $3, "0x" $4 }' | while read -r size place; do
	echo $((size + place))
done | sort -n | tail -n 1)
set --
for section in cmdline:"$out/kit-cmdline" initrd:"$out/kit-initrd.img" linux:"$kernel"; do
	next=$(align "$next")
	set -- "$@" --add-section ".${section%%:*}=${section#*:}" --change-section-vma ".${section%%:*}=$next"
	next=$((next + $(stat -c %s "${section#*:}")))
done
objcopy "$@" $stub "$out/kit.efi"
loader=/usr/lib/systemd/boot/efi/systemd-bootx64.efi
mkdir -p "$work/esp/EFI/Linux" "$work/esp/EFI/BOOT"
cp "$out/kit.efi" "$work/esp/EFI/Linux/linuxkit.efi"
cp $loader "$work/esp/EFI/BOOT/BOOTX64.EFI"
fat $((mib > 32 ? mib + 4 : 36)) "$work/esp/EFI"
partitioned "$out/kit-efi.img" gpt U

# qcow2-efi: kernel, initrd and grub's configuration in an EFI system partition.
cp $loader "$work/efi/EFI/BOOT/BOOTX64.EFI"
fat $mib "$work/efi/EFI" "$work/efi/kernel" "$work/efi/initrd.img"
partitioned "$work/disk.img" gpt U
qemu-img convert -f raw -O qcow2 "$work/disk.img" "$out/kit-efi.qcow2"

# qcow2-bios and aws, vhd, vmdk, gcp: ext4 with extlinux's configuration.
mkdir "$work/ext"
cp "$work/boot/kernel" "$work/boot/initrd.img" "$work/ext/"
cp "$work/boot/syslinux.cfg" "$work/ext/syslinux.cfg"
rm -f "$work/part"
mkfs.ext4 -q -F -O ^64bit -L linuxkit -d "$work/ext" "$work/part" $((mib + 6))M
partitioned "$out/kit.raw" dos 83
for format in qcow2 vmdk vpc; do
	qemu-img convert -f raw -O $format "$out/kit.raw" "$out/kit.$(echo $format | sed s/vpc/vhd/)"
done
cp --sparse=always "$out/kit.raw" "$work/disk.raw"
tar --owner=0 --group=0 -C "$work" -zcf "$out/kit.img.tar.gz" disk.raw
touch "$out/built"
