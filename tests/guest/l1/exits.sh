# How a guest's end reaches the monitor's exit status.

# ends NAME STATUS ENDING [KERNEL ARGUMENTS]
ends() {
	name=$1
	wanted=$2
	ending=$3
	shift 3
	run_guest --mem 256M /guests/debian -- mayfly.test=boot "mayfly.argument=$ending" "$@"
	equal "$name" "$wanted:reached" "$status:$(said init)"
}

# A PC has several ways to reboot, and tells of a panic.
case $(uname -m) in
x86_64)
	ends reboot_k_is_status_0 0 reboot reboot=k
	ends reboot_t_is_status_0 0 reboot reboot=t
	ends triple_fault_is_status_3 3 triple
	check triple_fault_shows_the_registers grep -qi 'rip' errors
	ends panic_is_status_3 3 panic
	;;
*)
	ends poweroff_is_status_0 0 poweroff
	ends reboot_is_status_0 0 reboot
	;;
esac

start_guest --mem 256M --grace 60 /guests/debian -- mayfly.test=boot mayfly.argument=button
wait_said button && sleep 1
kill -TERM "$pid"
end_guest
equal sigterm_presses_the_power_button "0:pressed" "$status:$(grep -o '^@pressed' console | tr -d @)"

start_guest --mem 256M --grace 1 /guests/debian -- mayfly.test=boot mayfly.argument=wait
wait_said waiting
# Its watchdog waits for 2 s, but not while all of it is stopped. The bed itself may rest for a while, too. RISC-V's KVM
# has no word for it.
[ "$(uname -m)" != x86_64 ] || { kill -STOP "$pid" && sleep 8 && kill -CONT "$pid" && sleep 2; }
kill -TERM "$pid"
end_guest
equal sigterm_ends_a_guest_that_does_not_listen 143 "$status"
[ "$(uname -m)" != x86_64 ] ||
	equal stop_and_fg_is_no_lockup "" "$(grep -oE 'soft lockup.*stuck for ([6-9]|[1-9][0-9]+)s' console)"

start_guest --mem 256M --on-reboot restart /guests/debian -- mayfly.test=boot mayfly.argument=reboot
booted_twice() {
	[ "$(grep -c '^@init reached' console)" -ge 2 ] || ! alive
}
wait_for "$limit" booted_twice
check on_reboot_restart_boots_again [ "$(grep -c '^@init reached' console)" -ge 2 ]
kill -KILL "$pid"
end_guest
