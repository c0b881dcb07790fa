#include "boot/decode.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include <libdeflate.h>
#include <lz4.h>
#include <lzma.h>
#include <zlib.h>

#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>
#include <zstd_errors.h>

#include "boot/bytes.h"
#include "boot/tar.h"

enum {
	HOLE = 4096, /* so many zeros are left out of a sparse file */
	/* Small enough to be in the cache still when it is written. */
	CHUNK = 256 << 10,
	LZ4_BLOCK = 8 << 20, /* of the legacy frame; the last one may be less */
	LZ4_MAGIC = 4,
	ARCHIVE_ALIGN = 4,        /* of Linux's initramfs buffer format */
	ARCHIVE_PIECES = 1 << 16, /* of a sparse file */
	GZIP_SIZE = 4,            /* at the end: what it unpacks to */
	ARCHIVE_SKIP = 1 << 20,   /* of what is no disk */
	ARCHIVE_HEADERS = 256,    /* of such */
	DISK_LEAST = 1 << 16,
};

struct output {
	int fd;
	uint64_t at, size;
};

/* A stack of memory: nothing is given back. */
struct arena {
	char *next;
	size_t left;
};

/*
 * Where a stream is in a tar archive: in a header or in what follows it, of which some count.
 * A sparse file is its pieces, each with its place, one behind the other.
 */
struct archive {
	unsigned char header[TAR_BLOCK];
	size_t header_size;
	uint64_t left; /* of what is at hand */
	unsigned skipped;
	bool wanted, maps; /* in the file that counts; before it, more of its map */
	struct tar_piece *pieces;
	unsigned piece, piece_count;
	uint64_t size; /* of the file */
};

struct job {
	const unsigned char *payload;
	size_t size;
	size_t taken; /* of the payload, once it is decoded */
	struct output output;
	struct archive archive;
	struct arena arena;
	unsigned char *chunk; /* CHUNK bytes */
};

static void *arena_take(struct arena *arena, size_t size)
{
	void *memory = arena->next;

	if (size > arena->left)
		return NULL;
	size = (size + 63) & ~(size_t)63;
	if (size > arena->left)
		return NULL;
	arena->next += size;
	arena->left -= size;
	return memory;
}

static uint64_t word_at(const char *data)
{
	uint64_t word;

	memcpy(&word, data, sizeof(word));
	return word;
}

/* Not by memcmp(), which musl has byte by byte. */
static bool is_zero(const char *data, size_t size)
{
	enum { STRIDE = 4 * sizeof(uint64_t) };

	for (; size >= STRIDE; size -= STRIDE, data += STRIDE)
		if (word_at(data) | word_at(data + 8) | word_at(data + 16) |
		        word_at(data + 24))
			return false;
	while (size && !*data) {
		size--;
		data++;
	}
	return !size;
}

