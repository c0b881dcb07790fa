/*
 * The decompressors, in this process: byte 0 chooses the format, whose magic number is put
 * before the rest, and by its highest bit a single one or an initrd; byte 1 is the size to unpack to, in 4 KiB.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot/decode.h"

enum { INPUT_MAX = 1 << 16, MAGIC_MAX = 6 };

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	static const struct {
		const char *magic;
		size_t size;
	} formats[] = {
	        {"\x1f\x8b", 2},
	        {"\x28\xb5\x2f\xfd", 4},
	        {"\xfd\x37zXZ", 6},
	        {"\x02\x21\x4c\x18", 4},
	        {"\x5d\0\0", 3},
	        {"", 0},
	};
	static unsigned char payload[INPUT_MAX + MAGIC_MAX];
	static void *memory;
	struct stat stat;
	size_t magic, stated;
	int fd, error;

	if (size < 2 || size > INPUT_MAX)
		return 0;
	if (!memory)
		memory = mmap(NULL, DECODE_MEMORY, PROT_READ | PROT_WRITE,
		        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	magic = formats[data[0] % 6].size;
	stated = (data[1] + 1u) * 4096;
	memcpy(payload, formats[data[0] % 6].magic, magic);
	memcpy(payload + magic, data + 2, size - 2);
	fd = memfd_create("vmlinux", MFD_CLOEXEC);
	error = (data[0] & 0x80 ? decode_archives : decode)(
	        payload, magic + size - 2, fd, stated, memory);
	/* Never more than was stated, and it is known what went wrong. */
	if (fstat(fd, &stat) < 0 || stat.st_size > (off_t)stated ||
	        (error && error != -EBADMSG && error != -EFBIG && error != -ENODATA &&
	                error != -ENOMEM && error != -ENOTSUP))
		__builtin_trap();
	close(fd);
	return 0;
}
