#!/bin/sh
# Installs what is missing of the Debian packages that building and testing need. Does
# nothing, quickly, when all are there; says what to run when it may not install.
#
#   deps.sh build    to build and run Mayfly
#   deps.sh          and to test it
set -eu

build="gcc libc6-dev musl-dev linux-libc-dev libslirp-dev libglib2.0-dev liburing-dev libjansson-dev
	zlib1g-dev libzstd-dev liblzma-dev liblz4-dev libdeflate-dev libext2fs-dev comerr-dev"
test="libcunit1-dev libfdt-dev clang libclang-rt-14-dev acpica-tools busybox-static cpio lz4 zstd
	e2fsprogs iproute2 iputils-ping python3 qemu-system-x86 qemu-utils kmod bzip2 strace dpkg-dev man-db
	xorriso squashfs-tools erofs-utils mtools dosfstools fdisk syslinux syslinux-common isolinux
	systemd-boot-efi binutils crun runc gcc-riscv64-linux-gnu xz-utils bc bison flex libelf-dev"

missing=
wanted=$build
[ "${1-}" = build ] || wanted="$build $test"
for package in $wanted; do
	dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
		missing="$missing $package"
done
[ -n "$missing" ] || exit 0

root=
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || {
		echo "deps: missing$missing; as root: apt-get install$missing" >&2
		exit 1
	}
	root=sudo
fi
echo "deps: installing$missing"
$root apt-get -qq update
$root env DEBIAN_FRONTEND=noninteractive \
	apt-get -qq install -y --no-install-recommends $missing >/dev/null
