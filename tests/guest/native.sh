#!/bin/bash
# Real guests on this host's KVM: what they say and how they end, what the monitor does
# with its terminal, pipes and signals, and that it leaves nothing behind.
set -u
. "$(dirname "$0")/lib.sh"
kvm_usable || { skip native "no usable /dev/kvm"; exit 0; }
for guest in "$guests"/*; do
	declare "${guest##*/}=$guest"
done

# says out|err TEXT: an extended regular expression, or '' for nothing at all.
says() {
	if [ -n "$2" ]; then has "$1" "$2"; else [ ! -s "$work/$1" ]; fi
}
# ends NAME STATUS OUT ERR: whether $status, out and err are these.
ends() {
	if [ $status != "$2" ]; then
		not_ok "$1" "status $status, not $2"
	elif ! says out "$3"; then
		not_ok "$1" "stdout is not '$3': $(head -c 200 "$work/out")"
	elif ! says err "$4"; then
		not_ok "$1" "stderr is not '$4'"
	else
		ok "$1"
	fi
}
# runs NAME STATUS OUT ERR ARGUMENTS...
runs() {
	run "${@:5}"
	ends "${@:1:4}"
}

alive() {
	[ "$(monitors)" = $pid ]
}
# Clock ticks of CPU time that $pid has used.
ticks() {
	local stat
	read -ra stat <"/proc/$pid/stat" && echo $((stat[13] + stat[14]))
}
# idles NAME SECONDS: $pid lives and uses no CPU meanwhile, but for a tick or two.
idles() {
	local before used=
	# A spin never pauses; on a busy machine a start can last into the first window.
	for _ in 1 2 3; do
		before=$(ticks)
		sleep "$2"
		alive || { not_ok "$1" "it ended"; return; }
		used=$(($(ticks) - before))
		[ $used -gt 2 ] || break
	done
	check "$1" [ $used -le 2 ]
}

# Guests and what they say.
runs hello		0 '^Hello from Mayfly!$' '' "$hello"
runs exit_0		0 '' '' "$exit"
runs exit_7		7 '' '' "$exit" -- exit=7
runs exit_255		255 '' '' "$exit" -- exit=255
runs exit_is_8_bits	1 '' '' "$exit" -- exit=257
runs memory_default	0 '^memory: 130687 KiB' '' "$memory"
runs memory_64M		0 '^memory: 65151 KiB' '' --mem 64M "$memory"
runs memory_1G		0 '^memory: 1048191 KiB' '' --mem 1G "$memory"
runs memory_6G		0 '^memory: 6291071 KiB' '' --mem 6G "$memory"
runs memory_above_4G	0 '^memory: 0x100000000-0x1c0000000 RAM' '' --mem 6G "$memory"
runs cmdline_none	0 '^cmdline: $' '' "$cmdline"
runs cmdline_arguments	0 '^cmdline: a  b -- --cpus c=d$' '' "$cmdline" -- 'a  b' -- --cpus c=d
runs cmdline_option	0 '^cmdline: x y$' '' --cmdline 'x y' "$cmdline"
runs cmdline_both	0 '^cmdline: x y$' '' --cmdline x "$cmdline" -- y
runs smp_1		0 '^smp: 1 CPUs$' '' "$smp" -- cpus=1
runs smp_2		0 '^smp: 2 CPUs$' '' --cpus 2 "$smp" -- cpus=2
runs smp_4		0 '^smp: 4 CPUs$' '' --cpus 4 "$smp" -- cpus=4
# The same programs, entered by PVH and by Multiboot, which brings a PC's devices along.
truncate -s 1M "$work/small.img"
for build in '' _multiboot; do
	runs status$build	9 '' '' "$guests/exit$build" -- exit=9
	runs exception$build	255 '^guest: exception 14 at ' '' "$guests/crash$build" -- crash=fault
	runs timer$build	0 '^idle: 3$' '' "$guests/idle$build" -- tick=50 ticks=3
	runs smp$build		0 '^smp: 3 CPUs$' '' --cpus 3 "$guests/smp$build" -- cpus=3
	runs blk$build		0 '2048 sectors ok' '' --disk "$work/small.img" "$guests/blk$build"
