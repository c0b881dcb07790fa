#include <errno.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtqueue.h"
#include "tests/unit/unit.h"
#include "vmm/memory.h"

enum {
	SIZE = 8,
	RAM = 64 << 10,
	DESC = 0x1000,
	AVAIL = 0x2000,
	USED = 0x3000,
	TABLE = 0x4000,
	DATA = 0x8000,
};

/* One queue and the guest's view of it. */
struct ring {
	struct memory memory;
	struct virtqueue_state state;
	struct virtqueue queue;
	struct vring_desc *desc, *table;
	struct vring_avail *avail;
	struct vring_used *used;
	struct chain chain;
};

static char *at(struct ring *ring, uint64_t guest)
{
	return memory_at(&ring->memory, guest, 1);
}

static struct ring *ring_create(bool event_idx)
{
	struct ring *ring = calloc(1, sizeof(*ring));

	if (memory_create(&ring->memory, RAM, 0, 0xc0000000, 0x100000000) < 0)
		abort();
	ring->state = (struct virtqueue_state){DESC, AVAIL, USED, SIZE, 0, 0, 1};
	ring->queue.state = &ring->state;
	ring->desc = (struct vring_desc *)at(ring, DESC);
	ring->table = (struct vring_desc *)at(ring, TABLE);
	ring->avail = (struct vring_avail *)at(ring, AVAIL);
	ring->used = (struct vring_used *)at(ring, USED);
	CU_ASSERT_EQUAL(virtqueue_start(&ring->queue, &ring->memory, event_idx), 0);
	return ring;
}

static void ring_destroy(struct ring *ring)
{
	memory_destroy(&ring->memory);
	free(ring);
}

static void offer(struct ring *ring, uint16_t head)
{
	ring->avail->ring[ring->avail->idx % SIZE] = head;
	ring->avail->idx++;
}

static void describe(struct vring_desc *desc, uint64_t address, uint32_t length,
        uint16_t flags, uint16_t next)
{
	*desc = (struct vring_desc){address, length, flags, next};
}

static int pop(struct ring *ring)
{
	return virtqueue_pop(&ring->queue, &ring->chain);
}

static void chain_is_translated_out_then_in(void)
{
	struct ring *ring = ring_create(false);

	describe(&ring->desc[3], DATA, 16, VRING_DESC_F_NEXT, 0);
	describe(&ring->desc[0], DATA + 100, 0, VRING_DESC_F_NEXT, 7);
	describe(&ring->desc[7], DATA + 200, 512,
	        VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 1);
	describe(&ring->desc[1], DATA + 900, 1, VRING_DESC_F_WRITE, 99);
	offer(ring, 3);
	CU_ASSERT_EQUAL(pop(ring), 1);
	CU_ASSERT_EQUAL(ring->chain.head, 3);
	CU_ASSERT_EQUAL(ring->chain.out_count, 1); /* the empty segment is not there */
	CU_ASSERT_EQUAL(ring->chain.in_count, 2);
	CU_ASSERT_EQUAL(ring->chain.out_size, 16);
	CU_ASSERT_EQUAL(ring->chain.in_size, 513);
	CU_ASSERT_PTR_EQUAL(ring->chain.iov[1].iov_base, at(ring, DATA + 200));
	CU_ASSERT_EQUAL(pop(ring), 0);
	ring_destroy(ring);
}

static void unpopped_request_is_popped_again(void)
{
	struct ring *ring = ring_create(true);

	describe(&ring->desc[2], DATA, 16, 0, 0);
	offer(ring, 2);
	CU_ASSERT_EQUAL(pop(ring), 1);
	virtqueue_unpop(&ring->queue);
	CU_ASSERT_EQUAL(pop(ring), 1);
	CU_ASSERT_EQUAL(ring->chain.head, 2);
	CU_ASSERT_EQUAL(pop(ring), 0);
	ring_destroy(ring);
}

