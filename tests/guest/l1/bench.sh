# From the monitor's exec to the guest's word that its init runs, in microseconds.
for image in debian vmlinux; do
	for round in 1 2 3; do
		took=$(first "@init reached" mayfly run "/guests/$image" 2>errors </dev/null) || took=0
		echo "# $image: $((took / 1000)) us"
	done
done
