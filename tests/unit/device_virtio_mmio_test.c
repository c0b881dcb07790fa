/* What holds for the registers of every virtio device: a further one is one line below. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/disk.h"
#include "tests/unit/unit.h"
#include "tests/unit/virtio_guest.h"

#define VERSION_1 (UINT64_C(1) << VIRTIO_F_VERSION_1)

enum {
	ACK = 1,
	DRIVER = 2,
	DRIVER_OK = 4,
	FEATURES_OK = 8,
	NEEDS_RESET = 64,
	FAILED = 128
};

static struct virtio *create_rng(struct device_host *host)
{
	return virtio_rng_create(host);
}

static struct virtio *create_blk(struct device_host *host)
{
	int fd = memfd_create("disk", MFD_CLOEXEC);
	char path[64];

	if (ftruncate(fd, 4096) < 0)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	struct disk *disk = disk_open(&(struct disk_config){.path = path});
	close(fd);
	return virtio_blk_create(host, disk, NULL);
}

static const struct {
	struct virtio *(*create)(struct device_host *host);
	unsigned device_id;
	unsigned queues;
} kinds[] = {
        {create_rng, 4, 1},
        {create_blk, 2, 1},
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static void init(struct guest *guest, unsigned kind)
{
	guest_init(guest);
	guest->device = virtio_mmio_create(
	        &guest->host, kinds[kind].create(&guest->host), GUEST_GSI);
	CU_ASSERT_PTR_NOT_NULL_FATAL(guest->device);
}

static uint32_t status(struct guest *guest)
{
	return guest_get(guest, VIRTIO_MMIO_STATUS);
}

static uint32_t set_status(struct guest *guest, uint32_t value)
{
	guest_set(guest, VIRTIO_MMIO_STATUS, value);
	return status(guest);
}

static void identity_and_absent_registers(void)
{
	for (unsigned kind = 0; kind < KINDS; kind++) {
		struct guest guest;
		init(&guest, kind);
		CU_ASSERT_EQUAL(guest_get(&guest, 0), 0x74726976);
		CU_ASSERT_EQUAL(guest_get(&guest, 4), 2);
		CU_ASSERT_EQUAL(guest_get(&guest, 8), kinds[kind].device_id);
		for (uint64_t shm = VIRTIO_MMIO_SHM_LEN_LOW;
		        shm <= VIRTIO_MMIO_SHM_BASE_HIGH; shm += 4)
			CU_ASSERT_EQUAL(guest_get(&guest, shm), UINT32_MAX);
		CU_ASSERT_EQUAL(status(&guest), 0);
		guest_destroy(&guest);
	}
}

/* The driver that comes first has the device; who comes by the other view finds none. */
static void one_view_has_the_device(void)
{
	for (unsigned first = 0; first < 2; first++) {
		uint64_t view = first * VIRTIO_MMIO_SIZE,
		         other = VIRTIO_MMIO_SIZE - view;
		struct guest guest;

		init(&guest, 0);
		CU_ASSERT_EQUAL(guest_get(&guest, other), 0x74726976);
		CU_ASSERT_EQUAL(guest_get(&guest, view + 8), kinds[0].device_id);
		CU_ASSERT_EQUAL(guest_get(&guest, other), 0x74726976);
		CU_ASSERT_EQUAL(guest_get(&guest, other + 8), 0);
		CU_ASSERT_EQUAL(guest_get(&guest, view + 8), kinds[0].device_id);
		guest_set(&guest, view + VIRTIO_MMIO_STATUS, ACK);
		CU_ASSERT_EQUAL(guest_get(&guest, view + VIRTIO_MMIO_STATUS), ACK);
		guest_destroy(&guest);
	}
}