static int write_all(
        const struct output *output, const char *data, size_t size, uint64_t offset)
{
	while (size) {
		ssize_t done = pwrite(output->fd, data, size, (off_t)offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done ? -errno : -EIO;
		data += done;
		size -= (size_t)done;
		offset += (uint64_t)done;
	}
	return 0;
}

/* A vmlinux holds its .bss and .brk as zeros: a quarter of it. */
static int output_add(struct output *output, const void *data, size_t size)
{
	const char *from = data;
	size_t start = 0, at = 0;
	int error = 0;

	if (size > output->size - output->at)
		return -EFBIG;
	while (at < size && !error) {
		size_t page = size - at < HOLE ? size - at : HOLE;

		if (is_zero(from + at, page)) {
			error = write_all(
			        output, from + start, at - start, output->at + start);
			start = at + page;
		}
		at += page;
	}
	if (!error)
		error = write_all(
		        output, from + start, size - start, output->at + start);
	output->at += size;
	return error;
}

static void *zlib_take(void *arena, unsigned count, unsigned size)
{
	return arena_take(arena, (size_t)count * size);
}

static void zlib_give(
        void *arena __attribute__((unused)), void *memory __attribute__((unused)))
{
}

/* For what ends before the stream does: `take` gets all of it, until that is not 0. */
static int gzip_stream(struct job *job,
        int (*take)(struct job *job, const unsigned char *data, size_t size))
{
	z_stream stream = {
	        .next_in = (unsigned char *)job->payload,
	        .avail_in = (unsigned)job->size,
	        .zalloc = zlib_take,
	        .zfree = zlib_give,
	        .opaque = &job->arena,
	};
	int error = 0, status;

	if (inflateInit2(&stream, MAX_WBITS + 16) != Z_OK)
		return -ENOMEM;
	do {
		stream.next_out = job->chunk;
		stream.avail_out = CHUNK;
		status = inflate(&stream, Z_NO_FLUSH);
		if (status != Z_OK && status != Z_STREAM_END)
			return -EBADMSG;
		error = take(job, job->chunk, CHUNK - stream.avail_out);
	} while (!error && status == Z_OK);
	return error;
}

/*
 * All at once, which is three times as fast, if it is small by what its end says; the stream
 * tells why if that is not so.
 */
static int gzip_take(struct job *job,
        int (*take)(struct job *job, const unsigned char *data, size_t size))
{
	const unsigned char *end = job->payload + job->size;
	size_t size = job->size < GZIP_SIZE ? 0 : read_le32(end - GZIP_SIZE);
	struct libdeflate_decompressor *deflate = libdeflate_alloc_decompressor();
	enum libdeflate_result result = LIBDEFLATE_BAD_DATA;

	if (deflate && size <= job->arena.left)
		result = libdeflate_gzip_decompress(
		        deflate, job->payload, job->size, job->arena.next, size, NULL);
	libdeflate_free_decompressor(deflate);
	return result == LIBDEFLATE_SUCCESS
	               ? take(job, (unsigned char *)job->arena.next, size)
	               : gzip_stream(job, take);
}

/* All at once, too. */
static int gzip_decode(struct job *job)
{
	size_t room = job->output.size - job->output.at, size;
	bool small = room > job->arena.left;
	struct libdeflate_decompressor *deflate = libdeflate_alloc_decompressor();
	enum libdeflate_result result;

	if (!deflate)
		return -ENOMEM;
	result = libdeflate_gzip_decompress_ex(deflate, job->payload, job->size,
	        job->arena.next, small ? job->arena.left : room, &job->taken, &size);
	libdeflate_free_decompressor(deflate);
	switch (result) {
	case LIBDEFLATE_SUCCESS:
		return output_add(&job->output, job->arena.next, size);
	case LIBDEFLATE_INSUFFICIENT_SPACE:
		return small ? -ENOMEM : -EFBIG;
	default:
		return -EBADMSG;
	}
}

static int zstd_decode(struct job *job)
{
	ZSTD_DStream *stream = ZSTD_initStaticDStream(job->arena.next, job->arena.left);
	ZSTD_inBuffer in = {job->payload, job->size, 0};
	size_t status;
	int error;

	if (!stream)
		return -ENOMEM;
	do {
		ZSTD_outBuffer out = {job->chunk, CHUNK, 0};
		size_t before = in.pos;

		status = ZSTD_decompressStream(stream, &out, &in);
		if (ZSTD_isError(status))
			return ZSTD_getErrorCode(status) == ZSTD_error_memory_allocation
			               ? -ENOMEM
			               : -EBADMSG;
		if (status && in.pos == before && !out.pos)
			return -EBADMSG;
		error = output_add(&job->output, job->chunk, out.pos);
	} while (!error && status);
	job->taken = in.pos;
	return error;
}

static void *lzma_take(void *arena, size_t count, size_t size)
{
	size_t total;

	return __builtin_mul_overflow(count, size, &total) ? NULL
	                                                   : arena_take(arena, total);
}

static void lzma_give(
        void *arena __attribute__((unused)), void *memory __attribute__((unused)))
{
}

/*
 * In place of liblzma's, which asks the CPU at the start of every program what it can do;
 * under a hypervisor that takes 14 us. Linux's own xz files have a CRC-32.
 */
uint64_t lzma_crc64(const uint8_t *data, size_t size, uint64_t crc)
{
	const uint64_t polynomial = 0xc96c5795d7870f42; /* ECMA-182, reflected */

	crc = ~crc;
	while (size--) {
		crc ^= *data++;
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? polynomial : 0);
	}
	return ~crc;
}

static int lzma_decode(struct job *job, bool xz)
{
	lzma_allocator allocator = {lzma_take, lzma_give, &job->arena};
	lzma_stream stream = LZMA_STREAM_INIT;
	lzma_ret status;
	int error = 0;

	stream.allocator = &allocator;
	stream.next_in = job->payload;
	stream.avail_in = job->size;
	status = xz ? lzma_stream_decoder(&stream, DECODE_MEMORY, 0)
	            : lzma_alone_decoder(&stream, DECODE_MEMORY);
	while (!error && status == LZMA_OK) {
		stream.next_out = job->chunk;
		stream.avail_out = CHUNK;
		status = lzma_code(&stream, LZMA_RUN);
		error = output_add(&job->output, job->chunk, CHUNK - stream.avail_out);
	}
	job->taken = job->size - stream.avail_in;
	if (error || status == LZMA_STREAM_END)
		return error;
	return status == LZMA_MEM_ERROR || status == LZMA_MEMLIMIT_ERROR ? -ENOMEM
	                                                                 : -EBADMSG;
}