done
runs rng		0 '^rng: ok$' '' --rng "$rng"
runs rng_absent		2 'no device' '' "$rng"
for moved in no yes; do
	runs pci_legacy_line_moved_$moved	0 '^pci: ok$' '' --transport pci --rng "$pci" -- interface=legacy moved=$moved
	runs pci_legacy_message_moved_$moved	0 '^pci: ok$' '' --transport pci --rng "$pci" -- \
		interface=legacy interrupts=messages moved=$moved
	runs pci_modern_line_moved_$moved	0 '^pci: ok$' '' --transport pci --rng "$pci" -- moved=$moved
	runs pci_modern_message_moved_$moved	0 '^pci: ok$' '' --transport pci --rng "$pci" -- \
		interrupts=messages moved=$moved
done
runs pci_absent		2 'no PCI' '' --rng "$pci"
runs pci_empty		2 'no device' '' --transport pci "$pci"

# Multiboot, Linux's entry, and the PC that goes with them.
runs hello_multiboot	0 '^Hello from Mayfly!$' '' "$hello_multiboot"
runs hello_multiboot2	0 '^Hello from Mayfly!$' '' "$hello_multiboot2"
runs hello_flat		0 '^Hello from Mayfly!$' '' "$hello_flat"
runs multiboot_1	0 '^cmdline: multiboot a  b$' '' "$multiboot" -- 'a  b'
runs multiboot_2	0 '^cmdline: a  b$' '' "$multiboot2" -- 'a  b'
runs multiboot_bare	0 '^cmdline: a$' '' --no-default-args "$multiboot" -- a
runs multiboot_modules_1 0 "^module: $hello_flat, [0-9]+ bytes" '' \
	--initrd "$hello" --initrd "$hello_flat" --mem 6G "$multiboot" -- modules=2
runs multiboot_modules_2 0 "^module: $hello_flat, [0-9]+ bytes" '' \
	--initrd "$hello" --initrd "$hello_flat" --mem 6G "$multiboot2" -- modules=2
runs multiboot_virtio	0 '^rng: ok$' '' --rng "$rng_multiboot"
runs multiboot_refused	1 '' '^mayfly: --boot multiboot2: .* has no such header' --boot multiboot2 "$multiboot"
# As Xen comes: its PVH entry leads to less than the one that is asked for.
gzip -n <"$multiboot" >packed.gz
runs multiboot_packed	0 '^cmdline: packed.gz$' '' --boot multiboot packed.gz
runs multiboot_packed_refused 1 '' '^mayfly: --boot multiboot2: .* has no such header' --boot multiboot2 packed.gz
rm packed.gz
runs linux64_entry	0 '^a  b$' '' "$linux64" -- 'a  b'
runs linux32_entry	0 '^a  b$' '' --force --no-default-args "$linux32" -- 'a  b'
runs linux32_chosen	0 '^a$' '' --force --no-default-args --boot linux "$linux32" -- a
runs pit		0 '^pit: 3 ticks' '' "$pit"
# As Firecracker has it: the name, what the kernel takes, what the monitor adds, --, the program's.
added='virtio_mmio\.device=4K@0xd0000000:5'
runs linux64_words	0 "^cmdline +name x=1 $added -- a--b -- c$" '' --dry-run --rng "$linux64" -- name x=1 -- a--b -- c
runs linux64_name	0 "^cmdline +linux64 $added$" '' --dry-run --rng "$linux64"
runs dry_run_pc		0 '^legacy +PIC, PIT, port 0x61, CMOS clock, i8042$' '' --dry-run "$multiboot"
runs dry_run_no_pc	0 '^legacy +none$' '' --dry-run "$exit"
runs dry_run_bars	0 'virtio rng, interrupt 17, PCI 00:02.0 BAR 1; its BAR 0 ports 0x1080-0x10ff$' '' \
	--dry-run --transport pci --net user --rng "$pci"
