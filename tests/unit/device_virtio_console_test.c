/* devices/virtio_console.c behind its transport, with a console of arrays. */
#include <linux/virtio_console.h>

#include "devices/console.h"
#include "tests/unit/unit.h"
#include "tests/unit/virtio_guest.h"

#define BIT(n)   (UINT64_C(1) << (n))
#define FEATURES (BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_CONSOLE_F_SIZE))

enum { RX, TX, QUEUES, SIZE = 64, LIMIT = 64 << 10 };
enum { SETTLE_NS = 200000000 };

/* The host's end, in place of devices/console.c. */
static struct {
	struct console_client client;
	int attach_error;
	uint16_t columns, rows; /* at the start */
	size_t output_size;
	char output[2 * LIMIT];
	const char *input; /* what is still to be taken */
	unsigned wanted;
} end;

static struct guest guest;

int console_attach(struct console *console, const struct console_client *client)
{
	(void)console;
	end.client = *client;
	CU_ASSERT_NOT_EQUAL(pthread_mutex_trylock(client->lock), 0);
	if (end.columns)
		client->resized(client->context, end.columns, end.rows);
	return end.attach_error;
}

void console_want_input(struct console *console)
{
	(void)console;
	end.wanted++;
	if (end.input)
		end.input += end.client.input(
		        end.client.context, end.input, strlen(end.input));
}

void console_write(struct console *console, const void *data, size_t size)
{
	(void)console;
	if (size <= sizeof(end.output) - end.output_size) {
		memcpy(end.output + end.output_size, data, size);
		end.output_size += size;
	}
}

static void create(uint16_t columns, uint16_t rows, int attach_error)
{
	struct virtio *virtio;

	memset(&end, 0, sizeof(end));
	end.columns = columns;
	end.rows = rows;
	end.attach_error = attach_error;
	guest_init(&guest);
	virtio = virtio_console_create(&guest.host, (struct console *)&end);
	CU_ASSERT_PTR_NOT_NULL_FATAL(virtio);
	guest.device = virtio_mmio_create(&guest.host, virtio, GUEST_GSI);
}

