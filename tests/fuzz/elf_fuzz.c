/* An ELF file of any content: opened and, where that works, loaded. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "boot/boot.h"
#include "boot/layout.h"
#include "vmm/memory.h"

enum { RAM = 4 << 20 };

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void load(const struct boot_source *source)
{
	static const struct boot_region regions[] = {
	        {0, LAYOUT_RAM_LOW_END, false},
	        {LAYOUT_ACPI, LAYOUT_ACPI_END - LAYOUT_ACPI, true},
	        {LAYOUT_KERNEL_MIN, RAM - LAYOUT_KERNEL_MIN, false},
	};
	struct boot_machine_info machine = {regions, 3, LAYOUT_ACPI, "console=ttyS0"};
	struct boot_image image;
	struct memory memory;

	if (memory_create(&memory, RAM, 0, 0xc0000000, (uint64_t)1 << 32))
		return;
	if (!boot_load(source, &memory, &machine, &image))
		/* What was promised must hold. */
		if (image.kernel_start < LAYOUT_KERNEL_MIN || image.kernel_end > RAM ||
		        image.kernel_end <= image.kernel_start)
			__builtin_trap();
	memory_destroy(&memory);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	int fd = memfd_create("image", MFD_CLOEXEC);
	struct boot_source source;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (write(fd, data, size) == (ssize_t)size &&
	        /* The magic is not what there is to find out. */
	        pwrite(fd, "\177ELF", 4, 0) == 4 &&
	        !boot_open(&source, path, NULL, NULL, 0, PROTOCOL_AUTO, MACHINE_X86)) {
		load(&source);
		boot_close(&source);
	}
	close(fd);
	return 0;
}
