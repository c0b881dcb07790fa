#include "devices/virtio.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/loop.h"

#define BIT(n) (UINT64_C(1) << (n))

void *virtio_create(size_t size, const struct virtio_type *type,
        struct device_host *host, uint64_t features)
{
	struct virtio *virtio = calloc(1, size);

	if (!virtio) {
		log_error(-ENOMEM, "%s: out of memory", type->name);
		return NULL;
	}
	virtio->type = type;
	virtio->host = host;
	virtio->features = features | BIT(VIRTIO_F_VERSION_1) |
	                   BIT(VIRTIO_RING_F_INDIRECT_DESC) |
	                   BIT(VIRTIO_RING_F_EVENT_IDX);
	for (unsigned i = 0; i < VIRTIO_QUEUES; i++)
		virtio->queues[i].state = &virtio->state.queues[i];
	return virtio;
}

void virtio_destroy(struct virtio *virtio)
{
	if (!virtio)
		return;
	/* From here on no callback takes a request or asks for another one. */
	if (virtio->lock)
		pthread_mutex_lock(virtio->lock);
	virtio->paused = true;
	if (virtio->lock)
		pthread_mutex_unlock(virtio->lock);
	loop_timer_destroy(virtio->later);
	if (virtio->type->destroy)
		virtio->type->destroy(virtio);
	free(virtio);
}

int virtio_attach(struct virtio *virtio)
{
	return virtio->type->attach ? virtio->type->attach(virtio) : 0;
}

bool virtio_active(const struct virtio *virtio)
{
	const uint32_t ended = VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED;

	return (virtio->state.status & (VIRTIO_CONFIG_S_DRIVER_OK | ended)) ==
	       VIRTIO_CONFIG_S_DRIVER_OK;
}

bool virtio_has(const struct virtio *virtio, unsigned feature_bit)
{
	return virtio->state.driver_features & BIT(feature_bit);
}

/* A queue that the driver left out stays stopped, and empty for good. */
static bool usable(const struct virtio *virtio, uint32_t queue)
{
	return virtio_active(virtio) && queue < virtio->type->queue_count &&
	       virtio->queues[queue].desc;
}

int virtio_pop(struct virtio *virtio, unsigned queue, struct chain *chain)
{
	if (!usable(virtio, queue) || virtio->paused)
		return 0;
	int result = virtqueue_pop(&virtio->queues[queue], chain);
	if (result >= 0)
		return result;
	virtio_needs_reset(virtio, "broken ring");
	return 0;
}

void virtio_push(struct virtio *virtio, unsigned queue, uint16_t head, uint32_t written)
{
	virtqueue_push(&virtio->queues[queue], head, written);
	virtio_notify(virtio, queue);
}

void virtio_notify(struct virtio *virtio, unsigned queue)
{
	if (usable(virtio, queue) && virtqueue_needs_interrupt(&virtio->queues[queue]))
		virtio->interrupt(virtio, VIRTIO_INTERRUPT_QUEUE, queue);
}

void virtio_kick(struct virtio *virtio, uint32_t queue)
{
	if (usable(virtio, queue))
		virtio->type->kick(virtio, queue);
}

static void kick_now(void *context)
{
	struct virtio *virtio = context;
	uint32_t queues = virtio->later_queues;

	virtio->later_queues = 0;
	for (unsigned i = 0; i < VIRTIO_QUEUES; i++)
		if (queues & BIT(i))
			virtio_kick(virtio, i);
}

void virtio_kick_later(struct virtio *virtio, unsigned queue)
{
	if (virtio->paused)
		return; /* virtio_resume() kicks every queue */
	if (!virtio->later)
		virtio->later = loop_timer_create(
		        virtio->host->loop, kick_now, virtio, virtio->lock);
	if (!virtio->later) {
		virtio_needs_reset(virtio, "no timer on the host");
		return;
	}
	virtio->later_queues |= BIT(queue);
	loop_timer_set(virtio->later, 0);
}

/* 2.1.2: a device that told so once is quiet until it is reset. */
void virtio_needs_reset(struct virtio *virtio, const char *why)
{
	if (!virtio_active(virtio))
		return;
	log_guest(&virtio->broken, "%s: the guest must reset it: %s",
	        virtio->type->name, why);
	virtio->state.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	virtio->interrupt(virtio, VIRTIO_INTERRUPT_CONFIG, 0);
}

