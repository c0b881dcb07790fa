/* virtio-net against a driver that writes its own rings, and a back end of arrays. */
#include "devices/virtio.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "devices/nic.h"
#include "tests/unit/loop_fake.h"
#include "tests/unit/unit.h"
#include "vmm/memory.h"

#define BIT(n) (UINT64_C(1) << (n))
#define MERGE  BIT(VIRTIO_NET_F_MRG_RXBUF)

enum { RX, TX, SIZE = 128, HEADER = 12, MEMORY = 1 << 21 };

/* The back end. */
struct fake {
	struct nic nic;
	size_t waiting[SIZE], first, count; /* sizes of frames for the guest */
	uint8_t sent[SIZE][NIC_FRAME_MAX];
	size_t sent_size[SIZE];
	unsigned sent_count, flushes, closed;
	int send_result;
	short events;
	uint64_t features;
};

static struct fake fake;

static void fake_set_features(struct nic *nic, uint64_t features)
{
	(void)nic;
	fake.features = features;
}

static int fake_send(
        struct nic *nic, const struct iovec *iov, unsigned count, size_t size)
{
	(void)nic;
	if (fake.send_result)
		return fake.send_result;
	fake.sent_size[fake.sent_count] =
	        iov_read(iov, count, 0, fake.sent[fake.sent_count], size);
	fake.sent_count++;
	return 0;
}

static void fake_flush(struct nic *nic)
{
	(void)nic;
	fake.flushes++;
}

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 7 + i / 251);
}

static long fake_receive(
        struct nic *nic, const struct iovec *iov, unsigned count, size_t size)
{
	static uint8_t frame[2 * NIC_FRAME_MAX];

	(void)nic;
	if (fake.first == fake.count)
		return -EAGAIN;
	size_t length = fake.waiting[fake.first++];
	for (size_t i = 0; i < length; i++)
		frame[i] = i < HEADER ? 0 : pattern(i);
	CU_ASSERT(size >= length);
	return (long)iov_write(iov, count, 0, frame, length);
}

static void fake_listen(struct nic *nic, short events)
{
	(void)nic;
	fake.events = events;
}

static void fake_close(struct nic *nic)
{
	(void)nic;
	fake.closed++;
}

static const struct nic_type fake_type = {
        .name = "fake",
        .features = BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_HOST_TSO4),
        .set_features = fake_set_features,
        .send = fake_send,
        .flush = fake_flush,
        .receive = fake_receive,
        .listen = fake_listen,
        .close = fake_close,
};

/* The driver. Queue q: descriptors at 64K * (q + 1), then rings; buffers from 1M on. */
struct bed {
	struct memory memory;
	struct device_host host;
	pthread_mutex_t lock;
	struct virtio *virtio;
	unsigned interrupts, descs[2];
	uint64_t buffers;
};

static struct bed bed;

static void interrupt(struct virtio *virtio, uint32_t status_bit, unsigned queue)
{
	(void)virtio, (void)status_bit, (void)queue;
	bed.interrupts++;
}

static void *at(uint64_t guest, uint64_t size)
{
	return memory_at(&bed.memory, guest, size);
}

static struct vring_desc *desc(unsigned queue)
{
	return at(0x10000 * (queue + 1), SIZE * sizeof(struct vring_desc));
}

static struct vring_avail *avail(unsigned queue)
{
	return at(0x10000 * (queue + 1) + 0x4000, 6 + 2 * SIZE);
}

static struct vring_used *used(unsigned queue)
{
	return at(0x10000 * (queue + 1) + 0x8000, 6 + 8 * SIZE);
}

