# What RISC-V kernels come as. Debian's is an Image with an EFI stub, which makes it start with "MZ".

initrd=/guests/debian-initrd.img
cp /guests/debian-kernel flat
# In place of c.li s4, -13: c.nop.
printf '\001\000' | dd of=flat bs=1 conv=notrunc 2>/dev/null

# reaches NAME KIND FILE: to its init; what the monitor calls it.
reaches() {
	kind=$(mayfly inspect "$3" 2>/dev/null | sed -n 's/^kind *//p')
	equal "$1_is_known" "$2" "$kind"
	run_guest --mem 256M --initrd $initrd --cmdline "$cmdline" "$3"
	equal "$1_reaches_init" "0:reached" "$status:$(said init)"
}

reaches efi_stub_image "Linux Image" /guests/debian-kernel
reaches flat_image "Linux Image" flat
reaches gzip_image "Linux Image" /guests/Image.gz
reaches zstd_image "Linux Image" /guests/Image.zst
reaches vmlinux "Linux vmlinux" /guests/vmlinux

# Of the other architecture.
head -c 1048576 /dev/zero >bzimage
printf '\125\252\353\152HdrS\017\002' | dd of=bzimage bs=1 seek=510 conv=notrunc 2>/dev/null
mayfly run bzimage </dev/null >console 2>errors
equal bzimage_is_refused 1 "$?"
check bzimage_is_called_foreign grep -q 'x86-64 kernel, this Mayfly runs riscv64 guests' errors
