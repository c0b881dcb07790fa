/*
 * A request is done in steps: one system call or one submission each. step_run() makes
 * the next one with system calls, step_queue() writes it into the ring; step_end() takes
 * the result of either and says whether the request is complete. A transfer that ends
 * within a segment goes on with a plain read or write of the segment's rest, so nothing
 * needs a changed copy of the segments.
 *
 * A step transfers a few MiB at most. A request may be of 4 GiB, and a guest may make many:
 * whoever waits for all of them to end, with the guest's reset or our own end before him,
 * waits for the steps under way only.
 *
 * A step that the ring refuses for reasons of its own (-EAGAIN, -EINTR; -ECANCELED when
 * the thread that had submitted it ended) is repeated by a system call.
 *
 * The ring belongs to whoever holds the lock. The loop watches its fd, which is readable
 * while completions are there.
 */
#include "vmm/io.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/falloc.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "vmm/log.h"
#include "vmm/loop.h"

enum {
	ZEROES_SIZE = 256 << 10,
	/* More than a Linux guest asks for at once, and a few ms of any disk's time. */
	STEP_SIZE = 4 << 20,
};

/* How a range becomes zero: the next way is tried where one is not supported. */
enum { STEP_PUNCH, STEP_ZERO_RANGE, STEP_WRITE_ZEROES };

struct io {
	struct io_uring ring;
	bool async;
	bool cancelling; /* no further step is made */
	unsigned depth;
	unsigned in_flight; /* queued or in the kernel; at most `depth` */
	unsigned done;      /* calls of `done` so far */
	struct loop_watch *watch;
	pthread_mutex_t *lock;
	void (*settled)(void *context);
	void *context;
	void *zeroes; /* ZEROES_SIZE bytes, from their first use on */
};

/* What the next step transfers: `iov` of `count` segments. */
struct transfer {
	struct iovec first; /* of a single segment */
	const struct iovec *iov;
	unsigned count;
	bool write;
};

static bool is_transfer(const struct io_request *request)
{
	switch (request->operation) {
	case IO_READ:
	case IO_WRITE:
		return true;
	case IO_ZERO:
	case IO_UNMAP:
		return request->step == STEP_WRITE_ZEROES;
	default:
		return false;
	}
}

/* How many of the segments, which hold `rest` bytes, go into one step: one at least. */
static unsigned segments_of_step(const struct iovec *iov, unsigned count, uint64_t rest)
{
	uint64_t size = iov->iov_len;
	unsigned taken = 1;

	if (rest <= STEP_SIZE)
		return count;
	while (taken < count && size + iov[taken].iov_len <= STEP_SIZE)
		size += iov[taken++].iov_len;
	return taken;
}

static void transfer_next(
        struct io *io, const struct io_request *request, struct transfer *transfer)
{
	const struct iovec *iov = request->iov;
	unsigned count = request->iov_count;
	uint64_t skip = request->progress, rest = request->size - request->progress;

	transfer->write = request->operation != IO_READ;
	transfer->iov = &transfer->first;
	transfer->count = 1;
	if (request->operation == IO_ZERO || request->operation == IO_UNMAP) {
		transfer->first.iov_base = io->zeroes;
		transfer->first.iov_len = rest < ZEROES_SIZE ? rest : ZEROES_SIZE;
		return;
	}
	for (; count > 1 && skip >= iov->iov_len; iov++, count--)
		skip -= iov->iov_len;
	if (skip == 0)
		count = segments_of_step(iov, count, rest);
	if (skip == 0 && count > 1) {
		transfer->iov = iov;
		transfer->count = count;
		return;
	}
	transfer->first.iov_base = (char *)iov->iov_base + skip;
	transfer->first.iov_len = iov->iov_len - skip;
	if (transfer->first.iov_len > STEP_SIZE)
		transfer->first.iov_len = STEP_SIZE;
}

static int fallocate_mode(const struct io_request *request)
{
	return FALLOC_FL_KEEP_SIZE |
	       (request->step == STEP_PUNCH ? FALLOC_FL_PUNCH_HOLE
	                                    : FALLOC_FL_ZERO_RANGE);
}

