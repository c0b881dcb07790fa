/* Reads 32 bytes of a virtio-rng device; they must not all be the same. */
#include <linux/virtio_ids.h>

#include "guest.h"
#include "mayfly.h"
#include "virtio.h"

MAYFLY_NEEDS(MAYFLY_NEEDS_IRQCHIP);

static struct virtio virtio;
static struct virtqueue queue;
static uint8_t bytes[32];

/* A device may answer a request in several parts (VIRTIO 1.2, 5.4.6). */
static bool bytes_read(void)
{
	uint32_t have = 0;

	while (have < sizeof(bytes)) {
		uint32_t written;

		queue.desc[0] = (struct vring_desc){
		        .addr = (uintptr_t)bytes + have,
		        .len = sizeof(bytes) - have,
		        .flags = VRING_DESC_F_WRITE,
		};
		if (virtqueue_run(&queue, &written))
			return false;
		if (written == 0 || written > sizeof(bytes) - have)
			return false;
		have += written;
	}
	return true;
}

int main(void)
{
	unsigned different = 0;

	if (virtio_open(&virtio, VIRTIO_ID_RNG, 0, 0) ||
	        virtqueue_open(&queue, &virtio, 0)) {
		print("rng: no device\n");
		return 2;
	}
	virtio_start(&virtio);
	if (!bytes_read()) {
		print("rng: the device does not answer\n");
		return 1;
	}
	for (unsigned n = 0; n < sizeof(bytes); n++) {
		print("%x%x", bytes[n] >> 4, bytes[n] & 15);
		different += bytes[n] != bytes[0];
	}
	print("\nrng: %s\n", different ? "ok" : "all bytes are the same");
	return different ? 0 : 1;
}
