/*
 * A power button for machines without ACPI: an input device (VIRTIO 1.2, 5.8) with one key.
 * Its configuration space answers what `select` and `subsel` ask for.
 */
#include <linux/input-event-codes.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_input.h>
#include <string.h>

#include "devices/virtio.h"

enum { QUEUE_EVENTS, QUEUE_STATUS, QUEUES };
enum { QUEUE_SIZE = 64, KICK_MAX = 64 };

struct virtio_input {
	struct virtio virtio;
	struct virtio_input_config config;
};

static struct virtio_input *of(struct virtio *virtio)
{
	return (struct virtio_input *)virtio;
}

/* 5.8.4: what is not there has size 0. */
static void answer(struct virtio *virtio, size_t offset, size_t size)
{
	static const char name[] = "Power Button";
	struct virtio_input_config *config = &of(virtio)->config;

	(void)offset;
	(void)size;
	config->size = 0;
	memset(&config->u, 0, sizeof(config->u));
	if (config->select == VIRTIO_INPUT_CFG_ID_NAME) {
		config->size = sizeof(name) - 1;
		memcpy(config->u.string, name, sizeof(name) - 1);
	} else if (config->select == VIRTIO_INPUT_CFG_EV_BITS &&
	           config->subsel == EV_KEY) {
		config->size = KEY_POWER / 8 + 1;
		config->u.bitmap[KEY_POWER / 8] = 1 << KEY_POWER % 8;
	}
}

/* Buffers for events are left in the ring. What the guest says of LEDs leads to nothing. */
static void kick(struct virtio *virtio, unsigned queue)
{
	struct chain chain;

	for (unsigned i = 0; queue == QUEUE_STATUS && i < KICK_MAX; i++) {
		if (virtio_pop(virtio, queue, &chain) == 0)
			return;
		virtio_push(virtio, queue, chain.head, 0);
	}
	if (queue == QUEUE_STATUS)
		virtio_kick_later(virtio, queue);
}

static bool send(struct virtio *virtio, const struct virtio_input_event *event)
{
	struct chain chain;
	uint32_t written = 0;

	if (virtio_pop(virtio, QUEUE_EVENTS, &chain) == 0)
		return false;
	if (chain.in_count && chain.iov[chain.out_count].iov_len >= sizeof(*event)) {
		written = sizeof(*event);
		memcpy(chain.iov[chain.out_count].iov_base, event, sizeof(*event));
	}
	virtqueue_push(&virtio->queues[QUEUE_EVENTS], chain.head, written);
	return written != 0;
}

bool virtio_input_press(struct virtio *virtio)
{
	static const struct virtio_input_event events[] = {
	        {EV_KEY, KEY_POWER, 1},
	        {EV_SYN, SYN_REPORT, 0},
	        {EV_KEY, KEY_POWER, 0},
	        {EV_SYN, SYN_REPORT, 0},
	};
	bool sent;

	pthread_mutex_lock(virtio->lock);
	sent = virtio_active(virtio);
	for (unsigned i = 0; sent && i < sizeof(events) / sizeof(events[0]); i++)
		sent = send(virtio, &events[i]);
	if (virtio_active(virtio))
		virtio_notify(virtio, QUEUE_EVENTS);
	pthread_mutex_unlock(virtio->lock);
	return sent;
}

static const struct virtio_type input_type = {
        .name = "virtio-input",
        .device_id = VIRTIO_ID_INPUT,
        .queue_count = QUEUES,
        .queue_size = QUEUE_SIZE,
        .config_offset = offsetof(struct virtio_input, config),
        .config_size = sizeof(struct virtio_input_config),
        .kick = kick,
        .config_written = answer,
};

struct virtio *virtio_input_create(struct device_host *host)
{
	return virtio_create(sizeof(struct virtio_input), &input_type, host, 0);
}
