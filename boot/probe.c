#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "boot/loader.h"
#include "boot/medium.h"
#include "vmm/log.h"

static const struct image_format *const formats[] = {
        &format_elf,
        &format_bzimage,
        &format_image,
        &format_flat,
};
enum { FORMATS = sizeof(formats) / sizeof(formats[0]) };

/* Linux's flat images (Documentation/arch/riscv/boot-image-header.rst, arm64/booting.rst). */
static const struct {
	const char *magic; /* 4 bytes at FLAT_MAGIC */
	const char *name;
} flat[] = {
        {"ARM\x64", "an aarch64"},
};
enum { FLAT_MAGIC = 56 };

#define AS_DISK   "give it as --disk, with a kernel"
#define CONVERT   "convert it (qemu-img convert -O qcow2)"
#define AS_INITRD "give it as --initrd, with a kernel"

/* What people hand over by mistake, and the way on from there; the first match counts. */
static const struct {
	unsigned offset, size;
	const char *magic, *what, *remedy;
} mistakes[] = {
        {0, 2, "\x1f\x8b", "gzip-compressed", "gunzip it first"},
        {0, 4, "\x28\xb5\x2f\xfd", "zstd-compressed", "unzstd it first"},
        {0, 6, "\xfd\x37zXZ", "xz-compressed", "unxz it first"},
        {0, 3, "BZh", "bzip2-compressed", "bunzip2 it first"},
        {0, 4, "\x04\x22\x4d\x18", "LZ4-compressed", "unlz4 it first"},
        {0, 4, "\x02\x21\x4c\x18", "LZ4-compressed", "unlz4 it first"},
        {0, 4, "\x89LZO", "LZO-compressed", "lzop -d it first"},
        {0, 2, "#!", "a script", "name a kernel or a unikernel"},
        {0, 2, "MZ", "an EFI program, not a kernel", "extract the kernel in it"},
        {0, 5, "07070", "an initrd (cpio)", AS_INITRD},
        {0, 4, "QFI\xfb", "a qcow2 disk", "give it a name that ends in .qcow2"},
        {0, 4, "KDMV", "a VMDK disk", "give it a name that ends in .vmdk"},
        {0, 8, "vhdxfile", "a VHDX disk", CONVERT},
        {64, 4, "\x7f\x10\xda\xbe", "a VirtualBox disk", CONVERT},
        {0, 4, "hsqs", "a squashfs disk", AS_DISK},
        {1024, 4, "\xe2\xe1\xf5\xe0", "an erofs disk", AS_DISK},
        {1080, 2, "\x53\xef", "an ext4 disk", AS_DISK},
        {257, 5, "ustar", "a tar archive", "unpack it first"},
        {32769, 5, "CD001", "an ISO image", AS_DISK},
        {510, 2, "\x55\xaa", "a bootable disk", AS_DISK},
};

int boot_read(
        const struct boot_source *source, uint64_t offset, void *data, size_t size)
{
	struct boot_medium file = medium_of_file(
	        source->kernel_fd, source->kernel_offset + source->kernel_size);

	if (offset > source->kernel_size || size > source->kernel_size - offset)
		return -ENODATA;
	return medium_read(&file, source->kernel_offset + offset, data, size);
}

bool boot_file_holds(const struct boot_source *source, uint64_t guest)
{
	for (unsigned i = 0; i < source->segment_count; i++)
		if (guest - source->segments[i].guest < source->segments[i].file_size)
			return true;
	return false;
}

int boot_foreign(
        const struct boot_source *source, const char *name, enum boot_machine machine)
{
	return log_error(-EINVAL,
	        "image: '%s' is %s kernel, this Mayfly runs %s guests",
	        source->kernel_path, name,
	        machine == MACHINE_X86 ? "x86-64" : "riscv64");
}

void boot_describe(
        struct boot_source *source, const char *what, const char *version, size_t size)
{
	size_t length = 0;

	while (length < size && isgraph((unsigned char)version[length]))
		length++;
	snprintf(source->kind_text, sizeof(source->kind_text), "%s%s%.*s", what,
	        length ? " " : "", (int)length, version);
	source->kind = source->kind_text;
}

struct boot_needs boot_needs_all(bool linux_kernel)
{
	return (struct boot_needs){
	        .linux_kernel = linux_kernel,
	        .irqchip = true,
	        .acpi = true,
	        .console_input = true,
	        .legacy = true,
	        .cpuid = true,
	        .memory = (uint64_t)(linux_kernel ? 1024 : 128) << 20,
	};
}

static int explain(const struct boot_source *source, enum boot_machine machine)
{
	char data[8];

	if (!source->kernel_size)
		return log_error(-EINVAL, "image: '%s' is empty", source->kernel_path);
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		if (!boot_read(source, mistakes[i].offset, data, mistakes[i].size) &&
		        !memcmp(data, mistakes[i].magic, mistakes[i].size))
			return log_error(-EINVAL, "image: '%s' is %s: %s",
			        source->kernel_path, mistakes[i].what,
			        mistakes[i].remedy);
	}
	return log_error(-EINVAL,
	        "image: '%s' is neither an ELF nor %s: name a kernel, a unikernel or a "
	        "LinuxKit build",
	        source->kernel_path,
	        machine == MACHINE_X86 ? "a bzImage" : "a RISC-V Image");
}

static int flat_probe(const struct boot_source *source, enum boot_machine machine)
{
	char magic[4];

	if (boot_read(source, FLAT_MAGIC, magic, sizeof(magic)))
		return -ENOEXEC;
	for (size_t i = 0; i < sizeof(flat) / sizeof(flat[0]); i++)
		if (!memcmp(magic, flat[i].magic, sizeof(magic)))
			return boot_foreign(source, flat[i].name, machine);
	return -ENOEXEC;
}

static int formats_probe(struct boot_source *source, enum boot_machine machine)
{
	int error = -ENOEXEC;

	for (size_t i = 0; error == -ENOEXEC && i < FORMATS; i++)
		error = formats[i]->probe(source, machine);
	return error == -ENOEXEC ? flat_probe(source, machine) : error;
}

int boot_probe(struct boot_source *source, enum boot_machine machine)
{
	int error = formats_probe(source, machine);

	if (error == -ENOEXEC && !source->disk_path) {
		error = boot_extract(source, NULL);
		if (!error)
			error = formats_probe(source, machine);
	}
	if (error == -ENOEXEC)
		error = boot_decompress(source, machine, formats_probe);
	return error == -ENOEXEC ? explain(source, machine) : error;
}