static void only_aligned_words_reach_registers(void)
{
	for (unsigned kind = 0; kind < KINDS; kind++) {
		struct guest guest;
		init(&guest, kind);
		CU_ASSERT_EQUAL(guest_read(&guest, 0, 1), 0xff);
		CU_ASSERT_EQUAL(guest_read(&guest, 0, 2), 0xffff);
		CU_ASSERT_EQUAL(guest_read(&guest, 0, 8), UINT64_MAX);
		CU_ASSERT_EQUAL(guest_read(&guest, 2, 4), UINT32_MAX);
		guest_write(&guest, VIRTIO_MMIO_STATUS, 1, 1);
		guest_write(&guest, VIRTIO_MMIO_STATUS, 1, 8);
		CU_ASSERT_EQUAL(status(&guest), 0);
		/* The configuration ends where it ends, and does not wrap. */
		CU_ASSERT_EQUAL(
		        guest_read(&guest, VIRTIO_MMIO_SIZE - 8, 8), UINT64_MAX);
		guest_write(&guest, 0x100, 0, 8);
		guest_write(&guest, VIRTIO_MMIO_SIZE - 4, 0, 4);
		guest_destroy(&guest);
	}
}

static void status_bits_come_in_order(void)
{
	for (unsigned kind = 0; kind < KINDS; kind++) {
		struct guest guest;
		init(&guest, kind);
		CU_ASSERT_EQUAL(set_status(&guest, DRIVER), 0);
		CU_ASSERT_EQUAL(set_status(&guest, DRIVER_OK), 0);
		CU_ASSERT_EQUAL(set_status(&guest, ACK), ACK);
		CU_ASSERT_EQUAL(set_status(&guest, ACK | DRIVER_OK), ACK);
		CU_ASSERT_EQUAL(set_status(&guest, ACK | DRIVER), 3);
		CU_ASSERT_EQUAL(set_status(&guest, 3 | DRIVER_OK), 3);
		CU_ASSERT_EQUAL(set_status(&guest, 3 | FEATURES_OK), 11);
		CU_ASSERT_EQUAL(set_status(&guest, 11 | NEEDS_RESET), 11);
		CU_ASSERT_EQUAL(set_status(&guest, ACK), 11); /* nothing is cleared */
		CU_ASSERT_EQUAL(set_status(&guest, 15), 15);
		CU_ASSERT_EQUAL(set_status(&guest, FAILED | 15), FAILED | 15);
		CU_ASSERT_EQUAL(set_status(&guest, 0), 0);
		CU_ASSERT_EQUAL(set_status(&guest, FAILED), FAILED);
		CU_ASSERT_EQUAL(set_status(&guest, FAILED | ACK), FAILED);
		CU_ASSERT_EQUAL(set_status(&guest, 0), 0);
		CU_ASSERT_EQUAL(set_status(&guest, 0xffffff00), 0);
		guest_destroy(&guest);
	}
}

