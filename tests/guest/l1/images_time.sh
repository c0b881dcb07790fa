# From exec to the service in each format, beside kernel+initrd's: for BED_ICOUNT=1, where time counts instructions, so that
# one run of each suffices.

cd /images || { not_ok images_time "there are none"; return; }
port=8100
most=110 # percent

# In 1/100 s.
now() {
	tr -d . </proc/uptime | cut -d ' ' -f 1
}

# time_of ARGUMENTS...: 1/100 s in $took until the service says that it runs; 0 if it does not, or does not answer then. A
# request before would wait for the guest in steps of a TCP's retransmissions. QEMU's SVM stalls a guest now and then, the
# same one each time; with another word on its command line, it does not.
time_of() {
	for try in 1 2 3; do
		took=0
		start=$(now)
		start_guest --mem 256M --net "user,publish=$port:80" "$@" -- "try=$try"
		while alive && [ $(($(now) - start)) -lt 600 ]; do
			grep -q "^web: up" console && took=$(($(now) - start)) && break
			usleep 10000
		done
		[ $took = 0 ] || timeout 20 wget -q -O page "http://127.0.0.1:$port/" 2>/dev/null || took=0
		kill -KILL "$pid" 2>/dev/null
		end_guest
		port=$((port + 1))
		[ $took = 0 ] || return
		echo "# $*: no answer at try $try; the guest's last words: $(tr -d '\r' <console | tail -n 1)"
	done
}

# within NAME ARGUMENTS...
within() {
	name=image_time_$1
	shift
	time_of "$@"
	percent=$(((took * 100 + base / 2) / base))
	text="$took/100 s, $percent % of kernel+initrd's"
	if [ $took -gt 0 ] && [ $percent -le $most ]; then
		ok "$name: $text"
	else
		not_ok "$name" "$text, at most $most"
	fi
}

# beside NAME ARGUMENTS...: what follows is compared with this. Its first run leaves what is unpacked in the cache, for all.
beside() {
	name=image_time_$1
	shift
	time_of "$@"
	sleep 3
	time_of "$@"
	base=$took
	[ "$base" -gt 0 ] || { not_ok "$name" "no answer"; return 1; }
	echo "# $name: $base/100 s"
}

# The parts of an image whose root is a disk, by hand: that guest has more to do than one whose root is the initrd.
parts() {
	beside "$1" --kernel kit-kernel --initrd kit-drivers.img --cmdline "$(cat kit-cmdline) root=/dev/vda" --disk "$2,ro"
}

beside initrd kit || return
within tar kit-initrd.tar
within unified_kernel kit.efi
within raw_bios kit-bios.img
within raw_efi kit-efi.img
within iso_efi_initrd kit-efi-initrd.iso
within qcow2_efi kit-efi.qcow2
within raw kit.raw
within qcow2 kit.qcow2
within vhd kit.vhd
within vmdk kit.vmdk
# Its disk is unpacked once.
time_of kit.img.tar.gz
sleep 3
within gcp kit.img.tar.gz
parts parts_of_squashfs kitsquash-squashfs.img || return
within squashfs --initrd kit-drivers.img kitsquash
parts parts_of_erofs kiterofs-erofs.img || return
within erofs --initrd kit-drivers.img kiterofs
parts parts_of_iso kitiso.iso || return
within kernel_iso --initrd kit-drivers.img kitiso
within iso_bios kit.iso
within iso_efi kit-efi.iso
