/* The registers of VIRTIO 1.2, 4.2.2. */
#include <endian.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <string.h>

#include "devices/virtio.h"

enum {
	MAGIC = 0x74726976, /* "virt", little-endian */
	VERSION = 2,
	VENDOR = 0x594c464d, /* "MFLY" */
};

struct virtio_mmio {
	struct device device;
	struct virtio *virtio;
	unsigned gsi;
	unsigned taken; /* the view by which a driver found it, from 1; 0: none yet */
};

/* 4.2.3.1.1: a driver leaves a device with ID 0 alone, without a word. */
static uint32_t device_id(struct virtio_mmio *mmio, unsigned view)
{
	if (!mmio->taken)
		mmio->taken = view + 1;
	return mmio->taken == view + 1 ? mmio->virtio->type->device_id : 0;
}

/*
 * An edge each time, even if the bit was set already: the guest may just have read the
 * status before this one, and a second edge costs it one look.
 */
static void interrupt(struct virtio *virtio, uint32_t status_bit, unsigned queue)
{
	struct virtio_mmio *mmio = virtio->transport;
	struct device_host *host = mmio->device.host;

	(void)queue;
	virtio->state.interrupt_status |= status_bit;
	host->set_irq(host, mmio->gsi, 1);
	host->set_irq(host, mmio->gsi, 0);
}

static uint32_t register_read(struct virtio *virtio, uint64_t offset)
{
	const struct virtio_state *state = &virtio->state;
	const struct virtqueue_state *queue = virtio_selected(virtio);

	switch (offset) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MAGIC;
	case VIRTIO_MMIO_VERSION:
		return VERSION;
	case VIRTIO_MMIO_VENDOR_ID:
		return VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		if (state->features_select > 1)
			return 0;
		return virtio->features >> (32 * state->features_select);
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return queue ? virtio->type->queue_size : 0;
	case VIRTIO_MMIO_QUEUE_READY:
		return queue ? queue->ready : 0;
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		return state->interrupt_status;
	case VIRTIO_MMIO_STATUS:
		return state->status;
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return state->config_generation;
	default:
		/* 4.2.2.1: shared memory that does not exist has base and length ~0. */
		return UINT32_MAX;
	}
}

/* 4.2.2.2: a queue's size and addresses are not changed while it is ready. */
static void queue_write(struct virtio *virtio, uint64_t offset, uint32_t value)
{
	struct virtqueue_state *queue = virtio_selected_writable(virtio);

	if (!queue)
		return;
	if (offset == VIRTIO_MMIO_QUEUE_READY) {
		queue->ready = value & 1;
		return;
	}
	if (queue->ready)
		return;
	switch (offset) {
	case VIRTIO_MMIO_QUEUE_NUM:
		/* 0 is illegal too, and no larger value may become legal by truncation. */
		queue->size = value <= virtio->type->queue_size ? value : 0;
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
		virtio_set_half(&queue->desc, false, value);
		break;
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		virtio_set_half(&queue->desc, true, value);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
		virtio_set_half(&queue->avail, false, value);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		virtio_set_half(&queue->avail, true, value);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
		virtio_set_half(&queue->used, false, value);
		break;
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		virtio_set_half(&queue->used, true, value);
		break;
	}
}

static void register_write(struct virtio *virtio, uint64_t offset, uint32_t value)
{
	struct virtio_state *state = &virtio->state;

	switch (offset) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		state->features_select = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		state->driver_select = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		virtio_set_features(virtio, state->driver_select, value);
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		state->queue_select = value;
		break;
	case VIRTIO_MMIO_QUEUE_NOTIFY:
		virtio_kick(virtio, value);
		break;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		state->interrupt_status &= ~value;
		break;
	case VIRTIO_MMIO_STATUS:
		virtio_set_status(virtio, value);
		break;
	default:
		queue_write(virtio, offset, value);
		break;
	}
}

/* 4.2.2.2: registers are accessed as aligned 32-bit words, the configuration as it is. */
static bool is_register(uint64_t offset, unsigned size)
{
	return size == 4 && offset % 4 == 0;
}

static void mmio_read(struct device *device, unsigned window, uint64_t offset,
        void *data, unsigned size)
{
	struct virtio_mmio *mmio = (struct virtio_mmio *)device;
	unsigned view = offset / VIRTIO_MMIO_SIZE;
	uint32_t value;

	(void)window;
	offset %= VIRTIO_MMIO_SIZE;
	if (offset >= VIRTIO_MMIO_CONFIG) {
		virtio_config_read(
		        mmio->virtio, offset - VIRTIO_MMIO_CONFIG, data, size);
	} else if (is_register(offset, size)) {
		value = offset == VIRTIO_MMIO_DEVICE_ID
		                ? device_id(mmio, view)
		                : register_read(mmio->virtio, offset);
		value = htole32(value);
		memcpy(data, &value, sizeof(value));
	}
}

static void mmio_write(struct device *device, unsigned window, uint64_t offset,
        const void *data, unsigned size)
{
	struct virtio *virtio = ((struct virtio_mmio *)device)->virtio;

	(void)window;
	offset %= VIRTIO_MMIO_SIZE;
	if (offset >= VIRTIO_MMIO_CONFIG) {
		virtio_config_write(virtio, offset - VIRTIO_MMIO_CONFIG, data, size);
	} else if (is_register(offset, size)) {
		uint32_t value;
		memcpy(&value, data, sizeof(value));
		register_write(virtio, offset, le32toh(value));
	}
}

static void mmio_pause(struct device *device)
{
	virtio_pause(((struct virtio_mmio *)device)->virtio);
}

static void mmio_resume(struct device *device)
{
	virtio_resume(((struct virtio_mmio *)device)->virtio);
}

static void mmio_destroy(struct device *device)
{
	struct virtio_mmio *mmio = (struct virtio_mmio *)device;

	virtio_destroy(mmio->virtio);
}

static const struct device_type mmio_type = {
        .name = "virtio-mmio",
        .help = "the transport of virtio devices: registers in memory",
        .destroy = mmio_destroy,
        .read = mmio_read,
        .write = mmio_write,
        .pause = mmio_pause,
        .resume = mmio_resume,
};

struct device *virtio_mmio_create(
        struct device_host *host, struct virtio *virtio, unsigned gsi)
{
	struct virtio_mmio *mmio = device_create(sizeof(*mmio), &mmio_type, host);

	if (!mmio) {
		virtio_destroy(virtio);
		return NULL;
	}
	mmio->virtio = virtio;
	mmio->gsi = gsi;
	virtio->lock = &mmio->device.lock;
	virtio->interrupt = interrupt;
	virtio->transport = mmio;
	if (virtio_attach(virtio) < 0) {
		device_destroy(&mmio->device);
		return NULL;
	}
	return &mmio->device;
}
