#!/bin/bash
# Bad input: each gets one line on stderr that names the option or the file, and status 1
# (this host, this file) or 2 (usage), within 5 s; no process and no file is left behind.
set -u
images_py=$(cd "$(dirname "$0")/.." && pwd)/images.py
. "$(dirname "$0")/lib.sh"
hello=$guests/hello
limit=5

# bad NAME STATUS TEXT ARGUMENTS...: the message must match TEXT.
bad() {
	local name=$1 wanted=$2 text=$3
	shift 3
	run "$@"
	if [ $status = 124 ]; then
		not_ok "$name" "still running after $limit s"
	elif [ $status != "$wanted" ]; then
		not_ok "$name" "status $status, not $wanted"
	elif [ "$(wc -l <"$work/err")" != 1 ] || ! has err '^mayfly: '; then
		not_ok "$name" "not one line that starts with 'mayfly: '"
	elif ! has err "$text"; then
		not_ok "$name" "the message does not say '$text'"
	elif ! settled; then
		not_ok "$name" "a process is left behind"
	elif [ -n "$(find "$work/cwd" "$TMPDIR" -mindepth 1)" ]; then
		not_ok "$name" "left behind: $(find "$work/cwd" "$TMPDIR" -mindepth 1 -delete -print)"
	else
		ok "$name"
	fi
}
others= # what runs beside on purpose
# What keeps an unpacked file for the next time ends by itself, but runs only when nothing else does.
settled() {
	local i
	for ((i = 0; i < 200; i++)); do
		[ "$(monitors)" != "$others" ] || return 0
		sleep 0.1
	done
	return 1
}

# Images. What lies is made from a good one, so that it is refused for its lie alone.
mkdir "$work/images"
images=$work/images
python3 - "$images" "$hello" <<'PYTHON'
import struct, sys
folder, hello = sys.argv[1], open(sys.argv[2], 'rb').read()

def save(name, data):
    open(f'{folder}/{name}', 'wb').write(data)

def note(owner, kind, data):
    pad = lambda b: b + bytes(-len(b) % 4)
    return struct.pack('<III', len(owner) + 1, len(data), kind) + pad(owner + b'\0') + pad(data)

def entry(address):
    return note(b'Xen', 18, struct.pack('<Q', address))

CODE = b'\xb0\x07\xe6\xf4'      # mov $7, %al; out %al, $0xf4
GOOD = (0x1000, 0x100000, 4, 4)  # offset, address, size in the file and in memory

def elf(name, *segments, notes=entry(0x100000), order=1, kind=2, machine=62, headers=64,
        note_at=0x800):
    segments = segments or (GOOD,)
    data = bytearray(0x1000) + CODE
    data[:64] = struct.pack('<4sBBB9xHHIQQQIHHHHHH', b'\x7fELF', 2, order, 1, kind, machine,
                            1, 0x100000, headers, 0, 0, 64, 56, len(segments) + 1, 0, 0, 0)
    table = struct.pack('<IIQQQQQQ', 4, 4, note_at, 0, 0, len(notes), len(notes), 4)
    for offset, address, size, memory in segments:
        table += struct.pack('<IIQQQQQQ', 1, 5, offset, address, address, size, memory, 4096)
    data[64:64 + len(table)] = table
    data[0x800:0x800 + len(notes)] = notes
    save(name, data)

def bzimage(name, version=0x20f, xload=1, syssize=0x100, preferred=0x1000000, init=0x10000):
    data = bytearray(1024 + 0x1000)
    struct.pack_into('<BxxI6xH', data, 0x1f1, 1, syssize, 0xaa55)
    struct.pack_into('<4sH', data, 0x202, b'HdrS', version)
    struct.pack_into('<B', data, 0x211, 1)
    struct.pack_into('<IIBxHI', data, 0x22c, 0x7fffffff, 0x200000, 1, xload, 2047)
    struct.pack_into('<QI', data, 0x258, preferred, init)
    save(name, data)

