/*
 * For the tests of boot/: images in memory that are opened as files.
 */
#pragma once

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