static int xz_decode(struct job *job)
{
	return lzma_decode(job, true);
}

static int lzma_alone_decode(struct job *job)
{
	return lzma_decode(job, false);
}

/*
 * LZ4's doc/lz4_Frame_format.md, "Legacy frame": blocks behind their sizes, up to the end
 * of the input, which is not part of the frame: there stands the unpacked size.
 */
static int lz4_decode(struct job *job)
{
	const unsigned char *at = job->payload + LZ4_MAGIC;
	size_t left = job->size - LZ4_MAGIC;
	char *block = arena_take(&job->arena, LZ4_BLOCK);
	int error = 0;

	while (!error && job->output.at < job->output.size) {
		uint32_t size;
		int done;

		if (left < sizeof(size))
			return -ENODATA;
		size = read_le32(at);
		at += sizeof(size);
		left -= sizeof(size);
		if (size > left || size > LZ4_COMPRESSBOUND(LZ4_BLOCK))
			return -EBADMSG;
		done = LZ4_decompress_safe(
		        (const char *)at, block, (int)size, LZ4_BLOCK);
		if (done <= 0)
			return -EBADMSG;
		error = output_add(&job->output, block, (size_t)done);
		at += size;
		left -= size;
	}
	job->taken = job->size - left;
	return error;
}

/* As Linux's lib/decompress.c knows them, but for bzip2 and LZO, which nobody takes. */
static const struct format {
	const char *name, *magic;
	size_t magic_size;
	int (*decode)(struct job *job);
	bool ends; /* it says itself where it does */
	bool light;
} formats[] = {
        {"gzip", "\x1f\x8b", 2, gzip_decode, true, false},
        {"zstd", "\x28\xb5\x2f\xfd", 4, zstd_decode, true, false},
        {"xz", "\xfd\x37zXZ", 6, xz_decode, true, false},
        {"LZ4", "\x02\x21\x4c\x18", LZ4_MAGIC, lz4_decode, false, true},
        {"LZMA", "\x5d\0\0", 3, lzma_alone_decode, false, false},
};

static const struct format *format_find(const void *payload, size_t size)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (size >= formats[i].magic_size &&
		        !memcmp(payload, formats[i].magic, formats[i].magic_size))
			return formats + i;
	return NULL;
}

const char *decode_name(const void *payload, size_t payload_size)
{
	const struct format *format = format_find(payload, payload_size);

	return format ? format->name : NULL;
}

bool decode_ends(const void *payload, size_t payload_size)
{
	const struct format *format = format_find(payload, payload_size);

	return format && format->ends;
}

bool decode_is_light(const void *payload, size_t payload_size)
{
	const struct format *format = format_find(payload, payload_size);

	return format && format->light;
}

int decode(
        const void *payload, size_t payload_size, int fd, uint64_t size, void *memory)
{
	const struct format *format = format_find(payload, payload_size);
	struct job job = {
	        .payload = payload,
	        .size = payload_size,
	        .output = {fd, 0, size},
	        .arena = {memory, DECODE_MEMORY},
	};
	int error;

	if (!format)
		return -ENOTSUP;
	job.chunk = arena_take(&job.arena, CHUNK);
	error = format->decode(&job);
	if (!error && job.output.at != size)
		error = -ENODATA;
	return error;
}

/* False: all of the file's pieces are there. */
static bool piece_enter(struct job *job)
{
	struct archive *archive = &job->archive;

	while (archive->piece < archive->piece_count) {
		const struct tar_piece *piece = archive->pieces + archive->piece++;

		job->output.at = piece->offset;
		archive->left = piece->size;
		if (archive->left)
			return true;
	}
	job->output.at = archive->size;
	return false;
}

static int map_take(struct job *job, bool first)
{
	struct archive *archive = &job->archive;
	unsigned room = ARCHIVE_PIECES - archive->piece_count;
	int count = tar_pieces(archive->header, first,
	        archive->pieces + archive->piece_count, room, archive->size);

	if (count < 0)
		return count;
	archive->piece_count += (unsigned)count;
	archive->maps = tar_pieces_continue(archive->header, first);
	return 0;
}

