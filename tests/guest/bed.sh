# The nested bed: a Debian kernel (L1) in QEMU's TCG with SVM emulated, and real guests (L2) on the KVM in it.
# Sourced by run.sh and linuxkit-demo.sh, not run. README.md says how the parts fit; everything made lies in build/bed.

here=${here:?set by the script that sources this}
top=$(cd "$here/../.." && pwd)
. "$here/bed_${BED_ARCH:-x86}.sh"

bed_kernel_version() {
	basename "$bed"/root/lib/modules/*
}

# The modules' files, each after all that it needs, as paths below /.
bed_module_order() {
	awk -v wanted="$*" -v base="lib/modules/$(bed_kernel_version)/" '
	function visit(path,    part, count, i) {
		if (path in done)
			return
		done[path] = 1
		count = split(needs[path], part, " ")
		for (i = count; i > 0; i--)
			visit(part[i])
		print base path
	}
	{
		path = substr($1, 1, length($1) - 1)
		name = path
		sub(".*/", "", name)
		sub("[.]ko$", "", name)
		gsub("-", "_", name)
		file[name] = path
		needs[path] = substr($0, length($1) + 2)
	}
	END {
		total = split(wanted, want, " ")
		for (w = 1; w <= total; w++) {
			name = want[w]
			gsub("-", "_", name)
			if (name in file)
				visit(file[name])
		}
	}' "$bed/root/lib/modules/$(bed_kernel_version)/modules.dep"
}

# bed_system ROOT: what both levels start from, busybox under all its names.
bed_system() {
	rm -rf "$1"
	mkdir -p "$1/bin" "$1/dev" "$1/proc" "$1/sys" "$1/tmp" "$1/run" "$1/etc" "$1/root" "$1/lib"
	ln -s bin "$1/sbin"
	cp "$bed/root/bin/busybox" "$1/bin/"
	for applet in $(bed_busybox --list); do
		[ -e "$1/bin/$applet" ] || ln -s busybox "$1/bin/$applet"
	done
	printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/tmp:/bin/sh\n' >"$1/etc/passwd"
	printf 'root:x:0:\nkvm:x:104:\nnogroup:x:65534:\n' >"$1/etc/group"
}

# bed_modules ROOT NAMES: the modules' files, and their order in lib/modules/order.
bed_modules() {
	system=$1
	shift
	bed_module_order "$@" >"$system/lib/modules.order"
	(cd "$bed/root" && cpio -pdm --quiet "$system") <"$system/lib/modules.order"
	mv "$system/lib/modules.order" "$system/lib/modules/order"
}

bed_cpio() {
	(cd "$1" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet)
}

