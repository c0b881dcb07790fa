# The guest's console on ours, and the random number device.

# Types a line once the guest is ready, ends the input, and sees what an idle guest costs.
talk() {
	rm -f keys
	mkfifo keys
	input=keys
	: >console
	# The FIFO opens only with both ends: the writer is there first.
	(
		exec 9>keys
		wait_for "$limit" grep -q '^@ready' console
		echo "typed line" >&9
	) 2>/dev/null &
	start_guest --mem 256M "$@" -- mayfly.test=console
	input=/dev/null
	wait_said idle
	sleep 1
	before=$(ticks)
	sleep 2
	after=$(ticks)
	end_guest
}

talk --rng /guests/debian
equal serial_console_hears_input "typed line" "$(said heard)"
equal rng_gives_bytes 32 "$(said random)"
equal rng_is_the_kernels_source virtio_rng.0 "$(said rng)"
check closed_stdin_does_not_end_the_guest grep -q '^@over' console
check closed_stdin_does_not_spin [ $((after - before)) -lt 100 ]
equal serial_console_guest_powers_off 0 "$status"

# Although the image names another.
talk --console virtio /guests/debian
equal virtio_console_hears_input "typed line" "$(said heard)"
check virtio_console_ends_with_the_guest grep -q '^@over' console
equal virtio_console_guest_powers_off 0 "$status"

rm -f stuck
mkfifo stuck
truncate -s 1M alive.img
sleep 1000 <stuck &
reader=$!
mayfly run --mem 256M --disk alive.img /guests/debian -- mayfly.test=flood </dev/null >stuck 2>errors &
pid=$!
(sleep "$limit" && kill -KILL "$pid") 2>/dev/null &
dog=$!
end_guest
kill "$reader"
equal blocked_stdout_does_not_stop_the_guest "0:went on" "$status:$(head -n 1 alive.img)"

truncate -s 0 alive.img
truncate -s 1M alive.img
{
	timeout -s KILL "$limit" mayfly run --mem 256M --disk alive.img /guests/debian -- mayfly.test=flood </dev/null 2>errors
	echo $? >status
} | head -c 100 >/dev/null
equal closed_stdout_does_not_end_the_guest "0:went on" "$(cat status):$(head -n 1 alive.img)"

# Ctrl-A x leaves; the terminal is as it was.
(
	wait_for "$limit" grep -q '^@ready' console
	sleep 1
	printf '\001x'
	sleep 5
) | timeout -s KILL "$limit" pty 91x37 mayfly run --mem 256M --console virtio --initrd /guests/debian-initrd.img \
	--cmdline "quiet cryptomgr.notests" /guests/debian-kernel -- mayfly.test=console >console 2>errors
equal window_size_reaches_the_virtio_console "37 91" "$(said size)"
check terminal_is_restored_after_ctrl_a_x grep -q 'terminal restored' errors