/* The header is complete: what follows it? */
static int archive_enter(struct job *job)
{
	struct archive *archive = &job->archive;
	uint64_t size;

	archive->header_size = 0;
	if (archive->maps)
		return map_take(job, false);
	if (!tar_is_header(archive->header))
		return -ENOEXEC;
	size = tar_size(archive->header);
	if (size > job->output.size)
		return -EFBIG;
	/* A sum or a text beside it is no disk. */
	archive->wanted = tar_is_file(archive->header) && size >= DISK_LEAST;
	if (tar_is_sparse(archive->header)) {
		archive->wanted = true;
		archive->size = tar_real_size(archive->header);
		if (archive->size > job->output.size)
			return -EFBIG;
		job->output.size = archive->size;
		return map_take(job, true);
	}
	if (archive->wanted) {
		job->output.size = archive->size = size;
		archive->pieces[archive->piece_count++] = (struct tar_piece){0, size};
		return 0;
	}
	/* A directory, an extended header, a text or the like: a few, and small. */
	if (size > ARCHIVE_SKIP || archive->skipped++ == ARCHIVE_HEADERS)
		return -EBADMSG;
	archive->left = (size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
	return 0;
}

/* In newer archives (POSIX.1-2001) an extended header has records of this name. */
static bool tells_of_sparse(const unsigned char *data, size_t size)
{
	static const char name[] = "GNU.sparse.";

	return memmem(data, size, name, strlen(name));
}

/* 1: all of the file is there. */
static int archive_take(struct job *job, const unsigned char *data, size_t size)
{
	struct archive *archive = &job->archive;
	int error = 0;

	while (size && !error) {
		size_t part = TAR_BLOCK - archive->header_size;

		if (archive->left) {
			part = size < archive->left ? size : archive->left;
			if (archive->wanted)
				error = output_add(&job->output, data, part);
			else if (tells_of_sparse(data, part))
				error = -ENOTSUP;
			archive->left -= part;
		} else {
			if (part > size)
				part = size;
			memcpy(archive->header + archive->header_size, data, part);
			archive->header_size += part;
			if (archive->header_size == TAR_BLOCK)
				error = archive_enter(job);
		}
		if (!error && archive->wanted && !archive->maps && !archive->left &&
		        !archive->header_size && !piece_enter(job))
			return 1;
		data += part;
		size -= part;
	}
	return error;
}

/* 1: it is one. */
static int header_take(struct job *job, const unsigned char *data, size_t size)
{
	(void)job;
	return size >= TAR_BLOCK && tar_is_header(data) ? 1 : -ENOEXEC;
}

bool decode_starts_tar(const void *payload, size_t payload_size, void *memory)
{
	struct job job = {
	        .payload = payload,
	        .size = payload_size,
	        .arena = {memory, DECODE_MEMORY},
	};

	if (format_find(payload, payload_size) != formats)
		return false;
	job.chunk = arena_take(&job.arena, CHUNK);
	return gzip_stream(&job, header_take) == 1;
}

int decode_tar(const void *payload, size_t payload_size, int fd, uint64_t limit,
        void *memory, uint64_t *size)
{
	struct job job = {
	        .payload = payload,
	        .size = payload_size,
	        .output = {fd, 0, limit},
	        .arena = {memory, DECODE_MEMORY},
	};
	int error;

	if (format_find(payload, payload_size) != formats)
		return -ENOEXEC;
	job.chunk = arena_take(&job.arena, CHUNK);
	job.archive.pieces =
	        arena_take(&job.arena, ARCHIVE_PIECES * sizeof(struct tar_piece));
	error = gzip_take(&job, archive_take);
	/* Nothing was seen yet that an archive begins with. */
	if (error == -EBADMSG && !job.archive.wanted)
		error = -ENOEXEC;
	*size = job.output.at;
	if (!error)
		return job.archive.wanted ? -ENODATA : -ENOEXEC;
	return error > 0 ? 0 : error;
}

/* Zeros up to where the next archive may begin, and some more: written, never a hole. */
static int archive_end(struct output *output)
{
	static const char zeros[2 * ARCHIVE_ALIGN];
	size_t size = 2 * ARCHIVE_ALIGN - output->at % ARCHIVE_ALIGN;
	int error;

	if (size > output->size - output->at)
		return -EFBIG;
	error = write_all(output, zeros, size, output->at);
	output->at += size;
	return error;
}

int decode_archives(
        const void *payload, size_t payload_size, int fd, uint64_t most, void *memory)
{
	struct job job = {
	        .payload = payload,
	        .size = payload_size,
	        .output = {fd, 0, most},
	        .arena = {memory, DECODE_MEMORY},
	};
	struct arena arena;
	int error = 0;

	job.chunk = arena_take(&job.arena, CHUNK);
	arena = job.arena;
	while (!error && job.size) {
		const struct format *format = format_find(job.payload, job.size);

		job.taken = 1; /* a zero between two of them */
		if (format && !format->ends)
			return -ENOTSUP;
		if (format) {
			job.arena = arena;
			error = format->decode(&job);
		} else if (*job.payload) {
			job.taken = job.size;
			error = output_add(&job.output, job.payload, job.size);
		}
		if (!error && (format || *job.payload))
			error = archive_end(&job.output);
		if (!error && !job.taken)
			error = -EBADMSG;
		job.payload += job.taken;
		job.size -= job.taken;
	}
	return error;
}