# The guest as LinuxKit's kernel+initrd build lays it out: l2/debian-kernel, -initrd.img, -cmdline; and vmlinux.
bed_build_l2() {
	version=$(bed_kernel_version)
	system=$bed/l2-system
	bed_system "$system"
	bed_modules "$system" $l2_modules $l2_modules_on_demand
	bed_module_order $l2_modules >"$system/lib/modules/order"
	cp "$bed/root/lib/modules/$version/modules.dep" "$system/lib/modules/$version/"
	bed_mark "$system/bin"
	bed_cc -O2 -Wall -Wextra -s -o "$bed/dns" "$here/l1/dns.c"
	bed_programs "$system" "$bed/dns"
	install -m 755 "$here/l2/init" "$system/init"
	mkdir "$system/tests"
	cp "$here"/l2/tests/* "$system/tests/"

	mkdir -p "$bed/l2"
	bed_kernel
	bed_cpio "$system" | gzip -1 -n >"$bed/l2/debian-initrd.img"
	printf 'console=ttyS0 quiet cryptomgr.notests' >"$bed/l2/debian-cmdline"
}

# The host level: the monitor under test and its libraries, the guests, the checks.
bed_build_l1() {
	system=$bed/l1-system
	bed_system "$system"
	bed_modules "$system" $l1_modules
	install -m 755 "$here/l1/init" "$system/init"
	mkdir -p "$system/checks" "$bed/tools"
	cp "$here"/l1/*.sh "$system/checks/"
	for tool in dns first pty; do
		bed_cc -O2 -Wall -Wextra -o "$bed/tools/$tool" "$here/l1/$tool.c"
	done
	bed_programs "$system" "$bed"/tools/* $(bed_host_programs)
	bed_cpio "$system" >"$bed/l1.cpio"

	system=$bed/guests-system
	rm -rf "$system"
	mkdir -p "$system/guests"
	cp "$bed"/l2/debian-* "$system/guests/"
	[ ! -d "$build/guests" ] || find "$build/guests" -maxdepth 1 -type f -perm -u+x -size -8M \
		-exec cp -t "$system/guests/" {} +
	[ ! -d "$build/guests/hvt" ] || cp -r "$build/guests/hvt" "$system/guests/"
	bed_cpio "$system" >"$bed/guests.cpio"
	rm -r "$system"/guests/*
	[ ! -e "$bed/l2/vmlinux" ] || ln "$bed/l2/vmlinux" "$system/guests/"
	for image in "$bed"/l2/Image.*; do
		[ ! -e "$image" ] || ln "$image" "$system/guests/"
	done
	bed_cpio "$system" >"$bed/vmlinux.cpio"
}

# Not everything is rebuilt for each run: the guest only when its own sources or the kernel have changed.
bed_prepare() {
	mkdir -p "$bed"
	exec 9>"$bed/lock"
	flock 9
	bed_fetch || { flock -u 9; return 1; }
	if [ ! -e "$bed/l2/built" ] || [ -n "$(find "$here/l2" "$here/l1/dns.c" "$here/bed.sh" "$here/bed_${BED_ARCH:-x86}.sh" -newer "$bed/l2/built")" ]; then
		bed_build_l2 && touch "$bed/l2/built"
	fi && bed_build_l1
	set -- $?
	flock -u 9
	return "$1"
}

# A cpio of guests/linuxkit in all formats, and for x86 of two images that LinuxKit did not make.
bed_images() {
	rm -rf "$bed/images-system"
	mkdir -p "$bed/images-system"
	ln -s "$build/linuxkit" "$bed/images-system/images"
	(cd "$bed/images-system" && find -L images -path 'images/work*' -prune -o -print |
		cpio -o -H newc -R 0:0 --quiet -L)
}

# bed_only FILES: a cpio of programs of this machine and of what they load.
bed_only() {
	system=$(mktemp -d "$bed/programs.XXXXXX")
	mkdir "$system/bin"
	bed_programs "$system" "$@"
	bed_cpio "$system"
	rm -rf "$system"
}

# bed_monitor FILE: a cpio of the monitor alone. It is static, but its user-mode network needs libslirp and ld.so.
bed_monitor() {
	system=$(mktemp -d "$bed/monitor.XXXXXX")
	chmod 755 "$system"
	mkdir "$system/bin"
	slirp=$(bed_slirp)
	bed_programs "$system" "$monitor" $slirp
	[ -z "$slirp" ] || mv "$system/bin/${slirp##*/}" "$system/lib/"
	mv "$system/bin/$(basename "$monitor")" "$system/bin/mayfly" 2>/dev/null
	bed_cpio "$system" >"$1"
	rm -rf "$system"
}

# Clock ticks of CPU time that the QEMU of bed_boot in DIRECTORY has used.
bed_ticks() {
	for child in $(cat "/proc/$(cat "$1/pid" 2>/dev/null)/task/"*/children 2>/dev/null); do
		awk '{ print $14 + $15 }' "/proc/$child/stat" 2>/dev/null
	done
}

# Ends the QEMU of bed_boot in DIRECTORY.
bed_stop() {
	[ ! -e "$1/pid" ] || kill "$(cat "$1/pid")" 2>/dev/null
}

# Ends what bed_boot left running in DIRECTORY, and removes it.
bed_end() {
	bed_stop "$1"
	rm -rf "$1"
}

# bed_boot GROUP DIRECTORY LIMIT [WORDS]: one L1 boot that runs l1/GROUP.sh; its console on stdout, CRs removed. BED_ICOUNT=1
# makes virtual time count instructions: slow, but the same to the byte each time. BED_OVERLAY names a folder laid over L1's root.
bed_boot() {
	group=$1
	directory=$2
	limit=$3
	shift 3
	cat "$bed/l1.cpio" "$bed/guests.cpio" >"$directory/initrd"
	case $group in
	boot* | bench* | riscv*) cat "$bed/vmlinux.cpio" >>"$directory/initrd" ;;
	esac
	case $group in
	images*) bed_images >>"$directory/initrd" ;;
	esac
	case $group in
	images | disk) bed_only $(bed_disk_programs) >>"$directory/initrd" ;;
	esac
	bed_monitor "$directory/monitor.cpio"
	cat "$directory/monitor.cpio" >>"$directory/initrd"
	[ -z "${BED_OVERLAY:-}" ] || bed_cpio "$BED_OVERLAY" >>"$directory/initrd"
	# The pid is what a caller that is itself ended kills: timeout passes the signal on to QEMU.
	sh -c 'echo $$ >"$0" && exec timeout -k 5 "$@"' "$directory/pid" "$limit" \
		$(bed_qemu) -nographic -no-reboot -net none -kernel "$bed/l2/debian-kernel" -initrd "$directory/initrd" \
		-append "console=ttyS0 panic=-1 quiet cryptomgr.notests $(bed_ticking) t=$group ${BED_GUEST_CPUS:+cpus=$BED_GUEST_CPUS} $*" </dev/null 2>&1 |
		sed -u 's/\r*$//; s/\x1b[^a-zA-Z]*[a-zA-Z]//g'
}
