/* What the targets for boot images share: a file to open, and RAM to load it into. */
#pragma once

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "boot/boot.h"
#include "boot/layout.h"
#include "vmm/memory.h"

enum { BOOT_RAM = 4 << 20, BOOT_PATH = 64 };

/* A file of `size` bytes, of which `data` are the first; its descriptor and its name. */
static inline int boot_file(
        const void *data, size_t data_size, size_t size, char path[BOOT_PATH])
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, data_size) != (ssize_t)data_size ||
	        ftruncate(fd, (off_t)size) < 0)
		__builtin_trap();
	snprintf(path, BOOT_PATH, "/proc/self/fd/%d", fd);
	return fd;
}

/* Of an image that was loaded. */
typedef void boot_check(const struct memory *memory, const struct boot_image *image);

static inline bool boot_is_usable(
        const struct boot_machine_info *machine, uint64_t guest, uint64_t size)
{
	for (unsigned i = 0; i < machine->region_count; i++) {
		const struct boot_region *region = &machine->regions[i];

		if (!region->reserved && guest >= region->guest &&
		        guest - region->guest < region->size &&
		        size <= region->size - (guest - region->guest))
			return true;
	}
	return false;
}

/* What was promised must hold: where the kernel lies, and the initrds. */
static inline void boot_check_places(const struct boot_source *source,
        const struct boot_machine_info *machine, const struct boot_image *image)
{
	uint64_t end = image->initrd + image->initrd_size;

	if (image->kernel_end <= image->kernel_start ||
	        !boot_is_usable(machine, image->kernel_start,
	                image->kernel_end - image->kernel_start))
		__builtin_trap();
	if (image->initrd_size &&
	        (!boot_is_usable(machine, image->initrd, image->initrd_size) ||
	                end - 1 > source->initrd_max ||
	                (image->initrd < image->kernel_end &&
	                        end > image->kernel_start)))
		__builtin_trap();
}

/* `check` may be NULL. */
static inline void boot_load_at(uint64_t base, const struct boot_source *source,
        const struct boot_machine_info *machine, boot_check *check)
{
	struct boot_image image;
	struct memory memory;

	if (memory_create(&memory, BOOT_RAM, base, UINT64_MAX, 0))
		return;
	if (!boot_load(source, &memory, machine, &image)) {
		boot_check_places(source, machine, &image);
		if (check)
			check(&memory, &image);
	}
	memory_destroy(&memory);
}

/* On x86. */
static inline void boot_load_pc(const struct boot_source *source, boot_check *check)
{
	static const struct boot_region regions[] = {
	        {0, LAYOUT_RAM_LOW_END, false},
	        {LAYOUT_ACPI, LAYOUT_ACPI_END - LAYOUT_ACPI, true},
	        {LAYOUT_KERNEL_MIN, BOOT_RAM - LAYOUT_KERNEL_MIN, false},
	};
	const struct boot_machine_info machine = {
	        .regions = regions,
	        .region_count = sizeof(regions) / sizeof(regions[0]),
	        .acpi_rsdp = LAYOUT_ACPI,
	        .cmdline = "name virtio_mmio.device=4K@0xd0000000:5",
	        .cycle_hz = 1000000,
	        .devices = source->devices,
	};

	boot_load_at(0, source, &machine, check);
}
