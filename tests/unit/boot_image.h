/*
 * For the tests of boot/: images in memory that are opened as files.
 */
#pragma once

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "boot/boot.h"
#include "boot/layout.h"
#include "tests/unit/unit.h"
#include "vmm/memory.h"

/* A file of these bytes; `path` has room for 64. */
static inline int image_file(const void *data, size_t size, char *path)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL_FATAL(write(fd, data, size), (ssize_t)size);
	snprintf(path, 64, "/proc/self/fd/%d", fd);
	return fd;
}

static inline int image_open(struct boot_source *source, const void *data, size_t size)
{
	char path[64];
	int fd = image_file(data, size, path);
	int error = boot_open(source, path, NULL, NULL, 0, PROTOCOL_AUTO, MACHINE_X86);

	close(fd);
	return error;
}

/* Whether the image is refused in one line that has `part` in it. */
static inline bool image_refused(const void *data, size_t size, const char *part)
{
	struct boot_source source;
	struct said said;
	int error;

	said_begin(&said);
	error = image_open(&source, data, size);
	if (!error)
		boot_close(&source);
	return said_exactly(&said, part) && error < 0 && !source.kernel_path;
}

/* The least bzImage that is accepted: fields by their offsets in boot.rst. */
enum { LEAST_BZIMAGE = 2048 };

static inline void least_bzimage(
        unsigned char image[LEAST_BZIMAGE], uint32_t cmdline_size)
{
	const struct {
		unsigned offset;
		uint32_t value;
		unsigned size;
	} fields[] = {
	        {0x1f1, 1, 1},            /* setup_sects */
	        {0x1f4, 0x40, 4},         /* syssize */
	        {0x1fe, 0xaa55, 2},       /* boot_flag */
	        {0x202, 0x53726448, 4},   /* "HdrS" */
	        {0x206, 0x20c, 2},        /* version */
	        {0x211, 1, 1},            /* LOADED_HIGH */
	        {0x22c, 0x7fffffff, 4},   /* initrd_addr_max */
	        {0x236, 1, 2},            /* XLF_KERNEL_64 */
	        {0x238, cmdline_size, 4}, /* cmdline_size */
	        {0x25a, 0x10, 4},         /* pref_address: 1 MiB */
	        {0x260, 0x1000, 4},       /* init_size */
	};

	memset(image, 0, LEAST_BZIMAGE);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		memcpy(image + fields[i].offset, &fields[i].value, fields[i].size);
}

/* The header of an x86-64 program, whose program headers follow it at once. */
static inline Elf64_Ehdr elf64_header(uint64_t entry, uint16_t segments)
{
	return (Elf64_Ehdr){
	        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
	                EV_CURRENT},
	        .e_type = ET_EXEC,
	        .e_machine = EM_X86_64,
	        .e_version = EV_CURRENT,
	        .e_entry = entry,
	        .e_phoff = sizeof(Elf64_Ehdr),
	        .e_phentsize = sizeof(Elf64_Phdr),
	        .e_phnum = segments,
	};
}

/* RAM of `mib` MiB as x86 has it, and what the guest is told of it. */
struct guest {
	struct memory memory;
	struct boot_region regions[3];
	struct boot_machine_info machine;
};

static inline void guest_create(struct guest *guest, uint64_t mib)
{
	*guest = (struct guest){
	        .regions = {{0, LAYOUT_RAM_LOW_END, false},
	                {LAYOUT_ACPI, LAYOUT_ACPI_END - LAYOUT_ACPI, true},
	                {LAYOUT_KERNEL_MIN, (mib << 20) - LAYOUT_KERNEL_MIN, false}},
	        .machine = {.region_count = 3,
	                .acpi_rsdp = LAYOUT_ACPI,
	                .cmdline = "console=ttyS0"},
	};
	guest->machine.regions = guest->regions;
	CU_ASSERT_FATAL(!memory_create(
	        &guest->memory, mib << 20, 0, 0xc0000000, (uint64_t)1 << 32));
}