static void up(uint64_t features, uint16_t size)
{
	memset(&fake, 0, sizeof(fake));
	memset(&bed, 0, sizeof(bed));
	fake.nic.type = &fake_type;
	memcpy(fake.nic.mac, "\2\1\2\3\4\5", 6);
	pthread_mutex_init(&bed.lock, NULL);
	CU_ASSERT_EQUAL_FATAL(memory_create(&bed.memory, MEMORY, 0, MEMORY, MEMORY), 0);
	bed.host.memory = &bed.memory;
	bed.host.loop = loop_create();
	bed.buffers = 0x100000;
	bed.virtio = virtio_net_create(&bed.host, &fake.nic);
	bed.virtio->lock = &bed.lock;
	bed.virtio->interrupt = interrupt;
	CU_ASSERT_EQUAL_FATAL(virtio_attach(bed.virtio), 0);
	features |= BIT(VIRTIO_F_VERSION_1);
	bed.virtio->state.driver_features = features;
	virtio_set_status(bed.virtio, 11);
	for (unsigned i = 0; i < 2; i++) {
		struct virtqueue_state *queue = &bed.virtio->state.queues[i];
		queue->desc = 0x10000 * (i + 1);
		queue->avail = queue->desc + 0x4000;
		queue->used = queue->desc + 0x8000;
		queue->size = size;
		queue->ready = 1;
	}
	virtio_set_status(bed.virtio, 15);
	CU_ASSERT_FATAL(virtio_active(bed.virtio));
}

static void down(void)
{
	virtio_destroy(bed.virtio);
	CU_ASSERT_EQUAL(fake.closed, 1);
	CU_ASSERT_EQUAL(loop_fake_count(bed.host.loop), 0);
	loop_destroy(bed.host.loop);
	memory_destroy(&bed.memory);
}

/* One request of `count` segments; the address of the first segment. */
static uint64_t post(unsigned queue, const unsigned *sizes, unsigned count)
{
	struct virtqueue_state *state = &bed.virtio->state.queues[queue];
	unsigned head = bed.descs[queue];
	uint64_t first = bed.buffers;

	for (unsigned i = 0; i < count; i++) {
		desc(queue)[bed.descs[queue]] =
		        (struct vring_desc){bed.buffers, sizes[i],
		                (queue == RX ? VRING_DESC_F_WRITE : 0) |
		                        (i + 1 < count ? VRING_DESC_F_NEXT : 0),
		                (uint16_t)((bed.descs[queue] + 1) % state->size)};
		bed.descs[queue] = (bed.descs[queue] + 1) % state->size;
		bed.buffers += sizes[i];
	}
	avail(queue)->ring[avail(queue)->idx % state->size] = (uint16_t)head;
	avail(queue)->idx++;
	return first;
}

static uint64_t post_one(unsigned queue, unsigned size)
{
	return post(queue, &size, 1);
}

/* Frames of `size` bytes, header included, come to the back end. */
static void arrive(size_t size)
{
	fake.waiting[fake.count++] = size;
	if (fake.events & POLLIN)
		fake.nic.ready(fake.nic.context, POLLIN);
}

static bool has_pattern(uint64_t guest, size_t from, size_t size)
{
	const uint8_t *data = at(guest, size);

	for (size_t i = 0; i < size; i++)
		if (from + i >= HEADER && data[i] != pattern(from + i))
			return false;
	return true;
}

static uint16_t num_buffers(uint64_t guest)
{
	return ((struct virtio_net_hdr_v1 *)at(guest, HEADER))->num_buffers;
}

static bool needs_reset(void)
{
	return bed.virtio->state.status & VIRTIO_CONFIG_S_NEEDS_RESET;
}

static void offers_what_the_back_end_can(void)
{
	const uint64_t all = fake_type.features | MERGE | BIT(VIRTIO_NET_F_MAC) |
	                     BIT(VIRTIO_NET_F_STATUS);
	struct virtio_net_config config = {0};

	up(BIT(VIRTIO_NET_F_CSUM), 8);
	virtio_config_read(bed.virtio, 0, &config, bed.virtio->type->config_size);
	CU_ASSERT_EQUAL(bed.virtio->features & UINT64_C(0xffffff), all);
	CU_ASSERT_EQUAL(memcmp(config.mac, "\2\1\2\3\4\5", 6), 0);
	CU_ASSERT_EQUAL(config.status, VIRTIO_NET_S_LINK_UP);
	CU_ASSERT(fake.features & BIT(VIRTIO_NET_F_CSUM));
	down();
}

