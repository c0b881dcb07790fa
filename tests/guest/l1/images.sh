# Each of LinuxKit's formats, and two that are not its own: up when the web server in it answers on a published port.

cd /images || { not_ok images "there are none"; return; }
port=8100
limit=240

page() {
	timeout 5 wget -q -O page "http://127.0.0.1:$port/" 2>/dev/null
}

# serves NAME ROOT ARGUMENTS...: what the page says of the guest's root, and the monitor's command line.
serves() {
	name=$1
	root=$2
	shift 2
	: >page
	start_guest --mem 256M --net "user,publish=$port:80" "$@"
	until page; do
		alive || break
		usleep 500000
	done
	equal "image_${name}_serves_from_its_root" "$root" "$(sed -n 's/^root //p' page)"
	kill -KILL "$pid"
	end_guest
	port=$((port + 1))
}

# The size of the first disk that the guest saw, in bytes.
attached() {
	sectors=$(sed -n 's/^disk //p' page)
	equal "image_$1_is_attached" "$2" "$((${sectors:-0} * 512))"
}
size() {
	stat -c %s "$1"
}

serves initrd "rootfs rootfs" kit
serves squashfs "squashfs /dev/vda" --initrd kit-drivers.img kitsquash
serves erofs "erofs /dev/vda" --initrd kit-drivers.img kiterofs
serves kernel_iso "iso9660 /dev/vda" --initrd kit-drivers.img kitiso
serves tar "rootfs rootfs" kit-initrd.tar
serves iso_bios "iso9660 /dev/vda" kit.iso
attached iso_bios "$(size kit.iso)"
serves iso_efi_initrd "rootfs rootfs" kit-efi-initrd.iso
serves raw_bios "rootfs rootfs" kit-bios.img
attached raw_bios "$(size kit-bios.img)"
serves raw_efi "rootfs rootfs" kit-efi.img
serves unified_kernel "rootfs rootfs" kit.efi
serves raw "rootfs rootfs" kit.raw
serves qcow2 "rootfs rootfs" kit.qcow2
attached qcow2 "$(size kit.raw)"
serves vhd "rootfs rootfs" kit.vhd
serves vmdk "rootfs rootfs" kit.vmdk
serves gcp "rootfs rootfs" kit.img.tar.gz

sum=$(md5sum <foreign.raw)
serves cloud_disk "ext4 /dev/vda1" foreign.raw
equal image_cloud_disk_is_not_written "$sum" "$(md5sum <foreign.raw)"
serves alpine_iso "rootfs rootfs" foreign.iso
