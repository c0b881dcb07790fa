/* The archive in a .img.tar.gz: the input is packed, so that what is in it gets through. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>

#include "boot/decode.h"

enum { LIMIT = 1 << 20, INPUT_MAX = 1 << 16, PACKED_MAX = INPUT_MAX + 1024 };

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	static unsigned char packed[PACKED_MAX];
	static void *memory;
	z_stream stream = {.next_in = (unsigned char *)data,
	        .avail_in = (unsigned)size,
	        .next_out = packed,
	        .avail_out = PACKED_MAX};
	uint64_t found = 0;
	struct stat stat;
	int fd, error;

	if (size > INPUT_MAX)
		return 0;
	if (!memory)
		memory = mmap(NULL, DECODE_MEMORY, PROT_READ | PROT_WRITE,
		        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (deflateInit2(&stream, 0, Z_DEFLATED, MAX_WBITS + 16, 8,
	            Z_DEFAULT_STRATEGY) != Z_OK)
		return 0;
	deflate(&stream, Z_FINISH);
	fd = memfd_create("disk", MFD_CLOEXEC);
	error = decode_tar(packed, stream.total_out, fd, LIMIT, memory, &found);
	deflateEnd(&stream);
	if (fstat(fd, &stat) < 0 || stat.st_size > LIMIT || found > LIMIT ||
	        (!error && (uint64_t)stat.st_size > found) ||
	        (error && error != -ENOEXEC && error != -ENODATA && error != -EFBIG &&
	                error != -EBADMSG && error != -ENOTSUP && error != -E2BIG))
		__builtin_trap();
	close(fd);
	return 0;
}