/* One step by system calls: its bytes, or 0, or -Exxx. */
static int64_t step_run(struct io *io, const struct io_request *request)
{
	uint64_t offset = request->offset + request->progress;
	int flags = request->stable ? RWF_DSYNC : 0;
	struct transfer transfer;
	int64_t result;

	do {
		if (is_transfer(request)) {
			transfer_next(io, request, &transfer);
			result = transfer.write ? syscall(SYS_pwritev2, request->fd,
			                                  transfer.iov, transfer.count,
			                                  offset, 0L, flags)
			                        : preadv(request->fd, transfer.iov,
			                                  transfer.count, offset);
		} else if (request->operation == IO_SYNC) {
			result = fdatasync(request->fd);
		} else {
			result = fallocate(request->fd, fallocate_mode(request), offset,
			        request->size);
		}
	} while (result < 0 && errno == EINTR);
	return result < 0 ? -errno : result;
}

static void step_queue(struct io *io, struct io_request *request)
{
	uint64_t offset = request->offset + request->progress;
	struct io_uring_sqe *sqe = io_uring_get_sqe(&io->ring);
	struct transfer transfer;

	if (is_transfer(request)) {
		transfer_next(io, request, &transfer);
		/* A segment of our own lives on this stack: hand over what it says. */
		if (transfer.iov == &transfer.first)
			io_uring_prep_rw(
			        transfer.write ? IORING_OP_WRITE : IORING_OP_READ, sqe,
			        request->fd, transfer.first.iov_base,
			        transfer.first.iov_len, offset);
		else
			io_uring_prep_rw(
			        transfer.write ? IORING_OP_WRITEV : IORING_OP_READV,
			        sqe, request->fd, transfer.iov, transfer.count, offset);
		sqe->rw_flags = transfer.write && request->stable ? RWF_DSYNC : 0;
	} else if (request->operation == IO_SYNC) {
		io_uring_prep_fsync(sqe, request->fd, IORING_FSYNC_DATASYNC);
	} else {
		io_uring_prep_fallocate(sqe, request->fd, fallocate_mode(request),
		        offset, request->size);
	}
	io_uring_sqe_set_data(sqe, request);
}

/* A range could not be punched or zeroed this way: true if there is another. */
static bool step_fallback(struct io *io, struct io_request *request)
{
	if (request->operation == IO_DISCARD)
		return false;
	if (++request->step == STEP_WRITE_ZEROES && !io->zeroes)
		io->zeroes = calloc(1, ZEROES_SIZE);
	return request->step < STEP_WRITE_ZEROES || io->zeroes;
}

/* True when `request` is complete, with `*final`; else its next step is to be made. */
static bool step_end(
        struct io *io, struct io_request *request, int64_t result, int *final)
{
	if (is_transfer(request)) {
		/* A file that was cut short under us neither ends nor loops. */
		if (result == 0 && request->progress < request->size)
			result = -EIO;
		if (result > 0)
			request->progress += result;
		*final = result < 0 ? result : 0;
		return result < 0 || request->progress >= request->size;
	}
	/* Block devices say -EINVAL to what is not aligned to their own blocks. */
	if (request->operation != IO_SYNC &&
	        (result == -EOPNOTSUPP || result == -EINVAL)) {
		if (step_fallback(io, request))
			return false;
		result = request->operation == IO_DISCARD ? 0 : -ENOMEM;
	}
	*final = result;
	return true;
}

static void complete(struct io *io, struct io_request *request, int result)
{
	io->done++;
	request->done(request, result);
}

/*
 * Makes the next step of `request`. As no more are under way than the ring has places,
 * it never overflows in either direction.
 */
static void step_make(struct io *io, struct io_request *request)
{
	int64_t result;
	int final;

	if (io->cancelling) {
		complete(io, request, -ECANCELED);
		return;
	}
	if (io->async && io->in_flight < io->depth) {
		io->in_flight++;
		step_queue(io, request);
		return;
	}
	do {
		result = step_run(io, request);
	} while (!step_end(io, request, result, &final));
	complete(io, request, final);
}