static void any_features_are_accepted_and_then_frozen(void)
{
	for (unsigned kind = 0; kind < KINDS; kind++) {
		struct guest guest;
		init(&guest, kind);
		CU_ASSERT_TRUE((guest_offered(&guest) & VERSION_1) != 0);
		guest_set(&guest, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
		CU_ASSERT_EQUAL(guest_get(&guest, VIRTIO_MMIO_DEVICE_FEATURES), 0);
		guest_set(&guest, VIRTIO_MMIO_DEVICE_FEATURES_SEL, UINT32_MAX);
		CU_ASSERT_EQUAL(guest_get(&guest, VIRTIO_MMIO_DEVICE_FEATURES), 0);
		for (unsigned bit = 0; bit < 64; bit++) {
			guest_features_ok(&guest, VERSION_1 | UINT64_C(1) << bit);
			CU_ASSERT_TRUE((status(&guest) & FEATURES_OK) != 0);
		}
		guest_features_ok(&guest, 0); /* not even VERSION_1: OSv */
		CU_ASSERT_TRUE((status(&guest) & FEATURES_OK) != 0);
		guest_features_ok(&guest, VERSION_1);
		guest_accept(&guest, 0);
		CU_ASSERT_EQUAL(set_status(&guest, 15), 15);
		guest_destroy(&guest);
	}
}

static void absent_queues_have_no_registers(void)
{
	for (unsigned kind = 0; kind < KINDS; kind++) {
		struct guest guest;
		init(&guest, kind);
		guest_features_ok(&guest, VERSION_1);
		static const uint32_t far[] = {4, 64, 0x80000000, UINT32_MAX};
		for (unsigned i = 0; i <= 4; i++) {
			uint32_t queue = i ? far[i - 1] : kinds[kind].queues;
			guest_setup_queue(&guest, queue, 8, 0);
			CU_ASSERT_EQUAL(
			        guest_get(&guest, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
			CU_ASSERT_EQUAL(guest_get(&guest, VIRTIO_MMIO_QUEUE_READY), 0);
			guest_kick(&guest, queue);
		}
		guest_set(&guest, VIRTIO_MMIO_STATUS, 15);
		for (unsigned i = 0; i < 4; i++)
			guest_kick(&guest, far[i]);
		CU_ASSERT_EQUAL(status(&guest), 15);
		guest_destroy(&guest);
	}
}

/* Tries to move the queue to `base`, then lets the device write to wherever it is. */
static void move_queue(struct guest *guest, uint64_t base)
{
	guest_set(guest, VIRTIO_MMIO_QUEUE_SEL, 0);
	guest_set(guest, VIRTIO_MMIO_QUEUE_NUM, 4);
	guest_set(guest, VIRTIO_MMIO_QUEUE_DESC_LOW, base + GUEST_DESC);
	guest_set(guest, VIRTIO_MMIO_QUEUE_AVAIL_LOW, base + GUEST_AVAIL);
	guest_set(guest, VIRTIO_MMIO_QUEUE_USED_LOW, base + GUEST_USED);
	guest_set(guest, VIRTIO_MMIO_QUEUE_USED_HIGH, 1);
}

static const struct virtqueue_state *queue_state(struct guest *guest)
{
	/* struct virtio_mmio: the device, then what it carries. */
	struct virtio *virtio = *(struct virtio **)(guest->device + 1);

	return &virtio->state.queues[0];
}

static void queue_is_frozen_while_ready_and_from_driver_ok_on(void)
{
	for (unsigned kind = 0; kind < KINDS; kind++) {
		struct guest guest;
		init(&guest, kind);
		/* Before FEATURES_OK: nothing. */
		guest_setup_queue(&guest, 0, 8, 0);
		CU_ASSERT_EQUAL(guest_get(&guest, VIRTIO_MMIO_QUEUE_READY), 0);
		CU_ASSERT_EQUAL(queue_state(&guest)->size, 0);

		guest_features_ok(&guest, VERSION_1);
		guest_setup_queue(&guest, 0, 8, 0);
		struct virtqueue_state before = *queue_state(&guest);
		CU_ASSERT_EQUAL(before.used, GUEST_USED);
		CU_ASSERT_EQUAL(guest_get(&guest, VIRTIO_MMIO_QUEUE_READY), 1);
		move_queue(&guest, 0x10000);
		CU_ASSERT_EQUAL(
		        memcmp(&before, queue_state(&guest), sizeof(before)), 0);

		guest_set(&guest, VIRTIO_MMIO_QUEUE_READY, 0);
		CU_ASSERT_EQUAL(guest_get(&guest, VIRTIO_MMIO_QUEUE_READY), 0);
		guest_setup_queue(&guest, 0, 4, 0x10000);
		CU_ASSERT_EQUAL(queue_state(&guest)->size, 4);
		CU_ASSERT_EQUAL(queue_state(&guest)->desc, 0x10000 + GUEST_DESC);

		CU_ASSERT_EQUAL(set_status(&guest, 15), 15);
		before = *queue_state(&guest);
		guest_set(&guest, VIRTIO_MMIO_QUEUE_READY, 0);
		CU_ASSERT_EQUAL(guest_get(&guest, VIRTIO_MMIO_QUEUE_READY), 1);
		move_queue(&guest, 0);
		CU_ASSERT_EQUAL(
		        memcmp(&before, queue_state(&guest), sizeof(before)), 0);

		CU_ASSERT_EQUAL(set_status(&guest, 0), 0);
		CU_ASSERT_EQUAL(guest_get(&guest, VIRTIO_MMIO_QUEUE_READY), 0);
		CU_ASSERT_EQUAL(queue_state(&guest)->desc, 0);
		guest_destroy(&guest);
	}
}

static void bad_queue_needs_reset_at_driver_ok(void)
{
	static const struct {
		uint32_t size;
		uint64_t base;
	} bad[] = {
	        {0, 0},
	        {3, 0},
	        {512, 0},
	        {65536 + 8, 0},
	        {UINT32_MAX, 0},
	        {8, GUEST_MEMORY},
	        {8, 4},
	        {8, UINT64_MAX & ~0xffffULL},
	};

	for (unsigned kind = 0; kind < KINDS; kind++)
		for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
			struct guest guest;
			init(&guest, kind);
			guest_features_ok(&guest, VERSION_1);
			guest_setup_queue(&guest, 0, bad[i].size, bad[i].base);
			CU_ASSERT_EQUAL(set_status(&guest, 15), 11 | NEEDS_RESET);
			guest_kick(&guest, 0);
			CU_ASSERT_EQUAL(set_status(&guest, 15), 11 | NEEDS_RESET);
			guest_start(&guest, VERSION_1, 1, 8);
			CU_ASSERT_EQUAL(status(&guest), 15);
			guest_destroy(&guest);
		}
}

static void broken_ring_needs_reset_once(void)
{
	for (unsigned kind = 0; kind < KINDS; kind++) {
		struct guest guest;
		init(&guest, kind);
		guest_start(&guest, VERSION_1, 1, 8);
		guest_avail(&guest, 0)->idx = 9;
		guest_kick(&guest, 0);
		guest_kick(&guest, 0);
		CU_ASSERT_EQUAL(status(&guest), 15 | NEEDS_RESET);
		CU_ASSERT_EQUAL(guest.interrupts, 1);
		CU_ASSERT_EQUAL(guest_get(&guest, VIRTIO_MMIO_INTERRUPT_STATUS), 2);
		guest_set(&guest, VIRTIO_MMIO_INTERRUPT_ACK, 1);
		CU_ASSERT_EQUAL(guest_get(&guest, VIRTIO_MMIO_INTERRUPT_STATUS), 2);
		guest_set(&guest, VIRTIO_MMIO_INTERRUPT_ACK, 2);
		CU_ASSERT_EQUAL(guest_get(&guest, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
		guest_destroy(&guest);
	}
}

static void every_interrupt_is_an_edge(void)
{
	for (unsigned kind = 0; kind < KINDS; kind++) {
		struct guest guest;
		init(&guest, kind);
		guest_start(&guest, VERSION_1, 1, 8);
		struct virtio *virtio = *(struct virtio **)(guest.device + 1);
		pthread_mutex_lock(&guest.device->lock);
		virtio_push(virtio, 0, 0, 0);
		virtio_push(virtio, 0, 0, 0);
		virtio_config_changed(virtio);
		pthread_mutex_unlock(&guest.device->lock);
		CU_ASSERT_EQUAL(guest.interrupts, 3);
		CU_ASSERT_FALSE(guest.level);
		CU_ASSERT_EQUAL(guest_get(&guest, VIRTIO_MMIO_INTERRUPT_STATUS), 3);
		CU_ASSERT_EQUAL(guest_get(&guest, VIRTIO_MMIO_CONFIG_GENERATION), 1);
		set_status(&guest, 0);
		CU_ASSERT_EQUAL(guest_get(&guest, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
		guest_destroy(&guest);
	}
}

static void destroy_leaves_nothing_in_the_loop(void)
{
	for (unsigned kind = 0; kind < KINDS; kind++) {
		struct guest guest;
		init(&guest, kind);
		guest_start(&guest, VERSION_1, 1, 8);
		device_destroy(guest.device);
		guest.device = NULL;
		CU_ASSERT_EQUAL(loop_fake_count(guest.host.loop), 0);
		guest_destroy(&guest);
	}
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(identity_and_absent_registers),
	        UNIT(one_view_has_the_device),
	        UNIT(only_aligned_words_reach_registers),
	        UNIT(status_bits_come_in_order),
	        UNIT(any_features_are_accepted_and_then_frozen),
	        UNIT(absent_queues_have_no_registers),
	        UNIT(queue_is_frozen_while_ready_and_from_driver_ok_on),
	        UNIT(bad_queue_needs_reset_at_driver_ok),
	        UNIT(broken_ring_needs_reset_once),
	        UNIT(every_interrupt_is_an_edge),
	        UNIT(destroy_leaves_nothing_in_the_loop),
	        {0},
	};

	return unit_run("virtio-mmio", tests);
}
