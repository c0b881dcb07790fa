#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/disk.h"
#include "tests/unit/unit.h"
#include "tests/unit/virtio_guest.h"

enum {
	SIZE = 256,
	SECTORS = 256,
	HEADER = GUEST_DATA,
	STATUS = GUEST_DATA + 0x100,
	BUFFER = GUEST_DATA + 0x1000,
	UNTOUCHED = 0xee,
};

struct bench {
	struct guest guest;
	int fd;
	char path[64];
};

#define FEATURES                                                            \
	(UINT64_C(1) << VIRTIO_F_VERSION_1 | 1 << VIRTIO_RING_F_EVENT_IDX | \
	        1 << VIRTIO_RING_F_INDIRECT_DESC | 1 << VIRTIO_BLK_F_FLUSH)

/* A disk in memory whose sector n is filled with the byte n. */
static void bench_init(struct bench *bench, bool readonly)
{
	struct disk *disk;

	guest_init(&bench->guest);
	bench->fd = memfd_create("disk", MFD_CLOEXEC);
	for (unsigned i = 0; i < SECTORS; i++) {
		char sector[512];
		memset(sector, i, sizeof(sector));
		if (pwrite(bench->fd, sector, 512, i * 512) != 512)
			abort();
	}
	snprintf(bench->path, sizeof(bench->path), "/proc/self/fd/%d", bench->fd);
	disk = disk_open(
	        &(struct disk_config){.path = bench->path, .readonly = readonly});
	bench->guest.device = virtio_mmio_create(&bench->guest.host,
	        virtio_blk_create(
	                &bench->guest.host, disk, "a-disk-of-twenty-chars-and-more"),
	        GUEST_GSI);
	guest_start(&bench->guest, FEATURES, 1, SIZE);
}

static void bench_destroy(struct bench *bench)
{
	guest_destroy(&bench->guest);
	close(bench->fd);
}

static void set_header(struct bench *bench, uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr *header = guest_at(&bench->guest, HEADER);

	*header = (struct virtio_blk_outhdr){.type = type, .sector = sector};
	*(uint8_t *)guest_at(&bench->guest, STATUS) = UNTOUCHED;
}

/* Kicks, and waits until as many requests as were offered have come back. */
static void complete_all(struct bench *bench)
{
	struct guest *guest = &bench->guest;

	guest_kick(guest, 0);
	for (unsigned i = 0; i < 1000; i++) {
		loop_fake_advance(guest->host.loop, 0);
		if (guest_used(guest, 0)->idx == guest_avail(guest, 0)->idx)
			return;
		loop_fake_wait(guest->host.loop, 10);
	}
	CU_FAIL("requests did not come back");
}

/* Header, `size` bytes at BUFFER, status. */
static uint8_t request(
        struct bench *bench, uint32_t type, uint64_t sector, uint32_t size, bool in)
{
	struct guest *guest = &bench->guest;

	set_header(bench, type, sector);
	guest_describe(guest, 0, 0, HEADER, 16, VRING_DESC_F_NEXT, 1);
	guest_describe(guest, 0, 1, BUFFER, size,
	        VRING_DESC_F_NEXT | (in ? VRING_DESC_F_WRITE : 0), 2);
	guest_describe(guest, 0, 2, STATUS, 1, VRING_DESC_F_WRITE, 0);
	guest_offer(guest, 0, SIZE, 0);
	complete_all(bench);
	return *(uint8_t *)guest_at(guest, STATUS);
}

static uint32_t last_written(struct bench *bench)
{
	struct vring_used *used = guest_used(&bench->guest, 0);

	return used->ring[(uint16_t)(used->idx - 1) % SIZE].len;
}

static uint8_t disk_byte(struct bench *bench, off_t offset)
{
	uint8_t byte = UNTOUCHED;

	if (pread(bench->fd, &byte, 1, offset) != 1)
		CU_FAIL("cannot read the disk");
	return byte;
}

static void configuration_tells_capacity_and_limits(void)
{
	struct bench bench;

	bench_init(&bench, false);
	CU_ASSERT_EQUAL(guest_read(&bench.guest, 0x100, 8), SECTORS);
	CU_ASSERT_EQUAL(guest_read(&bench.guest, 0x100 + 12, 4), 254); /* seg_max */
	CU_ASSERT_EQUAL(guest_read(&bench.guest, 0x100 + 20, 4), 512); /* blk_size */
	CU_ASSERT_EQUAL(guest_get(&bench.guest, VIRTIO_MMIO_DEVICE_ID), 2);
	CU_ASSERT_FALSE(guest_offered(&bench.guest) & 1 << VIRTIO_BLK_F_RO);
	bench_destroy(&bench);
}

