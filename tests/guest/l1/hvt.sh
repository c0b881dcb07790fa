# Solo5's hvt ABI where the CPU runs the guest itself, by SVM: on the machine at hand KVM may emulate it.

hvt=/guests/hvt

# runs NAME STATUS TEXT ARGUMENTS...
runs() {
	name=hvt_$1
	wanted=$2
	text=$3
	shift 3
	run_guest "$@"
	equal "$name" "$wanted:${text:+said}" "$status:$(grep -q "$text" console && echo "${text:+said}")"
}

runs hello 0 '^hello: 512 MiB' $hvt/hello
runs memory_4G 0 '^hello: 4096 MiB' --mem 4G $hvt/hello
runs status 7 '^halt$' $hvt/halt -- status=7
runs refuse 0 '^refuse: ok$' $hvt/refuse
runs clock 0 '^clock: ' $hvt/clock
for what in 0 1 2 3; do
	runs allowed_$what 0 '' $hvt/protect -- do=$what
done
for what in 4 5 6 7 8 9 10 11 12 13 14 15; do
	runs faults_$what 3 '' $hvt/protect -- do=$what
done

truncate -s 1M first
truncate -s 1M second
runs blk 0 '^blk: ok$' --disk first,id=storage --disk second,id=second $hvt/blk
tunctl -t t0 >/dev/null && ip addr add 10.0.9.2/24 dev t0 && ip link set t0 up
runs net_tap 0 '^net: ok$' --net tap=t0,id=service $hvt/net -- subnet=9
runs net_user 0 '^net: ok$' --net user,id=service $hvt/net

start_guest $hvt/idle
wait_for "$limit" grep -q '^idle$' console
before=$(ticks)
sleep 2
check hvt_idle_uses_no_cpu [ $(($(ticks) - before)) -le 1 ]
kill -TERM "$pid"
end_guest
equal hvt_sigterm_ends_it 143 "$status"

# The same programs, entered by PVH and by Multiboot, which brings a PC's devices along.
for build in "" _multiboot; do
	runs status$build 9 '' /guests/exit$build -- exit=9
	runs exception$build 255 '^guest: exception 14 at ' /guests/crash$build -- crash=fault
	runs timer$build 0 '^idle: 3$' /guests/idle$build -- tick=50 ticks=3
	runs smp$build 0 '^smp: 2 CPUs$' --cpus 2 /guests/smp$build -- cpus=2
	runs disk$build 0 '2048 sectors ok' --disk first /guests/blk$build
	start_guest --net user,publish=8088:80 /guests/http$build
	wait_for "$limit" grep -q '^http: listening' console
	page=$(timeout 120 wget -q -O - http://127.0.0.1:8088/)
	timeout 120 wget -q -O /dev/null http://127.0.0.1:8088/exit/5
	end_guest
	equal "net$build" "Hello from Mayfly over HTTP:5" "$page:$status"
done

# Other ways in, and PCI.
for moved in no yes; do
	for interrupts in line messages; do
		runs pci_${interrupts}_moved_$moved 0 '^pci: ok$' --transport pci --rng /guests/pci -- interrupts=$interrupts moved=$moved
	done
done
runs multiboot 0 '^cmdline: multiboot a$' /guests/multiboot -- a
runs multiboot_modules 0 '^module: /guests/hello, ' --initrd /guests/hello /guests/multiboot -- modules=1
runs multiboot2 0 '^module: /guests/hello, ' --initrd /guests/hello --cpus 2 /guests/multiboot2 -- modules=1
runs multiboot_flat 0 '^Hello from Mayfly!$' /guests/hello_flat
runs multiboot_virtio 0 '^rng: ok$' --rng /guests/rng_multiboot
runs linux64 0 '^a b$' /guests/linux64 -- a b
runs pit 0 '^pit: 3 ticks' /guests/pit

# Solo5's own tests, where BED_OVERLAY brings them.
for image in /solo5/test_*.hvt; do
	[ -e "$image" ] || continue
	name=${image##*/test_}
	name=${name%.hvt}
	case $name in
	dumpcore | exception | zeropage | notls | ssp | xnow | wnox | rnow | rnox) runs solo5_$name 255 "[Aa][Bb][Oo][Rr][Tt]" $image ;;
	xnor) runs solo5_$name 1 'address read' $image ;; # x86 cannot forbid it
	output) runs solo5_$name 0 'solo5_exit(0)' $image ;;
	blk)
		runs solo5_blk 0 SUCCESS --disk first,id=storage $image
		runs solo5_blk_4096 0 SUCCESS --disk first,id=storage,block-size=4096 $image
		;;
	mft_maxdevices)
		disks=
		for n in $(seq 0 62); do
			truncate -s 4K "n$n"
			disks="$disks --disk n$n,id=storage$n"
		done
		runs solo5_$name 0 SUCCESS $disks $image
		;;
	net_ring) # with a ping that fills in a pattern, which busybox's cannot
		/bin/ping -V 2>&1 | grep -q iputils || { skip hvt_solo5_net_ring "no such ping"; continue; }
		ip addr add 10.0.0.1/24 dev t0
		start_guest --net tap=t0,id=service0 $image
		wait_for "$limit" grep -q '^Target' console
		/bin/ping -fq -c 10000 -p deadbeef 10.0.0.2 >/dev/null
		end_guest
		equal hvt_solo5_net_ring "0:1" "$status:$(grep -c SUCCESS console)"
		;;
	net_mtu) runs solo5_$name 0 SUCCESS --net tap=t0,id=service0 $image ;;
	fpu | globals | hello | quiet | time | tls) runs solo5_$name 0 SUCCESS $image -- Hello_Solo5 ;;
	esac
done

[ ! -e /solo5/buggyelf.hvt ] || runs solo5_buggyelf 1 '' /solo5/buggyelf.hvt

# For its virtio target, by Multiboot; they leave as they leave QEMU, with 41 << 1 | 1.
for image in /solo5/test_*.virtio; do
	[ -e "$image" ] || continue
	name=${image##*/test_}
	name=${name%.virtio}
	case $name in
	fpu | globals | hello | quiet | time | tls) runs virtio_$name 83 SUCCESS $image -- Hello_Solo5 ;;
	blk) runs virtio_$name 83 SUCCESS --transport pci --disk first $image ;;
	net_mtu) runs virtio_$name 83 'MTU is' --transport pci --net tap=t0 $image ;;
	exception | zeropage | notls | ssp) runs virtio_$name 83 "[Aa][Bb][Oo][Rr][Tt]" $image ;;
	esac
done

# Unikraft's helloworld for Firecracker, by Linux's entry, where BED_OVERLAY brings it.
[ ! -e /unikraft/hello_fc ] || runs unikraft_fc 0 '^Hello world!' /unikraft/hello_fc -- a b
