# What the groups of checks share. A check prints one verdict line; run.sh counts them.

cmdline=$(cat /guests/debian-cmdline)
shown=no
# Seconds for one guest, from exec to the end of the monitor. It takes 10, or 30 on RISC-V, but where QEMU gets a tenth of a
# CPU only, because others want it too, it takes ten times as long: that is no failure.
limit=300
[ "$(uname -m)" != riscv64 ] || limit=600

ok() {
	echo "ok $1"
}

# not_ok NAME WHY: with the end of what guest and monitor said, once for each guest.
not_ok() {
	echo "not ok $1: $2"
	[ "$shown" = no ] || return 0
	shown=yes
	tail -n 20 console 2>/dev/null | sed 's/^/#   guest: /'
	tail -n 12 errors 2>/dev/null | sed 's/^/#   mayfly: /'
}

skip() {
	echo "skip $1: $2"
}

# check NAME COMMAND...: ok when the command succeeds.
check() {
	local verdict=$1
	shift
	if "$@"; then ok "$verdict"; else not_ok "$verdict" "failed: $*"; fi
}

# equal NAME WANTED FOUND
equal() {
	if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "wanted '$2', found '$3'"; fi
}

# What the guest said of this: the rest of its line "@KEY VALUE".
said() {
	tr -d '\r' <console | sed -n "s/^@$1 *//p" | tail -n 1
}

# start_guest ARGUMENTS...: mayfly run, in the background; its pid in $pid. Its stdin is $input, /dev/null by default; it
# has $guest_cpus CPUs, if that is not empty.
start_guest() {
	shown=no
	: >console
	: >errors
	# The inner shell is the process that becomes the monitor, so that $! is the monitor's own pid.
	mayfly run ${guest_cpus:+--cpus "$guest_cpus"} "$@" <"${input:-/dev/null}" >console 2>errors &
	pid=$!
	(
		sleep "$limit"
		kill -KILL "$pid"
	) 2>/dev/null &
	dog=$!
}

# Waits for the end of the monitor, at most $limit seconds from its start; its status in $status.
end_guest() {
	wait "$pid" 2>/dev/null
	status=$?
	kill "$dog" 2>/dev/null
	wait "$dog" 2>/dev/null
}

run_guest() {
	start_guest "$@"
	end_guest
}

alive() {
	kill -0 "$pid" 2>/dev/null && ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null
}

# Waits until the guest has said "@KEY"; fails when the monitor ends before.
wait_said() {
	while ! grep -q "^@$1" console; do
		alive || return 1
		usleep 100000
	done
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
	left=$(($1 * 5))
	shift
	until "$@"; do
		left=$((left - 1))
		[ "$left" -gt 0 ] || return 1
		usleep 200000
	done
}

kib_between() {
	[ "${3:-0}" -ge "$1" ] && [ "${3:-0}" -le "$2" ]
}

above_zero() {
	[ "${1:-0}" -gt 0 ]
}

# Clock ticks of CPU time that the monitor has used.
ticks() {
	awk '{ print $14 + $15 }' "/proc/$pid/stat"
}
