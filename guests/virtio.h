/*
 * virtio-mmio devices, version 2, for one CPU that has little to do.
 * Virtual I/O Device (VIRTIO) Version 1.2; the numbers below are its sections.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <linux/virtio_ring.h>

#define VIRTQUEUE_SIZE 16

struct virtio {
	uintptr_t registers;
	unsigned irq;
};

/* Laid out for the device; the guest writes desc[] itself, as it needs. */
struct virtqueue {
	struct vring_desc desc[VIRTQUEUE_SIZE] __attribute__((aligned(16)));
	struct {
		uint16_t flags;
		uint16_t index;
		uint16_t ring[VIRTQUEUE_SIZE];
	} available __attribute__((aligned(2)));
	struct {
		uint16_t flags;
		uint16_t index;
		struct vring_used_elem ring[VIRTQUEUE_SIZE];
	} used __attribute__((aligned(4)));

	struct virtio *virtio;
	unsigned number;
	uint16_t seen; /* used.index up to which virtqueue_pop() has answered */
};

/*
 * Finds device number `nth` (from 0) of this type on the command line and negotiates
 * exactly `features`. -ENODEV, or -EINVAL if the device cannot do that.
 */
int virtio_open(struct virtio *virtio, uint32_t type, unsigned nth, uint64_t features);

/* Queues are zeroed memory at first. -EINVAL if the device's is shorter than ours. */
int virtqueue_open(struct virtqueue *queue, struct virtio *virtio, unsigned number);

/* After the last queue is open; enables the interrupt. */
void virtio_start(struct virtio *virtio);

uint8_t virtio_config8(const struct virtio *virtio, unsigned offset);
uint32_t virtio_config32(const struct virtio *virtio, unsigned offset);

/* Offers the chain that starts at desc[head]. */
void virtqueue_push(struct virtqueue *queue, uint16_t head);

/* Tells the device of what was pushed, if it wants to know. */
void virtqueue_kick(struct virtqueue *queue);

/* The head of a chain that the device is done with and what it wrote; -1 if none. */
int virtqueue_pop(struct virtqueue *queue, uint32_t *written);

/*
 * To be called when irq_wait() has named virtio->irq, before the queues are looked at:
 * the device raises its line again only once this is done (edge triggered).
 */
void virtio_acknowledge(struct virtio *virtio);

/* Pushes desc[0] and sleeps until it is done. -ETIMEDOUT after 5 s. */
int virtqueue_run(struct virtqueue *queue, uint32_t *written);
