#!/bin/sh
# verify.sh: what can be known of this kernel without a build that takes long. Its configuration, for each architecture; of
# a build that is there, whether kernel and kernel.tar are what LinuxKit wants of a kernel image. One line a check.
set -u
cd "$(dirname "$0")/../.."
failures=0

ok() {
	echo "ok $1"
}
not_ok() {
	echo "not ok $1: $2"
	failures=1
}

# made ARCH TARGET: what `make` had to say is in $why.
made() {
	cross=
	[ "$1" = x86 ] || cross=riscv64-linux-gnu-
	why=$(make -s "$2" ARCH="$1" CROSS_COMPILE=$cross 2>&1)
}

# config_of ARCH: whether Kconfig makes every line of the fragments true. What Debian cannot give is skipped; fetch.sh says
# so in a line of this form.
config_of() {
	if made "$1" linux-source && made "$1" linux-config; then
		ok "linux_config_$1"
	elif echo "$why" | grep -q '^linux: no package\|^linux: the kernel'; then
		echo "skip linux_config_$1: $(echo "$why" | grep '^linux: ' | tail -n 1)"
	else
		not_ok "linux_config_$1" "$(echo "$why" | grep -v '^  [A-Z]' | head -n 1)"
	fi
}

# What LinuxKit appends to the root file system (moby/linuxkit.go, kernelFilter): files of root's, with names relative to
# it, below the folder of the modules of this very kernel, without one that belongs elsewhere.
tar_of() {
	folder=$2
	name=linux_kernel_tar_$1
	listing=$(tar -t --verbose --numeric-owner -f "$folder/kernel.tar") || { not_ok "$name" "it is no tar"; return; }
	names=$(tar -t -f "$folder/kernel.tar")
	version=$(strings -n 8 "$folder/kernel" | sed -n 's/^Linux version \([^ ]*\) .*/\1/p' | head -n 1)
	strange=$(echo "$names" | grep -vE "^lib/(modules/($version/([a-z.]+)?)?)?\$")
	owners=$(echo "$listing" | awk '$2 != "0/0" { print $NF }')
	lacking=
	for file in modules.builtin modules.dep modules.order; do
		echo "$names" | grep -qxF "lib/modules/$version/$file" || lacking="$lacking $file"
	done
	builtin=$(tar -x -O -f "$folder/kernel.tar" "lib/modules/$version/modules.builtin" 2>/dev/null | grep -c '/virtio_blk\.ko$')
	[ -n "$version" ] || { not_ok "$name" "the kernel beside it tells no version"; return; }
	if [ -n "$strange" ]; then
		not_ok "$name" "not of Linux $version: $strange"
	elif [ -n "$owners" ]; then
		not_ok "$name" "not root's: $owners"
	elif [ -n "$lacking" ]; then
		not_ok "$name" "no$lacking"
	elif [ "$builtin" != 1 ]; then
		not_ok "$name" "virtio_blk is not among what is built in"
	else
		ok "$name"
	fi
}

config_of x86
if command -v riscv64-linux-gnu-gcc >/dev/null; then
	config_of riscv
else
	echo "skip linux_config_riscv: no riscv64-linux-gnu-gcc"
fi
for arch in x86 riscv; do
	folder=build/linux
	[ $arch = x86 ] || folder=build/$arch/linux
	if [ -e $folder/kernel ] && [ -e $folder/kernel.tar ]; then
		tar_of $arch $folder
	else
		echo "skip linux_kernel_$arch: no $folder/kernel: make linux builds it in half an hour"
	fi
done
exit $failures
