# run.sh report: the kernel's own words about this monitor's machine, no checks.
run_guest --cpus 2 --mem 256M --rng /guests/debian -- mayfly.test=report
tr -d '\r' <console | sed 's/^/# /'
