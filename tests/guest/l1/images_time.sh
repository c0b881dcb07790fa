# From exec to the answer of the service in each format, in 1/100 s: for BED_ICOUNT=1, where time counts instructions.

cd /images || return
port=8100

now() {
	tr -d . </proc/uptime | cut -d ' ' -f 1
}

# The first kernel is unpacked for all.
mayfly run --dry-run kit >/dev/null
for image in kit kit-bios.img kit.raw kit.qcow2 kit-efi.img kit-initrd.tar kit.efi kit-efi-initrd.iso kit; do
	start=$(now)
	start_guest --mem 256M --net "user,publish=$port:80" $image
	until wget -q -O page "http://127.0.0.1:$port/" 2>/dev/null; do
		alive || break
		usleep 10000
	done
	echo "# $image: up after $(($(now) - start))/100 s"
	kill -KILL "$pid"
	end_guest
	port=$((port + 1))
done
