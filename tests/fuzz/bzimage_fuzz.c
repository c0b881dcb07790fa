/*
 * A bzImage whose header is the input, with an initrd: opened and, where that works,
 * loaded. Byte 0 is the size of the initrd, in 16 KiB, so that it meets the kernel.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "boot/boot.h"
#include "boot/layout.h"
#include "boot/linux.h"
#include "vmm/memory.h"

enum { RAM = 4 << 20, FILE_SIZE = 1 << 20 };

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
	        .cmdline = ""};
	struct boot_image image;
	struct memory memory;

	if (memory_create(&memory, RAM, 0, 0xc0000000, (uint64_t)1 << 32))
		return;
	if (!boot_load(source, &memory, &machine, &image)) {
		uint64_t end = image.initrd + image.initrd_size;

		/* What was promised must hold. */
		if (image.kernel_start < LAYOUT_KERNEL_MIN || image.kernel_end > RAM ||
		        image.initrd < LAYOUT_KERNEL_MIN || end > RAM ||
		        end - 1 > source->initrd_max ||
		        (image.initrd < image.kernel_end && end > image.kernel_start))
			__builtin_trap();
	}
	memory_destroy(&memory);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	int kernel_fd = memfd_create("kernel", MFD_CLOEXEC);
	int initrd_fd = memfd_create("initrd", MFD_CLOEXEC);
	uint16_t boot_flag = LINUX_BOOT_FLAG;
	uint32_t magic = LINUX_MAGIC;
	char kernel[64], initrd[64];
	const char *initrds[1] = {initrd};
	struct boot_source source;

	snprintf(kernel, sizeof(kernel), "/proc/self/fd/%d", kernel_fd);
	snprintf(initrd, sizeof(initrd), "/proc/self/fd/%d", initrd_fd);
	if (size && size < FILE_SIZE - LINUX_HEADER &&
	        !ftruncate(initrd_fd, (data[0] + 1) * 16384) &&
	        !ftruncate(kernel_fd, FILE_SIZE) &&
	        pwrite(kernel_fd, data + 1, size - 1, LINUX_HEADER) >= 0 &&
	        pwrite(kernel_fd, &boot_flag, sizeof(boot_flag), 0x1fe) > 0 &&
	        pwrite(kernel_fd, &magic, sizeof(magic), 0x202) > 0 &&
	        !boot_open(&source, kernel, NULL, initrds, 1, PROTOCOL_AUTO,
	                MACHINE_X86)) {
		load(&source);
		boot_close(&source);
	}
	close(initrd_fd);
	close(kernel_fd);
	return 0;
}
