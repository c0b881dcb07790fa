/*
 * Disk back ends: what virtio-blk and hvt read and write.
 *
 * A disk does its I/O through struct io (vmm/io.h): asynchronous on io_uring, or at once
 * where there is none. Offsets and sizes are bytes; the caller has checked them against
 * `size`. The format is what the user says, or what the name's ending says; it is never
 * guessed from the content, which a guest may have written.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vmm/config.h"
#include "vmm/io.h"

struct loop;
struct disk;

enum disk_operation { DISK_READ, DISK_WRITE, DISK_FLUSH, DISK_DISCARD, DISK_ZERO };

/* Owned by the caller until `done` was called. */
struct disk_request {
	enum disk_operation operation;
	bool stable; /* a write is on the medium when it is done */
	bool unmap;  /* DISK_ZERO may give the blocks back */
	uint64_t offset;
	uint64_t size;           /* not 0, but for DISK_FLUSH */
	const struct iovec *iov; /* for read and write; together `size` bytes */
	unsigned iov_count;
	/* 0 or -Exxx; short transfers are continued by the disk. Lock held. */
	void (*done)(struct disk_request *request, int result);

	struct io_request io; /* of the back end */
};

struct disk_info {
	uint64_t size; /* bytes */
	bool readonly;
	bool discard;       /* discard and write-zeroes work */
	const char *format; /* "raw" */
};

/* What the name's ending says: raw, if it says nothing. */
enum disk_format disk_format_of(const char *path);

/*
 * Opens what `config` describes, or creates it (create_size), and takes an OFD lock on it
 * (shared if only read), so that a disk which another VM writes is refused. With
 * `ephemeral` the file is only read, and what is written lasts as long as the disk.
 * Logs "--disk: ..." and returns NULL on failure. A size that is not a multiple of 512,
 * or 0, is refused: rounding would hide data.
 */
struct disk *disk_open(const struct disk_config *config);
/*
 * A read-only volume "cidata" in memory that holds `data` as user-data and config, and
 * `instance` as the instance-id of its meta-data; NULL (logged).
 */
enum { DISK_DATA_MAX = 16 << 20 };
struct disk *disk_data_create(const void *data, size_t size, const char *instance);
void disk_close(struct disk *disk); /* cancels; takes NULL */
const struct disk_info *disk_info(const struct disk *disk);

/*
 * Reads now, without disk_start(): 0 or -Exxx (-EINVAL: outside). The only system call is
 * pread(2), and no memory is allocated: a child that can do nothing else may call it.
 */
int disk_read_now(struct disk *disk, uint64_t offset, void *data, size_t size);

/*
 * Once. Completions run with `lock` held: on the loop's thread, where `settled` is called
 * after one or more of them, or inside disk_submit(), _flush_queue() and _drain(). The
 * caller has at most `depth` requests under way at once; with 0 it has one, which is done
 * when disk_submit() returns.
 */
int disk_start(struct disk *disk, struct loop *loop, pthread_mutex_t *lock,
        unsigned depth, void (*settled)(void *context), void *context);
void disk_submit(struct disk *disk, struct disk_request *request);
/* Hands what was queued to the kernel: one system call for a batch. */
void disk_flush_queue(struct disk *disk);
/* Waits until no request is under way; completions run inside. Lock held. Nothing to do
 * before disk_start(). */
void disk_drain(struct disk *disk);
/* The same for who has no more use for them: what goes on ends with -ECANCELED. */
void disk_cancel(struct disk *disk);
