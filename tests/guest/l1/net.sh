# virtio-net through libslirp and through a tap.

mkdir -p www
dd if=/dev/urandom of=www/file bs=1M count=10 2>/dev/null
sum=$(md5sum <www/file | cut -c 1-32)
httpd -p 8000 -h www
dns 127.0.0.1 &

# fetched URL: its sum.
fetched() {
	timeout 120 wget -q -O - "$1" 2>/dev/null | md5sum | cut -c 1-32
}

start_guest --mem 256M --net user,publish=8080:80,publish=127.0.0.2:53:53/udp,mac=52:54:00:12:34:56 \
	--net user,publish=8082:80 /guests/debian -- mayfly.test=net
wait_said serving
served=$(fetched http://127.0.0.1:8080/file)
second=$(fetched http://127.0.0.1:8082/file)
bound=$(netstat -ltn | awk '$4 ~ /:8080$/ { print $4 }')
answer=$(nslookup -type=a example.test 127.0.0.2 2>/dev/null | sed -n 's/^Address: //p' | tail -n 1)
echo >www/over
end_guest
equal nic_has_the_mac_asked_for 52:54:00:12:34:56 "$(said mac)"
equal user_net_gives_an_address 10.0.2.15 "$(said address)"
equal guest_fetches_from_the_host "$sum" "$(said fetched)"
equal guest_resolves_through_a_loopback_resolver 192.0.2.53 "$(said name)"
equal published_port_reaches_the_guest "$(said served)" "$served"
equal second_user_net_is_another_network 10.0.3.15 "$(said second)"
equal published_port_reaches_the_guest_by_the_second "$(said served)" "$second"
equal published_port_is_bound_to_loopback 127.0.0.1:8080 "$bound"
equal published_udp_port_reaches_the_guest 192.0.2.53 "$answer"
check net_interrupts_are_counted above_zero "$(said interrupts)"
equal net_guest_powers_off 0 "$status"

rm www/over
# As an ordinary user: no right but that to /dev/kvm.
chmod 666 /dev/kvm
shown=no
: >console
su nobody -c 'exec mayfly run --mem 256M --net user,publish=8081:80 /guests/debian -- mayfly.test=net' \
	</dev/null >console 2>errors &
pid=$!
(sleep "$limit" && kill -KILL "$pid") 2>/dev/null &
dog=$!
wait_said serving
user=$(awk '/^Uid:/ { print $2 }' "/proc/$pid/status")
served=$(fetched http://127.0.0.1:8081/index)
echo >www/over
end_guest
equal ordinary_user_runs_the_monitor 65534 "$user"
equal ordinary_user_guest_fetches "$sum" "$(said fetched)"
equal ordinary_user_publishes "$(echo 'from the guest' | md5sum | cut -c 1-32)" "$served"
equal ordinary_user_guest_powers_off 0 "$status"

rm www/over
tunctl -t tap0 >/dev/null
ip addr add 192.168.77.1/24 dev tap0
ip link set tap0 up
start_guest --mem 256M --net tap=tap0 /guests/debian -- mayfly.test=net_tap
wait_said serving
served=$(fetched http://192.168.77.2/file)
pings=$(ping -c 3 -W 5 192.168.77.2 | grep -c 'bytes from')
wait_said fetched
echo >www/over
end_guest
equal tap_guest_pings_the_host 3 "$(said ping)"
equal tap_host_pings_the_guest 3 "$pings"
equal tap_carries_10_mib_to_the_guest "$sum" "$(said fetched)"
equal tap_carries_10_mib_to_the_host "$(said served)" "$served"
check tap_interrupts_are_counted above_zero "$(said interrupts)"
equal tap_guest_powers_off 0 "$status"