static void frame_reaches_one_buffer(void)
{
	uint64_t buffer;

	up(0, 8);
	buffer = post_one(RX, 1526);
	virtio_kick(bed.virtio, RX);
	CU_ASSERT_EQUAL(fake.events, POLLIN);
	arrive(100);
	CU_ASSERT_EQUAL(used(RX)->idx, 1);
	CU_ASSERT_EQUAL(used(RX)->ring[0].len, 100);
	CU_ASSERT_EQUAL(num_buffers(buffer), 1);
	CU_ASSERT(has_pattern(buffer, 0, 100));
	CU_ASSERT_EQUAL(bed.interrupts, 1);
	down();
}

static void frame_reaches_a_chain_of_odd_segments(void)
{
	static const unsigned sizes[] = {5, 6, 3, 200};
	uint64_t buffer;

	up(MERGE, 8);
	buffer = post(RX, sizes, 4);
	virtio_kick(bed.virtio, RX);
	arrive(150);
	CU_ASSERT_EQUAL(used(RX)->ring[0].len, 150);
	CU_ASSERT_EQUAL(num_buffers(buffer), 1);
	CU_ASSERT(has_pattern(buffer, 0, 150));
	down();
}

/* 5.1.6.1: a legacy driver's header ends before num_buffers. */
static void legacy_header_is_shorter(void)
{
	enum { SHORT = 10 };
	static const unsigned sizes[] = {3, SHORT - 3 + 20, 200};
	uint64_t buffer;

	up(0, 8);
	bed.virtio->state.driver_features = 0;
	for (unsigned i = 0; i < 2; i++) {
		buffer = i ? post(RX, sizes, 3) : post_one(RX, 1514 + SHORT);
		virtio_kick(bed.virtio, RX);
		arrive(HEADER + 100);
		CU_ASSERT_EQUAL(used(RX)->ring[i].len, SHORT + 100);
		CU_ASSERT(has_pattern(buffer + SHORT, HEADER, 100));
	}
	/* One byte too many for the buffer: dropped, and nothing behind it written. */
	buffer = post_one(RX, SHORT + 100);
	post_one(RX, SHORT + 100);
	virtio_kick(bed.virtio, RX);
	arrive(HEADER + 101);
	CU_ASSERT_EQUAL(used(RX)->idx, 2);
	arrive(HEADER + 100);
	CU_ASSERT_EQUAL(used(RX)->idx, 3);

	buffer = post_one(TX, SHORT + 60);
	memset(at(buffer, SHORT + 60), 0, SHORT);
	memset(at(buffer + SHORT, 60), 0x5a, 60);
	post_one(TX, SHORT - 1);
	virtio_kick(bed.virtio, TX);
	CU_ASSERT_EQUAL(fake.sent_count, 1);
	CU_ASSERT_EQUAL(fake.sent_size[0], HEADER + 60);
	CU_ASSERT_EQUAL(fake.sent[0][HEADER], 0x5a);
	CU_ASSERT_EQUAL(fake.sent[0][HEADER + 59], 0x5a);
	CU_ASSERT(needs_reset());
	down();
}

static void large_frame_fills_merged_buffers(void)
{
	uint64_t buffer;

	up(MERGE, 8);
	buffer = post_one(RX, 1000);
	post_one(RX, 1000);
	post_one(RX, 1000);
	virtio_kick(bed.virtio, RX);
	arrive(2500);
	CU_ASSERT_EQUAL(used(RX)->idx, 3);
	CU_ASSERT_EQUAL(used(RX)->ring[0].len, 1000);
	CU_ASSERT_EQUAL(used(RX)->ring[1].len, 1000);
	CU_ASSERT_EQUAL(used(RX)->ring[2].len, 500);
	CU_ASSERT_EQUAL(num_buffers(buffer), 3);
	CU_ASSERT(has_pattern(buffer, 0, 2500));
	CU_ASSERT_EQUAL(bed.interrupts, 1);
	down();
}

