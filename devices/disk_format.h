/*
 * What the files of a disk's formats are to disk.c: a format says where bytes lie, disk.c
 * moves them. A format is a const struct in a file of its own and one line in the table
 * of disk.c.
 *
 * Whatever a format reads of its file may have been written by an enemy: it is copied,
 * checked, and the copy is used.
 */
#pragma once

#include "devices/disk.h"

enum {
	DISK_SECTOR = 512,
	DISK_CHAIN_MAX = 8, /* images behind each other */
};

enum extent_kind {
	EXTENT_DATA,  /* at `offset` of `fd` */
	EXTENT_ZERO,  /* reads as zeroes */
	EXTENT_BELOW, /* where the disk below has it; zeroes if there is none */
	EXTENT_PACKED /* compressed: what unpack() makes of it */
};

/* How a range of the disk begins. */
struct extent {
	enum extent_kind kind;
	int fd;
	uint64_t offset;
	uint64_t size; /* up to which it goes on like this: 1 to what was asked for */
	struct disk *owner;
	/* Of the format: what is compressed, what was allocated. */
	uint64_t packed, packed_size;
	uint64_t cluster, count;
};

struct disk_type {
	const char *name;
	const char *ending; /* of file names: ".qcow2"; NULL: any other */
	bool plain;         /* the file's bytes are the disk's */
	bool temporary;     /* nothing outlives the disk: flushes have nothing to do */
	/*
	 * `disk` has its file open. Sets `format` and info.size. A disk that is not
	 * info.readonly will be written. Logs and returns -Exxx; close() is called
	 * in any case.
	 */
	int (*open)(struct disk *disk, const struct disk_config *config);
	void (*close)(struct disk *disk);
	/* Makes a new, empty disk of `size` bytes in the empty file `fd`; silent. */
	int (*create)(int fd, uint64_t size);

	/* As disk_read_now(): pread(2) alone. `size` is not 0 and within the disk. */
	int (*find)(struct disk *disk, uint64_t offset, uint64_t size,
	        struct extent *extent);
	/* All of the cluster that holds `offset`: the address of the byte at `offset`,
	 * of which extent->size follow; until the next call. */
	int (*unpack)(struct disk *disk, uint64_t offset, const struct extent *extent,
	        const void **data);

	/*
	 * Where the beginning of the range is to be written, an EXTENT_DATA. -EAGAIN: once
	 * a settle() has happened. settle() follows when it was written (0) or not (-Exxx),
	 * and says how the write ends.
	 */
	int (*place)(struct disk *disk, uint64_t offset, uint64_t size,
	        struct extent *extent);
	int (*settle)(struct disk *disk, uint64_t offset, const struct extent *extent,
	        int result);
	/*
	 * The beginning of the range reads as zeroes afterwards, at once or by zeroing the
	 * extent that is returned as EXTENT_DATA (settle() follows); else EXTENT_ZERO, of
	 * the size that is done. With `unmap` its blocks are given back where possible;
	 * with `advice` nothing need happen. -EAGAIN as above.
	 */
	int (*clear)(struct disk *disk, uint64_t offset, uint64_t size, bool unmap,
	        bool advice, struct extent *extent);
	/* What is known here alone goes into the file, in an order in which it is whole
	 * at any time; the caller syncs the file afterwards. */
	int (*sync)(struct disk *disk);
};

struct transfer;

struct disk {
	const struct disk_type *type;
	char *path;
	int fd;
	uint64_t file_size;
	struct disk_info info;
	struct disk *below; /* of an overlay, of an image with a backing file */
	unsigned depth;     /* how many are below */
	void *format;       /* of the type */

	struct io *io;
	struct transfer *transfers; /* pages that are never used cost nothing */
	struct transfer *free, *waiting;
	unsigned transfer_count;
};

extern const struct disk_type disk_raw;
extern const struct disk_type disk_qcow2;
extern const struct disk_type disk_vhd;
extern const struct disk_type disk_vmdk;

/* As disk_open(), `depth` being that of the disk above it, if there is one. */
struct disk *disk_open_below(const struct disk_config *config, unsigned depth);
/* A disk over `below`, which it takes, even on failure (NULL, logged). */
struct disk *disk_overlay_create(struct disk *below);

/* What the range is, in the disks below, too: DATA, ZERO or PACKED. */
int disk_find(struct disk *disk, uint64_t offset, uint64_t size, struct extent *extent);

/* Allocates `*unpacker` for clusters of `size` bytes out of `packed_max`; -ENOMEM. */
struct unpacker;
int unpacker_create(
        struct unpacker **unpacker, size_t size, size_t packed_max, bool zstd);
void unpacker_destroy(struct unpacker *unpacker); /* takes NULL */
/*
 * Unpacks the cluster at `offset` of `fd` into a buffer of the unpacker's, unless that is
 * what it holds. `packed_size` may include bytes behind the end of the compressed ones.
 * Allocates nothing. -EIO for what cannot be unpacked.
 */
enum packing { PACKING_DEFLATE, PACKING_ZLIB, PACKING_ZSTD };
int unpacker_read(struct unpacker *unpacker, enum packing packing, int fd,
        uint64_t offset, size_t packed_size, const void **data);

/* All of it, or -Exxx: the end of the file is -EIO. */
int disk_pread(int fd, void *data, size_t size, uint64_t offset);
int disk_pwrite(int fd, const void *data, size_t size, uint64_t offset);
