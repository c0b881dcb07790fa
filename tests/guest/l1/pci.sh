# The virtio devices on a PCI bus: a stock kernel's modern drivers, its legacy ones, and interrupts without messages.

mkdir -p www
dd if=/dev/urandom of=www/file bs=1M count=2 2>/dev/null
fetched=$(md5sum <www/file | cut -c 1-32)
httpd -p 8000 -h www

# works NAME MODERN CHIP MODULE-OPTIONS: CHIP is what interrupts come by, MODERN a bit for each device.
works() {
	name=$1
	dd if=/dev/urandom of=disk.img bs=1M count=2 2>/dev/null
	sum=$(md5sum <disk.img | cut -c 1-32)
	run_guest --mem 256M --transport pci --disk disk.img --net user --rng --console virtio \
		--initrd /guests/debian-initrd.img --cmdline "quiet cryptomgr.notests" /guests/debian-kernel -- \
		mayfly.test=pci $4
	equal "pci_functions_are_found_by_$name" "1b36:0008 1af4:1001 1af4:1000 1af4:1005 1af4:1003${button:+ 1af4:1052}" \
		"$(said functions)"
	equal "pci_drivers_are_bound_by_$name" \
		"0000:00:01.0=virtio_blk 0000:00:02.0=virtio_net 0000:00:03.0=virtio_rng 0000:00:04.0=virtio_console${button:+ 0000:00:05.0=$button}" \
		"$(said drivers)"
	equal "pci_interface_of_$name" "$2$2$2$2${button:+1}" "$(said modern)"
	equal "pci_disk_is_read_by_$name" "$sum" "$(said disk)"
	equal "pci_disk_is_written_by_$name" "from the guest" "$(head -n 1 disk.img)"
	equal "pci_network_works_for_$name" "$fetched" "$(said fetched)"
	equal "pci_rng_works_for_$name" 32 "$(said random)"
	equal "pci_linux_has_no_complaint_of_$name" "" "$(said trouble)"
	set -- $(said "$3")
	check "pci_interrupts_of_${name}_are_counted" \
		[ "${1:-0}" -gt 0 -a "${2:-0}" -gt 0 -a "${3:-0}" -gt 0 -a "${4:-0}" -gt 0 ]
	equal "pci_guest_powers_off_with_$name" 0 "$status"
}

# Without an AIA, RISC-V has nowhere that messages go to.
messages=PCI-MSI
lines=IO-APIC
# Its power button is one more virtio device, which has no legacy interface.
button=
if [ "$(uname -m)" = riscv64 ]; then
	lines=APLIC
	button=virtio_input
	grep -qE "IMSIC|APLIC" /proc/interrupts || { lines=PLIC; messages=PLIC; }
fi
works modern_drivers 1 $messages
check pci_ecam_is_used above_zero "$(said ecam)"
works legacy_drivers 0 $messages virtio_pci.force_legacy=1
works interrupt_lines 1 $lines pci=nomsi
