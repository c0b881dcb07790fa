#!/bin/bash
# All runners, one after the other. A runner prints one line a check, `ok NAME`,
# `not ok NAME: why` or `skip NAME: why`; these are counted here. A runner that fails
# without saying what is one failure more.
#
#   run.sh [GROUP...]    unit input native fuzz nested riscv linux (all of them)
set -u
cd "$(dirname "$0")/.."
build=${BUILD:-build}
groups=${*:-unit input native fuzz nested riscv linux}
passed=0 failed=0 skipped=0 times=

run_unit() {
	local program status=0 prefix
	for program in "$build"/tests/unit/*_test; do
		# ThreadSanitizer of gcc 12 fears the 32 random bits of newer kernels' addresses.
		prefix=
		case $program in
		*_tsan_test) setarch -R true 2>/dev/null && prefix="setarch -R" ;;
		esac
		$prefix "$program" || { status=$?; echo "   $program: status $status"; }
	done
	return $status
}
run_fuzz() {
	command -v clang >/dev/null || { echo "skip fuzz: no clang"; return; }
	make -s fuzz-targets && tests/fuzz/run.sh "${FUZZ_SECONDS:-10}" "$build"/tests/fuzz/*_fuzz
}
run_input() { tests/guest/input.sh; }
run_native() {
	local status=0
	tests/guest/native.sh || status=$?
	tests/guest/hvt.sh || status=$?
	return $status
}
run_nested() { tests/guest/run.sh; }
# The monitor for RISC-V: its unit tests in QEMU's user mode, then guests in a bed of its own.
run_riscv() {
	local make="make -s ARCH=riscv CROSS_COMPILE=riscv64-linux-gnu- CC=riscv64-linux-gnu-gcc"
	local status=0 program qemu=build/riscv/qemu/usr/bin/qemu-riscv64
	command -v riscv64-linux-gnu-gcc >/dev/null || { echo "skip riscv: no riscv64-linux-gnu-gcc"; return; }
	$make sysroot && tests/debian.sh trixie amd64 build/riscv/qemu qemu-system-riscv qemu-user opensbi zstd ||
		{ echo "skip riscv: Debian's packages for riscv64 cannot be had"; return; }
	$make -j2 all guests unit-tests || return
	for program in $($make unit-test-names); do
		"$qemu" -L build/riscv/sysroot "$program" || { status=$?; echo "   $program: status $status"; }
	done
	echo "skip riscv_asan: QEMU's user mode has no place for ASan's shadow"
	echo "skip riscv_native_tests: QEMU's user mode has neither seccomp nor io_uring"
	BED_ARCH=riscv tests/guest/run.sh riscv riscv_boot disk net console exits pci images || status=$?
	BED_ARCH=riscv BED_AIA=no BED_GUEST_CPUS=2 tests/guest/run.sh riscv disk net console exits pci || status=$?
	return $status
}
# guests/linux: its configuration and, where `make linux` has been, what that built.
run_linux() {
	local status=0
	guests/linux/verify.sh || status=$?
	[ ! -e build/linux/kernel ] || guests/linux/test.sh boot || status=$?
	[ ! -e build/riscv/linux/kernel ] || [ ! -e build/riscv/mayfly ] ||
		BED_ARCH=riscv guests/linux/test.sh riscv || status=$?
	return $status
}

count() { grep -c "^$1 " "$logs/$2"; }

# In the background; what it prints, its status and its seconds are left in $logs.
start_group() {
	: >"$logs/$1"
	{
		SECONDS=0
		run_"$1"
		echo "$? $SECONDS" >"$logs/$1.end"
	} >>"$logs/$1" 2>&1 </dev/null &
	jobs[$1]=$!
}
end_groups() {
	for group in "${!jobs[@]}"; do
		kill -- "-${jobs[$group]}"
	done
	exit 1
} 2>/dev/null

logs=$(mktemp -d) || exit 1
trap 'rm -rf "$logs"' EXIT
trap end_groups INT TERM
set -m # each group is a process group: none stays when this ends
declare -A jobs
for group in $groups; do
	echo "== $group"
	# Each bed is a QEMU of one thread: where there are two CPUs, both have theirs.
	case "$group $groups " in
	"nested "*" nested riscv "*) [ "$(nproc)" -lt 2 ] || start_group riscv ;;
	esac
	[ -n "${jobs[$group]:-}" ] || start_group "$group"
	# Not in the foreground, where no signal would be heard before its end.
	tail -n +1 -s 0.2 -f --pid="${jobs[$group]}" "$logs/$group" &
	wait "${jobs[$group]}" $!
	status=1 seconds=0
	[ ! -e "$logs/$group.end" ] || read -r status seconds <"$logs/$group.end"
	bad=$(count "not ok" "$group")
	[ "$status" -eq 0 ] || [ "$bad" -gt 0 ] || {
		echo "not ok $group: its runner ended with status $status"
		bad=1
	}
	passed=$((passed + $(count ok "$group")))
	failed=$((failed + bad))
	skipped=$((skipped + $(count skip "$group")))
	times="$times$(printf '%-8s %4d s' "$group" "$seconds")
"
done
echo "== time"
printf '%s' "$times"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
