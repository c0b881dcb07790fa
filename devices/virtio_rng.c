#include <errno.h>
#include <linux/virtio_ids.h>
#include <sys/random.h>

#include "devices/virtio.h"

/* What one request and one notification can make the host compute. */
enum { RNG_QUEUE_SIZE = 64, RNG_REQUEST_MAX = 64 << 10, RNG_KICK_MAX = 16 };

/* 5.4.6: fills the device-writable part; fewer bytes than asked for are legal. */
static uint32_t fill(const struct chain *chain)
{
	const struct iovec *iov = chain->iov + chain->out_count;
	uint32_t done = 0;

	for (unsigned i = 0; i < chain->in_count && done < RNG_REQUEST_MAX; i++) {
		size_t segment = iov[i].iov_len, at = 0;
		if (segment > RNG_REQUEST_MAX - done)
			segment = RNG_REQUEST_MAX - done;
		while (at < segment) {
			ssize_t got = getrandom(
			        (char *)iov[i].iov_base + at, segment - at, 0);
			if (got < 0 && errno == EINTR)
				continue;
			if (got <= 0)
				return done;
			at += got;
			done += got;
		}
	}
	return done;
}

static void rng_kick(struct virtio *virtio, unsigned queue)
{
	struct chain chain;

	for (unsigned i = 0; i < RNG_KICK_MAX; i++) {
		if (virtio_pop(virtio, queue, &chain) == 0) {
			virtio_notify(virtio, queue);
			return;
		}
		virtqueue_push(&virtio->queues[queue], chain.head, fill(&chain));
	}
	virtio_notify(virtio, queue);
	virtio_kick_later(virtio, queue);
}

static const struct virtio_type rng_type = {
        .name = "virtio-rng",
        .device_id = VIRTIO_ID_RNG,
        .queue_count = 1,
        .queue_size = RNG_QUEUE_SIZE,
        .kick = rng_kick,
};

struct virtio *virtio_rng_create(struct device_host *host)
{
	return virtio_create(sizeof(struct virtio), &rng_type, host, 0);
}
