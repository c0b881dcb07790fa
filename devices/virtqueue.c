/*
 * How a request travels. The guest writes descriptors, puts the index of the first one
 * (the head) into the available ring and raises avail->idx. pop() compares that index
 * with its own next_avail, copies the chain's descriptors one by one and translates
 * them; nothing of guest memory is looked at twice. push() writes head and length into
 * the used ring and then raises used->idx.
 *
 * Who wakes whom. Each side sleeps only after it told the other where to wake it and
 * then looked once more; a full barrier stands between the two steps on both sides. With
 * VIRTIO_F_EVENT_IDX (2.7.7, 2.7.10) that place is an index: the guest kicks when it
 * passes avail_event, which lives behind the used ring, and we interrupt when we pass
 * used_event, behind the available ring. As avail_event is moved only when the ring was
 * found empty, the guest does not kick while we are at work. All indices are free-running
 * and 16 bits wide: differences are taken modulo 65536 and cannot be trusted until they
 * were compared with the queue's size.
 */
#include "devices/virtqueue.h"

#include <errno.h>
#include <linux/virtio_ring.h>
#include <stdatomic.h>
#include <string.h>

#include "vmm/memory.h"

int virtqueue_start(
        struct virtqueue *queue, const struct memory *memory, bool event_idx)
{
	const struct virtqueue_state *state = queue->state;
	uint64_t size = state->size;

	if (size == 0 || size > VIRTQUEUE_MAX || (size & (size - 1)) != 0)
		return -EINVAL;
	/* 2.7: alignments 16, 2 and 4; both rings end with an event index. */
	if (state->desc % 16 || state->avail % 2 || state->used % 4)
		return -EINVAL;
	void *desc = memory_at(memory, state->desc, 16 * size);
	void *avail = memory_at(memory, state->avail, 6 + 2 * size);
	void *used = memory_at(memory, state->used, 6 + 8 * size);
	if (!desc || !avail || !used)
		return -EINVAL;

	queue->memory = memory;
	queue->desc = desc;
	queue->avail = avail;
	queue->used = used;
	queue->event_idx = event_idx;
	queue->signalled = state->next_used;
	return 0;
}

void virtqueue_stop(struct virtqueue *queue)
{
	queue->memory = NULL;
	queue->desc = NULL;
	queue->avail = NULL;
	queue->used = NULL;
}

/* Requests in the available ring that were not taken; more than `size` is a lie. */
static uint16_t waiting(const struct virtqueue *queue)
{
	uint16_t index = __atomic_load_n(&queue->avail->idx, __ATOMIC_ACQUIRE);

	return index - queue->state->next_avail;
}

/* 2.7.10: asks to be notified of the next request, then looks again. */
static uint16_t wait_for_kick(struct virtqueue *queue)
{
	volatile uint16_t *avail_event =
	        (volatile uint16_t *)&queue->used->ring[queue->state->size];

	if (queue->event_idx)
		*avail_event = queue->state->next_avail;
	atomic_thread_fence(memory_order_seq_cst);
	return waiting(queue);
}

/* An indirect table may lie at any address, so descriptors are not read in place. */
static struct vring_desc desc_copy(const struct vring_desc *table, unsigned index)
{
	struct vring_desc desc;

	memcpy(&desc, (const char *)table + index * sizeof(desc), sizeof(desc));
	/* The compiler must not look there again for what it has in `desc`. */
	atomic_signal_fence(memory_order_seq_cst);
	return desc;
}

static int chain_add(const struct virtqueue *queue, struct chain *chain,
        const struct vring_desc *desc)
{
	bool in = desc->flags & VRING_DESC_F_WRITE;

	/* 2.7.4.2: what the device writes comes after all that it reads. */
	if (!in && chain->in_count > 0)
		return -EPROTO;
	/* 2.7.5: a chain is shorter than 4 GiB. */
	if (desc->len > UINT32_MAX - chain->out_size - chain->in_size)
		return -EPROTO;
	if (desc->len == 0)
		return 0;
	void *host = memory_at(queue->memory, desc->addr, desc->len);
	if (!host)
		return -EPROTO;

	chain->iov[chain->out_count + chain->in_count] =
	        (struct iovec){host, desc->len};
	*(in ? &chain->in_count : &chain->out_count) += 1;
	*(in ? &chain->in_size : &chain->out_size) += desc->len;
	return 0;
}

/*
 * 2.7.5.3.2: any number of descriptors, the last of which may name an indirect table, in
 * which there is no further one. Every turn but that one uses up `left`, so a chain that
 * bites its tail ends, and its segments fit into chain->iov.
 */
