/*
 * virtio-blk when all its slots are taken: vmm/io.c is stood in for by a back end whose
 * requests end when the test says so.
 */
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/disk.h"
#include "tests/unit/unit.h"
#include "tests/unit/virtio_guest.h"

enum { SIZE = 256, SLOTS = 64, HEADER = GUEST_DATA, STATUS = GUEST_DATA + 0x100 };

/* The one that there is. */
static struct io {
	struct io_request *requests[SIZE];
	unsigned count;     /* under way */
	bool ends_at_flush; /* all of them */
	void (*settled)(void *context);
	void *context;
} io;

struct io *io_create(struct loop *loop, pthread_mutex_t *lock, unsigned depth,
        void (*settled)(void *context), void *context)
{
	(void)loop, (void)lock, (void)depth;
	io = (struct io){.settled = settled, .context = context};
	return &io;
}

void io_submit(struct io *at, struct io_request *request)
{
	at->requests[at->count++] = request;
}

void io_drain(struct io *at)
{
	while (at->count > 0) {
		struct io_request *request = at->requests[--at->count];

		request->done(request, 0);
	}
}

void io_flush(struct io *at)
{
	if (at->ends_at_flush)
		io_drain(at);
}

void io_cancel(struct io *at)
{
	io_drain(at);
}

void io_destroy(struct io *at)
{
	(void)at;
}

struct bench {
	struct guest guest;
	int fd;
};

static void bench_init(struct bench *bench)
{
	char path[32];

	guest_init(&bench->guest);
	bench->fd = memfd_create("disk", MFD_CLOEXEC);
	if (bench->fd < 0 || ftruncate(bench->fd, 4096) < 0)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", bench->fd);
	bench->guest.device = virtio_mmio_create(&bench->guest.host,
	        virtio_blk_create(&bench->guest.host,
	                disk_open(&(struct disk_config){.path = path}), NULL),
	        GUEST_GSI);
	guest_start(&bench->guest,
	        UINT64_C(1) << VIRTIO_F_VERSION_1 | 1 << VIRTIO_BLK_F_FLUSH, 1, SIZE);
}

static void bench_destroy(struct bench *bench)
{
	guest_destroy(&bench->guest);
	close(bench->fd);
}

/* `count` flushes, each of the same two descriptors. */
static void offer(struct bench *bench, unsigned count)
{
	struct guest *guest = &bench->guest;
	struct virtio_blk_outhdr *header = guest_at(guest, HEADER);

	*header = (struct virtio_blk_outhdr){.type = VIRTIO_BLK_T_FLUSH};
	guest_describe(guest, 0, 0, HEADER, sizeof(*header), VRING_DESC_F_NEXT, 1);
	guest_describe(guest, 0, 1, STATUS, 1, VRING_DESC_F_WRITE, 0);
	while (count-- > 0)
		guest_offer(guest, 0, SIZE, 0);
}

static void what_finds_no_slot_starts_when_one_ends(void)
{
	struct bench bench;

	bench_init(&bench);
	offer(&bench, SLOTS + 1);
	guest_kick(&bench.guest, 0);
	CU_ASSERT_EQUAL(io.count, SLOTS);
	CU_ASSERT_EQUAL(guest_used(&bench.guest, 0)->idx, 0);
	io_drain(&io);
	io.settled(io.context);
	CU_ASSERT_EQUAL(guest_used(&bench.guest, 0)->idx, SLOTS);
	CU_ASSERT_EQUAL(io.count, 1);
	bench_destroy(&bench);
}

/* Nothing is under way then whose end would lead back to the ring. */
static void what_finds_no_slot_starts_when_all_end_in_a_kick(void)
{
	struct bench bench;

	bench_init(&bench);
	offer(&bench, SLOTS + 1);
	guest_kick(&bench.guest, 0);
	CU_ASSERT_EQUAL(io.count, SLOTS);
	io.ends_at_flush = true;
	guest_kick(&bench.guest, 0);
	CU_ASSERT_EQUAL(guest_used(&bench.guest, 0)->idx, SLOTS + 1);
	CU_ASSERT_EQUAL(io.count, 0);
	bench_destroy(&bench);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(what_finds_no_slot_starts_when_one_ends),
	        UNIT(what_finds_no_slot_starts_when_all_end_in_a_kick),
	        {0},
	};

	return unit_run("virtio-blk-slots", tests);
}