check dry_run_ecam has out '^0x00000000e0000000 0x00000000e00fffff PCI configuration'
# Each CPU is an open file.
via='prlimit --nofile=40:1000' runs cpus_past_the_soft_limit 0 '^smp: 50 CPUs$' '' --cpus 50 "$smp" -- cpus=50
via='prlimit --nofile=40:40' runs cpus_past_the_hard_limit 1 '' "raise 'ulimit -n'" --cpus 50 "$smp" -- cpus=50
runs dry_run_settings	0 '^net +user, mac \(random\), publish 127.0.0.1:8080:80, publish 0.0.0.0:53:53/udp$' '' \
	--dry-run --console none --on-reboot restart --grace 3s \
	--net user,publish=8080:80,publish=0.0.0.0:53:53/udp,id=n "$echo"
said=0
for setting in 'console +none' 'on reboot +restart' 'grace +3000 ms' '.* virtio net user, id n, interrupt [0-9]+'; do
	check "dry_run_setting_$((++said))" has out "^$setting\$"
done
equal dry_run_json_settings "serial exit 5000 [{'tap': 't\"', 'mac': '02:00:00:00:00:09', 'publish': []}]" \
	"$("$mayfly" run --dry-run --json --net 'tap=t",mac=02:00:00:00:00:09' "$echo" |
	python3 -c 'import json, sys; d = json.load(sys.stdin); print(*(d[k] for k in ("console", "on_reboot", "grace_ms", "net")))')"
inspects() {
	"$mayfly" inspect "$3" >"$work/out" 2>"$work/err"
	check "inspect_$1" has out "$2"
}
inspects linux32 '^boots by +linux32$' "$linux32"
inspects legacy '^legacy +PIC, PIT, port 0x61, CMOS clock, i8042$' "$multiboot"
inspects no_legacy '^legacy +none$' "$pci"
inspects pci '^pci +none, unless by --transport pci$' "$pci"
inspects no_pci '^pci +none$' "$guests/hvt/hello"

cp "$cmdline" "$work/kit-kernel" && echo 'from the file' >"$work/kit-cmdline"
runs cmdline_linuxkit	0 '^cmdline: from the file more$' '' "$work/kit" -- more
runs cmdline_replaced	0 '^cmdline: else$' '' --cmdline else "$work/kit"

# Guests that end badly.
runs crash_registers	3 '' '^ +rip +[0-9a-f]{16}' "$crash" -- crash=triple
runs crash_code		3 '' '^ +code .* <[0-9a-f]{2}> ' "$crash" -- crash=triple
runs crash_meaning	3 '' '^mayfly: CPU 0: triple fault: .*usually' "$crash" -- crash=triple
runs crash_triple_as_reboot 0 '' '' "$crash" -- crash=triple reboot=t
runs crash_panic	3 '' '^mayfly: .*panicked' "$crash" -- crash=panic
runs crash_reset	0 '' '' "$crash" -- crash=reset
runs crash_own_report	255 '^guest: exception 14' '' "$crash" -- crash=fault
start --on-reboot restart "$crash" -- crash=reset
sleep 0.5
check restart_goes_on alive
check restart_leaks_no_fd [ "$(ls "/proc/$pid/fd" | wc -l)" -lt 16 ]
kill $pid
finished 2
ends restart_ends_by_signal 143 '' ''

# Reports.
runs timeline		0 Hello '^guest entered ' --timeline "$hello"
runs timeline_svg	0 Hello . "--timeline=$work/t.svg" "$hello"
run --json "$hello"
report=$(python3 - "$work/t.svg" "$work/err" <<'PYTHON'
import json, sys, xml.etree.ElementTree
print(xml.etree.ElementTree.parse(sys.argv[1]).getroot().tag)
report = json.load(open(sys.argv[2]))
print(report['source'], report['status'], len(report['timeline']) > 5)
PYTHON
)
equal reports_parse '{http://www.w3.org/2000/svg}svg exit-port 0 True' "${report/$'\n'/ }"
runs json_of_a_crash	3 '' '^\{"status":3,"source":"crash",' --json "$crash"

equal host_is_inspected x86-64 "$("$mayfly" inspect --host --json 2>"$work/err" |
	python3 -c 'import json, sys; print(json.load(sys.stdin)["architecture"]["value"])')"