static void queue_outside_ram_or_of_bad_size_does_not_start(void)
{
	static const struct virtqueue_state bad[] = {
	        {DESC, AVAIL, USED, 0, 0, 0, 1},
	        {DESC, AVAIL, USED, 3, 0, 0, 1},
	        {DESC, AVAIL, USED, 512, 0, 0, 1},
	        {DESC, AVAIL, USED, 32768, 0, 0, 1},
	        {DESC + 8, AVAIL, USED, SIZE, 0, 0, 1},
	        {DESC, AVAIL + 1, USED, SIZE, 0, 0, 1},
	        {DESC, AVAIL, USED + 2, SIZE, 0, 0, 1},
	        {RAM, AVAIL, USED, SIZE, 0, 0, 1},
	        {RAM - 16 * SIZE + 16, AVAIL, USED, SIZE, 0, 0, 1},
	        {DESC, RAM - 6 - 2 * SIZE + 2, USED, SIZE, 0, 0, 1},
	        {DESC, AVAIL, RAM - 4 - 8 * SIZE, SIZE, 0, 0, 1},
	        {UINT64_MAX - 15, AVAIL, USED, SIZE, 0, 0, 1},
	        {DESC, UINT64_MAX - 1, USED, SIZE, 0, 0, 1},
	        {DESC, AVAIL, UINT64_MAX - 3, SIZE, 0, 0, 1},
	};
	struct ring *ring = ring_create(false);

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct virtqueue_state state = bad[i];
		struct virtqueue queue = {.state = &state};
		CU_ASSERT_EQUAL(virtqueue_start(&queue, &ring->memory, true), -EINVAL);
		CU_ASSERT_PTR_NULL(queue.desc);
	}
	/* The very last bytes of RAM are fine. */
	struct virtqueue_state state = {RAM - 16 * SIZE, AVAIL, USED, SIZE, 0, 0, 1};
	struct virtqueue queue = {.state = &state};
	CU_ASSERT_EQUAL(virtqueue_start(&queue, &ring->memory, true), 0);
	ring_destroy(ring);
}

/* Describes head 0 and expects it to be refused, without having been taken. */
static void refused(struct ring *ring)
{
	offer(ring, 0);
	CU_ASSERT_EQUAL(pop(ring), -EPROTO);
	CU_ASSERT_EQUAL(ring->state.next_avail, (uint16_t)(ring->avail->idx - 1));
	ring_destroy(ring);
}

static void looped_chain_is_refused(void)
{
	struct ring *ring = ring_create(false);

	describe(&ring->desc[0], DATA, 16, VRING_DESC_F_NEXT, 1);
	describe(&ring->desc[1], DATA, 16, VRING_DESC_F_NEXT, 0);
	refused(ring);
	ring = ring_create(false);
	describe(&ring->desc[0], DATA, 0, VRING_DESC_F_NEXT, 0);
	refused(ring);
}

static void head_and_next_out_of_range_are_refused(void)
{
	static const uint16_t heads[] = {SIZE, 256, 65535};

	for (unsigned i = 0; i < 3; i++) {
		struct ring *ring = ring_create(false);
		offer(ring, heads[i]);
		CU_ASSERT_EQUAL(pop(ring), -EPROTO);
		ring_destroy(ring);
		ring = ring_create(false);
		describe(&ring->desc[0], DATA, 16, VRING_DESC_F_NEXT, heads[i]);
		refused(ring);
	}
}

static void segment_outside_ram_is_refused(void)
{
	static const struct {
		uint64_t address;
		uint32_t length;
	} bad[] = {
	        {RAM, 1},
	        {RAM - 1, 2},
	        {0, RAM + 1},
	        {UINT64_MAX, 1},
	        {UINT64_MAX, UINT32_MAX},
	        {UINT64_MAX - 0xfff, 0x2000},
	        {0, UINT32_MAX},
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct ring *ring = ring_create(false);
		describe(&ring->desc[0], bad[i].address, bad[i].length, 0, 0);
		refused(ring);
	}
}

