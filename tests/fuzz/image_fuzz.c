/* RISC-V's Image: the header is the input; what is taken must lie where it was promised. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "boot/boot.h"
#include "boot/layout.h"
#include "vmm/memory.h"

enum { RAM = 8 << 20, MAGIC_AT = 56 };

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void load(const struct boot_source *source)
{
	static const struct boot_region regions[] = {
	        {LAYOUT_RISCV_RAM, RAM - 4096, false},
	        {LAYOUT_RISCV_RAM + RAM - 4096, 4096, true},
	};
	struct boot_machine_info machine = {.regions = regions,
	        .region_count = 2,
	        .fdt = LAYOUT_RISCV_RAM + RAM - 4096,
	        .cmdline = "console=ttyS0"};
	struct boot_image image;
	struct memory memory;

	if (memory_create(&memory, RAM, LAYOUT_RISCV_RAM, UINT64_MAX, 0))
		return;
	if (!boot_load(source, &memory, &machine, &image) &&
	        (image.kernel_start < LAYOUT_RISCV_RAM ||
	                image.kernel_end > LAYOUT_RISCV_RAM + RAM - 4096 ||
	                image.entry != image.kernel_start))
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
	        pwrite(fd, "RSC\5", 4, MAGIC_AT) == 4 &&
	        !boot_open(
	                &source, path, NULL, NULL, 0, PROTOCOL_AUTO, MACHINE_RISCV)) {
		load(&source);
		boot_close(&source);
	}
	close(fd);
	return 0;
}
