# What native.sh and input.sh share. Each works on its own copy of mayfly, in a folder of
# its own: any user may run it there, and no other process has that executable.

cd "$(dirname "$0")/../.." || exit 1
build=$PWD/${BUILD:-build} guests=$PWD/${BUILD:-build}/guests
[ -x "$build/mayfly" ] || { echo "not ok ${0##*/}: no $build/mayfly: run make first"; exit 1; }
work=$(mktemp -d) || exit 1
mayfly=$work/mayfly via= input=/dev/null failures=0 namespace=
export TMPDIR=$work/tmp XDG_CACHE_HOME=$work/cache
unset http_proxy
chmod 755 "$work" && mkdir "$work/cwd" "$work/tmp" "$work/cache" && cp "$build/mayfly" "$mayfly"
cd "$work/cwd" || exit 1

# The monitors of this script that live.
monitors() {
	find /proc -maxdepth 2 -name exe -lname "$mayfly" 2>/dev/null | cut -d / -f 3
}

finish() {
	local left
	left=$(monitors)
	[ -z "$left" ] || kill -KILL $left
	[ -z "$namespace" ] || kill "$namespace"
	rm -rf "$work"
	exit $((failures > 0))
} 2>/dev/null
trap finish EXIT
trap 'failures=1; exit' INT TERM

ok() {
	echo "ok $1"
}
# not_ok NAME WHY: with what the monitor said.
not_ok() {
	echo "not ok $1: $2"
	head -c 2000 "$work/err" | head -n 12 | sed 's/^/#   /'
	failures=$((failures + 1))
}
skip() {
	echo "skip $1: $2"
}
# check NAME COMMAND...
check() {
	local name=$1
	shift
	if "$@"; then ok "$name"; else not_ok "$name" "failed: $*"; fi
}
# equal NAME WANTED FOUND
equal() {
	if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "wanted '$2', found '$3'"; fi
}

# has out|err TEXT: an extended regular expression.
has() {
	grep -sqaE -e "$2" "$work/$1"
}

# run ARGUMENTS...: to the end, for $limit seconds at most; with $status, out and err.
run() {
	timeout --foreground -k 1 "${limit:-20}" $via "$mayfly" run "$@" \
		<"$input" >"$work/out" 2>"$work/err"
	status=$?
}

# start ARGUMENTS...: in the background, with $pid. SIGINT is not ignored, as & has it.
start() {
	rm -f "$work/out" "$work/err"
	$via env --default-signal=INT,QUIT "$mayfly" run "$@" \
		<"$input" >"$work/out" 2>"$work/err" &
	pid=$!
}
# wait_for COMMAND...: until it succeeds, for $seconds (10) at most.
wait_for() {
	local tries=$((${seconds-10} * 50))
	until "$@"; do
		[ $((tries -= 1)) -gt 0 ] || return 1
		sleep 0.02
	done
}
ended() {
	local stat
	! read -ra stat <"/proc/$pid/stat" || [ "${stat[2]}" = Z ]
}
# finished [SECONDS]: the end of $pid, which is killed when it does not come; $status.
finished() {
	seconds=${1-5} wait_for ended || kill -KILL "$pid"
	wait "$pid"
	status=$?
} 2>/dev/null

# Enters a network namespace with two taps, t0 and t1, as $inside; false without root.
make_namespace() {
	[ "$(id -u)" = 0 ] && [ -c /dev/net/tun ] || return
	unshare -n sleep 600 &
	namespace=$! inside="nsenter -t $namespace -n"
	in_another() {
		[ "$(readlink /proc/$namespace/ns/net)" != "$(readlink /proc/self/ns/net)" ]
	}
	wait_for in_another && $inside ip link set lo up &&
		$inside ip tuntap add mode tap name t0 && $inside ip link set t0 up &&
		$inside ip tuntap add mode tap name t1 && $inside ip link set t1 up
} 2>/dev/null

# A TCP port of 127.0.0.1 where nobody listens, as $port.
find_port() {
	while
		port=$((RANDOM % 20000 + 10000))
		(: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null
	do :; done
}

# Whether this host's KVM makes a VM, which is found out without Mayfly (KVM_CREATE_VM).
kvm_usable() {
	python3 -c 'import fcntl, os
fcntl.ioctl(os.open("/dev/kvm", os.O_RDWR), 0xae01, 0)' 2>/dev/null
}