static void sectors_are_read_and_written(void)
{
	struct bench bench;

	bench_init(&bench, false);
	uint8_t *buffer = guest_at(&bench.guest, BUFFER);
	CU_ASSERT_EQUAL(request(&bench, VIRTIO_BLK_T_IN, 7, 1024, true), 0);
	CU_ASSERT_EQUAL(last_written(&bench), 1025);
	CU_ASSERT_EQUAL(buffer[0], 7);
	CU_ASSERT_EQUAL(buffer[1023], 8);
	CU_ASSERT_TRUE(bench.guest.interrupts >= 1);
	memset(buffer, 0xab, 512);
	CU_ASSERT_EQUAL(request(&bench, VIRTIO_BLK_T_OUT, 9, 512, false), 0);
	CU_ASSERT_EQUAL(last_written(&bench), 1);
	CU_ASSERT_EQUAL(disk_byte(&bench, 9 * 512), 0xab);
	CU_ASSERT_EQUAL(disk_byte(&bench, 10 * 512), 10);
	CU_ASSERT_EQUAL(request(&bench, VIRTIO_BLK_T_FLUSH, 0, 0, false), 0);
	bench_destroy(&bench);
}

static void writes_last_without_flush(void)
{
	struct bench bench;

	bench_init(&bench, false);
	guest_start(&bench.guest, UINT64_C(1) << VIRTIO_F_VERSION_1, 1, SIZE);
	*(uint8_t *)guest_at(&bench.guest, BUFFER) = 0xcd;
	CU_ASSERT_EQUAL(request(&bench, VIRTIO_BLK_T_OUT, 3, 512, false), 0);
	CU_ASSERT_EQUAL(disk_byte(&bench, 3 * 512), 0xcd);
	bench_destroy(&bench);
}

/* 2.7.4: no assumption about segments. Everything is in segments of odd sizes. */
static void any_segmentation_is_understood(void)
{
	struct bench bench;

	bench_init(&bench, false);
	struct guest *guest = &bench.guest;
	const uint16_t next = VRING_DESC_F_NEXT, in = next | VRING_DESC_F_WRITE;
	uint8_t *buffer = guest_at(guest, BUFFER);

	/* A read: header in 3 pieces; data in two, the second together with the status. */
	set_header(&bench, VIRTIO_BLK_T_IN, 5);
	guest_describe(guest, 0, 0, HEADER, 5, next, 1);
	guest_describe(guest, 0, 1, HEADER + 5, 10, next, 2);
	guest_describe(guest, 0, 2, HEADER + 15, 1, next, 3);
	guest_describe(guest, 0, 3, BUFFER, 1, in, 4);
	guest_describe(guest, 0, 4, BUFFER + 1, 512, VRING_DESC_F_WRITE, 0);
	buffer[512] = UNTOUCHED;
	guest_offer(guest, 0, SIZE, 0);
	complete_all(&bench);
	CU_ASSERT_EQUAL(buffer[0], 5);
	CU_ASSERT_EQUAL(buffer[511], 5);
	CU_ASSERT_EQUAL(buffer[512], 0);
	CU_ASSERT_EQUAL(last_written(&bench), 513);

	/* A write: header and the first data in one segment. */
	memmove(buffer, guest_at(guest, HEADER), 16);
	((struct virtio_blk_outhdr *)buffer)->type = VIRTIO_BLK_T_OUT;
	memset(buffer + 16, 0x77, 512);
	guest_describe(guest, 0, 0, BUFFER, 16 + 500, next, 1);
	guest_describe(guest, 0, 1, BUFFER + 516, 12, next, 2);
	guest_describe(guest, 0, 2, STATUS, 1, VRING_DESC_F_WRITE, 0);
	guest_offer(guest, 0, SIZE, 0);
	complete_all(&bench);
	CU_ASSERT_EQUAL(*(uint8_t *)guest_at(guest, STATUS), 0);
	CU_ASSERT_EQUAL(disk_byte(&bench, 5 * 512), 0x77);
	CU_ASSERT_EQUAL(disk_byte(&bench, 5 * 512 + 511), 0x77);
	CU_ASSERT_EQUAL(disk_byte(&bench, 6 * 512), 6);
	bench_destroy(&bench);
}