static int chain_read(const struct virtqueue *queue, struct chain *chain, uint16_t head)
{
	const struct vring_desc *table = queue->desc;
	unsigned size = queue->state->size, left = size, count = size, index = head;
	bool indirect = false;

	chain->head = head;
	chain->out_count = chain->in_count = 0;
	chain->out_size = chain->in_size = 0;
	for (;;) {
		if (index >= count)
			return -EPROTO;
		struct vring_desc desc = desc_copy(table, index);
		if (desc.flags & VRING_DESC_F_INDIRECT) {
			if (indirect || desc.flags & VRING_DESC_F_NEXT ||
			        desc.len % sizeof(desc) ||
			        desc.len / sizeof(desc) > size)
				return -EPROTO;
			table = memory_at(queue->memory, desc.addr, desc.len);
			if (!table)
				return -EPROTO;
			count = desc.len / sizeof(desc);
			index = 0;
			indirect = true;
			continue;
		}
		if (left-- == 0)
			return -EPROTO;
		int error = chain_add(queue, chain, &desc);
		if (error)
			return error;
		if (!(desc.flags & VRING_DESC_F_NEXT))
			return 0;
		index = desc.next;
	}
}

int virtqueue_pop(struct virtqueue *queue, struct chain *chain)
{
	struct virtqueue_state *state = queue->state;
	uint16_t count = waiting(queue);

	if (count == 0)
		count = wait_for_kick(queue);
	if (count == 0)
		return 0;
	if (count > state->size)
		return -EPROTO;
	uint16_t head = queue->avail->ring[state->next_avail % state->size];
	int error = chain_read(queue, chain, head);
	if (error)
		return error;
	state->next_avail++;
	return 1;
}

void virtqueue_unpop(struct virtqueue *queue)
{
	queue->state->next_avail--;
}

void virtqueue_fill(
        struct virtqueue *queue, unsigned ahead, uint16_t head, uint32_t written)
{
	const struct virtqueue_state *state = queue->state;
	volatile struct vring_used_elem *element =
	        &queue->used->ring[(uint16_t)(state->next_used + ahead) % state->size];

	element->id = head;
	element->len = written;
}

void virtqueue_publish(struct virtqueue *queue, unsigned count)
{
	struct virtqueue_state *state = queue->state;

	state->next_used += count;
	/* 2.7.8.2: the guest finds the elements, and the data, once it sees the index. */
	__atomic_store_n(&queue->used->idx, state->next_used, __ATOMIC_RELEASE);
}

void virtqueue_push(struct virtqueue *queue, uint16_t head, uint32_t written)
{
	virtqueue_fill(queue, 0, head, written);
	virtqueue_publish(queue, 1);
}

bool virtqueue_needs_interrupt(struct virtqueue *queue)
{
	const struct virtqueue_state *state = queue->state;
	uint16_t before = queue->signalled, now = state->next_used;

	/* The guest arms and then looks at used->idx; we wrote that and now look. */
	atomic_thread_fence(memory_order_seq_cst);
	queue->signalled = now;
	if (queue->event_idx)
		return vring_need_event(queue->avail->ring[state->size], now, before);
	return now != before && !(queue->avail->flags & VRING_AVAIL_F_NO_INTERRUPT);
}

/* Walks [offset, offset + size) of the segments; `out` or `in` is where they are copied. */
static size_t iov_copy(const struct iovec *iov, unsigned count, size_t offset,
        size_t size, char *out, const char *in)
{
	size_t done = 0;

	for (; count > 0 && done < size; iov++, count--) {
		if (offset >= iov->iov_len) {
			offset -= iov->iov_len;
			continue;
		}
		char *host = (char *)iov->iov_base + offset;
		size_t length = iov->iov_len - offset;
		if (length > size - done)
			length = size - done;
		if (out)
			memcpy(out + done, host, length);
		else
			memcpy(host, in + done, length);
		done += length;
		offset = 0;
	}
	return done;
}

size_t iov_read(
        const struct iovec *iov, unsigned count, size_t offset, void *data, size_t size)
{
	size_t done = iov_copy(iov, count, offset, size, data, NULL);

	/* What was copied is what is checked: no second look at guest memory. */
	atomic_signal_fence(memory_order_seq_cst);
	return done;
}

size_t iov_write(const struct iovec *iov, unsigned count, size_t offset,
        const void *data, size_t size)
{
	return iov_copy(iov, count, offset, size, NULL, data);
}
