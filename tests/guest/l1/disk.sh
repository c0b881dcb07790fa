# virtio-blk: what the guest writes is on the host, and a host's trouble reaches the guest as an error.

# On disk without a loop of the guest: mounted by this kernel.
sum_of() {
	mkdir -p /mnt
	mount -o loop "$1" /mnt || return
	md5sum <"/mnt/$2" | cut -c 1-32
	umount /mnt
}

# fsck_clean IMAGE: opened without writing.
fsck_clean() {
	e2fsck -fn "$1" >fsck 2>&1 || { sed 's/^/#   fsck: /' fsck; return 1; }
}

truncate -s 96M ext4.img
mkfs.ext4 -q ext4.img
dd if=/dev/urandom of=pattern.img bs=1M count=4 2>/dev/null
dd if=/dev/urandom of=readonly.img bs=1M count=2 2>/dev/null
pattern=$(md5sum <pattern.img | cut -c 1-32)
readonly=$(md5sum <readonly.img)

run_guest --mem 256M --disk ext4.img --disk pattern.img,id=second --disk readonly.img,ro /guests/debian -- mayfly.test=disk
equal disks_have_their_sizes "196608 8192 4096" "$(said sectors)"
equal disk_reads_what_the_host_wrote "$pattern" "$(said pattern)"
equal disk_id_is_the_serial_number second "$(said serial)"
equal ext4_mounts yes "$(said mounted)"
equal guest_writes_64_mib yes "$(said written)"
equal disk_file_is_the_same_on_the_host "$(said file)" "$(sum_of ext4.img file)"
check ext4_is_clean_after_poweroff fsck_clean ext4.img
equal readonly_disk_is_marked 1 "$(said readonly)"
equal readonly_disk_refuses yes "$(said refused)"
equal readonly_disk_is_unchanged "$readonly" "$(md5sum <readonly.img)"
equal discard_succeeds yes "$(said discarded)"
equal discard_reads_as_zeroes "" "$(head -c 1048576 pattern.img | tr -d '\000' | head -c 1)"
set -- $(said interrupts)
check disk_interrupts_are_counted [ "${1:-0}" -gt 0 -a "${2:-0}" -gt 0 -a "${3:-0}" -gt 0 ]
equal disk_guest_powers_off 0 "$status"

rm -f ext4.img
truncate -s 64M ext4.img
mkfs.ext4 -q ext4.img
start_guest --mem 256M --disk ext4.img /guests/debian -- mayfly.test=disk_kill
wait_said synced
timeout -s KILL "$limit" mayfly run --disk ext4.img /guests/debian </dev/null >second 2>&1
equal disk_in_use_is_refused 1 "$?"
check disk_in_use_is_named grep -q ext4.img second
kill -KILL "$pid"
end_guest
equal synced_file_survives_a_killed_monitor "$(said synced)" "$(sum_of ext4.img synced)"
check ext4_is_sound_after_a_killed_monitor fsck_clean ext4.img

mkdir -p small
mount -t tmpfs -o size=16m small small
truncate -s 64M small/disk.img
run_guest --mem 256M --disk small/disk.img /guests/debian -- mayfly.test=disk_full
equal full_host_disk_is_an_error "error" "$(said full)"
check full_host_disk_is_an_io_error above_zero "$(said kernel)"
equal full_host_disk_still_reads "back" "$(said read)"
equal full_host_disk_leaves_the_vm_alive 0 "$status"
umount small

# What lasts between runs, and what does not; metadata; the machine's identity.
truncate -s 8M raw.img
printf first >thrown.img
truncate -s 1M thrown.img
run_state() {
	run_guest --mem 256M --state kept --disk new.qcow2,size=8M --disk raw.img --disk thrown.img,ephemeral \
		--data "some metadata" --net user /guests/debian -- mayfly.test=state "mayfly.argument=$1"
}
run_state write
equal metadata_is_found "some metadata some metadata" "$(said data)"
equal metadata_volume_is_called_cidata cidata "$(said label)"
equal ephemeral_disk_is_written thrown "$(said written)"
equal qcow2_reads_as_raw "$(said raw)" "$(said qcow2)"
check qcow2_was_written [ -n "$(said qcow2)" ]
equal state_holds_the_uuid "$(cat kept/uuid) Mayfly" "$(said uuid)"
equal instance_is_the_uuid "$(cat kept/uuid)" "$(said instance)"
equal state_holds_the_address "$(cat kept/mac-addr)" "$(said mac)"
check qcow2_of_a_guest_is_whole_for_qemu_img qemu-img check -q kept/new.qcow2
check qcow2_of_a_guest_equals_its_raw_disk qemu-img compare -q kept/new.qcow2 raw.img
written=$(said qcow2)
uuid=$(said uuid)
mac=$(said mac)
run_state read
equal qcow2_persists "$written" "$(said qcow2)"
equal raw_disk_is_the_same_on_the_host "$written" "$(md5sum <raw.img | cut -c 1-32)"
equal ephemeral_disk_is_as_before first "$(said ephemeral)"
equal uuid_persists "$uuid" "$(said uuid)"
equal address_persists "$mac" "$(said mac)"