static void requests_past_the_end_fail_and_touch_nothing(void)
{
	static const struct {
		uint64_t sector;
		uint32_t size;
		uint8_t status;
	} cases[] = {
	        {SECTORS - 1, 512, 0},
	        {SECTORS - 1, 1024, 1},
	        {SECTORS, 512, 1},
	        {SECTORS, 0, 0},
	        {SECTORS + 1, 0, 1},
	        {UINT64_MAX, 512, 1},
	        {UINT64_MAX / 512, 512, 1},
	        {UINT64_MAX / 512 + 1, 512, 1}, /* times 512 is 0 */
	        {0, 511, 1},
	        {0, 513, 1},
	        {0, 0, 0},
	};
	struct bench bench;

	bench_init(&bench, false);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CU_ASSERT_EQUAL(request(&bench, VIRTIO_BLK_T_IN, cases[i].sector,
		                        cases[i].size, true),
		        cases[i].status);
		CU_ASSERT_EQUAL(last_written(&bench),
		        1 + (cases[i].status ? 0 : cases[i].size));
		CU_ASSERT_EQUAL(request(&bench, VIRTIO_BLK_T_OUT, cases[i].sector,
		                        cases[i].size, false),
		        cases[i].status);
	}
	CU_ASSERT_EQUAL(lseek(bench.fd, 0, SEEK_END), SECTORS * 512);
	CU_ASSERT_FALSE(guest_must_reset(&bench.guest));
	bench_destroy(&bench);
}

static uint8_t range_request(struct bench *bench, uint32_t type, uint64_t sector,
        uint32_t sectors, uint32_t flags, uint32_t size)
{
	struct virtio_blk_discard_write_zeroes range = {sector, sectors, flags};

	memcpy(guest_at(&bench->guest, BUFFER), &range, sizeof(range));
	return request(bench, type, 0, size, false);
}

static void discard_and_write_zeroes_clear_their_range_only(void)
{
	struct bench bench;

	bench_init(&bench, false);
	for (unsigned unmap = 0; unmap < 2; unmap++) {
		unsigned sector = 20 + 20 * unmap;
		CU_ASSERT_EQUAL(range_request(&bench, VIRTIO_BLK_T_WRITE_ZEROES, sector,
		                        3, unmap, 16),
		        0);
		CU_ASSERT_EQUAL(disk_byte(&bench, sector * 512 - 1), sector - 1);
		CU_ASSERT_EQUAL(disk_byte(&bench, sector * 512), 0);
		CU_ASSERT_EQUAL(disk_byte(&bench, (sector + 3) * 512 - 1), 0);
		CU_ASSERT_EQUAL(disk_byte(&bench, (sector + 3) * 512), sector + 3);
	}
	CU_ASSERT_EQUAL(range_request(&bench, VIRTIO_BLK_T_DISCARD, 64, 8, 0, 16), 0);
	CU_ASSERT_EQUAL(disk_byte(&bench, 64 * 512), 0);
	CU_ASSERT_EQUAL(disk_byte(&bench, 72 * 512), 72);
	bench_destroy(&bench);
}

static void bad_ranges_are_refused(void)
{
	const uint32_t discard = VIRTIO_BLK_T_DISCARD, zero = VIRTIO_BLK_T_WRITE_ZEROES;
	struct bench bench;

	bench_init(&bench, false);
	CU_ASSERT_EQUAL(range_request(&bench, discard, 0, 1, 1, 16), 2);
	CU_ASSERT_EQUAL(range_request(&bench, zero, 0, 1, 2, 16), 2);
	CU_ASSERT_EQUAL(range_request(&bench, zero, SECTORS, 1, 0, 16), 1);
	CU_ASSERT_EQUAL(range_request(&bench, zero, UINT64_MAX, 2, 0, 16), 1);
	CU_ASSERT_EQUAL(range_request(&bench, discard, 1, UINT32_MAX, 0, 16), 1);
	CU_ASSERT_EQUAL(range_request(&bench, discard, 0, SECTORS + 1, 0, 16), 1);
	CU_ASSERT_EQUAL(range_request(&bench, discard, 0, 1, 0, 15), 1);
	CU_ASSERT_EQUAL(range_request(&bench, discard, 0, 1, 0, 32), 1);
	CU_ASSERT_EQUAL(range_request(&bench, discard, 0, 0, 0, 16), 0);
	CU_ASSERT_EQUAL(disk_byte(&bench, 512), 1);
	CU_ASSERT_FALSE(guest_must_reset(&bench.guest));
	bench_destroy(&bench);
}