static void out_after_in_is_refused(void)
{
	struct ring *ring = ring_create(false);

	describe(&ring->desc[0], DATA, 16, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 1);
	describe(&ring->desc[1], DATA, 16, 0, 0);
	refused(ring);
}

static void index_jump_past_the_size_is_refused(void)
{
	struct ring *ring = ring_create(false);

	for (unsigned i = 0; i < SIZE; i++)
		describe(&ring->desc[i], DATA, 16, 0, 0);
	ring->avail->idx = SIZE + 1;
	CU_ASSERT_EQUAL(pop(ring), -EPROTO);
	ring->avail->idx = 65535;
	CU_ASSERT_EQUAL(pop(ring), -EPROTO);
	ring->avail->idx = SIZE;
	for (unsigned i = 0; i < SIZE; i++)
		CU_ASSERT_EQUAL(pop(ring), 1);
	ring->avail->idx = SIZE - 1; /* backwards */
	CU_ASSERT_EQUAL(pop(ring), -EPROTO);
	ring_destroy(ring);
}

static void full_length_chain_is_taken(void)
{
	struct ring *ring = ring_create(false);

	for (unsigned i = 0; i < SIZE; i++)
		describe(&ring->desc[i], DATA, 1, i < SIZE - 1 ? VRING_DESC_F_NEXT : 0,
		        i + 1);
	offer(ring, 0);
	CU_ASSERT_EQUAL(pop(ring), 1);
	CU_ASSERT_EQUAL(ring->chain.out_count, SIZE);
	ring_destroy(ring);
}

static void indirect_table_at_an_odd_address_is_taken(void)
{
	struct ring *ring = ring_create(false);
	struct vring_desc table[3];

	describe(&table[0], DATA, 16, VRING_DESC_F_NEXT, 2);
	describe(&table[2], DATA + 16, 4, VRING_DESC_F_WRITE, 0);
	memcpy(at(ring, TABLE + 1), table, sizeof(table));
	/* 2.7.5.3.2: after ordinary descriptors; its WRITE flag means nothing. */
	describe(&ring->desc[0], DATA, 8, VRING_DESC_F_NEXT, 1);
	describe(&ring->desc[1], TABLE + 1, sizeof(table),
	        VRING_DESC_F_INDIRECT | VRING_DESC_F_WRITE, 0);
	offer(ring, 0);
	CU_ASSERT_EQUAL(pop(ring), 1);
	CU_ASSERT_EQUAL(ring->chain.out_count, 2);
	CU_ASSERT_EQUAL(ring->chain.out_size, 24);
	CU_ASSERT_EQUAL(ring->chain.in_size, 4);
	ring_destroy(ring);
}

static void bad_indirect_tables_are_refused(void)
{
	static const struct vring_desc bad[] = {
	        {TABLE, 0, VRING_DESC_F_INDIRECT, 0},
	        {TABLE, 15, VRING_DESC_F_INDIRECT, 0},
	        {TABLE, 17, VRING_DESC_F_INDIRECT, 0},
	        {TABLE, 16 * (SIZE + 1), VRING_DESC_F_INDIRECT, 0},
	        {TABLE, 0xfffffff0, VRING_DESC_F_INDIRECT, 0},
	        {TABLE, 16, VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT, 1},
	        {RAM - 8, 16, VRING_DESC_F_INDIRECT, 0},
	        {UINT64_MAX, 16, VRING_DESC_F_INDIRECT, 0},
	        {DESC, 16, VRING_DESC_F_INDIRECT, 0}, /* names itself */
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct ring *ring = ring_create(false);
		describe(&ring->table[0], DATA, 16, 0, 0);
		ring->desc[0] = bad[i];
		refused(ring);
	}
}

