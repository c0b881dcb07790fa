#!/bin/bash
# Solo5's hvt ABI on this host's KVM: each hypercall, each refusal, what attaches to what.
set -u
. "$(dirname "$0")/lib.sh"
kvm_usable || { skip hvt "no usable /dev/kvm"; exit 0; }
hvt=$guests/hvt

# runs NAME STATUS OUT ERR ARGUMENTS...: OUT and ERR are expressions, or '' for nothing.
runs() {
	local name=hvt_$1 stream text
	run "${@:5}"
	[ $status = "$2" ] || { not_ok "$name" "status $status, not $2"; return; }
	for stream in out err; do
		text=$3
		[ $stream = out ] || text=$4
		if [ -n "$text" ]; then has $stream "$text"; else [ ! -s "$work/$stream" ]; fi ||
			{ not_ok "$name" "$stream is not '$text'"; return; }
	done
	ok "$name"
}

runs hello	0 "^hello: 512 MiB, ''$" '' "$hvt/hello"
runs arguments	0 "^hello: 512 MiB, 'a  b --c'$" '' "$hvt/hello" -- 'a  b' --c
runs memory	0 '^hello: 6 MiB' '' --mem 5M "$hvt/hello"
runs memory_4G	0 '^hello: 4096 MiB' '' --mem 4G "$hvt/hello"
runs memory_max	1 '' 'at most 4096M' --mem 4097M "$hvt/hello"
runs memory_min	1 '' 'give --mem at least' --mem 1M "$hvt/protect"
runs cpus	1 '' 'at most 1' --cpus 2 "$hvt/hello"
runs no_initrd	1 '' 'takes none' --initrd "$hvt/hello" "$hvt/hello"
runs no_virtio	1 '' 'has no virtio' --rng "$hvt/hello"
runs no_console	0 '' '' --console none "$hvt/hello"
runs boot_pvh	1 '' 'cannot be entered that way' --boot pvh "$hvt/hello"
long=$(printf '%8191s' x)
runs cmdline_max	0 'hello: 512 MiB' '' "$hvt/hello" -- "$long"
runs cmdline_past_max	1 '' 'shorten' "$hvt/hello" -- "x$long"

runs status	7 halt '' "$hvt/halt" -- status=7
runs status_8_bits	1 halt '' "$hvt/halt" -- status=257
runs status_source	0 halt '"source":"halt"' --json "$hvt/halt"
runs abort	255 halt '' "$hvt/halt" -- status=255
runs abort_source	255 halt '"status":255,"source":"abort"' --json "$hvt/halt" -- status=255
runs cookie	0 halt '' "$hvt/halt" -- cookie=1
runs cookie_outside	0 halt '' "$hvt/halt" -- cookie=2
runs argument_outside	255 halt 'where it cannot' "$hvt/halt" -- argument=1
runs refuse	0 '^refuse: ok$' 'hvt: ' "$hvt/refuse"

runs clock	0 '^clock: [0-9]+$' '' "$hvt/clock"
told=$(sed -n 's/clock: //p' "$work/out") now=$(date +%s)
check hvt_clock_is_right [ $((now - told)) -ge 0 -a $((now - told)) -le 20 ]

# What the page tables allow, and what they do not.
for what in 0 1 2 3; do
	run "$hvt/protect" -- do=$what
	equal hvt_allowed_$what 0 $status
done
for what in 4 5 6 7 8 9 10 11 12 13 14 15; do
	run "$hvt/protect" -- do=$what
	equal hvt_faults_$what 3 $status
done

# Disks.
disk() {
	truncate -s "$2" "$work/$1"
}
disk a 1M && disk b 3M && disk odd 2560
a=$work/a b=$work/b
runs blk	0 '^blk: ok$' '' --disk "$b,id=second" --disk "$a,id=storage" "$hvt/blk"
check hvt_blk_names has out '^blk: storage: 1048576 bytes, 512 a block$'
check hvt_blk_second has out '^blk: second: 3145728 bytes, 512 a block$'
equal hvt_blk_written 02091017 "$(od -An -tx1 -N4 "$b" | tr -d ' ')"
runs blk_4096	0 'storage: 1048576 bytes, 4096 a' '' \
	--disk "$a,id=storage,block-size=4096" --disk "$b,id=second" "$hvt/blk"
runs blk_32768	0 'storage: 1048576 bytes, 32768 a' '' \
	--disk "$a,id=storage,block-size=32768" --disk "$b,id=second" "$hvt/blk"
runs blk_size_odd	2 '' 'not a power of two' --disk "$a,id=storage,block-size=521" "$hvt/blk"
runs blk_size_small	2 '' 'not a power of two' --disk "$a,id=storage,block-size=256" "$hvt/blk"
runs blk_misaligned	1 '' 'not a multiple of block-size=4096' \
	--disk "$work/odd,id=storage,block-size=4096" --disk "$b,id=second" "$hvt/blk"