static void readonly_disk_refuses_to_change(void)
{
	struct bench bench;

	bench_init(&bench, true);
	CU_ASSERT_TRUE(guest_offered(&bench.guest) & 1 << VIRTIO_BLK_F_RO);
	CU_ASSERT_FALSE(guest_offered(&bench.guest) & 1 << VIRTIO_BLK_F_DISCARD);
	CU_ASSERT_EQUAL(request(&bench, VIRTIO_BLK_T_OUT, 1, 512, false), 1);
	CU_ASSERT_EQUAL(
	        range_request(&bench, VIRTIO_BLK_T_WRITE_ZEROES, 1, 1, 0, 16), 1);
	CU_ASSERT_EQUAL(range_request(&bench, VIRTIO_BLK_T_DISCARD, 1, 1, 0, 16), 1);
	CU_ASSERT_EQUAL(disk_byte(&bench, 512), 1);
	CU_ASSERT_EQUAL(request(&bench, VIRTIO_BLK_T_IN, 1, 512, true), 0);
	CU_ASSERT_EQUAL(request(&bench, VIRTIO_BLK_T_FLUSH, 0, 0, false), 0);
	bench_destroy(&bench);
}

static void id_is_twenty_bytes_and_unknown_types_are_unsupported(void)
{
	struct bench bench;

	bench_init(&bench, false);
	uint8_t *buffer = guest_at(&bench.guest, BUFFER);
	memset(buffer, UNTOUCHED, 64);
	CU_ASSERT_EQUAL(request(&bench, VIRTIO_BLK_T_GET_ID, 0, 64, true), 0);
	CU_ASSERT_EQUAL(memcmp(buffer, "a-disk-of-twenty-cha", 20), 0);
	CU_ASSERT_EQUAL(buffer[20], UNTOUCHED);
	CU_ASSERT_EQUAL(last_written(&bench), 21);
	CU_ASSERT_EQUAL(request(&bench, VIRTIO_BLK_T_GET_ID, 0, 3, true), 0);
	CU_ASSERT_EQUAL(last_written(&bench), 4);
	CU_ASSERT_EQUAL(request(&bench, 2, 0, 512, true), 2);
	CU_ASSERT_EQUAL(request(&bench, UINT32_MAX, 0, 512, false), 2);
	bench_destroy(&bench);
}

static void request_without_header_or_status_needs_reset(void)
{
	struct bench bench;

	for (unsigned i = 0; i < 3; i++) {
		bench_init(&bench, false);
		struct guest *guest = &bench.guest;
		set_header(&bench, VIRTIO_BLK_T_IN, 0);
		if (i == 0) { /* no status */
			guest_describe(guest, 0, 0, HEADER, 16, 0, 0);
		} else if (i == 1) { /* a short header */
			guest_describe(guest, 0, 0, HEADER, 15, VRING_DESC_F_NEXT, 1);
			guest_describe(guest, 0, 1, STATUS, 1, VRING_DESC_F_WRITE, 0);
		} else { /* nothing but an empty segment */
			guest_describe(guest, 0, 0, HEADER, 0, VRING_DESC_F_WRITE, 0);
		}
		guest_offer(guest, 0, SIZE, 0);
		guest_kick(guest, 0);
		CU_ASSERT_TRUE(guest_must_reset(guest));
		CU_ASSERT_EQUAL(guest_get(guest, VIRTIO_MMIO_INTERRUPT_STATUS) & 2, 2);
		/* It is dead until then, and works afterwards. */
		guest_offer(guest, 0, SIZE, 0);
		guest_kick(guest, 0);
		CU_ASSERT_EQUAL(guest_used(guest, 0)->idx, 0);
		guest_start(guest, FEATURES, 1, SIZE);
		CU_ASSERT_EQUAL(request(&bench, VIRTIO_BLK_T_IN, 1, 512, true), 0);
		bench_destroy(&bench);
	}
}

/* More requests than are started at once, through one indirect table each. */
static unsigned offer_many(struct bench *bench, unsigned count)
{
	struct guest *guest = &bench->guest;

	for (unsigned i = 0; i < count; i++) {
		uint64_t table = BUFFER + 0x20000 + i * 64;
		struct vring_desc *desc = guest_at(guest, table);
		desc[0] = (struct vring_desc){HEADER, 16, VRING_DESC_F_NEXT, 1};
		desc[1] = (struct vring_desc){BUFFER + i * 512, 512,
		        VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 2};
		desc[2] = (struct vring_desc){
		        BUFFER + 0x30000 + i, 1, VRING_DESC_F_WRITE, 0};
		guest_describe(guest, 0, i, table, 48, VRING_DESC_F_INDIRECT, 0);
		guest_offer(guest, 0, SIZE, i);
	}
	memset(guest_at(guest, BUFFER + 0x30000), UNTOUCHED, count);
	return count;
}

