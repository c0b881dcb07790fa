/*
 * The driver's side of a virtio-mmio device, for tests: registers, memory and one
 * virtqueue's rings, written the way a guest would, or would not.
 */
#pragma once

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio.h"
#include "tests/unit/loop_fake.h"
#include "vmm/memory.h"

enum {
	GUEST_MEMORY = 1 << 20,
	GUEST_GSI = 5,
	/* Queue n has its rings here, `GUEST_RINGS` apart. */
	GUEST_DESC = 0x1000,
	GUEST_AVAIL = 0x2000,
	GUEST_USED = 0x3000,
	GUEST_RINGS = 0x3000,
	/* For data: free from here on. */
	GUEST_DATA = 0x20000,
};

struct guest {
	struct device_host host; /* first: set_irq() gets back from it */
	struct memory memory;
	struct device *device;
	unsigned interrupts; /* rising edges */
	bool level;
};

static inline void guest_set_irq(struct device_host *host, unsigned gsi, bool level)
{
	struct guest *guest = (struct guest *)host;

	if (gsi == GUEST_GSI && level && !guest->level)
		guest->interrupts++;
	guest->level = level;
}

static inline void guest_init(struct guest *guest)
{
	memset(guest, 0, sizeof(*guest));
	if (memory_create(&guest->memory, GUEST_MEMORY, 0, 0xc0000000, 0x100000000) < 0)
		abort();
	guest->host.memory = &guest->memory;
	guest->host.loop = loop_create();
	guest->host.set_irq = guest_set_irq;
}

static inline void guest_destroy(struct guest *guest)
{
	device_destroy(guest->device); /* takes NULL */
	loop_destroy(guest->host.loop);
	memory_destroy(&guest->memory);
}

static inline void *guest_at(struct guest *guest, uint64_t address)
{
	return (char *)guest->memory.ranges[0].host + address;
}

static inline void guest_write(
        struct guest *guest, uint64_t offset, uint64_t value, unsigned size)
{
	pthread_mutex_lock(&guest->device->lock);
	guest->device->type->write(guest->device, 0, offset, &value, size);
	pthread_mutex_unlock(&guest->device->lock);
}

static inline uint64_t guest_read(struct guest *guest, uint64_t offset, unsigned size)
{
	uint64_t value = UINT64_MAX >> (64 - 8 * size);

	pthread_mutex_lock(&guest->device->lock);
	guest->device->type->read(guest->device, 0, offset, &value, size);
	pthread_mutex_unlock(&guest->device->lock);
	return value;
}

static inline void guest_set(struct guest *guest, uint64_t offset, uint32_t value)
{
	guest_write(guest, offset, value, 4);
}

static inline uint32_t guest_get(struct guest *guest, uint64_t offset)
{
	return guest_read(guest, offset, 4);
}

static inline uint64_t guest_offered(struct guest *guest)
{
	uint64_t features;

	guest_set(guest, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	features = (uint64_t)guest_get(guest, VIRTIO_MMIO_DEVICE_FEATURES) << 32;
	guest_set(guest, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	return features | guest_get(guest, VIRTIO_MMIO_DEVICE_FEATURES);
}

static inline void guest_accept(struct guest *guest, uint64_t features)
{
	guest_set(guest, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	guest_set(guest, VIRTIO_MMIO_DRIVER_FEATURES, features);
	guest_set(guest, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	guest_set(guest, VIRTIO_MMIO_DRIVER_FEATURES, features >> 32);
}

static inline void guest_setup_queue(
        struct guest *guest, unsigned queue, unsigned size, uint64_t base)
{
	guest_set(guest, VIRTIO_MMIO_QUEUE_SEL, queue);
	guest_set(guest, VIRTIO_MMIO_QUEUE_NUM, size);
	guest_set(guest, VIRTIO_MMIO_QUEUE_DESC_LOW, base + GUEST_DESC);
	guest_set(guest, VIRTIO_MMIO_QUEUE_DESC_HIGH, (base + GUEST_DESC) >> 32);
	guest_set(guest, VIRTIO_MMIO_QUEUE_AVAIL_LOW, base + GUEST_AVAIL);
	guest_set(guest, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, (base + GUEST_AVAIL) >> 32);
	guest_set(guest, VIRTIO_MMIO_QUEUE_USED_LOW, base + GUEST_USED);
	guest_set(guest, VIRTIO_MMIO_QUEUE_USED_HIGH, (base + GUEST_USED) >> 32);
	guest_set(guest, VIRTIO_MMIO_QUEUE_READY, 1);
}

static inline void guest_features_ok(struct guest *guest, uint64_t features)
{
	guest_set(guest, VIRTIO_MMIO_STATUS, 0);
	guest_set(guest, VIRTIO_MMIO_STATUS, 1);
	guest_set(guest, VIRTIO_MMIO_STATUS, 3);
	guest_accept(guest, features);
	guest_set(guest, VIRTIO_MMIO_STATUS, 11);
}

/* Brings the device up with `features` and `queues` queues of `size`, all rings zero. */
static inline void guest_start(
        struct guest *guest, uint64_t features, unsigned queues, unsigned size)
{
	guest_features_ok(guest, features);
	for (unsigned i = 0; i < queues; i++) {
		memset(guest_at(guest, i * GUEST_RINGS + GUEST_DESC), 0, GUEST_RINGS);
		guest_setup_queue(guest, i, size, i * GUEST_RINGS);
	}
	guest_set(guest, VIRTIO_MMIO_STATUS, 15);
	guest->interrupts = 0;
}

static inline struct vring_desc *guest_desc(struct guest *guest, unsigned queue)
{
	return guest_at(guest, queue * GUEST_RINGS + GUEST_DESC);
}

static inline struct vring_avail *guest_avail(struct guest *guest, unsigned queue)
{
	return guest_at(guest, queue * GUEST_RINGS + GUEST_AVAIL);
}

static inline struct vring_used *guest_used(struct guest *guest, unsigned queue)
{
	return guest_at(guest, queue * GUEST_RINGS + GUEST_USED);
}

static inline void guest_describe(struct guest *guest, unsigned queue, unsigned index,
        uint64_t address, uint32_t size, uint16_t flags, uint16_t next)
{
	guest_desc(guest, queue)[index] =
	        (struct vring_desc){address, size, flags, next};
}

/* Makes `head` available; the size of the queue is a power of two. */
static inline void guest_offer(
        struct guest *guest, unsigned queue, unsigned size, uint16_t head)
{
	struct vring_avail *avail = guest_avail(guest, queue);

	avail->ring[avail->idx % size] = head;
	avail->idx++;
}

static inline void guest_kick(struct guest *guest, unsigned queue)
{
	guest_set(guest, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
}

static inline bool guest_must_reset(struct guest *guest)
{
	return guest_get(guest, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET;
}
