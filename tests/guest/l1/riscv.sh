# A stock riscv64 kernel to its init, with the interrupt controller that this host's KVM leads to.

# boots NAME CPUS MEMORY_MIB ENDING ARGUMENTS...
boots() {
	name=$1
	cpus=$2
	memory=$3
	ending=$4
	shift 4
	run_guest --cpus "$cpus" --mem "${memory}M" "$@" -- mayfly.test=boot "mayfly.argument=$ending"
	check "${name}_reaches_init" grep -q '^@init reached' console
	equal "${name}_has_its_cpus" "$cpus" "$(said cpus)"
	check "${name}_has_its_memory" kib_between $(((memory - 1) * 1024)) $((memory * 1024)) "$(said memory)"
	equal "${name}_kernel_measures_and_waits_for_nothing" "" "$(said noise)"
	equal "${name}_modprobe_knows_its_drivers" there "$(said drivers)"
	check "${name}_counts_serial_interrupts" above_zero "$(said serial)"
	equal "${name}_has_the_controller" "$controller" "$(said controller)"
	equal "${name}_uses_its_timer" riscv_clocksource "$(said clocksource)"
	equal "${name}_knows_the_year" "$(date +%Y)" "$(said year)"
	equal "${name}_${ending}_is_status_0" 0 "$status"
}

# KVM has an AIA where this host's own CPU has one, and the guest then gets it.
controller=plic
! grep -qE "IMSIC|APLIC" /proc/interrupts || controller=aia
case $controller in
aia) words="AIA in KVM" ;;
*) words="PLIC in Mayfly" ;;
esac
check inspect_host_names_the_$controller eval "mayfly inspect --host | grep -q '$words'"
check inspect_names_no_parts_of_a_pc eval "mayfly inspect /guests/debian-kernel | grep -q '^legacy *Goldfish clock$'"
run_guest /guests/hello
equal hello "0:Hello from Mayfly!" "$status:$(tr -d '\r' <console)"
boots image_$controller 1 256 poweroff /guests/debian
boots image_${controller}_2_harts 2 512 reboot /guests/debian

if [ $controller = plic ]; then
	run_guest --cpus 513 /guests/hello
	equal plic_has_a_limit_of_harts "1:--cpus" "$status:$(grep -o -e '--cpus.*at most 512' errors | cut -c 1-6)"
fi

# status_of NAME WANTED TEXT ARGUMENTS...: a unikernel's status, and a line that it prints; "": none.
status_of() {
	name=$1
	wanted=$2
	text=$3
	shift 3
	run_guest "$@"
	equal "$name" "$wanted:${text:+said}" "$status:$(grep -q "$text" console && echo "${text:+said}")"
}

status_of exit_has_its_status 7 '' /guests/exit -- exit=7
status_of cmdline_reaches_the_guest 0 '^cmdline: word=1' /guests/cmdline -- word=1
status_of memory_is_what_was_asked_for 0 '^memory: 65536 KiB of RAM' --mem 64M /guests/memory
status_of rng_interrupts 0 '' --rng /guests/rng
status_of debug_console_checks_its_buffers 0 '^sbi: by the debug console' /guests/sbi
equal debug_console_takes_long_lines 1000 "$(tr -d '\r' <console | grep '^\.*$' | wc -L)"
echo "typed line" >keys
input=keys
status_of debug_console_hears_input 0 '^sbi: heard typed line' /guests/sbi -- read=yes
input=/dev/null
status_of sbi_shutdown_is_status_0 0 '^sbi: asks for' /guests/sbi -- reset=shutdown
status_of sbi_reboot_is_status_0 0 '^sbi: asks for' /guests/sbi -- reset=reboot
status_of sbi_failure_is_status_3 3 '^sbi: asks for' /guests/sbi -- reset=failure
check sbi_failure_shows_the_registers grep -q 'sepc' errors
status_of jump_to_nowhere_is_a_trap 255 '^guest: exception 1 at 0x70000000, value 0x70000000$' /guests/crash -- crash=jump
status_of crash_is_status_3 3 '' /guests/crash
check crash_shows_the_registers grep -q 'sepc' errors
status_of panic_is_status_3 3 '' /guests/crash -- crash=panic
if grep -q zkr /proc/cpuinfo; then
	status_of seed_gives_random_bits 0 '^sbi: seed gives bits' /guests/sbi -- seed=yes
else
	skip seed_gives_random_bits "this host's CPU has no Zkr"
fi

start_guest --net user,publish=8088:80 /guests/http
wait_for "$limit" grep -q '^http: listening' console
page=$(timeout 120 wget -q -O - http://127.0.0.1:8088/)
timeout 120 wget -q -O /dev/null http://127.0.0.1:8088/exit/5
end_guest
equal http_serves_a_page "Hello from Mayfly over HTTP" "$page"
equal http_exits_with_its_status 5 "$status"