static void more_requests_than_slots_all_complete(void)
{
	struct bench bench;

	bench_init(&bench, false);
	set_header(&bench, VIRTIO_BLK_T_IN, 42);
	for (unsigned round = 0; round < 3; round++) {
		unsigned count = offer_many(&bench, SIZE);
		complete_all(&bench);
		for (unsigned i = 0; i < count; i++) {
			uint8_t *data = guest_at(&bench.guest, BUFFER + i * 512);
			uint8_t *status = guest_at(&bench.guest, BUFFER + 0x30000 + i);
			CU_ASSERT_EQUAL(*status, 0);
			CU_ASSERT_EQUAL(*data, 42);
			*data = 0;
		}
	}
	bench_destroy(&bench);
}

static void reset_and_pause_leave_nothing_under_way(void)
{
	struct bench bench;

	bench_init(&bench, false);
	struct guest *guest = &bench.guest;
	set_header(&bench, VIRTIO_BLK_T_IN, 42);
	offer_many(&bench, 100);
	guest_kick(guest, 0);
	guest_set(guest, VIRTIO_MMIO_STATUS, 0);
	uint16_t done = guest_used(guest, 0)->idx;
	loop_fake_wait(guest->host.loop, 20);
	CU_ASSERT_EQUAL(guest_used(guest, 0)->idx, done);

	guest_start(guest, FEATURES, 1, SIZE);
	offer_many(&bench, 100);
	pthread_mutex_lock(&guest->device->lock);
	guest->device->type->pause(guest->device);
	pthread_mutex_unlock(&guest->device->lock);
	guest_kick(guest, 0);
	loop_fake_wait(guest->host.loop, 20);
	CU_ASSERT_EQUAL(guest_used(guest, 0)->idx, 0);
	pthread_mutex_lock(&guest->device->lock);
	guest->device->type->resume(guest->device);
	pthread_mutex_unlock(&guest->device->lock);
	complete_all(&bench);
	bench_destroy(&bench);
}

static void truncated_disk_gives_the_guest_an_error(void)
{
	struct bench bench;

	bench_init(&bench, false);
	CU_ASSERT_EQUAL(ftruncate(bench.fd, 10 * 512), 0);
	CU_ASSERT_EQUAL(request(&bench, VIRTIO_BLK_T_IN, 9, 1024, true), 1);
	CU_ASSERT_EQUAL(request(&bench, VIRTIO_BLK_T_IN, 9, 512, true), 0);
	CU_ASSERT_FALSE(guest_must_reset(&bench.guest));
	bench_destroy(&bench);
}

/* A disk of zeroes whose back end gets no ring. */
static void bench_init_synchronous(struct bench *bench, off_t size)
{
	guest_init(&bench->guest);
	bench->fd = memfd_create("disk", MFD_CLOEXEC);
	CU_ASSERT_EQUAL(ftruncate(bench->fd, size), 0);
	snprintf(bench->path, sizeof(bench->path), "/proc/self/fd/%d", bench->fd);
	loop_fake_limit(bench->guest.host.loop, 0);
	bench->guest.device = virtio_mmio_create(&bench->guest.host,
	        virtio_blk_create(&bench->guest.host,
	                disk_open(&(struct disk_config){.path = bench->path}), NULL),
	        GUEST_GSI);
	CU_ASSERT_PTR_NOT_NULL_FATAL(bench->guest.device);
	loop_fake_limit(bench->guest.host.loop, 1); /* the timer of kick_later */
	guest_start(&bench->guest, FEATURES, 1, SIZE);
}

static void without_watches_io_is_synchronous(void)
{
	struct bench bench;

	bench_init_synchronous(&bench, SECTORS * 512);
	set_header(&bench, VIRTIO_BLK_T_IN, 42);
	offer_many(&bench, SIZE);
	complete_all(&bench);
	CU_ASSERT_EQUAL(request(&bench, VIRTIO_BLK_T_OUT, 1, 512, false), 0);
	bench_destroy(&bench);
}

