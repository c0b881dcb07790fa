/*
 * A virtio device apart from its transport (VIRTIO 1.2, 2 and 3).
 *
 * struct virtio holds what every device has: features, status, queues. A transport
 * (virtio_mmio.c, virtio_pci.c) turns register accesses into calls of virtio_*() below; a
 * device type (virtio_blk.c, ...) supplies a struct virtio_type. All calls are made with
 * the device's lock held. Queue configuration is frozen at DRIVER_OK.
 */
#pragma once

#include "devices/virtqueue.h"
#include "vmm/device.h"
#include "vmm/log.h"

enum { VIRTIO_QUEUES = 4 };

/* Bits of interrupt_status (4.1.4.5, 4.2.2). */
enum { VIRTIO_INTERRUPT_QUEUE = 1, VIRTIO_INTERRUPT_CONFIG = 2 };

struct virtio;

/* const, one per file. */
struct virtio_type {
	const char *name; /* "virtio-blk" */
	uint16_t device_id;
	unsigned queue_count;
	unsigned queue_size; /* the largest that is offered */
	/* The configuration space, little-endian bytes inside the device; size 0: none. */
	size_t config_offset, config_size;
	/*
	 * Once, when the transport has supplied lock and interrupt: start the back end.
	 * 0 or -Exxx (logged); or NULL.
	 */
	int (*attach)(struct virtio *virtio);
	/* DRIVER_OK was set: the queues are started, features are final; or NULL. */
	void (*activate)(struct virtio *virtio);
	/* The guest notified queue `queue`. Work per call is bounded. */
	void (*kick)(struct virtio *virtio, unsigned queue);
	/*
	 * Only after activate: afterwards nothing of the host touches guest memory for
	 * this device. The queues are stopped when it returns. NULL: nothing ever does.
	 */
	void (*reset)(struct virtio *virtio);
	/* The guest wrote to the configuration space (already stored there); or NULL. */
	void (*config_written)(struct virtio *virtio, size_t offset, size_t size);
	/*
	 * Ends what is under way; virtio_pop() answers 0 until resume. Afterwards every
	 * queue is kicked, so that nothing is missed. Both may be NULL.
	 */
	void (*pause)(struct virtio *virtio);
	void (*resume)(struct virtio *virtio);
	void (*destroy)(struct virtio *virtio); /* what it owns beside its own memory */
};

/* Guest-visible; saved in snapshots. */
struct virtio_state {
	uint64_t driver_features;
	uint32_t features_select, driver_select, queue_select;
	uint32_t status;
	uint32_t interrupt_status; /* bit 0: used buffers, bit 1: configuration */
	uint32_t config_generation;
	/* 2.2.3: the driver uses the legacy interface, since its ACKNOWLEDGE. */
	uint32_t legacy;
	struct virtqueue_state queues[VIRTIO_QUEUES];
};

/* First member of every virtio device's own struct. */
struct virtio {
	const struct virtio_type *type;
	struct device_host *host;
	pthread_mutex_t *lock; /* of the transport's struct device */
	/* Supplied by the transport: raises the interrupt with this status bit; `queue`
	 * counts where that bit is VIRTIO_INTERRUPT_QUEUE. */
	void (*interrupt)(struct virtio *virtio, uint32_t status_bit, unsigned queue);
	void *transport;
	uint64_t features; /* offered, VIRTIO_F_VERSION_1 included */
	struct virtio_state state;
	struct virtqueue queues[VIRTIO_QUEUES];
	bool paused;
	struct loop_timer *later; /* for virtio_kick_later(), from its first use on */
	uint32_t later_queues;    /* bit per queue */
	struct log_counter broken;
};

/*
 * Zeroed memory for a device of `size` bytes, whose first member is a struct virtio, filled;
 * NULL (logged) without any. VERSION_1, INDIRECT_DESC and EVENT_IDX are added to `features`.
 */
void *virtio_create(size_t size, const struct virtio_type *type,
        struct device_host *host, uint64_t features);
/* Calls the type's destroy, and frees the device; takes NULL. */
void virtio_destroy(struct virtio *virtio);

/* Whether DRIVER_OK is set and the device neither failed nor needs a reset. */
bool virtio_active(const struct virtio *virtio);
bool virtio_has(const struct virtio *virtio, unsigned feature_bit);