void virtio_config_changed(struct virtio *virtio)
{
	virtio->state.config_generation++;
	if (virtio_active(virtio))
		virtio->interrupt(virtio, VIRTIO_INTERRUPT_CONFIG, 0);
}

static void stop_queues(struct virtio *virtio)
{
	for (unsigned i = 0; i < virtio->type->queue_count; i++)
		virtqueue_stop(&virtio->queues[i]);
}

/* 2.4: all is as it was at the start, but for a generation that never goes back. */
static void reset(struct virtio *virtio)
{
	uint32_t generation = virtio->state.config_generation;

	if (virtio->type->reset && virtio->state.status & VIRTIO_CONFIG_S_DRIVER_OK)
		virtio->type->reset(virtio);
	stop_queues(virtio);
	virtio->later_queues = 0;
	memset(&virtio->state, 0, sizeof(virtio->state));
	virtio->state.config_generation = generation;
}

static int start_queues(struct virtio *virtio)
{
	for (unsigned i = 0; i < virtio->type->queue_count; i++) {
		struct virtqueue_state *state = &virtio->state.queues[i];
		if (!state->ready)
			continue;
		int error =
		        state->size > virtio->type->queue_size
		                ? -EINVAL
		                : virtqueue_start(&virtio->queues[i],
		                          virtio->host->memory,
		                          virtio_has(virtio, VIRTIO_RING_F_EVENT_IDX));
		if (error)
			return error;
	}
	return 0;
}

/*
 * DRIVER_OK is set if and only if the device was activated. Some drivers notify a queue
 * before, though 3.1.1 forbids it: legacy ones, and that of Linux 5.10.223 for random
 * numbers. Such requests are looked for now, as QEMU does.
 */
static bool activate(struct virtio *virtio)
{
	if (start_queues(virtio) < 0) {
		stop_queues(virtio);
		log_guest(&virtio->broken,
		        "%s: a queue is not in RAM, or of no legal size",
		        virtio->type->name);
		virtio->state.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
		return false;
	}
	virtio->state.status |= VIRTIO_CONFIG_S_DRIVER_OK;
	if (virtio->type->activate)
		virtio->type->activate(virtio);
	for (unsigned i = 0; i < virtio->type->queue_count; i++)
		virtio_kick(virtio, i);
	return true;
}

/*
 * 3.1.1: ACKNOWLEDGE, DRIVER, FEATURES_OK, DRIVER_OK, in this order, each at its time;
 * what is out of order is not set, which the driver sees when it reads the status back.
 * 2.1.1: bits are cleared by a reset only. 2.2: a feature that was not offered may be refused;
 * it is dropped, as other monitors do, for Unikraft takes one unasked. 6.1: nor has VERSION_1
 * to be taken, which OSv does not know.
 */
void virtio_set_status(struct virtio *virtio, uint32_t status)
{
	static const uint32_t steps[] = {VIRTIO_CONFIG_S_ACKNOWLEDGE,
	        VIRTIO_CONFIG_S_DRIVER, VIRTIO_CONFIG_S_FEATURES_OK,
	        VIRTIO_CONFIG_S_DRIVER_OK};
	const uint32_t ended = VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED;
	uint32_t *current = &virtio->state.status;

	if (status == 0) {
		reset(virtio);
		return;
	}
	if (virtio->state.legacy)
		return;
	*current |= status & VIRTIO_CONFIG_S_FAILED;
	if (*current & ended)
		return;
	for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (*current & steps[i])
			continue;
		if (!(status & steps[i]))
			return;
		if (steps[i] == VIRTIO_CONFIG_S_FEATURES_OK)
			virtio->state.driver_features &= virtio->features;
		if (steps[i] == VIRTIO_CONFIG_S_DRIVER_OK && !activate(virtio))
			return;
		*current |= steps[i];
	}
}

/*
 * Legacy drivers set what bits they like in any order (3.1.2). A feature that was not
 * offered is one that the driver does not get.
 */