static void frame_waits_for_more_buffers(void)
{
	uint64_t buffer;

	up(MERGE, 8);
	buffer = post_one(RX, 1000);
	virtio_kick(bed.virtio, RX);
	arrive(2500);
	CU_ASSERT_EQUAL(used(RX)->idx, 0);
	CU_ASSERT_EQUAL(fake.events, 0);
	post_one(RX, 1000);
	virtio_kick(bed.virtio, RX);
	CU_ASSERT_EQUAL(used(RX)->idx, 0);
	post_one(RX, 1000);
	virtio_kick(bed.virtio, RX);
	CU_ASSERT_EQUAL(used(RX)->idx, 3);
	CU_ASSERT_EQUAL(num_buffers(buffer), 3);
	CU_ASSERT(has_pattern(buffer, 0, 2500));
	down();
}

static void frame_beyond_a_full_ring_is_dropped(void)
{
	up(MERGE, 4);
	for (unsigned i = 0; i < 4; i++)
		post_one(RX, 100);
	virtio_kick(bed.virtio, RX);
	arrive(401);
	CU_ASSERT_EQUAL(used(RX)->idx, 0);
	arrive(400);
	CU_ASSERT_EQUAL(used(RX)->idx, 4);
	down();
}

/* As a tap may bring: an interface's largest frame is the host's to set. */
static void frame_beyond_the_largest_is_dropped(void)
{
	up(MERGE, 8);
	post_one(RX, 60000);
	virtio_kick(bed.virtio, RX);
	arrive(NIC_FRAME_MAX + 4096);
	CU_ASSERT_EQUAL(used(RX)->idx, 0);
	CU_ASSERT_EQUAL(fake.events, POLLIN);
	arrive(NIC_FRAME_MAX);
	CU_ASSERT_EQUAL(used(RX)->idx, 0);
	post_one(RX, 60000);
	virtio_kick(bed.virtio, RX);
	CU_ASSERT_EQUAL(used(RX)->idx, 2);
	CU_ASSERT_EQUAL(used(RX)->ring[1].len, NIC_FRAME_MAX - 60000);
	down();
}

static void frame_beyond_an_unmergeable_buffer_is_dropped(void)
{
	uint64_t buffer;

	up(0, 8);
	buffer = post_one(RX, 100);
	post_one(RX, 100);
	virtio_kick(bed.virtio, RX);
	arrive(101);
	CU_ASSERT_EQUAL(used(RX)->idx, 0);
	arrive(100);
	CU_ASSERT_EQUAL(used(RX)->idx, 1);
	CU_ASSERT(has_pattern(buffer, 0, 100));
	CU_ASSERT_FALSE(needs_reset());
	down();
}

static void no_buffers_then_refill(void)
{
	up(0, 8);
	CU_ASSERT_EQUAL(fake.events, 0);
	arrive(60);
	arrive(61);
	post_one(RX, 1526);
	virtio_kick(bed.virtio, RX);
	CU_ASSERT_EQUAL(used(RX)->idx, 1);
	CU_ASSERT_EQUAL(fake.events, 0);
	post_one(RX, 1526);
	post_one(RX, 1526);
	virtio_kick(bed.virtio, RX);
	CU_ASSERT_EQUAL(used(RX)->idx, 2);
	CU_ASSERT_EQUAL(used(RX)->ring[1].len, 61);
	CU_ASSERT_EQUAL(fake.events, POLLIN);
	down();
}

static void buffer_below_the_header_needs_reset(void)
{
	up(MERGE, 8);
	post_one(RX, 11);
	virtio_kick(bed.virtio, RX);
	CU_ASSERT(needs_reset());
	CU_ASSERT_EQUAL(fake.events, 0);
	down();
}

static void frame_leaves_in_pieces(void)
{
	static const unsigned sizes[] = {7, 9, 50};
	uint64_t buffer;

	up(0, 8);
	buffer = post(TX, sizes, 3);
	for (size_t i = HEADER; i < 66; i++)
		((uint8_t *)at(buffer, 66))[i] = pattern(i);
	virtio_kick(bed.virtio, TX);
	CU_ASSERT_EQUAL(fake.sent_count, 1);
	CU_ASSERT_EQUAL(fake.sent_size[0], 66);
	CU_ASSERT_EQUAL(memcmp(fake.sent[0], at(buffer, 66), 66), 0);
	CU_ASSERT_EQUAL(used(TX)->idx, 1);
	CU_ASSERT_EQUAL(fake.flushes, 1);
	CU_ASSERT_EQUAL(bed.interrupts, 1);
	down();
}