# Disks. The pattern is that of guests/blk.c.
a=$work/a.img b=$work/b.img
holds_pattern() {
	local sector
	for sector in 0 1024 2047; do
		[ "$(od -An -tx8 -N8 -j $((sector * 512)) "$1")" = \
			"$(printf ' %016x' $((0x9e3779b97f4a7c15 * (sector + 1))))" ] || return
	done
}
truncate -s 1M "$a" "$b"
runs disk		0 'disk 0: 2048 sectors ok' '' --disk "$a" "$blk"
check disk_content_on_host holds_pattern "$a"
truncate -s 0 "$a" && truncate -s 1M "$a"
runs disk_two		0 'disk 1: 2048 sectors ok' '' --disk "$a,id=one" --disk "$b,id=two" "$blk"
check disk_two_content holds_pattern "$b"
check disk_two_same cmp "$a" "$b"
truncate -s 0 "$b" && truncate -s 1M "$b"
runs disk_ro_refuses	1 'write first: result 1' '' --disk "$b,ro" "$blk"
check disk_ro_unchanged cmp "$b" <(head -c 1M /dev/zero)
start --disk "$a" "$idle"
wait_for has out ^idle
run --disk "$a" "$hello"
equal disk_locked 1 $status
kill $pid
finished
start --disk "$a,ro" "$idle"
wait_for has out ^idle
run --disk "$a,ro" "$hello"
equal disk_two_readers 0 $status
kill $pid
finished

# Input that is no terminal.
cat >"$work/with" <<'SH'
redirect=$1
shift
eval 'exec "$@"' "$redirect"
SH
mkfifo "$work/keys" "$work/stuck"
input=$work/keys
for how in irq poll; do
	printf 'typed\nq' >"$work/keys" &
	runs "input_pipe_by_$how" 0 '^typed' '' "$echo" -- echo=$how
done
input=/dev/null
# waits_without_input NAME REDIRECTION
waits_without_input() {
	via="sh $work/with $2" start "$echo"
	wait_for has out ^echo
	idles "$1" 1
	kill $pid
	finished
}
waits_without_input input_at_its_end '</dev/null'
waits_without_input input_closed '<&-'

# An image of 1 MiB, which is mapped: it says so, waits for a key and crashes.
python3 - "$work/cut" <<'PYTHON'
import struct, sys
entry = struct.pack('<III4sQ', 4, 8, 18, b'Xen', 0x100000)
#      mov $0x3f8,%dx; mov $'r',%al; out; mov $0x3fd,%dx; 1: in; test $1,%al; jz 1b; ud2
code = bytes.fromhex('66baf803 b072 ee 66bafd03 ec a801 74fb 0f0b')
data = bytearray(b'\1' * 0x101000)
head = struct.pack('<4sBBB9xHHIQQQIHHHHHH', b'\x7fELF', 2, 1, 1, 2, 62, 1, 0x100000, 64, 0, 0,
                   64, 56, 2, 0, 0, 0)
head += struct.pack('<IIQQQQQQ', 4, 4, 0x800, 0, 0, len(entry), len(entry), 4)
head += struct.pack('<IIQQQQQQ', 1, 7, 0x1000, 0x100000, 0x100000, 1 << 20, 1 << 20, 4096)
for at, part in (0, head), (0x800, entry), (0x1000, code):
    data[at:at + len(part)] = part
open(sys.argv[1], 'wb').write(data)
PYTHON
exec 5<>"$work/keys"
input=$work/keys
start --core "$work/core" "$work/cut"
wait_for has out r
truncate -s 8192 "$work/cut"
echo >&5
finished
exec 5>&-
input=/dev/null
ends core_of_a_cut_image 3 r 'memory and registers are in'

