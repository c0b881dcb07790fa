/*
 * A split virtqueue (VIRTIO 1.2, 2.7), as seen from the device.
 *
 * The guest owns every byte of the rings and may write them at any time. So each
 * descriptor is copied once and only the copy is looked at; every walk is bounded by
 * the queue's size; every address goes through memory_at(). A ring that breaks a rule
 * makes virtqueue_pop() answer -EPROTO: the device then sets DEVICE_NEEDS_RESET.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct memory;
struct vring_avail;
struct vring_desc;
struct vring_used;

enum { VIRTQUEUE_MAX = 256 };

/* Guest-visible state: saved in snapshots, validated by virtqueue_start(). */
struct virtqueue_state {
	uint64_t desc, avail, used; /* guest addresses */
	uint16_t size;              /* 0 < size <= VIRTQUEUE_MAX, a power of two */
	uint16_t next_avail;        /* the next entry of the available ring to take */
	uint16_t next_used;         /* the next entry of the used ring to fill */
	uint16_t ready;             /* 1: in use */
};

struct virtqueue {
	struct virtqueue_state
	        *state; /* the only copy: part of the device's own state */
	/* Valid while started; the ranges were checked once by virtqueue_start(). */
	const struct memory *memory;
	const struct vring_desc *desc; /* NULL: not started */
	volatile struct vring_avail *avail;
	volatile struct vring_used *used;
	bool event_idx;
	uint16_t signalled; /* next_used at the last interrupt: for EVENT_IDX */
};

/*
 * One request: host pointers, translated from private copies of its descriptors.
 * Segments are never empty. 4 KiB: at most one of them on a stack.
 */
struct chain {
	uint16_t head;
	unsigned out_count, in_count;    /* segments the device reads, then writes */
	size_t out_size, in_size;        /* bytes of each; together below 4 GiB */
	struct iovec iov[VIRTQUEUE_MAX]; /* out_count first, then in_count */
};

/* Checks size, alignment and that the rings are RAM; -EINVAL, or 0. */
int virtqueue_start(
        struct virtqueue *queue, const struct memory *memory, bool event_idx);
void virtqueue_stop(struct virtqueue *queue);

/*
 * Takes the next available request: 1 and `*chain`, 0 if there is none (notifications
 * are then armed), -EPROTO if the ring is broken.
 */
int virtqueue_pop(struct virtqueue *queue, struct chain *chain);
/* Gives back what was popped last, untouched: the next pop returns it again. */
void virtqueue_unpop(struct virtqueue *queue);
/* Hands `head` back with `written` bytes. */
void virtqueue_push(struct virtqueue *queue, uint16_t head, uint32_t written);
/*
 * As two steps, for several requests that the guest must see at once (a frame in several
 * buffers, 5.1.6.4): writes the used ring `ahead` of its end, then moves the end on.
 */
void virtqueue_fill(
        struct virtqueue *queue, unsigned ahead, uint16_t head, uint32_t written);
void virtqueue_publish(struct virtqueue *queue, unsigned count);
/* Whether the guest wants an interrupt for what was pushed since the last call. */
bool virtqueue_needs_interrupt(struct virtqueue *queue);

/* Copies between a buffer and segments from byte `offset` on; the bytes copied. */
size_t iov_read(const struct iovec *iov, unsigned count, size_t offset, void *data,
        size_t size);
size_t iov_write(const struct iovec *iov, unsigned count, size_t offset,
        const void *data, size_t size);
