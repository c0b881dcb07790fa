/*
 * RISC-V: Linux's flat Image (Documentation/arch/riscv/boot-image-header.rst), the same with
 * an EFI stub, which makes it start with "MZ", and how every RISC-V guest is entered
 * (boot.rst): a0 has the hart's id, a1 the device tree, and the MMU is off.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "boot/layout.h"
#include "boot/loader.h"
#include "vmm/log.h"

struct image_header {
	uint32_t code[2];
	uint64_t text_offset; /* from the start of RAM */
	uint64_t image_size;  /* in memory; 0: as in the file */
	uint64_t flags;
	uint32_t version;
	uint32_t reserved[3];
	uint64_t magic;  /* "RISCV", deprecated */
	uint32_t magic2; /* "RSC\5" */
} __attribute__((packed));
static_assert(sizeof(struct image_header) == 60, "as it is in the file");

enum { IMAGE_MAGIC2 = 0x05435352, IMAGE_BIG_ENDIAN = 1 << 0 };

/* COMMAND_LINE_SIZE of Linux/riscv is 1024 since 6.4, and 512 before, less the NUL. */
enum { CMDLINE_MAX = 1023 };

/* It is found in the device tree, by an address of any size. */
static const uint64_t initrd_max = INT64_MAX;

static int image_refuse(const struct boot_source *source, const char *why)
{
	return log_error(
	        -EINVAL, "image: '%s' is a RISC-V Image %s", source->kernel_path, why);
}

static int image_probe(struct boot_source *source, enum boot_machine machine)
{
	struct image_header header;
	uint64_t size;

	if (boot_read(source, 0, &header, sizeof(header)) ||
	        header.magic2 != IMAGE_MAGIC2)
		return -ENOEXEC;
	if (machine != MACHINE_RISCV)
		return boot_foreign(source, "a riscv64", machine);
	if (header.flags & IMAGE_BIG_ENDIAN)
		return image_refuse(source, "for big-endian machines");
	size = header.image_size ? header.image_size : source->kernel_size;
	if (header.text_offset > INT64_MAX || size > INT64_MAX)
		return image_refuse(source, "with a damaged header");
	if (size < source->kernel_size)
		size = source->kernel_size;
	source->format = FORMAT_IMAGE;
	source->has_riscv = true;
	source->elf_entry = LAYOUT_RISCV_RAM + header.text_offset;
	source->segments[0] = (struct boot_segment){
	        .guest = source->elf_entry,
	        .size = size,
	        .file_size = source->kernel_size,
	        .flags = PF_R | PF_W | PF_X,
	};
	source->segment_count = 1;
	source->initrd_max = initrd_max;
	source->cmdline_max = CMDLINE_MAX;
	boot_describe(source, "Linux Image", "", 0);
	source->needs = boot_needs_all(true);
	riscv_needs(&source->needs);
	return 0;
}

const struct image_format format_image = {
        .name = "Image",
        .probe = image_probe,
};

void riscv_needs(struct boot_needs *needs)
{
	needs->acpi = needs->cpuid = needs->pc = false;
}

/*
 * A vmlinux is linked at its virtual address, with physical ones from 0 on, and runs where
 * it is loaded. Anything else is a unikernel if it is linked to where RAM is.
 */
int riscv_place(struct boot_source *source, Elf64_Ehdr *header, Elf64_Phdr *segments,
        bool linux_kernel)
{
	const Elf64_Phdr *end = segments + header->e_phnum;
	uint64_t lowest = UINT64_MAX, entry = header->e_entry, offset;

	for (const Elf64_Phdr *segment = segments; segment < end; segment++)
		if (segment->p_type == PT_LOAD && segment->p_memsz &&
		        segment->p_paddr < lowest)
			lowest = segment->p_paddr;
	if (!linux_kernel && lowest < LAYOUT_RISCV_RAM)
		return log_error(-EINVAL,
		        "image: '%s' is an ELF program, not a kernel: it is not Linux "
		        "and is not linked to RAM, which starts at 0x80000000",
		        source->kernel_path);
	offset = linux_kernel ? LAYOUT_RISCV_KERNEL - lowest : 0;
	for (Elf64_Phdr *segment = segments; segment < end; segment++) {
		if (segment->p_type != PT_LOAD)
			continue;
		if (entry - segment->p_vaddr < segment->p_filesz)
			source->elf_entry =
			        segment->p_paddr + (entry - segment->p_vaddr) + offset;
		segment->p_paddr += offset;
	}
	source->has_pvh = false;
	source->has_riscv = true;
	source->initrd_max = initrd_max;
	source->cmdline_max = linux_kernel ? CMDLINE_MAX : BOOT_CMDLINE_MAX - 1;
	return 0;
}

static bool riscv_offered(const struct boot_source *source)
{
	return source->has_riscv;
}

static int riscv_prepare(const struct boot_source *source, struct memory *memory,
        const struct boot_machine_info *machine, struct boot_image *image)
{
	(void)memory;
	image->entry = source->elf_entry;
	image->info = machine->fdt;
	return 0;
}

const struct entry_protocol protocol_riscv = {
        .protocol = PROTOCOL_RISCV,
        .name = "linux",
        .offered = riscv_offered,
        .prepare = riscv_prepare,
};
