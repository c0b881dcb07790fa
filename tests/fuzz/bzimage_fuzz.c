/*
 * A bzImage whose header is the input, with an initrd: opened and, where that works,
 * loaded. Byte 0 is the size of the initrd, in 16 KiB, so that it meets the kernel.
 */
#include <stddef.h>

#include "boot/linux.h"
#include "tests/fuzz/boot_input.h"

enum { FILE_SIZE = 1 << 20 };

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	uint16_t boot_flag = LINUX_BOOT_FLAG;
	uint32_t magic = LINUX_MAGIC;
	char kernel[BOOT_PATH], initrd[BOOT_PATH];
	const char *initrds[1] = {initrd};
	struct boot_source source;
	int kernel_fd, initrd_fd;

	if (!size || size >= FILE_SIZE - LINUX_HEADER)
		return 0;
	kernel_fd = boot_file(NULL, 0, FILE_SIZE, kernel);
	initrd_fd = boot_file(NULL, 0, (data[0] + 1) * 16384, initrd);
	if (pwrite(kernel_fd, data + 1, size - 1, LINUX_HEADER) >= 0 &&
	        pwrite(kernel_fd, &boot_flag, sizeof(boot_flag), 0x1fe) > 0 &&
	        pwrite(kernel_fd, &magic, sizeof(magic), 0x202) > 0 &&
	        !boot_open(&source, kernel, NULL, initrds, 1, PROTOCOL_AUTO,
	                MACHINE_X86)) {
		boot_load_pc(&source, NULL);
		boot_close(&source);
	}
	close(initrd_fd);
	close(kernel_fd);
	return 0;
}