elf('good')
elf('wraps', GOOD, (0x1000, 2**64 - 0x1000, 4, 0x2000))
elf('overlaps', GOOD, (0x1000, 0x100002, 2, 2))
elf('in-the-hole', GOOD, (0x1000, 0xd0000000, 4, 4))
elf('too-high', GOOD, (0x1000, 1 << 46, 4, 4))
elf('too-low', GOOD, (0x1000, 0x1000, 4, 4))
elf('past-the-end', (0x1000, 0x100000, 5, 5))
elf('offset-wraps', (2**64 - 2, 0x100000, 4, 4))
elf('more-in-the-file', (0x1000, 0x100000, 4, 2))
elf('large', GOOD, (0x1000, 0x200000, 4, 1 << 30))
elf('headers-outside', headers=0x10000)
elf('headers-wrap', headers=2**64 - 32)
elf('aarch64', machine=183)
elf('big-endian', order=2)
elf('object', kind=1)
elf('no-entry', notes=note(b'GNU', 1, bytes(16)))
elf('entry-outside', notes=entry(0x200000))
elf('entry-high', notes=entry(1 << 32 | 0x100000))
elf('note-size', notes=note(b'Xen', 18, b'\0\0'))
elf('note-long', notes=struct.pack('<III', 4, 0xfffffff0, 18) + b'Xen\0')
elf('note-outside', note_at=0x2000)
elf('future', notes=entry(0x100000) + note(b'Mayfly', 1, struct.pack('<I', 1 << 31)))
save('header-cut', hello[:40])
save('cut', hello[:len(hello) // 2])
bzimage('bzimage')
bzimage('bz-cut', syssize=0x10000)
bzimage('bz-old', version=0x207)
bzimage('bz-low', preferred=0x1000)
bzimage('bz-huge', init=0xffffffff)
save('empty', b'')
save('gzip', b'\x1f\x8b\x08' + bytes(61))
save('pe', b'MZ' + bytes(126))
save('script', b'#!/bin/sh\nexit 0\n')
save('cpio', b'070701' + bytes(200))
save('riscv', bytes(48) + b'RISCV\0\0\0RSC\x05' + bytes(64))
save('arm64', bytes(56) + b'ARM\x64' + bytes(64))
save('text', b'hello\n' * 100)
save('kit-kernel', hello[:40])
save('long-kernel', hello)
save('long-cmdline', b'a' * 70000)
PYTHON
mkfifo "$images/fifo"

while read -r image text; do
	bad "image_$image" 1 "'$images/$image'.*$text" "$images/$image"
done <<'TABLE'
missing		and no '.*-kernel'
fifo		is not a regular file
empty		is empty
gzip		is gzip-compressed: gunzip
pe		is an EFI program
script		is a script
cpio		is an initrd .*--initrd
riscv		is a riscv64 kernel
arm64		is an aarch64 kernel
text		is neither
header-cut	its ELF header is cut off
cut		is damaged or truncated
wraps		wraps around
overlaps	overlaps another
too-low		lies below 1 MiB
past-the-end	past the end of the file
offset-wraps	past the end of the file
more-in-the-file	has more in the file
headers-outside	program headers lie outside
headers-wrap	program headers lie outside
aarch64		is an aarch64 kernel
big-endian	not a little-endian ELF
object		is an ELF object
no-entry	neither a PVH entry
entry-outside	PVH entry is in none
entry-high	PVH entry is in none
note-size	PVH entry note has a wrong size
note-long	a note reaches past
note-outside	notes lie outside the file
future		needs what this Mayfly does not know
bz-cut		is a truncated Linux bzImage
bz-old		older than boot protocol 2.08
bz-low		damaged pref_address
bz-huge		above 4 GiB
TABLE

# Disk images, ISOs and the like: from right ones, each damaged in one place (tests/images.py). What is read of them is
# read by a child that is bounded in time; its memory is that of the monitor and 64 MiB.
python3 "$images_py" damaged "$images" >"$work/damaged" || not_ok damaged_images "cannot be made"
while IFS=$'\t' read -r image text; do
	via='prlimit --as=300000000' bad "image_$image" 1 "'$images/$image.*$text" "$images/$image"
done <"$work/damaged"
equal damaged_images_are_many yes "$([ "$(wc -l <"$work/damaged")" -ge 60 ] && echo yes)"
python3 "$images_py" good "$work/good" "$images/bzimage"
bad image_unpacked_persists 1 "--persist: .*unpacked into memory" --persist "$work/good/gcp.img.tar.gz"
if command -v qemu-img >/dev/null; then
	qemu-img create -q -f qcow2 -b "$work/good/mbr.img" -F raw "$images/based.qcow2"
	bad image_backing_needs_an_option 1 "is based on '$work/good/mbr.img'.*--backing" "$images/based.qcow2"
	run --dry-run --backing "$images/based.qcow2"
	equal image_backing_is_read_when_asked_for 0 $status
	"$mayfly" inspect --backing "$images/based.qcow2" >"$work/out" 2>"$work/err"
	equal image_backing_is_inspected_when_asked_for 0 $?
else
	skip image_backing "no qemu-img"
fi
for image in "$work"/good/*; do
	timeout 5 "$mayfly" inspect --json "$image" >"$work/out" 2>"$work/err"
	equal "image_${image##*/}_is_read" "5120 600 quiet" "$(python3 -c 'import json, sys
image = json.load(sys.stdin)
print(image["kernel_size"], *image["initrd_sizes"], image["cmdline"].split()[0])' <"$work/out")"
done
# An image for a screen is seen on the terminal all the same, unless it is the user who says so.
cp "$images/bzimage" "$images/screen-kernel"
echo 'quiet console=tty0' >"$images/screen-cmdline"
run --dry-run "$images/screen"
check image_for_a_screen_gets_a_console has out '^cmdline .*quiet console=tty0 console=ttyS0$'
run --dry-run --cmdline 'console=tty0' "$images/screen"
check image_for_a_users_screen_gets_none test "$(grep -c console=ttyS0 "$work/out")" = 0
bad image_directory 1 "only a directory '$images'" "$images"
bad image_program 1 "'/bin/true' is an ELF program" /bin/true
bad image_linuxkit_kernel_lies 1 "'$images/kit-kernel' is damaged" "$images/kit"
bad image_linuxkit_cmdline_long 1 "'$images/long-cmdline' is not a kernel's command line" "$images/long"

# Usage.
long=$(printf '%070000d' 0)
bad no_image		2 'IMAGE is missing'
bad empty_image		2 'IMAGE is empty' ''
bad two_images		2 'IMAGE is given twice' "$hello" "$hello"
bad kernel_and_image	2 "--kernel '$hello'.*IMAGE" --kernel "$hello" "$hello"
bad unknown_option	2 "'--cpu', did you mean '--cpus'" --cpu 2 "$hello"
bad unlike_any_option	2 "'--frobnicate'.*mayfly help" --frobnicate "$hello"
bad no_value		2 '--mem: needs a value' "$hello" --mem
bad value_forgotten	2 '--mem: needs a value' --mem --rng "$hello"
bad value_of_a_switch	2 '--rng' --rng=maybe "$hello"
bad cpus_0		2 "--cpus: '0'" --cpus 0 "$hello"
bad cpus_10000		2 "--cpus: '10000'" --cpus 10000 "$hello"
bad cpus_negative	2 "--cpus: '-1'" --cpus -1 "$hello"
bad cpus_no_number	2 "--cpus: 'x'" --cpus x "$hello"
bad mem_0		2 "--mem: '0'" --mem 0 "$hello"
bad mem_65T		2 "--mem: '65T'" --mem 65T "$hello"
bad mem_wraps		2 "--mem: '18446744073709551616'" --mem 18446744073709551616 "$hello"
bad mem_unit		2 "--mem: '1X'" --mem 1X "$hello"
bad console_unknown	2 "--console: 'vga'" --console vga "$hello"
bad boot_unknown	2 "--boot: 'bios'" --boot bios "$hello"
bad on_reboot_unknown	2 "--on-reboot: 'never'" --on-reboot never "$hello"
bad grace_too_long	2 "--grace: '25h'" --grace 25h "$hello"
bad timeline_no_svg	2 "--timeline: 'x.png'" --timeline=x.png "$hello"
bad cmdline_long	2 '--cmdline' --cmdline "$long" "$hello"
bad arguments_long	2 '--cmdline' "$hello" -- "$long"
bad disk_id_twice	2 "--disk.*id 'd'" --disk a,id=d --disk b,id=d "$hello"
bad disk_twice		2 "--disk 'a'.*twice" --disk a --disk a "$hello"
bad disk_field_unknown	2 "--disk.*'rw'" --disk a,rw "$hello"
bad disk_no_path	2 '--disk' --disk ,ro "$hello"
bad disks_17		1 '--disk.*16' $(printf -- '--disk %d ' {1..17}) "$hello"
bad net_of_no_kind	2 '--net' --net bridge "$hello"
bad net_of_two_kinds	2 '--net' --net user,tap=t0 "$hello"
bad tap_name_long	2 '--net.*abcdefghijklmnop' --net tap=abcdefghijklmnop "$hello"
bad tap_publishes	2 'tap=t0: publish=' --net tap=t0,publish=1:1 "$hello"
bad publish_half	2 "publish.*'8080'" --net user,publish=8080 "$hello"
bad publish_port_0	2 "publish.*'0:80'" --net user,publish=0:80 "$hello"
bad publish_port_70000	2 "publish.*'70000:80'" --net user,publish=70000:80 "$hello"
bad publish_address	2 "publish.*'1.2.3:1:2'" --net user,publish=1.2.3:1:2 "$hello"
bad publish_protocol	2 "publish.*'1:2/sctp'" --net user,publish=1:2/sctp "$hello"
bad publish_twice	2 'port 1 .*published twice' --net user,publish=1:1,publish=1:2 "$hello"
bad mac_of_a_group	2 "mac.*'01:00:00:00:00:01'" --net user,mac=01:00:00:00:00:01 "$hello"
bad dry_run_bad_value	2 "--cpus: '0'" --dry-run --cpus 0 "$hello"
bad dry_run_bad_image	1 "'$images/gzip'" --dry-run "$images/gzip"

# The configuration file.
config() {
	printf '%s' "$4" >"$images/c.json"
	bad "config_$1" 2 "$images/c.json:$2.*$3" --config "$images/c.json" "$hello"
}
config malformed	2: ''		$'{\n"cpus": }'
config cut		1: ''		'{"cpus": 2'
config empty		1: ''		''
config key_twice	'' cpus		'{"cpus": 1, "cpus": 2}'
config key_unknown	'' "'cpu'.*'cpus'" '{"cpu": 1}'
config key_of_flags	'' "'config'"	'{"config": "x"}'
config no_object	'' object	'[1]'
config wrong_type	'' mem		'{"mem": true}'
config bad_value	'' cpus		'{"cpus": 0}'
config disk_key		'' "'sizes'"	'{"disk": {"path": "a", "sizes": 1}}'
bad config_missing	1 "--config.*'missing'" --config missing "$hello"
bad config_directory	1 "--config.*'$images'" --config "$images" "$hello"
bad config_twice	2 '--config: given twice' --config a --config b "$hello"

# Files that are right by name and wrong by nature.
bad kernel_missing	1 "--kernel.*'missing'" --kernel missing
bad initrd_missing	1 "--initrd.*'missing'" --initrd missing "$hello"
bad initrd_directory	1 "--initrd: '$images' is a directory" --initrd "$images" "$hello"
bad initrd_empty	1 "--initrd: '$images/empty' is empty" --initrd "$images/empty" "$hello"
bad boot_impossible	1 "--boot linux: '$hello'" --boot linux "$hello"
bad linux_cmdline_long	1 "--cmdline.*'$images/bzimage' takes 2047" "$images/bzimage" -- "${long:0:2048}"
bad timeline_unwritable	1 "--timeline.*'missing/x.svg'" --timeline=missing/x.svg "$images/good"
if [ -d /sys/module/kvm_pvm ]; then
	bad linux_on_pvm 1 'kvm_pvm.*--force' "$images/bzimage"
else
	skip linux_on_pvm "this host's KVM is not PVM"
fi

# Rights. A /dev of its own has kvm with the group $1, or none.
if [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
	cat >"$work/dev" <<'SH'
mount -t tmpfs none /dev || exit 99
[ "$1" = none ] || { : >/dev/kvm && chgrp "$1" /dev/kvm && chmod 660 /dev/kvm; } || exit 99
shift
exec "$@"
SH
	nobody='setpriv --reuid 65534 --regid 65534 --clear-groups'
	cp "$images/good" "$images/secret" && chmod 600 "$images/secret"
	via="unshare -m sh $work/dev none" bad no_kvm 1 "'/dev/kvm'.*load the module" "$images/good"
	via="unshare -m sh $work/dev root" bad kvm_is_no_kvm 1 "'/dev/kvm'" "$images/good"
	via="unshare -m sh $work/dev disk $nobody" \
		bad kvm_denied_to_group 1 "'/dev/kvm'.*group 'disk' .usermod" "$images/good"
	via="unshare -m sh $work/dev root $nobody" \
		bad kvm_denied_to_all 1 "'/dev/kvm'.*chgrp" "$images/good"
	via=$nobody bad image_denied 1 "'$images/secret': Permission" "$images/secret"
	via=$nobody bad initrd_denied 1 "--initrd.*'$images/secret': Permission" \
		--initrd "$images/secret" "$images/good"
	via=$nobody bad config_denied 1 "--config.*'$images/secret': Permission" \
		--config "$images/secret"
else
	skip rights "needs root and mount namespaces"
fi

# What is known only when the machine is built.
kvm_usable || { skip machine "no usable /dev/kvm"; exit 0; }
run "$images/good"
equal the_good_image_is_good 7 $status
truncate -s 1M "$images/disk"
truncate -s 1000 "$images/odd"
truncate -s 100M "$images/initrd"
bad image_in-the-hole	1 "'$images/in-the-hole'.*outside RAM" "$images/in-the-hole"
bad image_too-high	1 "'$images/too-high'.*outside RAM" "$images/too-high"
bad image_large		1 "--mem: '$images/large' .*at least 1026M" "$images/large"
bad mem_1M		1 "--mem: '$hello' .*at least 2M" --mem 1M "$hello"
bad mem_64T		1 '--mem' --mem 64T "$hello"
bad mem_17_times_the_hosts 1 '--mem: .*give less' \
	--mem "$(awk '/^MemTotal/ { print int($2 * 17 / 1024) }' /proc/meminfo)M" "$hello"
via='prlimit --as=500000000' \
	bad mem_over_ulimit 1 '--mem.*1024 MiB.*give less' --mem 1G "$hello"
bad initrd_too_large	1 "--mem: '$images/initrd' .*at least 102M" \
	--mem 64M --initrd "$images/initrd" "$hello"
bad cpus_more_than_kvm	1 '--cpus: .*KVM' --cpus 4096 "$hello"
bad disk_missing	1 "--disk: 'missing' does not exist" --disk missing "$hello"
bad disk_directory	1 "--disk: .*'$images'" --disk "$images" "$hello"
bad disk_fifo		1 "--disk: '$images/fifo'" --disk "$images/fifo" "$hello"
bad disk_empty		1 "--disk: '$images/empty' is empty" --disk "$images/empty" "$hello"
bad disk_odd		1 "--disk: .*'$images/odd'.*multiple of 512" --disk "$images/odd" "$hello"

find_port
start --disk "$images/disk" --net "user,publish=$port:80" "$guests/idle"
others=$pid
wait_for has out '^idle'
bad disk_locked		1 "--disk: '$images/disk' is in use" --disk "$images/disk" "$hello"
bad disk_locked_to_read	1 "--disk: '$images/disk' is being written" --disk "$images/disk,ro" "$hello"
bad port_busy		1 "--net.*127.0.0.1:$port" --net "user,publish=$port:80" "$hello"
kill "$pid"
finished
others=

if make_namespace; then
	via=$inside start --net tap=t0 "$guests/idle"
	others=$pid
	wait_for has out '^idle'
	via=$inside bad tap_busy	1 "--net: tap 't0' is in use" --net tap=t0 "$hello"
	via=$inside bad tap_is_no_tap	1 "--net: 'lo' is not a tap" --net tap=lo "$hello"
	via=$inside bad tap_missing	1 "--net: .* no interface 't9'.*ip tuntap add t9" \
		--net tap=t9 "$hello"
	equal tap_is_not_made '' "$($inside ip -o link show t9 2>/dev/null)"
	kill "$pid"
	finished
else
	skip tap "needs root, /dev/net/tun and network namespaces"
fi