void virtio_set_status_legacy(struct virtio *virtio, uint32_t status)
{
	const uint32_t steps = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
	const uint32_t ended = VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED;
	uint32_t *current = &virtio->state.status;

	if (status == 0) {
		reset(virtio);
		return;
	}
	if (*current == 0)
		virtio->state.legacy = true;
	if (!virtio->state.legacy)
		return;
	*current |= status & (steps | VIRTIO_CONFIG_S_FAILED);
	if (*current & (ended | VIRTIO_CONFIG_S_DRIVER_OK) ||
	        !(status & VIRTIO_CONFIG_S_DRIVER_OK))
		return;
	virtio->state.driver_features &= virtio_features_legacy(virtio);
	activate(virtio);
}

/* 6.4: a device that takes requests of any layout tells legacy drivers so. */
uint32_t virtio_features_legacy(const struct virtio *virtio)
{
	return (uint32_t)virtio->features | BIT(VIRTIO_F_ANY_LAYOUT);
}

void virtio_set_features(struct virtio *virtio, uint32_t select, uint32_t value)
{
	const uint32_t frozen = VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK;

	if (!(virtio->state.status & frozen) && select <= 1)
		virtio_set_half(&virtio->state.driver_features, select == 1, value);
}

struct virtqueue_state *virtio_selected(struct virtio *virtio)
{
	uint32_t queue = virtio->state.queue_select;

	return queue < virtio->type->queue_count ? &virtio->state.queues[queue] : NULL;
}

/* 3.1.1: queues are set up after FEATURES_OK; from DRIVER_OK on nothing moves them. */
struct virtqueue_state *virtio_selected_writable(struct virtio *virtio)
{
	const uint32_t mask = VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK |
	                      VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED;

	if ((virtio->state.status & mask) != VIRTIO_CONFIG_S_FEATURES_OK)
		return NULL;
	return virtio_selected(virtio);
}

enum { LEGACY_PAGE = 4096 };

/* 2.7.2, "Legacy Interfaces: A Note on Virtqueue Layout". */
void virtio_set_queue_page(struct virtio *virtio, uint32_t page)
{
	const uint32_t frozen = VIRTIO_CONFIG_S_DRIVER_OK |
	                        VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED;
	struct virtqueue_state *queue = virtio_selected(virtio);

	if (!queue || !virtio->state.legacy || virtio->state.status & frozen)
		return;
	queue->size = virtio->type->queue_size;
	queue->desc = (uint64_t)page * LEGACY_PAGE;
	queue->avail = queue->desc + sizeof(struct vring_desc) * queue->size;
	queue->used = queue->avail + sizeof(uint16_t) * (3 + queue->size);
	queue->used = (queue->used + LEGACY_PAGE - 1) & ~(uint64_t)(LEGACY_PAGE - 1);
	queue->ready = page != 0;
}

uint32_t virtio_queue_page(struct virtio *virtio)
{
	const struct virtqueue_state *queue = virtio_selected(virtio);

	return queue && virtio->state.legacy ? queue->desc / LEGACY_PAGE : 0;
}

/* Whether the configuration space has `size` bytes at `offset`. */
static bool config_has(const struct virtio *virtio, uint64_t offset, unsigned size)
{
	size_t config_size = virtio->type->config_size;

	return offset <= config_size && size <= config_size - offset;
}

static char *config_at(const struct virtio *virtio, uint64_t offset)
{
	return (char *)virtio + virtio->type->config_offset + offset;
}

void virtio_config_read(
        const struct virtio *virtio, uint64_t offset, void *data, unsigned size)
{
	if (config_has(virtio, offset, size))
		memcpy(data, config_at(virtio, offset), size);
}

/* A device whose configuration the driver may write says so. */
void virtio_config_write(
        struct virtio *virtio, uint64_t offset, const void *data, unsigned size)
{
	if (!config_has(virtio, offset, size) || !virtio->type->config_written)
		return;
	memcpy(config_at(virtio, offset), data, size);
	virtio->type->config_written(virtio, offset, size);
}

void virtio_pause(struct virtio *virtio)
{
	virtio->paused = true;
	if (virtio->type->pause && virtio_active(virtio))
		virtio->type->pause(virtio);
}

void virtio_resume(struct virtio *virtio)
{
	virtio->paused = false;
	if (virtio->type->resume && virtio_active(virtio))
		virtio->type->resume(virtio);
	for (unsigned i = 0; i < virtio->type->queue_count; i++)
		virtio_kick(virtio, i);
}