# Output that does not take it.
via="sh $work/with >&-" runs output_closed 0 '' '' "$hello"
via="sh $work/with >/dev/full" runs output_full_disk 0 '' 'dropped' "$hello"
exec 5<>"$work/stuck"
dd if=/dev/zero bs=4k of=/dev/fd/5 oflag=nonblock 2>/dev/null
via="sh $work/with >&5" runs output_blocked 0 '' 'dropped' "$hello"
via="sh $work/with >&5" start "$idle" -- tick=100
idles output_blocked_idles 1
kill $pid
finished
equal output_blocked_signal 143 $status
exec 5>&-
{ timeout 5 "$mayfly" run "$hello"; echo $? >"$work/status"; } </dev/null 2>"$work/err" | true
equal output_without_reader 0 "$(cat "$work/status")"

# Signals: these guests do not listen to a power button.
# signalled NAME STATUS SIGNAL GUEST
signalled() {
	start "$4"
	sleep 0.3
	kill -"$3" $pid
	finished 1
	equal "$1" "$2" $status
}
signalled sigterm_idle 143 TERM "$idle"
signalled sigint_idle 130 INT "$idle"
signalled sighup_idle 129 HUP "$idle"
signalled sigterm_spin 143 TERM "$spin"
signalled sigint_spin 130 INT "$spin"
via='env --ignore-signal=HUP' start "$idle"
wait_for has out ^idle
kill -HUP $pid
idles sighup_under_nohup 0.5
kill $pid
finished
start "$spin"
sleep 0.3
kill -TERM $pid && kill -TERM $pid
finished 1
equal sigterm_twice 143 $status

# On a terminal: its settings are the same before and after, whatever ends the VM.
cat >"$work/terminal.py" <<'PYTHON'
# terminal.py COMMAND [PATTERN KEYS]...: runs COMMAND on a terminal of its own; after each
# PATTERN the KEYS are typed, or run as a command when they start with '!'.
import os, pty, re, select, subprocess, sys
pid, fd = pty.fork()
if pid == 0:
    os.execvp('bash', ['bash', '-c', sys.argv[1]])
seen = b''

def read():
    global seen
    try:
        data = os.read(fd, 4096) if select.select([fd], [], [], 5)[0] else b''
    except OSError:
        data = b''
    seen += data
    sys.stdout.buffer.write(data)
    return data

for pattern, keys in zip(sys.argv[2::2], sys.argv[3::2]):
    while not (found := re.search(os.fsencode(pattern), seen)):
        if not read():
            sys.exit(f'no {pattern}')
    seen = seen[found.end():]
    if keys[0] == '!':
        subprocess.run(['bash', '-c', keys[1:]])
    else:
        os.write(fd, os.fsencode(keys))
while read():
    pass
PYTHON
export -f monitors
export mayfly work
# terminal NAME STATUS GUEST [PATTERN KEYS]...
terminal() {
	rm -f "$work"/{before,after,status}
	python3 "$work/terminal.py" 'stty -g >$work/before; set -m; "$mayfly" run '"$3"'
		status=$?
		while [ $status = 148 ]; do
			stty -g | cmp - $work/before && echo stopped
			fg >/dev/null
			status=$?
		done
		echo $status >$work/status
		stty -g >$work/after' "${@:4}" >"$work/out" 2>"$work/err"
	if ! cmp -s "$work/before" "$work/after"; then
		not_ok "terminal_$1" "not restored: $(tail -c 300 "$work/out")"
	else
		equal "terminal_$1" "$2" "$(cat "$work/status")"
	fi
}
terminal exit		7 "$exit -- exit=7"
terminal ctrl_a_x	0 "$echo" 'echo\r\n' $'\001x'
terminal ctrl_a_a	0 "$echo" 'echo\r\n' $'\001a' '\x01' q
terminal ctrl_a_h	0 "$echo" 'echo\r\n' $'\001h' 'Ctrl-A x' q
terminal ctrl_c_is_the_guests 0 "$echo" 'echo\r\n' $'\003' '\x03' q
terminal suspended	0 "$echo" 'echo\r\n' $'\001z' 'stopped\r\n' typed typed q
terminal crash		3 "$crash"
terminal sigterm	143 "$echo" 'echo\r\n' '!kill -TERM $(monitors)'
for number in ALRM USR2 XCPU RTMAX; do
	terminal sig${number,,} $((128 + $(kill -l $number))) "$echo" 'echo\r\n' "!kill -$number \$(monitors)"