/* virtqueue_pop(); a broken ring sets DEVICE_NEEDS_RESET, is logged, and reads as 0. */
int virtio_pop(struct virtio *virtio, unsigned queue, struct chain *chain);
/* virtqueue_push(), then an interrupt if the guest wants one. */
void virtio_push(
        struct virtio *virtio, unsigned queue, uint16_t head, uint32_t written);
/* As two steps, for several requests and one interrupt. */
void virtio_notify(struct virtio *virtio, unsigned queue);
/*
 * Calls the type's kick for `queue` again soon, on the loop's thread: for a device that
 * did its share of work for one call and leaves requests in the ring.
 */
void virtio_kick_later(struct virtio *virtio, unsigned queue);
void virtio_needs_reset(struct virtio *virtio, const char *why);
/* The configuration space changed: generation and interrupt. */
void virtio_config_changed(struct virtio *virtio);

/* For transports: a write of the status register, with the state machine of 3.1. */
void virtio_set_status(struct virtio *virtio, uint32_t status);
/*
 * The same through the legacy interface (3.1.2), which has no FEATURES_OK. The interface
 * that acknowledges a device is the one that drives it until it is reset; the registers
 * of the other one then configure nothing.
 */
void virtio_set_status_legacy(struct virtio *virtio, uint32_t status);
/* What that interface offers: 32 bits. */
uint32_t virtio_features_legacy(const struct virtio *virtio);
void virtio_set_features(struct virtio *virtio, uint32_t select, uint32_t value);
void virtio_kick(struct virtio *virtio, uint32_t queue);
/* The registers of the selected queue; NULL if there is none, or if it is frozen. */
struct virtqueue_state *virtio_selected(struct virtio *virtio);
struct virtqueue_state *virtio_selected_writable(struct virtio *virtio);
/*
 * The legacy layout (2.7.2): the selected queue starts at page `page`, 0: it is not used.
 * Its size is the device's.
 */
void virtio_set_queue_page(struct virtio *virtio, uint32_t page);
uint32_t virtio_queue_page(struct virtio *virtio);
/* The device's configuration space; what is outside stays as it is. */
void virtio_config_read(
        const struct virtio *virtio, uint64_t offset, void *data, unsigned size);
void virtio_config_write(
        struct virtio *virtio, uint64_t offset, const void *data, unsigned size);
/* The registers of an address are two. */
static inline void virtio_set_half(uint64_t *whole, bool upper, uint32_t value)
{
	unsigned shift = upper ? 32 : 0;

	*whole = (*whole & ~((uint64_t)UINT32_MAX << shift)) | (uint64_t)value << shift;
}
int virtio_attach(struct virtio *virtio);
void virtio_pause(struct virtio *virtio);
void virtio_resume(struct virtio *virtio);

/* The devices. Each takes over its back end, which is closed with it, and on failure too;
 * then it logs and returns NULL. */
struct disk;
struct nic;
struct console;
struct virtio *virtio_blk_create(
        struct device_host *host, struct disk *disk, const char *id);
struct virtio *virtio_net_create(struct device_host *host, struct nic *nic);
struct virtio *virtio_rng_create(struct device_host *host);
struct virtio *virtio_input_create(struct device_host *host); /* a power button */

/* Presses it and lets it go, from any thread; false if no driver is there to hear of it. */
bool virtio_input_press(struct virtio *virtio);
struct virtio *virtio_console_create(struct device_host *host, struct console *console);

/* The MMIO transport (4.2), version 2: takes over `virtio`. NULL (logged) on failure,
 * `virtio` destroyed. Its one window is a view of VIRTIO_MMIO_SIZE bytes, or several:
 * a guest that is told of each in another way finds the device in the one that it looks
 * into first, and none in the others. */
enum { VIRTIO_MMIO_SIZE = 0x1000 };
struct device *virtio_mmio_create(
        struct device_host *host, struct virtio *virtio, unsigned gsi);

/*
 * The PCI transport (4.1), transitional where the device has a legacy form: takes over
 * `virtio`. NULL (logged) on failure, `virtio` destroyed. The function is for pci_add();
 * `gsi` is what its INTA# is wired to. BAR 0 is ports, BAR 1 memory.
 */
enum { VIRTIO_PCI_PORTS = 128, VIRTIO_PCI_MEMORY = 0x2000 };
struct pci_function *virtio_pci_create(
        struct device_host *host, struct virtio *virtio, unsigned gsi);
