# What is different in the nested bed for RISC-V; sourced by bed.sh with BED_ARCH=riscv. L1 is Debian's riscv64 kernel in
# QEMU's TCG with the H extension, with the AIA or, BED_AIA=no, without. All of it comes from Debian 13 by package name: its
# QEMU knows the AIA, and runs here with its own libraries.

bed=${BED_DIR:-$top/build/riscv/bed}
monitor=${BED_MONITOR:-$top/build/riscv/mayfly}
build=$top/build/riscv
cross=riscv64-linux-gnu-
bed_limit=1800
sysroot=$build/sysroot

l2_modules="virtio_mmio virtio_blk virtio_net virtio-rng virtio_input evdev"
l2_modules_on_demand="ext4 crc32c_generic isofs"
l1_modules="kvm tun loop ext4 crc32c_generic"

bed_lacks() {
	for tool in apt-get dpkg-deb cpio gzip unxz depmod readelf ${cross}gcc; do
		command -v $tool >/dev/null || { echo "no $tool on this machine"; return; }
	done
	[ "$(uname -m)" = x86_64 ] || echo "its QEMU is for x86-64 machines"
}

bed_fetch() {
	"$top/tests/debian.sh" trixie amd64 "$build/qemu" qemu-system-riscv qemu-user opensbi zstd || return
	"$top/tests/debian.sh" trixie riscv64 "$bed/root" linux-image-riscv64 busybox-static e2fsprogs \
		qemu-utils || return
	[ ! -e "$bed/root/fetched" ] || return 0
	# busybox's insmod takes no compressed modules.
	(cd "$bed/root" && find usr/lib/modules -name '*.ko.xz' -exec unxz {} + &&
		depmod -b . "$(bed_kernel_version)") || return
	touch "$bed/root/fetched"
}

bed_busybox() {
	"$build/qemu/usr/bin/qemu-riscv64" "$bed/root/bin/busybox" "$@"
}

bed_cc() {
	${cross}gcc --sysroot="$sysroot" "$@"
}

# The libraries a program loads, and their loader, as paths below the sysroot or $bed/root.
bed_libraries() {
	for found in $(readelf -ld "$1" 2>/dev/null | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p; s/.*interpreter: .*\/\(.*\)\]/\1/p'); do
		for place in "$sysroot" "$bed/root"; do
			file=$place/lib/riscv64-linux-gnu/$found
			[ -e "$file" ] || file=$place/lib/$found
			[ -e "$file" ] && break
		done
		[ -e "$file" ] || continue
		case " $bed_libraries_seen " in
		*" $file "*) ;;
		*)
			bed_libraries_seen="$bed_libraries_seen $file"
			echo "$file"
			bed_libraries "$file"
			;;
		esac
	done
}

# bed_programs ROOT FILES: with all that they load, below /lib.
bed_programs() {
	system=$1
	shift
	mkdir -p "$system/lib/riscv64-linux-gnu"
	bed_libraries_seen=
	for program; do
		cp -L "$program" "$system/bin/"
		bed_libraries "$program" >"$system/libraries"
		while read -r library; do
			cp -L "$library" "$system/lib/riscv64-linux-gnu/"
		done <"$system/libraries"
		rm "$system/libraries"
	done
	loader=$system/lib/riscv64-linux-gnu/ld-linux-riscv64-lp64d.so.1
	[ ! -e "$loader" ] || mv "$loader" "$system/lib/"
}

# Nothing here can write to the mark's address as early as that.
bed_mark() {
	printf '#!/bin/sh\n' >"$1/mark"
	chmod 755 "$1/mark"
}

bed_kernel_file() {
	echo "$bed/root/boot/vmlinux-$(bed_kernel_version)"
}

# A program of the machine that QEMU was unpacked for, with its own libraries.
bed_foreign() {
	echo "$build/qemu/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 --library-path $build/qemu/lib/x86_64-linux-gnu
		$build/qemu/usr/bin/$1"
}

# Debian has no vmlinux but that for debuggers, as large as the rest of its kernels: this one is the Image in an ELF file.
bed_kernel() {
	image=$bed/l2/debian-kernel
	cp "$(bed_kernel_file)" "$image"
	gzip -1 -n <"$image" >"$bed/l2/Image.gz"
	$(bed_foreign zstd) -1 -q <"$image" >"$bed/l2/Image.zst"
	printf '.section .text\n.globl _start\n_start:\n.incbin "%s"\n.bss\n.skip %u\n' "$image" \
		$(($(od -An -t u8 -j 16 -N 8 "$image") - $(stat -c %s "$image"))) |
		bed_cc -nostdlib -static -Wl,-Ttext=0xffffffff80000000,--build-id=none,--no-warn-rwx-segments,-n -x assembler -o "$bed/l2/vmlinux" -
}

bed_host_programs() {
	echo "$bed/root/sbin/mkfs.ext4" "$bed/root/sbin/e2fsck"
}

# What only l1/disk.sh and l1/images.sh use.
bed_disk_programs() {
	echo "$bed/root/usr/bin/qemu-img"
}

bed_slirp() {
	echo "$sysroot/lib/riscv64-linux-gnu/libslirp.so.0"
}

# QEMU, as far as it is the machine.
bed_qemu() {
	machine=virt,aia=aplic-imsic
	[ "${BED_AIA:-yes}" = yes ] || machine=virt
	# A seed register for the guests' to be tested. In comparisons every monitor has to bring random numbers by itself.
	cpu=rv64,h=true,zkr=true
	accel="-accel tcg,thread=multi -smp ${BED_CPUS:-1}"
	[ "${BED_ICOUNT:-0}" != 1 ] || {
		cpu=${BED_CPU:-rv64,h=true}
		accel="-accel tcg -smp 1 -icount shift=1,sleep=off -seed 1 -rtc base=2020-01-01,clock=vm"
	}
	echo $(bed_foreign qemu-system-riscv64) -L "$build/qemu/usr/share/qemu" -M "$machine" $accel -cpu $cpu -m 2G
}

bed_ticking() {
	:
}
