# What `make run-linuxkit` shows where the machine's own KVM cannot run Linux.
echo "demo: mayfly run --rng --timeline linuxkit"
cd /guests || return
for part in kernel initrd.img cmdline; do
	mv "debian-$part" "linuxkit-$part"
done
mayfly run --rng --timeline linuxkit -- mayfly.test=demo </dev/null
echo "demo: status $?"
