#include "virtio.h"

#include <linux/errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#include "guest.h"

#define MAGIC      0x74726976 /* "virt" */
#define TIMEOUT_MS 5000

static uint32_t register_read(const struct virtio *virtio, unsigned offset)
{
	return *(volatile uint32_t *)(virtio->registers + offset);
}

static void register_write(const struct virtio *virtio, unsigned offset, uint32_t value)
{
	*(volatile uint32_t *)(virtio->registers + offset) = value;
}

static void register_write64(
        const struct virtio *virtio, unsigned low, const void *host)
{
	uint64_t guest = (uintptr_t)host;

	register_write(virtio, low, (uint32_t)guest);
	register_write(virtio, low + 4, (uint32_t)(guest >> 32));
}

static int find(struct virtio *virtio, uint32_t type, unsigned nth)
{
	for (unsigned n = 0; virtio_place(n, &virtio->registers, &virtio->irq); n++) {
		if (register_read(virtio, VIRTIO_MMIO_MAGIC_VALUE) != MAGIC ||
		        register_read(virtio, VIRTIO_MMIO_VERSION) != 2 ||
		        register_read(virtio, VIRTIO_MMIO_DEVICE_ID) != type)
			continue;
		if (nth-- == 0)
			return 0;
	}
	return -ENODEV;
}

/* 3.1.1: the order of these steps is the specification's. */
int virtio_open(struct virtio *virtio, uint32_t type, unsigned nth, uint64_t features)
{
	uint32_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
	uint64_t offered;

	if (find(virtio, type, nth))
		return -ENODEV;
	register_write(virtio, VIRTIO_MMIO_STATUS, 0);
	register_write(virtio, VIRTIO_MMIO_STATUS, status);

	features |= 1ull << VIRTIO_F_VERSION_1;
	register_write(virtio, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	offered = (uint64_t)register_read(virtio, VIRTIO_MMIO_DEVICE_FEATURES) << 32;
	register_write(virtio, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	offered |= register_read(virtio, VIRTIO_MMIO_DEVICE_FEATURES);
	if (features & ~offered)
		return -EINVAL;

	register_write(virtio, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	register_write(virtio, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
	register_write(virtio, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	register_write(virtio, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)features);

	status |= VIRTIO_CONFIG_S_FEATURES_OK;
	register_write(virtio, VIRTIO_MMIO_STATUS, status);
	if (!(register_read(virtio, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK))
		return -EINVAL;
	return 0;
}

int virtqueue_open(struct virtqueue *queue, struct virtio *virtio, unsigned number)
{
	queue->virtio = virtio;
	queue->number = number;
	register_write(virtio, VIRTIO_MMIO_QUEUE_SEL, number);
	if (register_read(virtio, VIRTIO_MMIO_QUEUE_NUM_MAX) < VIRTQUEUE_SIZE)
		return -EINVAL;
	register_write(virtio, VIRTIO_MMIO_QUEUE_NUM, VIRTQUEUE_SIZE);
	register_write64(virtio, VIRTIO_MMIO_QUEUE_DESC_LOW, queue->desc);
	register_write64(virtio, VIRTIO_MMIO_QUEUE_AVAIL_LOW, &queue->available);
	register_write64(virtio, VIRTIO_MMIO_QUEUE_USED_LOW, &queue->used);
	register_write(virtio, VIRTIO_MMIO_QUEUE_READY, 1);
	return 0;
}

void virtio_start(struct virtio *virtio)
{
	irq_enable(virtio->irq);
	register_write(virtio, VIRTIO_MMIO_STATUS,
	        VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
	                VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
}

/* 4.2.2.2: configuration fields are read at their own width. */
uint8_t virtio_config8(const struct virtio *virtio, unsigned offset)
{
	return *(volatile uint8_t *)(virtio->registers + VIRTIO_MMIO_CONFIG + offset);
}

uint32_t virtio_config32(const struct virtio *virtio, unsigned offset)
{
	return register_read(virtio, VIRTIO_MMIO_CONFIG + offset);
}

void virtqueue_push(struct virtqueue *queue, uint16_t head)
{
	uint16_t index = queue->available.index;

	queue->available.ring[index % VIRTQUEUE_SIZE] = head;
	/* 2.7.13.3: the entry must be visible before the index that covers it. */
	__atomic_store_n(
	        &queue->available.index, (uint16_t)(index + 1), __ATOMIC_RELEASE);
}

void virtqueue_kick(struct virtqueue *queue)
{
	/* 2.7.13.4: the index must be visible before we ask whether to notify. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (*(volatile uint16_t *)&queue->used.flags & VRING_USED_F_NO_NOTIFY)
		return;
	register_write(queue->virtio, VIRTIO_MMIO_QUEUE_NOTIFY, queue->number);
}

int virtqueue_pop(struct virtqueue *queue, uint32_t *written)
{
	const struct vring_used_elem *element;

	if (queue->seen == __atomic_load_n(&queue->used.index, __ATOMIC_ACQUIRE))
		return -1;
	element = &queue->used.ring[queue->seen++ % VIRTQUEUE_SIZE];
	*written = element->len;
	return (int)(element->id % VIRTQUEUE_SIZE);
}

void virtio_acknowledge(struct virtio *virtio)
{
	/* Both reasons (4.2.2): to read first which of them it was costs another exit. */
	register_write(virtio, VIRTIO_MMIO_INTERRUPT_ACK,
	        VIRTIO_MMIO_INT_VRING | VIRTIO_MMIO_INT_CONFIG);
}

int virtqueue_run(struct virtqueue *queue, uint32_t *written)
{
	uint64_t deadline = clock_ms() + TIMEOUT_MS;

	virtqueue_push(queue, 0);
	virtqueue_kick(queue);

	/* Done means both: the buffer is used, and an interrupt has said so. */
	while (!(irq_wait(deadline) & 1u << queue->virtio->irq))
		if (clock_ms() >= deadline)
			return -ETIMEDOUT;
	virtio_acknowledge(queue->virtio);
	return virtqueue_pop(queue, written) == 0 ? 0 : -EIO;
}