static void nested_and_looped_indirect_are_refused(void)
{
	struct ring *ring = ring_create(false);

	describe(&ring->desc[0], TABLE, 32, VRING_DESC_F_INDIRECT, 0);
	describe(&ring->table[0], TABLE, 32, VRING_DESC_F_INDIRECT, 0);
	refused(ring);

	ring = ring_create(false);
	describe(&ring->desc[0], TABLE, 32, VRING_DESC_F_INDIRECT, 0);
	describe(&ring->table[0], DATA, 16, VRING_DESC_F_NEXT, 1);
	describe(&ring->table[1], DATA, 16, VRING_DESC_F_NEXT, 0);
	refused(ring);

	ring = ring_create(false);
	describe(&ring->desc[0], TABLE, 32, VRING_DESC_F_INDIRECT, 0);
	describe(&ring->table[0], DATA, 16, VRING_DESC_F_NEXT, 2);
	refused(ring);
}

static void segments_beyond_the_queue_size_are_refused(void)
{
	struct ring *ring = ring_create(false);

	/* One ordinary descriptor and a full table: one more than SIZE. */
	for (unsigned i = 0; i < SIZE; i++)
		describe(&ring->table[i], DATA, 1, i < SIZE - 1 ? VRING_DESC_F_NEXT : 0,
		        i + 1);
	describe(&ring->desc[1], TABLE, 16 * SIZE, VRING_DESC_F_INDIRECT, 0);
	offer(ring, 1);
	CU_ASSERT_EQUAL(pop(ring), 1);
	CU_ASSERT_EQUAL(ring->chain.out_count, SIZE);
	describe(&ring->desc[0], DATA, 1, VRING_DESC_F_NEXT, 1);
	refused(ring);
}

static void used_ring_wraps(void)
{
	struct ring *ring = ring_create(false);

	ring->state.next_used = 65535;
	virtqueue_push(&ring->queue, 5, 77);
	CU_ASSERT_EQUAL(ring->used->idx, 0);
	CU_ASSERT_EQUAL(ring->used->ring[65535 % SIZE].id, 5);
	CU_ASSERT_EQUAL(ring->used->ring[65535 % SIZE].len, 77);
	virtqueue_push(&ring->queue, 6, 1);
	CU_ASSERT_EQUAL(ring->used->idx, 1);
	CU_ASSERT_EQUAL(ring->used->ring[0].id, 6);
	ring_destroy(ring);
}

static void available_ring_wraps(void)
{
	struct ring *ring = ring_create(true);

	describe(&ring->desc[1], DATA, 16, 0, 0);
	ring->state.next_avail = ring->avail->idx = 65534;
	for (unsigned i = 0; i < 4; i++) {
		offer(ring, 1);
		CU_ASSERT_EQUAL(pop(ring), 1);
		CU_ASSERT_EQUAL(pop(ring), 0);
		/* avail_event asks for a kick at the next request. */
		CU_ASSERT_EQUAL(
		        *(uint16_t *)&ring->used->ring[SIZE], (uint16_t)(65535 + i));
	}
	CU_ASSERT_EQUAL(ring->state.next_avail, 2);
	ring_destroy(ring);
}

static void kicks_are_not_asked_for_while_requests_wait(void)
{
	struct ring *ring = ring_create(true);
	volatile uint16_t *avail_event = (uint16_t *)&ring->used->ring[SIZE];

	describe(&ring->desc[0], DATA, 16, 0, 0);
	CU_ASSERT_EQUAL(pop(ring), 0);
	*avail_event = 4321;
	offer(ring, 0);
	offer(ring, 0);
	CU_ASSERT_EQUAL(pop(ring), 1);
	CU_ASSERT_EQUAL(pop(ring), 1);
	CU_ASSERT_EQUAL(*avail_event, 4321);
	CU_ASSERT_EQUAL(pop(ring), 0);
	CU_ASSERT_EQUAL(*avail_event, 2);
	ring_destroy(ring);
}

