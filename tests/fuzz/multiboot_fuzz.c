/*
 * Multiboot headers, opened and, where that works, loaded with two modules. The first byte
 * chooses version and format, the rest are the header's words behind its magic numbers,
 * whose sum is made right: so every input gets past what a random one would not.
 */
#include <elf.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "boot/boot.h"
#include "boot/layout.h"
#include "vmm/memory.h"

enum { RAM = 4 << 20, FILE_SIZE = 4096, AT = 128, MAGIC1 = 0x1badb002 };
static const uint32_t magic2 = 0xe85250d6;

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void load(const struct boot_source *source)
{
	static const struct boot_region regions[] = {
	        {0, LAYOUT_RAM_LOW_END, false},
	        {LAYOUT_ACPI, LAYOUT_ACPI_END - LAYOUT_ACPI, true},
	        {LAYOUT_KERNEL_MIN, RAM - LAYOUT_KERNEL_MIN, false},
	};
	struct boot_machine_info machine = {.regions = regions,
	        .region_count = 3,
	        .acpi_rsdp = LAYOUT_ACPI,
	        .cmdline = "name virtio_mmio.device=4K@0xd0000000:5"};
	struct boot_image image;
	struct memory memory;

	if (memory_create(&memory, RAM, 0, 0xc0000000, (uint64_t)1 << 32))
		return;
	/* What was promised must hold. */
	if (!boot_load(source, &memory, &machine, &image) &&
	        (image.kernel_start < LAYOUT_KERNEL_MIN || image.kernel_end > RAM ||
	                image.kernel_end <= image.kernel_start ||
	                image.initrd < image.kernel_end ||
	                image.initrd + image.initrd_size > RAM))
		__builtin_trap();
	memory_destroy(&memory);
}

static void write_elf(unsigned char *file)
{
	const Elf64_Ehdr header = {
	        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
	                EV_CURRENT},
	        .e_type = ET_EXEC,
	        .e_machine = EM_X86_64,
	        .e_entry = 0x100000,
	        .e_phoff = sizeof(Elf64_Ehdr),
	        .e_phentsize = sizeof(Elf64_Phdr),
	        .e_phnum = 1,
	};
	const Elf64_Phdr segment = {.p_type = PT_LOAD,
	        .p_vaddr = 0x100000,
	        .p_paddr = 0x100000,
	        .p_filesz = FILE_SIZE,
	        .p_memsz = FILE_SIZE + 100};

	memcpy(file, &header, sizeof(header));
	memcpy(file + sizeof(header), &segment, sizeof(segment));
}

static void write_header(
        unsigned char *file, unsigned version, const unsigned char *data, size_t size)
{
	uint32_t head[4] = {version == 2 ? magic2 : MAGIC1};
	unsigned words = version == 2 ? 3 : 2;

	memcpy(head + 1, data, size < (words - 1) * 4 ? size : (words - 1) * 4);
	if (version == 2)
		head[1] &= 4; /* the architectures that there are */
	head[words] = 0;
	for (unsigned i = 0; i < words; i++)
		head[words] -= head[i];
	memcpy(file + AT, head, (words + 1) * 4);
	if (size > (words - 1) * 4)
		memcpy(file + AT + (words + 1) * 4, data + (words - 1) * 4,
		        size - (words - 1) * 4);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	static const enum boot_protocol protocols[] = {
	        PROTOCOL_AUTO, PROTOCOL_MULTIBOOT, PROTOCOL_MULTIBOOT2, PROTOCOL_AUTO};
	unsigned char file[FILE_SIZE] = {0};
	const char *modules[2];
	struct boot_source source;
	char path[64];
	int fd;

	if (!size || size > FILE_SIZE / 2)
		return 0;
	if (data[0] & 1)
		write_elf(file);
	write_header(file, data[0] & 2 ? 2 : 1, data + 1, size - 1);
	fd = memfd_create("image", MFD_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	modules[0] = modules[1] = path;
	if (write(fd, file, sizeof(file)) == sizeof(file) &&
	        !boot_open(&source, path, NULL, modules, 2, protocols[data[0] >> 2 & 3],
	                MACHINE_X86)) {
		load(&source);
		boot_close(&source);
	}
	close(fd);
	return 0;
}
