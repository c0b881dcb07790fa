# run.sh report: the kernel's own words about this monitor's machine, no checks.
run_guest --mem 256M --rng /guests/debian -- mayfly.test=report
tr -d '\r' <console | sed 's/^/# /'
