/* RISC-V's Image: the header is the input; what is taken must lie where it was promised. */
#include <stddef.h>

#include "tests/fuzz/boot_input.h"

enum { MAGIC_AT = 56 };

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void check(const struct memory *memory, const struct boot_image *image)
{
	(void)memory;
	if (image->entry != image->kernel_start)
		__builtin_trap();
}

static void load(const struct boot_source *source)
{
	enum { FDT = LAYOUT_RISCV_RAM + BOOT_RAM - 4096 };
	static const struct boot_region regions[] = {
	        {LAYOUT_RISCV_RAM, BOOT_RAM - 4096, false}, {FDT, 4096, true}};
	const struct boot_machine_info machine = {.regions = regions,
	        .region_count = 2,
	        .fdt = FDT,
	        .cmdline = "console=ttyS0"};

	boot_load_at(LAYOUT_RISCV_RAM, source, &machine, check);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct boot_source source;
	char path[BOOT_PATH];
	int fd = boot_file(data, size, size, path);

	if (pwrite(fd, "RSC\5", 4, MAGIC_AT) == 4 &&
	        !boot_open(
	                &source, path, NULL, NULL, 0, PROTOCOL_AUTO, MACHINE_RISCV)) {
		load(&source);
		boot_close(&source);
	}
	close(fd);
	return 0;
}
