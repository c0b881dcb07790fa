#!/bin/bash
# Fuzzes each target for a while and prints one verdict line for each.
#
#   run.sh SECONDS TARGET...
#
# A corpus grows in build/corpus/NAME, from what tests/images.py makes, and is used again; what a target falls over is kept
# in build/crashes, named in the verdict. FUZZ_JOBS targets (2) run at a time.
set -u
cd "$(dirname "$0")/../.."
seconds=$1
shift
build=$(dirname "$(dirname "$(dirname "$1")")")

fuzz() {
	local name corpus log
	name=$(basename "$1")
	corpus=$build/corpus/$name
	log=$build/crashes/$name.log
	mkdir -p "$corpus" "$build/crashes"
	if "$1" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=20 -print_final_stats=1 \
		-artifact_prefix="$build/crashes/$name-" "$corpus" >"$log" 2>&1; then
		echo "ok fuzz $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") runs"
	else
		echo "not ok fuzz $name: see $log"
		grep -E 'ERROR|SUMMARY|runtime error|Test unit written' "$log" | head -n 5 | sed 's/^/    /'
		return 1
	fi
}

PATH=$PATH:/usr/sbin:/sbin python3 tests/images.py seeds "$build/corpus" ||
	echo "# fuzz: no images to start from"

status=0
for target; do
	while [ "$(jobs -pr | wc -l)" -ge "${FUZZ_JOBS:-2}" ]; do
		wait -n || status=1
	done
	fuzz "$target" &
done
while [ -n "$(jobs -p)" ]; do
	wait -n || status=1
done
exit $status