static void interrupt_follows_the_flag(void)
{
	struct ring *ring = ring_create(false);

	CU_ASSERT_FALSE(virtqueue_needs_interrupt(&ring->queue));
	virtqueue_push(&ring->queue, 0, 0);
	CU_ASSERT_TRUE(virtqueue_needs_interrupt(&ring->queue));
	CU_ASSERT_FALSE(virtqueue_needs_interrupt(&ring->queue));
	ring->avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	virtqueue_push(&ring->queue, 0, 0);
	CU_ASSERT_FALSE(virtqueue_needs_interrupt(&ring->queue));
	ring_destroy(ring);
}

/* All pairs of a start around the wrap and a used_event around it. */
static void interrupt_is_due_exactly_when_used_event_is_passed(void)
{
	struct ring *ring = ring_create(true);

	for (int start = -4; start <= 4; start++)
		for (int event = -8; event <= 8; event++)
			for (int pushed = 0; pushed <= 4; pushed++) {
				ring->state.next_used = start;
				ring->queue.signalled = start;
				ring->avail->ring[SIZE] = event;
				for (int i = 0; i < pushed; i++)
					virtqueue_push(&ring->queue, 0, 0);
				bool due = event >= start && event < start + pushed;
				CU_ASSERT_EQUAL(
				        virtqueue_needs_interrupt(&ring->queue), due);
				CU_ASSERT_FALSE(
				        virtqueue_needs_interrupt(&ring->queue));
			}
	ring_destroy(ring);
}

static void iov_copies_across_segments(void)
{
	char a[3] = "abc", b[2] = "de", c[4] = "fghi", data[10] = {0};
	const struct iovec iov[] = {{a, 3}, {b, 2}, {c, 4}};

	CU_ASSERT_EQUAL(iov_read(iov, 3, 2, data, 5), 5);
	CU_ASSERT_EQUAL(memcmp(data, "cdefg", 5), 0);
	CU_ASSERT_EQUAL(iov_read(iov, 3, 8, data, 5), 1);
	CU_ASSERT_EQUAL(data[0], 'i');
	CU_ASSERT_EQUAL(iov_read(iov, 3, 9, data, 5), 0);
	CU_ASSERT_EQUAL(iov_read(iov, 3, SIZE_MAX, data, 5), 0);
	CU_ASSERT_EQUAL(iov_read(iov, 0, 0, data, 5), 0);
	CU_ASSERT_EQUAL(iov_write(iov, 3, 4, "XYZ", 3), 3);
	CU_ASSERT_EQUAL(memcmp(b, "dX", 2), 0);
	CU_ASSERT_EQUAL(memcmp(c, "YZhi", 4), 0);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(chain_is_translated_out_then_in),
	        UNIT(unpopped_request_is_popped_again),
	        UNIT(queue_outside_ram_or_of_bad_size_does_not_start),
	        UNIT(looped_chain_is_refused),
	        UNIT(head_and_next_out_of_range_are_refused),
	        UNIT(segment_outside_ram_is_refused),
	        UNIT(out_after_in_is_refused),
	        UNIT(index_jump_past_the_size_is_refused),
	        UNIT(full_length_chain_is_taken),
	        UNIT(indirect_table_at_an_odd_address_is_taken),
	        UNIT(bad_indirect_tables_are_refused),
	        UNIT(nested_and_looped_indirect_are_refused),
	        UNIT(segments_beyond_the_queue_size_are_refused),
	        UNIT(used_ring_wraps),
	        UNIT(available_ring_wraps),
	        UNIT(kicks_are_not_asked_for_while_requests_wait),
	        UNIT(interrupt_follows_the_flag),
	        UNIT(interrupt_is_due_exactly_when_used_event_is_passed),
	        UNIT(iov_copies_across_segments),
	        {0},
	};

	return unit_run("virtqueue", tests);
}