done
terminal sigsegv	139 "$echo" 'echo\r\n' '!kill -SEGV $(monitors)'

# What the monitor has: no more than it needs.
start "$idle"
wait_for has out ^idle
# KVM may have one of its own there.
equal idle_threads 1 "$(cat "/proc/$pid/task/"*/comm | grep -c '^mayfly$')"
idles idle_uses_no_cpu 1
kill $pid
finished

find_port
start --disk "$a" --rng --net "user,publish=$port:80" --cpus 2 "$idle"
wait_for has out ^idle
inherited=
for info in "/proc/$pid/fdinfo/"*; do
	fd=${info##*/}
	flags=$(sed -n 's/^flags:[^0-9]*/0/p' "$info")
	((fd > 2)) && ! ((flags & 02000000)) &&
		[ ! "/proc/$pid/fd/$fd" -ef "/proc/$$/fd/$fd" ] && inherited+=" $fd"
done
equal fds_close_on_exec '' "$inherited"
idles devices_use_no_cpu 1
kill $pid
finished

# Network.
get() {
	timeout 5 busybox wget -Y off -q -O - "http://127.0.0.1:$port$1" 2>/dev/null
}
# serve [ADDRESS:]: the guest answers at $port.
serve() {
	find_port
	start --net "user,publish=${1-}$port:80" "$http" ${words-}
	wait_for has out '^http: listening'
}
if [ -x "${http-}" ] && serve 127.0.0.1:; then
	answers=$(for n in {1..20}; do get /; done)
	equal http_20_requests 20 "$(grep -c '^Hello from Mayfly over HTTP$' <<<"$answers")"
	idles http_idle_uses_no_cpu 2
	equal http_bye Bye "$(get /exit/7)"
	finished
	ends http_exit_status 7 '^http: listening on 10.0.2.15:80$' ''
	good=0
	for n in {1..20}; do
		serve
		[ "$(get /)" = 'Hello from Mayfly over HTTP' ] && get /exit/0 >"$work/bye"
		finished
		[ $status = 0 ] && good=$((good + 1))
	done
	equal http_20_launches 20 $good
	runs http_is_told_its_address 0 '^added .* ip=10.0.2.15::10.0.2.2:255.255.255.0:::off:10.0.2.3$' '' \
		--dry-run --net user "$http"
	runs http_may_be_told_another 0 '^added +virtio_mmio.device=[^ ]+$' '' --dry-run --net user "$http" -- ip=dhcp
	words='-- ip=dhcp' serve
	equal http_by_dhcp Bye "$(get /exit/0)"
	finished
	# cron and its like may have SIGCHLD ignored.
	via='env --ignore-signal=CHLD' serve
	read -r child <"/proc/$pid/task/$pid/children"
	kill -KILL "$child"
	if wait_for has err 'its process ended \(signal 9\)'; then
		ok net_user_end_is_told
	else
		not_ok net_user_end_is_told "$(tail -n 1 "$work/err")"
	fi
	kill $pid
	finished
elif [ -x "${http-}" ]; then
	not_ok http "it does not listen"
	kill $pid
	finished
else
	skip http "the guest is not built"
fi

if [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
	# Without glibc the network's process cannot be run, and says why.
	mkdir -p "$work/root/dev" && cp "$mayfly" "$exit" "$work/root"
	for n in 1 2 3; do
		unshare -m sh -c 'mount --bind /dev "$work/root/dev" && exec chroot "$work/root" /mayfly run --net user /exit' \
			<"$input" 2>&1 | grep -c 'No such file or directory; it needs glibc'
	done >"$work/out"
	equal net_user_without_glibc '1 1 1' "$(paste -sd ' ' "$work/out")"
else
	skip net_user_without_glibc "needs root and mount namespaces"
fi

find_port
start --net "user,publish=$port:53/udp" "$idle"
wait_for has out ^idle
check udp_port_is_bound grep -q "0100007F:$(printf %04X $port) " /proc/net/udp
kill $pid
finished

if make_namespace && [ -x "${http-}" ]; then
	# What the guest asks for when it looks for an address (RFC 2131).
	$inside python3 - "$mayfly" "$http" >"$work/out" 2>"$work/err" <<'PYTHON'
import socket, subprocess, sys
tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
tap.bind(('t0', 0))
tap.settimeout(10)
mac = bytes.fromhex('020000000007')
vm = subprocess.Popen([sys.argv[1], 'run', '--net', 'tap=t0,mac=02:00:00:00:00:07', sys.argv[2]])
try:
    while True:
        frame = tap.recv(2000)
        if frame[6:12] == mac and frame[23] == 17 and frame[36:38] == b'\0\x43':
            print('discover' if bytes([53, 1, 1]) in frame[282:] else 'other')
            break
finally:
    vm.terminate()
    print(vm.wait())
PYTHON
	equal tap_dhcp_discover 'discover 143' "$(paste -sd ' ' "$work/out")"
else
	skip tap "needs root, /dev/net/tun and network namespaces"
fi

# Many VMs of one image: a 32 MiB initrd that each of 10 reads is in memory once. The bound is
# 1.15 times the file, in KiB; what is each VM's own is listed beside it.
share_an_initrd() {
	local image=$work/initrd pids= shared own sums
	head -c 32M /dev/urandom >"$image"
	for n in 1 2 3 4 5 6 7 8 9 10; do
		"$mayfly" run --mem 64M --initrd "$image" "$modules" <"$input" >"$work/sum.$n" 2>&1 &
		pids="$pids $!"
	done
	all_read() { [ "$(cat "$work"/sum.* | grep -c '^modules: 33554432 bytes')" = 10 ]; }
	if ! seconds=60 wait_for all_read; then
		not_ok ten_vms_share_an_initrd "not all of them read it"
	else
		sums=$(sort -u "$work"/sum.* | wc -l)
		read -r shared own < <(for pid in $pids; do cat "/proc/$pid/smaps"; done | awk -v image="$image" '
			/^[0-9a-f]+-/ { file = $6 == image }
			/^Pss:/ { if (file) shared += $2; }
			/^Anonymous:/ { own += $2 }
			END { print shared + 0, own + 0 }')
		echo "# ten_vms_share_an_initrd: $shared KiB mapped from it by all, anonymous memory $own KiB"
		check ten_vms_share_an_initrd [ "$shared" -ge 32000 -a "$shared" -le $((32768 * 115 / 100)) ]
		equal ten_vms_read_the_same 1 "$sums"
	fi
	kill $pids
	wait $pids
} 2>/dev/null
share_an_initrd

# What a start of hello takes, in what can be counted: system calls, processes, libraries.
if command -v strace >/dev/null; then
	strace -f -qq -o "$work/calls" "$mayfly" run "$hello" <"$input" >"$work/out" 2>"$work/err"
	calls=$(grep -c '(' "$work/calls")
	check hello_makes_fewer_than_120_system_calls [ "$calls" -gt 20 -a "$calls" -lt 120 ]
	equal hello_is_one_thread 1 "$(cut -d ' ' -f 1 "$work/calls" | sort -u | wc -l)"
	check hello_opens_no_library eval '! grep -q "\.so" "$work/calls"'
else
	skip hello_makes_fewer_than_120_system_calls "no strace"
fi

# The comparison: what ran, in the table, as JSON and as a picture, is what was asked for.
# compare NAME CANDIDATES ARGUMENTS...: names with a comma between them.
compare() {
	local name=$1 candidates=$2 status ran wanted
	rm -f "$work"/bench.{json,svg}
	(cd "$work" && timeout 120 "$mayfly" bench --hello "$hello" --http "${http-}" --warmup 1 \
		--only "$candidates" "${@:3}") <"$input" >"$work/out" 2>"$work/err"
	status=$?
	ran=$(python3 - "$work/bench.json" "$work/bench.svg" "$work/out" <<'PYTHON' 2>&1
import json, sys, xml.etree.ElementTree
found = json.load(open(sys.argv[1]))
chart = ''.join(xml.etree.ElementTree.parse(sys.argv[2]).getroot().itertext())
table = open(sys.argv[3]).read()
wide = [line for line in table.splitlines() if len(line) > 80]
for one in found['candidates']:
    first, rate = one.get('first_ms'), one.get('starts_per_s', 1)
    if not first or not rate > 0 or not 0 < first['p10'] <= first['median'] <= first['p99'] <= first['max']:
        print(one)
print(','.join(sorted(one['name'] for one in found['candidates']
                      if one['name'] in chart and '\n' + one['name'] + ' ' in table)), *wide)
PYTHON
	)
	wanted=$(tr , '\n' <<<"$candidates" | sort | paste -sd ,)
	equal "$name" "0 $wanted" "$status $ran"
}
compare bench_hello mayfly,process --runs 2
compare bench_hello_under_load mayfly,process --count 12 --parallel 4
if [ -x "${http-}" ]; then
	compare bench_http mayfly,process --task http --runs 2
	compare bench_http_under_load mayfly,process --task http --count 6 --parallel 3
fi
# They give a container another root by pivot_root(2), which wants one to be mounted at /.
for runtime in crun runc; do
	if [ "$(id -u)" = 0 ] && command -v $runtime >/dev/null && awk '$5 == "/" { n++ } END { exit !n }' /proc/self/mountinfo; then
		compare bench_$runtime $runtime,mayfly --runs 2
		compare bench_http_$runtime $runtime,process --task http --count 4 --parallel 2
	else
		skip bench_$runtime "needs root, $runtime and a root that is mounted"
	fi
done
# bench_says NAME STATUS ERR ARGUMENTS...
bench_says() {
	(cd "$work" && timeout 20 "$mayfly" bench --only mayfly "${@:4}") <"$input" >"$work/out" 2>"$work/err"
	status=$?
	ends "$1" "$2" '' "$3"
}
bench_says bench_with_no_path	2 "--with: 'crun' is not NAME=PATH" --with crun
bench_says bench_with_nobody	2 "--with: no candidate 'none'" --with none=/bin/true
bench_says bench_base_nobody	2 "--base: no candidate 'none'" --base none
bench_says bench_no_such_hello	1 "--hello: cannot read '/none': No such file" --hello /none
# As installed, with a blank in the name.
if make -s -C "${guests%/build*}" install PREFIX="$work/a prefix" >"$work/out" 2>&1; then
	(cd "$work" && mayfly="$work/a prefix/bin/mayfly" && bench=$("$mayfly" bench --only mayfly --runs 1 --warmup 0 --json '' --svg '') &&
		grep -q '^mayfly  *[0-9]' <<<"$bench")
	equal bench_as_installed 0 $?
else
	not_ok bench_as_installed "make install: $(tail -n 1 "$work/out")"
fi
equal bench_leaves_nothing '' "$(ls -A "$TMPDIR"; ls -d /sys/fs/cgroup/{,*/}mayfly-bench-* 2>/dev/null)"

# A hundred launches leave nothing behind.
own_fds() {
	ls "/proc/$$/fd" | wc -l
}
fds=$(own_fds) good=0
for n in {1..100}; do
	[ "$("$mayfly" run "$hello" 2>&1 </dev/null)" = 'Hello from Mayfly!' ] && good=$((good + 1))
done
equal launches_100 100 $good
equal launches_leave_no_process '' "$(monitors)"
equal launches_leave_no_file '' "$(find "$work/cwd" "$TMPDIR" -mindepth 1)"
check launches_leave_no_fd [ "$(own_fds)" -le "$fds" ]
if [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
	# From where they are: the /tmp that hides them is empty, and stays so.
	cp "$exit" "$work/exit"
	left=$(cd "$work" && unset TMPDIR && unshare -m sh -c 'mount -t tmpfs none /tmp &&
		for n in 1 2 3 4 5; do
			./mayfly run --disk a.img --rng --net user --timeline exit || echo "status $?"
		done 2>&1 >/dev/null | grep -v ms; ls -A /tmp' | grep -E '^(mayfly|status)|^[^ ]*$')
	equal launches_leave_no_temporary_file '' "$left"
else
	skip launches_leave_no_temporary_file "needs root and mount namespaces"
fi
