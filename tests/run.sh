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

count() { grep -c "^$1 " "$log"; }

log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
for group in $groups; do
	echo "== $group"
	start=$(date +%s)
	run_"$group" 2>&1 </dev/null | tee "$log"
	status=${PIPESTATUS[0]}
	bad=$(count "not ok")
	[ $status -eq 0 ] || [ "$bad" -gt 0 ] || {
		echo "not ok $group: its runner ended with status $status"
		bad=1
	}
	passed=$((passed + $(count ok)))
	failed=$((failed + bad))
	skipped=$((skipped + $(count skip)))
	times="$times$(printf '%-8s %4d s' "$group" $(($(date +%s) - start)))
"
done
echo "== time"
printf '%s' "$times"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
