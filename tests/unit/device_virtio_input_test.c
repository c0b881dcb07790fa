/* devices/virtio_input.c behind its transport: a power button and who listens to it. */
#include <linux/input-event-codes.h>
#include <linux/virtio_input.h>

#include "tests/unit/unit.h"
#include "tests/unit/virtio_guest.h"

#define FEATURES (UINT64_C(1) << VIRTIO_F_VERSION_1)

enum { EVENTS, STATUS, QUEUES, SIZE = 64, EVENT = sizeof(struct virtio_input_event) };

static struct guest guest;
static struct virtio *button;

static void create(void)
{
	guest_init(&guest);
	button = virtio_input_create(&guest.host);
	guest.device = virtio_mmio_create(&guest.host, button, GUEST_GSI);
}

/* As Linux does it: what there is of `select` and `subsel`, in bytes. */
static unsigned chosen(uint8_t select, uint8_t subsel)
{
	guest_write(&guest, VIRTIO_MMIO_CONFIG, select, 1);
	guest_write(&guest, VIRTIO_MMIO_CONFIG + 1, subsel, 1);
	return (unsigned)guest_read(&guest, VIRTIO_MMIO_CONFIG + 2, 1);
}

static unsigned byte(unsigned index)
{
	return (unsigned)guest_read(&guest, VIRTIO_MMIO_CONFIG + 8 + index, 1);
}

static void offer(unsigned count, uint32_t size)
{
	for (unsigned i = 0; i < count; i++) {
		guest_describe(&guest, EVENTS, i, GUEST_DATA + i * EVENT, size,
		        VRING_DESC_F_WRITE, 0);
		guest_offer(&guest, EVENTS, SIZE, (uint16_t)i);
	}
	guest_kick(&guest, EVENTS);
}

static void it_has_one_key_and_a_name(void)
{
	create();
	guest_features_ok(&guest, FEATURES);
	CU_ASSERT_EQUAL(chosen(VIRTIO_INPUT_CFG_ID_NAME, 0), strlen("Power Button"));
	CU_ASSERT_EQUAL(byte(0), 'P');
	CU_ASSERT_EQUAL(byte(11), 'n');
	CU_ASSERT_EQUAL(chosen(VIRTIO_INPUT_CFG_EV_BITS, EV_KEY), KEY_POWER / 8 + 1);
	for (unsigned i = 0; i < 128; i++)
		CU_ASSERT_EQUAL(byte(i), i == KEY_POWER / 8 ? 1 << KEY_POWER % 8 : 0);
	CU_ASSERT_EQUAL(chosen(VIRTIO_INPUT_CFG_EV_BITS, EV_REL), 0);
	CU_ASSERT_EQUAL(chosen(VIRTIO_INPUT_CFG_ID_DEVIDS, 0), 0);
	CU_ASSERT_EQUAL(chosen(0xff, 0xff), 0);
	/* What a guest writes over the answer is not kept. */
	chosen(VIRTIO_INPUT_CFG_ID_NAME, 0);
	guest_write(&guest, VIRTIO_MMIO_CONFIG + 2, 200, 1);
	guest_write(&guest, VIRTIO_MMIO_CONFIG + 8, 0, 8);
	CU_ASSERT_EQUAL(guest_read(&guest, VIRTIO_MMIO_CONFIG + 2, 1), 12);
	CU_ASSERT_EQUAL(byte(0), 'P');
	guest_destroy(&guest);
}

static void press_is_down_and_up(void)
{
	static const struct virtio_input_event wanted[] = {{EV_KEY, KEY_POWER, 1},
	        {EV_SYN, SYN_REPORT, 0}, {EV_KEY, KEY_POWER, 0},
	        {EV_SYN, SYN_REPORT, 0}};

	create();
	guest_start(&guest, FEATURES, QUEUES, SIZE);
	offer(8, EVENT);
	CU_ASSERT_EQUAL(guest_used(&guest, EVENTS)->idx, 0);
	CU_ASSERT_TRUE(virtio_input_press(button));
	CU_ASSERT_EQUAL(guest_used(&guest, EVENTS)->idx, 4);
	CU_ASSERT_EQUAL(guest_used(&guest, EVENTS)->ring[3].len, EVENT);
	CU_ASSERT(!memcmp(guest_at(&guest, GUEST_DATA), wanted, sizeof(wanted)));
	CU_ASSERT_EQUAL(guest.interrupts, 1);
	guest_destroy(&guest);
}

static void nobody_hears_it_without_a_driver_or_buffers(void)
{
	create();
	CU_ASSERT_FALSE(virtio_input_press(button));
	guest_features_ok(&guest, FEATURES);
	CU_ASSERT_FALSE(virtio_input_press(button));
	guest_start(&guest, FEATURES, QUEUES, SIZE);
	CU_ASSERT_FALSE(virtio_input_press(button));
	offer(3, EVENT);
	CU_ASSERT_FALSE(virtio_input_press(button));
	CU_ASSERT_EQUAL(guest_used(&guest, EVENTS)->idx, 3);
	guest_destroy(&guest);
}

static void buffers_without_room_get_nothing(void)
{
	create();
	guest_start(&guest, FEATURES, QUEUES, SIZE);
	memset(guest_at(&guest, GUEST_DATA), 0xee, EVENT);
	offer(4, EVENT - 1);
	CU_ASSERT_FALSE(virtio_input_press(button));
	CU_ASSERT_EQUAL(*(uint8_t *)guest_at(&guest, GUEST_DATA), 0xee);
	CU_ASSERT_EQUAL(guest_used(&guest, EVENTS)->ring[0].len, 0);
	CU_ASSERT_FALSE(guest_must_reset(&guest));
	guest_destroy(&guest);
}

static void broken_ring_needs_a_reset(void)
{
	create();
	guest_start(&guest, FEATURES, QUEUES, SIZE);
	guest_describe(&guest, EVENTS, 0, GUEST_MEMORY, EVENT, VRING_DESC_F_WRITE, 0);
	guest_offer(&guest, EVENTS, SIZE, 0);
	CU_ASSERT_FALSE(virtio_input_press(button));
	CU_ASSERT_TRUE(guest_must_reset(&guest));
	CU_ASSERT_FALSE(virtio_input_press(button));
	guest_destroy(&guest);
}

static void status_is_taken_and_given_back(void)
{
	create();
	guest_start(&guest, FEATURES, QUEUES, SIZE);
	guest_describe(&guest, STATUS, 0, GUEST_DATA, EVENT, 0, 0);
	guest_offer(&guest, STATUS, SIZE, 0);
	guest_kick(&guest, STATUS);
	CU_ASSERT_EQUAL(guest_used(&guest, STATUS)->idx, 1);
	CU_ASSERT_EQUAL(guest_used(&guest, STATUS)->ring[0].len, 0);
	guest_destroy(&guest);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(it_has_one_key_and_a_name),
	        UNIT(press_is_down_and_up),
	        UNIT(nobody_hears_it_without_a_driver_or_buffers),
	        UNIT(buffers_without_room_get_nothing),
	        UNIT(broken_ring_needs_a_reset),
	        UNIT(status_is_taken_and_given_back),
	        {0},
	};

	return unit_run("virtio-input", tests);
}
