#include "tests/unit/unit.h"
#include "tests/unit/virtio_guest.h"

enum { SIZE = 64 };

#define FEATURES (UINT64_C(1) << VIRTIO_F_VERSION_1 | 1 << VIRTIO_RING_F_EVENT_IDX)

static void rng_init(struct guest *guest)
{
	guest_init(guest);
	guest->device = virtio_mmio_create(
	        &guest->host, virtio_rng_create(&guest->host), GUEST_GSI);
	guest_start(guest, FEATURES, 1, SIZE);
}

static bool all_zero(const uint8_t *data, size_t size)
{
	while (size > 0 && *data == 0)
		data++, size--;
	return size == 0;
}

static void buffers_are_filled_and_nothing_else(void)
{
	struct guest guest;

	rng_init(&guest);
	uint8_t *data = guest_at(&guest, GUEST_DATA);
	guest_describe(&guest, 0, 0, GUEST_DATA, 64, VRING_DESC_F_NEXT, 1);
	guest_describe(&guest, 0, 1, GUEST_DATA + 64, 64,
	        VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 2);
	guest_describe(&guest, 0, 2, GUEST_DATA + 192, 64, VRING_DESC_F_WRITE, 0);
	guest_offer(&guest, 0, SIZE, 0);
	guest_kick(&guest, 0);
	CU_ASSERT_EQUAL(guest_used(&guest, 0)->idx, 1);
	CU_ASSERT_EQUAL(guest_used(&guest, 0)->ring[0].len, 128);
	CU_ASSERT_TRUE(all_zero(data, 64));
	CU_ASSERT_FALSE(all_zero(data + 64, 64));
	CU_ASSERT_TRUE(all_zero(data + 128, 64));
	CU_ASSERT_FALSE(all_zero(data + 192, 64));
	CU_ASSERT_TRUE(all_zero(data + 256, 64));
	CU_ASSERT_EQUAL(guest.interrupts, 1);
	guest_destroy(&guest);
}

/* As Linux 5.10.223 asks, and then waits for ever. */
static void request_before_driver_ok_is_not_lost(void)
{
	struct guest guest;

	guest_init(&guest);
	guest.device = virtio_mmio_create(
	        &guest.host, virtio_rng_create(&guest.host), GUEST_GSI);
	guest_features_ok(&guest, FEATURES);
	guest_setup_queue(&guest, 0, SIZE, 0);
	guest_describe(&guest, 0, 0, GUEST_DATA, 64, VRING_DESC_F_WRITE, 0);
	guest_offer(&guest, 0, SIZE, 0);
	guest_kick(&guest, 0);
	CU_ASSERT_EQUAL(guest_used(&guest, 0)->idx, 0);
	guest_set(&guest, VIRTIO_MMIO_STATUS, 15);
	CU_ASSERT_EQUAL(guest_used(&guest, 0)->idx, 1);
	CU_ASSERT_EQUAL(guest_used(&guest, 0)->ring[0].len, 64);
	CU_ASSERT_EQUAL(guest.interrupts, 1);
	guest_destroy(&guest);
}

static void one_request_is_capped(void)
{
	struct guest guest;

	rng_init(&guest);
	guest_describe(&guest, 0, 0, GUEST_DATA, 100000, VRING_DESC_F_WRITE, 0);
	guest_offer(&guest, 0, SIZE, 0);
	guest_kick(&guest, 0);
	CU_ASSERT_EQUAL(guest_used(&guest, 0)->ring[0].len, 65536);
	CU_ASSERT_TRUE(all_zero(guest_at(&guest, GUEST_DATA + 65536), 100000 - 65536));
	guest_destroy(&guest);
}

static void request_without_room_gets_nothing(void)
{
	struct guest guest;

	rng_init(&guest);
	guest_describe(&guest, 0, 0, GUEST_DATA, 64, 0, 0);
	guest_offer(&guest, 0, SIZE, 0);
	guest_kick(&guest, 0);
	CU_ASSERT_EQUAL(guest_used(&guest, 0)->idx, 1);
	CU_ASSERT_EQUAL(guest_used(&guest, 0)->ring[0].len, 0);
	guest_destroy(&guest);
}

static void many_requests_are_served_in_shares(void)
{
	struct guest guest;

	rng_init(&guest);
	guest_describe(&guest, 0, 0, GUEST_DATA, 8, VRING_DESC_F_WRITE, 0);
	for (unsigned i = 0; i < SIZE; i++)
		guest_offer(&guest, 0, SIZE, 0);
	guest_kick(&guest, 0);
	CU_ASSERT_EQUAL(guest_used(&guest, 0)->idx, 16);
	loop_fake_advance(guest.host.loop, 1);
	CU_ASSERT_EQUAL(guest_used(&guest, 0)->idx, SIZE);
	guest_destroy(&guest);
}

static void share_left_at_reset_is_forgotten(void)
{
	struct guest guest;

	rng_init(&guest);
	guest_describe(&guest, 0, 0, GUEST_DATA, 8, VRING_DESC_F_WRITE, 0);
	for (unsigned i = 0; i < SIZE; i++)
		guest_offer(&guest, 0, SIZE, 0);
	guest_kick(&guest, 0);
	guest_set(&guest, VIRTIO_MMIO_STATUS, 0);
	loop_fake_advance(guest.host.loop, 1);
	CU_ASSERT_EQUAL(guest_used(&guest, 0)->idx, 16);
	guest_destroy(&guest);
}

static void broken_ring_needs_reset(void)
{
	struct guest guest;

	rng_init(&guest);
	guest_avail(&guest, 0)->idx = SIZE + 1;
	guest_kick(&guest, 0);
	CU_ASSERT_TRUE(guest_must_reset(&guest));
	CU_ASSERT_EQUAL(guest_used(&guest, 0)->idx, 0);
	guest_destroy(&guest);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(buffers_are_filled_and_nothing_else),
	        UNIT(request_before_driver_ok_is_not_lost),
	        UNIT(one_request_is_capped),
	        UNIT(request_without_room_gets_nothing),
	        UNIT(many_requests_are_served_in_shares),
	        UNIT(share_left_at_reset_is_forgotten),
	        UNIT(broken_ring_needs_reset),
	        {0},
	};

	return unit_run("virtio-rng", tests);
}
