/*
 * File I/O of one disk: asynchronous on an io_uring of its own, or, where the host
 * refuses one, at once with the plain system calls. Nobody but its user can tell.
 *
 * Every call but io_create() and io_destroy() is made with the lock held that was given
 * to io_create(). A request ends with one call of `done`, with the lock held: on the
 * loop's thread, or inside io_submit(), io_flush(), io_drain() and io_cancel(), because
 * what the page cache knows is complete when the kernel returns, and need not wait for a
 * wake-up.
 * Interrupted and short transfers are continued; the end of the file is -EIO.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct io;
struct loop;

enum io_operation {
	IO_READ,
	IO_WRITE,
	IO_SYNC,    /* fdatasync(2) */
	IO_DISCARD, /* gives the range's blocks back; nothing where that is impossible */
	IO_ZERO, /* the range reads as zeroes; blocks stay allocated if that is possible */
	IO_UNMAP, /* the range reads as zeroes; blocks are given back if possible */
};

/* Owned by the caller until `done` is called; `iov` is not modified. `size` is not 0. */
struct io_request {
	enum io_operation operation;
	int fd;
	bool stable; /* a write is on the medium when it is done (RWF_DSYNC) */
	uint64_t offset;
	uint64_t size;
	const struct iovec *iov; /* of read and write; together `size` bytes */
	unsigned iov_count;
	void (*done)(struct io_request *request, int result); /* 0 or -Exxx */

	/* Of io.c: how far it is, and how. */
	uint64_t progress;
	unsigned step;
};

/*
 * `settled` is called on the loop's thread, lock held, after one or more `done` there: the
 * place to notify a guest once and to submit more. `depth` requests are under way
 * at once, further ones are done at once and inline: with 0 all of them. NULL (logged)
 * when out of memory.
 */
struct io *io_create(struct loop *loop, pthread_mutex_t *lock, unsigned depth,
        void (*settled)(void *context), void *context);
void io_submit(struct io *io, struct io_request *request);
/* One system call for all that was submitted, and `done` for what is complete. */
void io_flush(struct io *io);
/* Waits until nothing is under way; what is submitted meanwhile included. */
void io_drain(struct io *io);
/* The same for who has no more use for the requests: what goes on ends with -ECANCELED. */
void io_cancel(struct io *io);
void io_destroy(struct io *io); /* cancels; takes NULL; not with the lock held */

bool io_is_async(const struct io *io);

/*
 * Before close(2) of an `fd` whose release takes long: that is then done by the kernel, on
 * its own time, and waited for by nobody. Where the host refuses a ring nothing changes.
 */
void io_release_later(int fd);