static void setup(void)
{
	create(80, 25, 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(guest.device);
	guest_start(&guest, FEATURES, QUEUES, SIZE);
	guest_kick(&guest, RX);
	CU_ASSERT_EQUAL(loop_fake_advance(guest.host.loop, SETTLE_NS), 1);
}

static uint16_t config16(size_t offset)
{
	return guest_read(&guest, VIRTIO_MMIO_CONFIG + offset, 2);
}

/* One segment of guest memory at GUEST_DATA + `at`, made available as descriptor `index`. */
static void offer(
        unsigned queue, unsigned index, uint64_t at, uint32_t size, uint16_t flags)
{
	guest_describe(&guest, queue, index, GUEST_DATA + at, size, flags, 0);
	guest_offer(&guest, queue, SIZE, index);
}

static void type(const char *text)
{
	pthread_mutex_lock(end.client.lock);
	end.input = text;
	end.input += end.client.input(end.client.context, text, strlen(text));
	pthread_mutex_unlock(end.client.lock);
}

static void offers_size_and_emergency_write(void)
{
	create(0, 0, 0);
	uint64_t offered = guest_offered(&guest);

	CU_ASSERT_EQUAL(guest_get(&guest, VIRTIO_MMIO_DEVICE_ID), 3);
	CU_ASSERT_TRUE(offered & BIT(VIRTIO_CONSOLE_F_SIZE));
	CU_ASSERT_TRUE(offered & BIT(VIRTIO_CONSOLE_F_EMERG_WRITE));
	CU_ASSERT_FALSE(offered & BIT(VIRTIO_CONSOLE_F_MULTIPORT));
	CU_ASSERT_EQUAL(config16(0), 0);
	guest_destroy(&guest);
}

static void failed_attach_creates_nothing(void)
{
	create(80, 25, -5);
	CU_ASSERT_PTR_NULL(guest.device);
	guest_destroy(&guest);
}

static void size_is_known_and_its_change_told(void)
{
	create(80, 25, 0);
	CU_ASSERT_EQUAL(config16(0), 80);
	CU_ASSERT_EQUAL(config16(2), 25);
	guest_features_ok(&guest, FEATURES);
	guest_set(&guest, VIRTIO_MMIO_STATUS, 15);
	/* Linux takes the size from an interrupt only. */
	CU_ASSERT_EQUAL(guest.interrupts, 1);
	CU_ASSERT_EQUAL(guest_get(&guest, VIRTIO_MMIO_INTERRUPT_STATUS), 2);
	guest_set(&guest, VIRTIO_MMIO_INTERRUPT_ACK, 2);
	uint32_t generation = guest_get(&guest, VIRTIO_MMIO_CONFIG_GENERATION);
	pthread_mutex_lock(end.client.lock);
	end.client.resized(end.client.context, 80, 25);
	CU_ASSERT_EQUAL(guest.interrupts, 1);
	end.client.resized(end.client.context, 132, 43);
	pthread_mutex_unlock(end.client.lock);
	CU_ASSERT_EQUAL(guest.interrupts, 2);
	CU_ASSERT_EQUAL(config16(0), 132);
	CU_ASSERT_EQUAL(config16(2), 43);
	CU_ASSERT_NOT_EQUAL(
	        guest_get(&guest, VIRTIO_MMIO_CONFIG_GENERATION), generation);
	guest_destroy(&guest);
}

static void output_of_several_segments_in_order(void)
{
	setup();
	memcpy(guest_at(&guest, GUEST_DATA), "hello, world\n", 13);
	guest_describe(&guest, TX, 0, GUEST_DATA, 5, VRING_DESC_F_NEXT, 1);
	guest_describe(&guest, TX, 1, GUEST_DATA + 5, 8, 0, 0);
	guest_offer(&guest, TX, SIZE, 0);
	offer(TX, 2, 0, 1, 0);
	guest_kick(&guest, TX);
	CU_ASSERT_EQUAL(end.output_size, 14);
	CU_ASSERT_NSTRING_EQUAL(end.output, "hello, world\nh", 14);
	CU_ASSERT_EQUAL(guest_used(&guest, TX)->idx, 2);
	CU_ASSERT_EQUAL(guest_used(&guest, TX)->ring[0].id, 0);
	CU_ASSERT_EQUAL(guest_used(&guest, TX)->ring[0].len, 0);
	CU_ASSERT(guest.interrupts > 0);
	CU_ASSERT_FALSE(guest_must_reset(&guest));
	guest_destroy(&guest);
}

static void work_of_one_kick_is_bounded(void)
{
	setup();
	/* Two chains of the limit each: the second waits for the loop. */
	offer(TX, 0, 0, LIMIT, 0);
	offer(TX, 1, 0, 1, 0);
	guest_kick(&guest, TX);
	CU_ASSERT_EQUAL(end.output_size, LIMIT);
	CU_ASSERT_EQUAL(guest_used(&guest, TX)->idx, 1);
	loop_fake_advance(guest.host.loop, 1);
	CU_ASSERT_EQUAL(end.output_size, LIMIT + 1);
	CU_ASSERT_EQUAL(guest_used(&guest, TX)->idx, 2);
	/* The rest of a chain that no driver sends is lost, but the chain is done. */
	end.output_size = 0;
	offer(TX, 0, 0, LIMIT + 1000, 0);
	guest_kick(&guest, TX);
	CU_ASSERT_EQUAL(end.output_size, LIMIT);
	loop_fake_advance(guest.host.loop, 1);
	CU_ASSERT_EQUAL(end.output_size, LIMIT);
	CU_ASSERT_EQUAL(guest_used(&guest, TX)->idx, 3);
	guest_destroy(&guest);
}

static void input_fills_what_the_guest_offers(void)
{
	setup();
	type("early");
	CU_ASSERT_STRING_EQUAL(end.input, "early");
	offer(RX, 0, 0, 3, VRING_DESC_F_WRITE);
	offer(RX, 1, 16, 16, VRING_DESC_F_WRITE);
	guest_kick(&guest, RX);
	CU_ASSERT_STRING_EQUAL(end.input, "");
	CU_ASSERT_NSTRING_EQUAL(guest_at(&guest, GUEST_DATA), "ear", 3);
	CU_ASSERT_NSTRING_EQUAL(guest_at(&guest, GUEST_DATA + 16), "ly", 2);
	CU_ASSERT_EQUAL(guest_used(&guest, RX)->idx, 2);
	CU_ASSERT_EQUAL(guest_used(&guest, RX)->ring[0].len, 3);
	CU_ASSERT_EQUAL(guest_used(&guest, RX)->ring[1].len, 2);
	CU_ASSERT(guest.interrupts > 0);
	guest_destroy(&guest);
}

static void input_rests_until_the_driver_has_settled(void)
{
	create(80, 25, 0);
	guest_start(&guest, FEATURES, QUEUES, SIZE);
	offer(RX, 0, 0, 8, VRING_DESC_F_WRITE);
	guest_kick(&guest, RX);
	type("x");
	CU_ASSERT_EQUAL(loop_fake_advance(guest.host.loop, SETTLE_NS - 1), 0);
	CU_ASSERT_STRING_EQUAL(end.input, "x");
	CU_ASSERT_EQUAL(loop_fake_advance(guest.host.loop, 1), 1);
	CU_ASSERT_STRING_EQUAL(end.input, "");
	guest_destroy(&guest);
}

static void buffers_without_room_do_not_hold_input_up(void)
{
	setup();
	offer(RX, 0, 0, 8, 0); /* device-readable: nowhere to write */
	offer(RX, 1, 0, 8, VRING_DESC_F_WRITE);
	type("key");
	CU_ASSERT_STRING_EQUAL(end.input, "");
	CU_ASSERT_EQUAL(guest_used(&guest, RX)->ring[0].len, 0);
	CU_ASSERT_EQUAL(guest_used(&guest, RX)->ring[1].len, 3);
	guest_destroy(&guest);
}

static void input_waits_while_there_is_no_driver(void)
{
	create(80, 25, 0);
	type("x");
	CU_ASSERT_STRING_EQUAL(end.input, "x");
	guest_start(&guest, FEATURES, QUEUES, SIZE);
	offer(RX, 0, 0, 1, VRING_DESC_F_WRITE);
	guest_set(&guest, VIRTIO_MMIO_STATUS, 0);
	type("y");
	CU_ASSERT_STRING_EQUAL(end.input, "y");
	guest_destroy(&guest);
}

static void paused_device_is_still_and_resumes(void)
{
	setup();
	guest.device->type->pause(guest.device);
	offer(RX, 0, 0, 8, VRING_DESC_F_WRITE);
	offer(TX, 0, 16, 1, 0);
	guest_kick(&guest, TX);
	type("z");
	CU_ASSERT_STRING_EQUAL(end.input, "z");
	CU_ASSERT_EQUAL(end.output_size, 0);
	pthread_mutex_lock(&guest.device->lock);
	guest.device->type->resume(guest.device);
	pthread_mutex_unlock(&guest.device->lock);
	CU_ASSERT_STRING_EQUAL(end.input, "");
	CU_ASSERT_EQUAL(end.output_size, 1);
	guest_destroy(&guest);
}

static void broken_ring_needs_a_reset(void)
{
	setup();
	offer(TX, 0, GUEST_MEMORY, 8, 0);
	guest_kick(&guest, TX);
	CU_ASSERT_TRUE(guest_must_reset(&guest));
	CU_ASSERT_EQUAL(end.output_size, 0);
	guest_start(&guest, FEATURES, QUEUES, SIZE);
	offer(TX, 0, 0, 8, 0);
	guest_kick(&guest, TX);
	CU_ASSERT_EQUAL(end.output_size, 8);
	guest_destroy(&guest);
}

static void emergency_write_needs_no_queue(void)
{
	create(80, 25, 0);
	guest_write(&guest, VIRTIO_MMIO_CONFIG + 8, '!', 4);
	CU_ASSERT_EQUAL(end.output_size, 1);
	CU_ASSERT_EQUAL(end.output[0], '!');
	/* Anything else there is not the guest's to change. */
	guest_write(&guest, VIRTIO_MMIO_CONFIG, 0xffff, 2);
	CU_ASSERT_EQUAL(config16(0), 80);
	CU_ASSERT_EQUAL(end.output_size, 1);
	guest_destroy(&guest);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(offers_size_and_emergency_write),
	        UNIT(failed_attach_creates_nothing),
	        UNIT(size_is_known_and_its_change_told),
	        UNIT(output_of_several_segments_in_order),
	        UNIT(work_of_one_kick_is_bounded),
	        UNIT(input_fills_what_the_guest_offers),
	        UNIT(input_rests_until_the_driver_has_settled),
	        UNIT(buffers_without_room_do_not_hold_input_up),
	        UNIT(input_waits_while_there_is_no_driver),
	        UNIT(paused_device_is_still_and_resumes),
	        UNIT(broken_ring_needs_a_reset),
	        UNIT(emergency_write_needs_no_queue),
	        {0},
	};

	return unit_run("virtio-console", tests);
}