runs blk_readonly	0 '' '' --disk "$a,id=storage,ro" --disk "$b,id=second" "$hvt/blk" -- ro=1
runs blk_missing	1 '' "needs its disk 'second': give --disk PATH,id=second" \
	--disk "$a,id=storage" "$hvt/blk"
runs blk_extra	1 '' "declares no 'third', but 'storage', 'second'" \
	--disk "$a,id=storage" --disk "$b,id=second" --disk "$work/odd,id=third" "$hvt/blk"
runs blk_nameless	1 '' "give ,id=NAME; it declares 'storage', 'second'" --disk "$a" "$hvt/blk"
runs blk_twice	2 '' "id 'storage' is taken" \
	--disk "$a,id=storage" --disk "$b,id=storage" "$hvt/blk"
runs blk_as_net	1 '' "--net: .* declares no 'storage', but none" \
	--net user,id=storage "$hvt/blk"

# Networks: the same in user mode and on a tap.
runs net_user	0 '^net: ok$' '' --net user,id=service "$hvt/net"
runs net_missing	1 '' "needs its network 'service': give --net user" "$hvt/net"
if make_namespace && $inside ip link set t0 mtu 9000 && $inside ip addr add 10.0.9.2/24 dev t0; then
	via=$inside
	runs net_tap	0 '^net: ok$' '' --net tap=t0,id=service "$hvt/net" -- subnet=9
	check hvt_net_mtu has out 'mtu 9000'
	via=
else
	skip hvt_net_tap "no network namespace"
fi

# Sleep: no CPU time, and ended at once.
for signal in INT TERM; do
	start "$hvt/idle"
	wait_for has out '^idle$'
	before=$(cut -d ' ' -f 14,15 "/proc/$pid/stat")
	sleep 0.5
	equal hvt_idle_$signal "$before" "$(cut -d ' ' -f 14,15 "/proc/$pid/stat")"
	kill -$signal $pid
	finished 1
	equal hvt_ends_by_$signal $((128 + $(kill -l $signal))) $status
done

# A core file, for gdb where there is one.
core=$work/core
runs core	255 halt 'registers are in' --core "$core" "$hvt/halt" -- status=255 cookie=1
equal hvt_core_is_private 600 "$(stat -c %a "$core")"
check hvt_core_is_sparse [ "$(stat -c %b "$core")" -lt 2048 ]
if command -v gdb >/dev/null; then
	gdb -batch -ex 'info registers rip rsp' -ex 'x/xb 0x100000' "$hvt/halt" "$core" \
		>"$work/out" 2>"$work/err"
	check hvt_core_registers has out '^rip +0x100123'
	check hvt_core_memory has out '^0x100000.*0x'
else
	skip hvt_core_gdb "no gdb"
fi
rm -f "$core"
runs no_core	0 halt '' --core "$core" "$hvt/halt"
check hvt_no_core_left [ ! -e "$core" ]
runs core_crash	3 '' 'triple fault' --core "$core" "$hvt/protect" -- do=4
check hvt_core_of_a_crash [ -s "$core" ]
runs core_unwritable	1 '' "--core: cannot write" --core "$work/none/core" "$hvt/halt"

# What inspect and --dry-run say.
"$mayfly" inspect "$hvt/blk" >"$work/out" 2>"$work/err"
check hvt_inspect has out '^disk +storage, to be attached by name$'
"$mayfly" inspect --json "$hvt/net" >"$work/out" 2>"$work/err"
check hvt_inspect_json has out '"devices":\[\{"kind":"net","name":"service"\}\]'
runs dry_run	0 "^disk +storage = $a$" '' --dry-run --disk "$a,id=storage" --disk "$b,id=second" "$hvt/blk"

# Images for other targets and versions: bytes of the ABI note are changed.
patched() {
	local at
	at=$(grep -abo 'ABI1Solo5' "$hvt/hello" | head -n 1 | cut -d : -f 1)
	cp "$hvt/hello" "$work/image"
	printf "$2" | dd of="$work/image" bs=1 seek=$((at + $1)) conv=notrunc status=none
}
patched 12 '\2'
runs target_spt	1 '' "a Solo5 unikernel for 'spt': build it for hvt" "$work/image"
patched 12 '\3'
runs target_virtio	1 '' "a Solo5 unikernel for 'virtio'" "$work/image"
patched 12 '\11'
runs target_unknown	1 '' 'for an unknown target, 9' "$work/image"
patched 16 '\3'
runs abi_3	1 '' 'version 3 of the Solo5 hvt ABI, this Mayfly knows 2' "$work/image"
