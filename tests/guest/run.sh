#!/bin/sh
# run.sh [GROUP...]: boots real guests in the nested bed and counts the checks' verdicts; see README.md. Status 1 if one
# failed. BED_MONITOR, BED_ICOUNT, BED_CPUS, BED_OVERLAY and BED_LIMIT (seconds for a group) change the run.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/bed.sh"

passed=0
failed=0
skipped=0

count() {
	grep -c "$1" "$2" || true
}

finish() {
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ]
	exit
}

skip_all() {
	echo "skip guest: $1"
	skipped=$((skipped + 1))
	finish
}

# Boots the group's L1 with its console in $log. QEMU's emulation of SVM stalls now and then: the whole of L1 sleeps and
# no timer wakes it. Status 1 when it used no CPU time for 30 s, which a host that only waits does.
boot_group() {
	# In the background, since a shell acts on a signal only between its commands.
	bed_boot "$1" "$work" "${BED_LIMIT:-$bed_limit}" >"$log" &
	job=$!
	before=
	quiet=0
	while kill -0 "$job" 2>/dev/null; do
		sleep 1
		now=$(bed_ticks "$work")
		quiet=$((quiet + 1))
		[ "$now" = "$before" ] || quiet=0
		before=$now
		[ "$quiet" -lt 30 ] || { bed_stop "$work"; wait "$job"; return 1; }
	done
	wait "$job"
	# The host that QEMU emulates did not come up: none of our doing.
	grep -q '^bed ' "$log"
}

# A group that does not come to its end has failed, whatever its checks said before.
run_group() {
	log=$work/$1.log
	case $1 in
	images*)
		"$top/guests/linuxkit/build.sh" >"$log" 2>&1 && "$here/foreign.sh" >>"$log" 2>&1 || {
			echo "not ok $1: guests/linuxkit cannot be built"
			tail -n 5 "$log" | sed 's/^/#   /'
			failed=$((failed + 1))
			return
		}
		;;
	esac
	boot_group "$1" || {
		echo "# group $1: the emulated host stalled or died; once more, what it said does not count"
		boot_group "$1"
	}
	grep -E '^(ok|not ok|skip|#) ' "$log"
	if ! grep -q '^bed done' "$log"; then
		echo "not ok $1: the bed ended before its last check"
		grep -vE '^(ok|not ok|skip|#) ' "$log" | tail -n 30 | sed 's/^/#   /'
		failed=$((failed + 1))
	fi
	passed=$((passed + $(count '^ok ' "$log")))
	failed=$((failed + $(count '^not ok ' "$log")))
	skipped=$((skipped + $(count '^skip ' "$log")))
}

[ $# -gt 0 ] || set -- boot exits disk net console pci hvt images
lacks=$(bed_lacks)
[ -z "$lacks" ] || skip_all "$lacks"
[ -x "$monitor" ] || { echo "not ok guest: no $monitor: run make first"; failed=1; finish; }
bed_prepare >"${TMPDIR:-/tmp}/bed.$$" 2>&1 || {
	tail -n 5 "${TMPDIR:-/tmp}/bed.$$" | sed 's/^/#   /'
	rm -f "${TMPDIR:-/tmp}/bed.$$"
	skip_all "the bed could not be made"
}
rm -f "${TMPDIR:-/tmp}/bed.$$"

work=$(mktemp -d "$bed/run.XXXXXX")
trap 'bed_end "$work"' EXIT
trap 'exit 1' INT TERM
for group; do
	echo "# group $group"
	start=$(date +%s)
	run_group "$group"
	echo "# group $group took $(($(date +%s) - start)) s"
done
finish
