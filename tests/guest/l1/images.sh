# Each of LinuxKit's formats, and two that are not its own: up when the web server in it answers on a published port.

cd /images || { not_ok images "there are none"; return; }
port=8100
limit=600

page() {
	timeout 120 wget -q -O page "http://127.0.0.1:$port/" 2>/dev/null
}

# start_web ARGUMENTS...: the page is there, or the monitor has ended.
start_web() {
	: >page
	start_guest --mem 256M --net "user,publish=$port:80" "$@"
	until page; do
		alive || break
		usleep 500000
	done
}

end_web() {
	kill "-$1" "$pid"
	end_guest
	port=$((port + 1))
}

shows() {
	sed -n "s/^$1 //p" page
}

# serves NAME ROOT ARGUMENTS...: what the page says of the guest's root, and the monitor's command line.
serves() {
	name=$1
	root=$2
	shift 2
	start_web "$@"
	equal "image_${name}_serves_from_its_root" "$root" "$(shows root)"
	end_web KILL
}

# boots NAME ARGUMENTS...: how many boots the disk has seen, this one included; the power button ends it.
boots() {
	name=$1
	count=$2
	shift 2
	start_web --grace 60s --data "some metadata" "$@" -- boots
	equal "image_$name" "$count" "$(shows boots)"
	metadata=$(shows config)
	end_web TERM
	equal "image_${name}_acpid_powers_off" 0 "$status"
}

# keeps FORMAT: what is written to kept.FORMAT is thrown away, unless it is to be kept.
keeps() {
	cp "kit.$1" "kept.$1"
	boots "$1_starts_with_no_boot" 1 "kept.$1"
	boots "$1_threw_that_away" 1 --persist "kept.$1"
	boots "$1_kept_that" 2 --persist "kept.$1"
	equal "image_$1_finds_its_metadata" "some metadata" "$metadata"
}

# The size of the first disk that the guest saw, in bytes.
attached() {
	sectors=$(shows disk)
	equal "image_$1_is_attached" "$2" "$((${sectors:-0} * 512))"
}
size() {
	stat -c %s "$1"
}

serves initrd "rootfs rootfs" kit
serves squashfs "squashfs /dev/vda" --initrd kit-drivers.img kitsquash
# RISC-V has no formats of its own, and an emulated CPU that takes its time.
[ "$(uname -m)" != riscv64 ] || return 0
serves erofs "erofs /dev/vda" --initrd kit-drivers.img kiterofs
serves kernel_iso "iso9660 /dev/vda" --initrd kit-drivers.img kitiso
serves tar "rootfs rootfs" kit-initrd.tar
serves iso_bios "iso9660 /dev/vda" kit.iso
attached iso_bios "$(size kit.iso)"
serves iso_efi "iso9660 /dev/vda" kit-efi.iso
serves iso_efi_initrd "rootfs rootfs" kit-efi-initrd.iso
serves raw_bios "rootfs rootfs" kit-bios.img
attached raw_bios "$(size kit-bios.img)"
serves raw_efi "rootfs rootfs" kit-efi.img
serves unified_kernel "rootfs rootfs" kit.efi
serves qcow2_efi "rootfs rootfs" kit-efi.qcow2
keeps raw
keeps qcow2
attached qcow2 "$(size kit.raw)"
check image_kept_qcow2_is_whole_for_qemu_img qemu-img check -q kept.qcow2
check image_kept_qcow2_equals_the_raw_one qemu-img compare -q kept.qcow2 kept.raw
serves vhd "rootfs rootfs" kit.vhd
serves vmdk "rootfs rootfs" kit.vmdk
serves gcp "rootfs rootfs" kit.img.tar.gz

sum=$(md5sum <foreign.raw)
serves cloud_disk "ext4 /dev/vda1" foreign.raw
equal image_cloud_disk_is_not_written "$sum" "$(md5sum <foreign.raw)"
serves alpine_iso "rootfs rootfs" foreign.iso