/* A signal is not seen while a vCPU reads what its guest asked for. */
static void a_notification_starts_no_more_than_some_mib(void)
{
	enum { REQUESTS = 3, PARTS = 130, PART = 512 << 10, TABLE = 0x10000 };
	struct bench bench;
	struct vring_desc *desc;

	bench_init_synchronous(&bench, PARTS * PART);
	set_header(&bench, VIRTIO_BLK_T_IN, 0);
	desc = guest_at(&bench.guest, TABLE);
	desc[0] = (struct vring_desc){HEADER, 16, VRING_DESC_F_NEXT, 1};
	for (uint16_t i = 1; i <= PARTS; i++)
		desc[i] = (struct vring_desc){BUFFER, PART,
		        VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, (uint16_t)(i + 1)};
	desc[PARTS + 1] = (struct vring_desc){STATUS, 1, VRING_DESC_F_WRITE, 0};
	for (unsigned i = 0; i < REQUESTS; i++) {
		guest_describe(&bench.guest, 0, i, TABLE, (PARTS + 2) * sizeof(*desc),
		        VRING_DESC_F_INDIRECT, 0);
		guest_offer(&bench.guest, 0, SIZE, i);
	}
	guest_kick(&bench.guest, 0);
	CU_ASSERT_EQUAL(guest_used(&bench.guest, 0)->idx, 1);
	complete_all(&bench);
	CU_ASSERT_EQUAL(*(uint8_t *)guest_at(&bench.guest, STATUS), 0);
	bench_destroy(&bench);
}

static char *temporary(char *path, off_t size)
{
	int fd = mkstemp(strcpy(path, "/tmp/mayfly-disk-XXXXXX"));

	if (fd < 0 || ftruncate(fd, size) < 0)
		abort();
	close(fd);
	return path;
}

static void locked_disk_is_refused(void)
{
	char path[32];
	struct disk *first, *second;

	temporary(path, 4096);
	first = disk_open(&(struct disk_config){.path = path});
	CU_ASSERT_PTR_NOT_NULL(first);
	CU_ASSERT_PTR_NULL(disk_open(&(struct disk_config){.path = path}));
	CU_ASSERT_PTR_NULL(
	        disk_open(&(struct disk_config){.path = path, .readonly = true}));
	disk_close(first);
	first = disk_open(&(struct disk_config){.path = path, .readonly = true});
	second = disk_open(&(struct disk_config){.path = path, .readonly = true});
	CU_ASSERT_PTR_NOT_NULL(first);
	CU_ASSERT_PTR_NOT_NULL(second);
	CU_ASSERT_PTR_NULL(disk_open(&(struct disk_config){.path = path}));
	disk_close(first);
	disk_close(second);
	first = disk_open(&(struct disk_config){.path = path});
	CU_ASSERT_PTR_NOT_NULL(first);
	disk_close(first);
	unlink(path);
}

static void what_is_no_disk_is_refused(void)
{
	char path[32];

	CU_ASSERT_PTR_NULL(
	        disk_open(&(struct disk_config){.path = "/nonexistent/disk"}));
	CU_ASSERT_PTR_NULL(
	        disk_open(&(struct disk_config){.path = "/tmp", .readonly = true}));
	CU_ASSERT_PTR_NULL(disk_open(&(struct disk_config){.path = "/dev/null"}));
	CU_ASSERT_PTR_NULL(
	        disk_open(&(struct disk_config){.path = temporary(path, 0)}));
	unlink(path);
	CU_ASSERT_PTR_NULL(
	        disk_open(&(struct disk_config){.path = temporary(path, 513)}));
	unlink(path);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(configuration_tells_capacity_and_limits),
	        UNIT(sectors_are_read_and_written),
	        UNIT(writes_last_without_flush),
	        UNIT(any_segmentation_is_understood),
	        UNIT(requests_past_the_end_fail_and_touch_nothing),
	        UNIT(discard_and_write_zeroes_clear_their_range_only),
	        UNIT(bad_ranges_are_refused),
	        UNIT(readonly_disk_refuses_to_change),
	        UNIT(id_is_twenty_bytes_and_unknown_types_are_unsupported),
	        UNIT(request_without_header_or_status_needs_reset),
	        UNIT(more_requests_than_slots_all_complete),
	        UNIT(reset_and_pause_leave_nothing_under_way),
	        UNIT(truncated_disk_gives_the_guest_an_error),
	        UNIT(without_watches_io_is_synchronous),
	        UNIT(a_notification_starts_no_more_than_some_mib),
	        UNIT(locked_disk_is_refused),
	        UNIT(what_is_no_disk_is_refused),
	        {0},
	};

	return unit_run("virtio-blk", tests);
}
