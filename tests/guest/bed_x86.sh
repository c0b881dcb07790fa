# What is different in the nested bed for x86: L1 is Debian's cloud kernel in QEMU with SVM emulated. Sourced by bed.sh.

build=$top/build
bed=${BED_DIR:-$top/build/bed}
monitor=${BED_MONITOR:-$top/build/mayfly}
bed_limit=1800
packages="linux-image-cloud-amd64 busybox-static"

# Loaded by the guest's init, in this order after what they depend on.
l2_modules="virtio_mmio virtio_pci virtio_blk virtio_net virtio_console virtio-rng crc32c-intel evdev button
	pvpanic-mmio"
# In the guest's initrd for the kernel to ask for: modprobe is there.
l2_modules_on_demand="squashfs erofs isofs loop overlay tun 9pnet_virtio vmw_vsock_virtio_transport"
l1_modules="kvm-amd tun loop"

# Prints why the bed cannot be used, or nothing.
bed_lacks() {
	for tool in qemu-system-x86_64 apt-get dpkg cpio gzip lz4 ldd cc mkfs.ext4; do
		command -v $tool >/dev/null || { echo "no $tool on this machine"; return; }
	done
	qemu-system-x86_64 -accel help | grep -q tcg || echo "this QEMU has no TCG"
}

# Package names with the kernel's metapackage resolved: the kernel itself is what it depends on.
bed_package_names() {
	for name in $packages; do
		case $name in
		linux-image-*) apt-cache depends "$name" 2>/dev/null | sed -n 's/^ *Depends: //p' | head -n 1 ;;
		*) echo "$name" ;;
		esac
	done
}

# Fetches by package name and unpacks into $bed/root; nothing is installed on this machine.
bed_fetch() {
	[ -e "$bed/root/fetched" ] && return
	names=$(bed_package_names)
	case $names in
	*linux-image*) ;;
	*) apt-get update -qq && names=$(bed_package_names) ;;
	esac
	rm -rf "$bed/root" "$bed/deb"
	mkdir -p "$bed/root" "$bed/deb"
	(cd "$bed/deb" && apt-get -qq -o APT::Sandbox::User=root download $names) || return
	for package in "$bed"/deb/*.deb; do
		dpkg -x "$package" "$bed/root" || return
	done
	"$bed/root/bin/busybox" depmod -b "$bed/root" "$(bed_kernel_version)" || return
	touch "$bed/root/fetched"
}

bed_busybox() {
	"$bed/root/bin/busybox" "$@"
}

bed_cc() {
	cc "$@"
}

# Programs of the guest that know the machine, into a folder.
bed_mark() {
	cc -O2 -Wall -Wextra -static -nostdlib -o "$1/mark" "$here/l2/mark.c"
	cc -O2 -Wall -Wextra -static -s -o "$1/avx" "$here/l2/avx.c"
}

bed_kernel_file() {
	echo "$bed/root/boot/vmlinuz-$(bed_kernel_version)"
}

bed_kernel() {
	cp "$(bed_kernel_file)" "$bed/l2/debian-kernel"
	bed_extract_vmlinux "$bed/l2/debian-kernel" "$bed/l2/vmlinux"
}

bed_host_programs() {
	command -v mkfs.ext4
	command -v e2fsck
}

# What only l1/disk.sh and l1/images.sh use.
bed_disk_programs() {
	command -v qemu-img
}

bed_slirp() {
	ldconfig -p | sed -n 's/.*libslirp\.so\.0 .*x86-64.* => //p' | head -n 1
}

# bed_programs ROOT FILES: programs of this machine, with ld.so and the libraries they load.
bed_programs() {
	system=$1
	shift
	for program; do
		cp -L "$program" "$system/bin/"
		{ ldd "$program" 2>/dev/null || true; } | grep -o '/[^ ]*'
	done | sort -u | while read -r library; do
		mkdir -p "$system$(dirname "$library")"
		cp -L "$library" "$system$library"
	done
}

# u8|u32 FILE OFFSET: a little-endian number of the setup header.
bed_number() {
	od -An -t "$1" -j "$3" -N "${1#u}" "$2" | tr -d ' '
}

# Linux, x86/boot.rst: the payload's place counts from the protected-mode code, which follows setup_sects + 1
# sectors. Debian compresses with LZ4 (legacy frame, the unpacked size in 4 bytes behind it).
bed_extract_vmlinux() {
	code=$((($(bed_number u1 "$1" $((0x1f1))) + 1) * 512))
	offset=$(bed_number u4 "$1" $((0x248)))
	length=$(bed_number u4 "$1" $((0x24c)))
	tail -c +$((code + offset + 1)) "$1" | head -c $((length - 4)) | lz4 -dcq >"$2"
	[ "$(head -c 4 "$2" | tail -c 3)" = ELF ]
}

# QEMU, as far as it is the machine.
bed_qemu() {
	machine="-accel tcg,thread=multi -cpu max -smp ${BED_CPUS:-1}"
	[ "${BED_ICOUNT:-0}" != 1 ] || machine="-accel tcg -cpu max,-erms,-fsrm -smp 1 -icount shift=1,sleep=off -seed 1
		-rtc base=2020-01-01,clock=vm"
	echo qemu-system-x86_64 -M q35 $machine -m 2G
}

# QEMU 7.2's SVM now and then loses an interrupt that comes while a guest runs. If that was a one-shot timer, L1 sleeps for
# ever; one that ticks comes again. Nor does L1 try whether its timer ticks: on a loaded machine it may not while L1 looks.
bed_ticking() {
	[ "${BED_ICOUNT:-0}" = 1 ] || echo nohz=off highres=off no_timer_check
}