/* Gives what is queued to the kernel, and waits for `wait` completions. */
static void enter(struct io *io, unsigned wait)
{
	int result;

	do {
		result = io_uring_submit_and_wait(&io->ring, wait);
		/* -EAGAIN: the kernel was short of memory for a moment. */
		assert(result >= 0 || result == -EINTR || result == -EAGAIN);
	} while (result < 0 || io_uring_sq_ready(&io->ring) > 0);
}

/* Ends or continues what has a completion; further steps are given to the kernel. */
static void reap(struct io *io)
{
	struct io_uring_cqe *cqe;
	int final;

	while (io_uring_peek_cqe(&io->ring, &cqe) == 0) {
		struct io_request *request = io_uring_cqe_get_data(cqe);
		int64_t result = cqe->res;

		io_uring_cqe_seen(&io->ring, cqe);
		io->in_flight--;
		if (result == -EAGAIN || result == -EINTR || result == -ECANCELED)
			result = step_run(io, request);
		if (step_end(io, request, result, &final))
			complete(io, request, final);
		else
			step_make(io, request);
	}
	if (io_uring_sq_ready(&io->ring) > 0)
		enter(io, 0);
}

static void ring_readable(void *context, short events)
{
	struct io *io = context;
	unsigned done = io->done;

	(void)events;
	reap(io);
	if (io->done != done)
		io->settled(io->context);
}

static bool ring_create(struct io *io, struct loop *loop)
{
	int error = io_uring_queue_init(io->depth, &io->ring, 0);

	/* FAST_POLL came with Linux 5.7, after every operation that is used here. */
	if (!error && !(io->ring.features & IORING_FEAT_FAST_POLL)) {
		io_uring_queue_exit(&io->ring);
		error = -ENOSYS;
	}
	if (error) {
		log_debug("io: no io_uring on this host (%s): disks are synchronous",
		        strerror(-error));
		return false;
	}
	io->watch =
	        loop_watch(loop, io->ring.ring_fd, POLLIN, ring_readable, io, io->lock);
	if (!io->watch)
		io_uring_queue_exit(&io->ring);
	return io->watch != NULL;
}

struct io *io_create(struct loop *loop, pthread_mutex_t *lock, unsigned depth,
        void (*settled)(void *context), void *context)
{
	struct io *io = calloc(1, sizeof(*io));

	if (!io) {
		log_error(-ENOMEM, "io: out of memory");
		return NULL;
	}
	io->depth = depth;
	io->lock = lock;
	io->settled = settled;
	io->context = context;
	io->async = depth && ring_create(io, loop);
	return io;
}

void io_submit(struct io *io, struct io_request *request)
{
	request->progress = 0;
	request->step = request->operation == IO_ZERO ? STEP_ZERO_RANGE : STEP_PUNCH;
	step_make(io, request);
}

/* One round only: a request of many steps goes on from the loop's thread. */
void io_flush(struct io *io)
{
	if (!io->async)
		return;
	if (io_uring_sq_ready(&io->ring) > 0)
		enter(io, 0);
	reap(io);
}

void io_drain(struct io *io)
{
	while (io->in_flight > 0) {
		enter(io, 1);
		reap(io);
	}
}

void io_cancel(struct io *io)
{
	io->cancelling = true;
	io_drain(io);
	io->cancelling = false;
}

void io_destroy(struct io *io)
{
	if (!io)
		return;
	loop_unwatch(io->watch);
	pthread_mutex_lock(io->lock);
	io_cancel(io);
	pthread_mutex_unlock(io->lock);
	if (io->async)
		io_uring_queue_exit(&io->ring);
	free(io->zeroes);
	free(io);
}

bool io_is_async(const struct io *io)
{
	return io->async;
}

/*
 * A ring that goes holds its registered files until a worker of the kernel has taken it
 * apart. No part of it is mapped: nothing is ever submitted.
 */
void io_release_later(int fd)
{
	struct io_uring_params params = {0};
	int ring = (int)syscall(SYS_io_uring_setup, 1, &params);

	if (ring < 0)
		return;
	syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, &fd, 1);
	close(ring);
}