static void short_header_needs_reset(void)
{
	up(0, 8);
	post_one(TX, 11);
	virtio_kick(bed.virtio, TX);
	CU_ASSERT(needs_reset());
	CU_ASSERT_EQUAL(fake.sent_count, 0);
	down();
}

static void frame_of_illegal_size_is_dropped(void)
{
	static const struct {
		unsigned size, sent;
	} cases[] = {{HEADER + 13, 0}, {HEADER + 14, 1}, {NIC_FRAME_MAX, 1},
	        {NIC_FRAME_MAX + 1, 0}};

	for (unsigned i = 0; i < 4; i++) {
		up(0, 8);
		post_one(TX, cases[i].size);
		virtio_kick(bed.virtio, TX);
		CU_ASSERT_EQUAL(fake.sent_count, cases[i].sent);
		CU_ASSERT_EQUAL(used(TX)->idx, 1);
		CU_ASSERT_FALSE(needs_reset());
		down();
	}
}

static void header_is_checked(void)
{
	const uint64_t csum = BIT(VIRTIO_NET_F_CSUM);
	const uint64_t tso = csum | BIT(VIRTIO_NET_F_HOST_TSO4);
	const struct {
		uint64_t features;
		struct virtio_net_hdr_v1 header;
		unsigned sent;
	} cases[] = {
	        {csum, {.flags = 1, .csum_start = 34, .csum_offset = 16}, 1},
	        {0, {.flags = 1, .csum_start = 34, .csum_offset = 16}, 0},
	        {csum, {.flags = 1, .csum_start = 82, .csum_offset = 16}, 1},
	        {csum, {.flags = 1, .csum_start = 83, .csum_offset = 16}, 0},
	        {csum, {.flags = 1, .csum_start = 65535, .csum_offset = 65535}, 0},
	        {tso, {.flags = 1, .gso_type = 1, .gso_size = 9, .hdr_len = 54}, 1},
	        {tso, {.flags = 1, .gso_type = 1, .gso_size = 9, .hdr_len = 101}, 0},
	        {tso, {.flags = 1, .gso_type = 1, .gso_size = 0, .hdr_len = 54}, 0},
	        {tso, {.flags = 0, .gso_type = 1, .gso_size = 9, .hdr_len = 54}, 0},
	        {tso, {.flags = 1, .gso_type = 4, .gso_size = 9, .hdr_len = 54}, 0},
	        {tso, {.flags = 1, .gso_type = 3, .gso_size = 9, .hdr_len = 54}, 0},
	        {csum, {.flags = 1, .gso_type = 1, .gso_size = 9, .hdr_len = 54}, 0},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		up(cases[i].features, 8);
		uint64_t buffer = post_one(TX, HEADER + 100);
		memcpy(at(buffer, HEADER), &cases[i].header, HEADER);
		virtio_kick(bed.virtio, TX);
		CU_ASSERT_EQUAL(fake.sent_count, cases[i].sent);
		CU_ASSERT_EQUAL(used(TX)->idx, 1);
		down();
	}
}

static void blocked_frame_goes_on(void)
{
	up(0, 8);
	fake.send_result = -EAGAIN;
	post_one(TX, 70);
	post_one(TX, 71);
	virtio_kick(bed.virtio, TX);
	CU_ASSERT_EQUAL(used(TX)->idx, 0);
	CU_ASSERT_EQUAL(fake.events & POLLOUT, POLLOUT);
	virtio_kick(bed.virtio, TX);
	fake.send_result = 0;
	fake.nic.ready(fake.nic.context, POLLOUT);
	CU_ASSERT_EQUAL(fake.sent_count, 2);
	CU_ASSERT_EQUAL(fake.sent_size[0], 70);
	CU_ASSERT_EQUAL(fake.sent_size[1], 71);
	CU_ASSERT_EQUAL(used(TX)->idx, 2);
	CU_ASSERT_EQUAL(fake.events & POLLOUT, 0);
	CU_ASSERT_EQUAL(bed.interrupts, 1);
	down();
}

