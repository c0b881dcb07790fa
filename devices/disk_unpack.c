/* Compressed clusters: one at a time, in memory that is there from the beginning on. */
#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#include "devices/disk_format.h"

/* zlib's inflate_state and a window of 32 KiB. */
enum { INFLATE_MEMORY = 64 << 10 };

struct unpacker {
	size_t size, packed_max;
	unsigned char *data; /* `size` bytes: the cluster at `held` */
	unsigned char *packed;
	char *memory; /* working memory */
	size_t memory_size, memory_used;
	uint64_t held; /* UINT64_MAX: nothing */
};

int unpacker_create(
        struct unpacker **unpacker, size_t size, size_t packed_max, bool zstd)
{
	size_t memory = zstd ? ZSTD_estimateDCtxSize() : 0;
	struct unpacker *made;

	if (memory < INFLATE_MEMORY)
		memory = INFLATE_MEMORY;
	made = calloc(1, sizeof(*made));
	if (!made)
		return -ENOMEM;
	made->size = size;
	made->packed_max = packed_max;
	made->memory_size = memory;
	made->held = UINT64_MAX;
	made->data = malloc(size);
	made->packed = malloc(packed_max);
	made->memory = malloc(memory);
	if (!made->data || !made->packed || !made->memory) {
		unpacker_destroy(made);
		return -ENOMEM;
	}
	*unpacker = made;
	return 0;
}

void unpacker_destroy(struct unpacker *unpacker)
{
	if (!unpacker)
		return;
	free(unpacker->data);
	free(unpacker->packed);
	free(unpacker->memory);
	free(unpacker);
}

static void *memory_take(void *context, unsigned count, unsigned size)
{
	struct unpacker *unpacker = context;
	size_t bytes = ((size_t)count * size + 15) & ~(size_t)15;
	void *taken = unpacker->memory + unpacker->memory_used;

	if (bytes > unpacker->memory_size - unpacker->memory_used)
		return NULL;
	unpacker->memory_used += bytes;
	return taken;
}

static void memory_give(
        void *context __attribute__((unused)), void *memory __attribute__((unused)))
{
}

static int inflate_all(struct unpacker *unpacker, bool header, size_t packed_size)
{
	z_stream stream = {
	        .next_in = unpacker->packed,
	        .avail_in = (unsigned)packed_size,
	        .next_out = unpacker->data,
	        .avail_out = (unsigned)unpacker->size,
	        .zalloc = memory_take,
	        .zfree = memory_give,
	        .opaque = unpacker,
	};
	int status;

	unpacker->memory_used = 0;
	if (inflateInit2(&stream, header ? MAX_WBITS : -MAX_WBITS) != Z_OK)
		return -ENOMEM;
	status = inflate(&stream, Z_FINISH);
	/* Z_BUF_ERROR: the cluster is full, but the end was not seen. */
	if ((status != Z_STREAM_END && status != Z_BUF_ERROR) || stream.avail_out)
		return -EIO;
	return 0;
}

static int zstd_all(struct unpacker *unpacker, size_t packed_size)
{
	ZSTD_DCtx *context =
	        ZSTD_initStaticDCtx(unpacker->memory, unpacker->memory_size);
	size_t frame = ZSTD_findFrameCompressedSize(unpacker->packed, packed_size);

	if (!context)
		return -ENOMEM;
	if (ZSTD_isError(frame) ||
	        ZSTD_decompressDCtx(context, unpacker->data, unpacker->size,
	                unpacker->packed, frame) != unpacker->size)
		return -EIO;
	return 0;
}

int unpacker_read(struct unpacker *unpacker, enum packing packing, int fd,
        uint64_t offset, size_t packed_size, const void **data)
{
	int error;

	*data = unpacker->data;
	if (unpacker->held == offset)
		return 0;
	if (packed_size > unpacker->packed_max)
		return -EIO;
	unpacker->held = UINT64_MAX;
	error = disk_pread(fd, unpacker->packed, packed_size, offset);
	if (!error)
		error = packing == PACKING_ZSTD
		                ? zstd_all(unpacker, packed_size)
		                : inflate_all(unpacker, packing == PACKING_ZLIB,
		                          packed_size);
	if (!error)
		unpacker->held = offset;
	return error;
}
