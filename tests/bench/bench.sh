#!/bin/bash
# What a start costs, against the floor (floor.c) and against peers: one line a figure with
# its bound. Ends with 1 if one is over. The runs alternate and are checked by
# `mayfly bench`, whose table comes first.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=$PWD/${BUILD:-build} runs=${RUNS:-50} over=0 guest=""
work=$(mktemp -d) || exit 1
trap '[ -z "$guest" ] || kill "$guest"; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

# figure NAME VALUE BOUND
figure() {
	local verdict
	if [ -z "$2" ]; then
		echo "skip bench: $1: not measured"
		return
	fi
	verdict=$(awk -v value="$2" -v bound="$3" 'BEGIN { print value <= bound ? "ok" : "over" }')
	[ "$verdict" = ok ] || over=1
	printf '%-4s bench: %s: %s (at most %s)\n' "$verdict" "$1" "$2" "$3"
}

# median FILE NAME KEY: nothing where it did not run.
median() {
	sed -n "s/^{\"name\":\"$2\".*\"$3\":{\"median\":\([0-9.]*\).*/\1/p" "$1"
}
# divide A B
divide() {
	[ -z "$1" ] || [ -z "$2" ] || awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'
}

[ -r /dev/kvm ] && [ -w /dev/kvm ] || { echo "skip bench: no usable /dev/kvm"; exit 0; }

"$build/mayfly" bench --runs "$runs" --silent "floor=$build/tests/bench/floor" \
	--json "$work/all" --svg= || exit
echo
"$build/mayfly" bench --runs "$runs" --only entered,floor --base floor \
	--silent "floor=$build/tests/bench/floor entered" \
	--candidate "entered={mayfly} run --json {hello}" \
	--stamp "guest entered" --json "$work/entered" --svg= || exit
echo

hello=$(median "$work/all" mayfly exit_ms)
figure "hello, start to exit, against the floor" \
	"$(divide "$hello" "$(median "$work/all" floor exit_ms)")" 1.5
figure "start to the guest's first instruction, against the floor" \
	"$(divide "$(median "$work/entered" entered first_ms)" \
		"$(median "$work/entered" floor first_ms)")" 1.3
figure "hello against crun" "$(divide "$hello" "$(median "$work/all" crun exit_ms)")" 0.40
figure "hello against Firecracker" \
	"$(divide "$hello" "$(median "$work/all" firecracker exit_ms)")" 0.12

# Solo5's test_quiet, say: a unikernel built for solo5-hvt that ends with status 0.
if [ -n "${HVT-}" ] && command -v solo5-hvt >/dev/null; then
	"$build/mayfly" bench --runs "$runs" --only quiet,solo5 --base solo5 \
		--silent "solo5=solo5-hvt $HVT --solo5:quiet" \
		--silent "quiet={mayfly} run $HVT -- --solo5:quiet" \
		--json "$work/quiet" --svg= || exit
	echo
	figure "a quiet Solo5 image against solo5-hvt" "$(divide "$(median "$work/quiet" quiet exit_ms)" \
		"$(median "$work/quiet" solo5 exit_ms)")" 0.7
else
	echo "skip bench: solo5-hvt: not on the PATH, or no image of its in HVT="
fi

# at_rest GUEST KIB: the monitor of a guest that runs on. Guest RAM is the mapping
# of the size that it was given.
at_rest() {
	local mem=97
	"$build/mayfly" run --mem ${mem}M "$build/guests/$1" </dev/null >"$work/out" 2>&1 &
	guest=$!
	sleep 1
	if ! kill -0 $guest; then
		echo "over bench: $1 ended: $(tail -n 1 "$work/out")"
		guest="" over=1
		return
	fi
	figure "$1: private memory beyond guest RAM, KiB" "$(awk -v ram=$((mem << 10)) '
		/^Size:/ { guest = $2 == ram }
		/^Private_/ && !guest { sum += $2 }
		END { print sum }' /proc/$guest/smaps)" "$2"
	figure "$1: libraries beyond libc" "$(awk '{ print $6 }' /proc/$guest/maps | sort -u |
		grep '\.so' | grep -vcE '/(libc|ld-linux[^/]*)\.so')" 0
	# KVM's own worker is listed among them.
	figure "$1: threads" "$(cat /proc/$guest/task/*/comm | grep -vc '^kvm-')" 1
	kill $guest
	wait $guest
	guest=
} 2>/dev/null

# spin needs what hello does, and CPUID; idle has interrupts and timers.
at_rest spin 1024
at_rest idle 3072

if command -v strace >/dev/null; then
	strace -f -qq -o "$work/calls" "$build/mayfly" run "$build/guests/hello" </dev/null >/dev/null
	figure "system calls for hello" "$(grep -c '(' "$work/calls")" 119
	figure "threads and processes for hello" \
		"$(cut -d ' ' -f 1 "$work/calls" | sort -u | wc -l)" 1
else
	echo "skip bench: system calls: no strace"
fi
exit $over