static void batch_is_bounded(void)
{
	up(0, SIZE);
	for (unsigned i = 0; i < 100; i++)
		post_one(TX, 60);
	virtio_kick(bed.virtio, TX);
	CU_ASSERT_EQUAL(fake.sent_count, 64);
	CU_ASSERT_EQUAL(bed.interrupts, 1);
	loop_fake_advance(bed.host.loop, 0);
	CU_ASSERT_EQUAL(fake.sent_count, 100);

	for (unsigned i = 0; i < 100; i++) {
		post_one(RX, 100);
		fake.waiting[fake.count++] = 60;
	}
	virtio_kick(bed.virtio, RX);
	CU_ASSERT_EQUAL(used(RX)->idx, 64);
	CU_ASSERT_EQUAL(fake.events, POLLIN);
	fake.nic.ready(fake.nic.context, POLLIN);
	CU_ASSERT_EQUAL(used(RX)->idx, 100);
	CU_ASSERT_EQUAL(bed.interrupts, 4);
	down();
}

static void reset_while_pending(void)
{
	up(MERGE, 8);
	fake.send_result = -EAGAIN;
	post_one(TX, 70);
	virtio_kick(bed.virtio, TX);
	post_one(RX, 100);
	virtio_kick(bed.virtio, RX);
	arrive(150); /* is held */
	virtio_set_status(bed.virtio, 0);
	CU_ASSERT_EQUAL(fake.events, 0);
	fake.send_result = 0;
	/* A report that was under way comes too late. */
	fake.nic.ready(fake.nic.context, POLLIN | POLLOUT);
	loop_fake_advance(bed.host.loop, 1);
	CU_ASSERT_EQUAL(fake.sent_count, 0);
	CU_ASSERT_EQUAL(used(RX)->idx, 0);
	CU_ASSERT_EQUAL(used(TX)->idx, 0);
	down();
}

static void pause_rests_and_resume_goes_on(void)
{
	up(0, 8);
	post_one(RX, 100);
	virtio_kick(bed.virtio, RX);
	virtio_pause(bed.virtio);
	CU_ASSERT_EQUAL(fake.events, 0);
	arrive(60);
	fake.nic.ready(fake.nic.context, POLLIN);
	post_one(TX, 60);
	virtio_kick(bed.virtio, TX);
	CU_ASSERT_EQUAL(used(RX)->idx, 0);
	CU_ASSERT_EQUAL(fake.sent_count, 0);
	virtio_resume(bed.virtio);
	CU_ASSERT_EQUAL(used(RX)->idx, 1);
	CU_ASSERT_EQUAL(fake.sent_count, 1);
	down();
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(offers_what_the_back_end_can),
	        UNIT(frame_reaches_one_buffer),
	        UNIT(frame_reaches_a_chain_of_odd_segments),
	        UNIT(legacy_header_is_shorter),
	        UNIT(large_frame_fills_merged_buffers),
	        UNIT(frame_waits_for_more_buffers),
	        UNIT(frame_beyond_a_full_ring_is_dropped),
	        UNIT(frame_beyond_the_largest_is_dropped),
	        UNIT(frame_beyond_an_unmergeable_buffer_is_dropped),
	        UNIT(no_buffers_then_refill),
	        UNIT(buffer_below_the_header_needs_reset),
	        UNIT(frame_leaves_in_pieces),
	        UNIT(short_header_needs_reset),
	        UNIT(frame_of_illegal_size_is_dropped),
	        UNIT(header_is_checked),
	        UNIT(blocked_frame_goes_on),
	        UNIT(batch_is_bounded),
	        UNIT(reset_while_pending),
	        UNIT(pause_rests_and_resume_goes_on),
	        {0},
	};
	return unit_run("virtio-net", tests);
}
