/*
 * What a device is, and all that it may reach.
 *
 * Devices are written as single-threaded code: the bus and the loop hold the device's
 * lock around every call. A device never sees the VM, a vCPU or KVM: struct device_host
 * is its whole world, and tests bring one of their own.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct memory;
struct pollfd;
struct device;
struct device_host;

/* How the guest asks for the end of its VM. */
enum device_request {
	REQUEST_POWEROFF, /* ACPI S5 */
	REQUEST_RESET,    /* i8042, ACPI reset register */
	REQUEST_PANIC,    /* pvpanic: the guest's kernel has given up */
	REQUEST_EXIT,     /* exit port; with a status */
	REQUEST_HALT,     /* hvt: the guest is done; with a status */
	REQUEST_ABORT,    /* hvt: the guest has given up; with a status */
};

struct device_host {
	struct memory *memory;
	struct loop *loop;
	/* Sets an interrupt line (a GSI) of the guest. An edge is 1, then 0. */
	void (*set_irq)(struct device_host *host, unsigned gsi, bool level);
	/* Delivers a message-signalled interrupt as if the device had written it. */
	void (*send_msi)(struct device_host *host, uint64_t address, uint32_t data);
	/*
	 * Gives `device` a window of the port or the memory space while the guest runs, and
	 * takes it away; only where bus->windows_move. -EEXIST where another one is.
	 */
	int (*map)(struct device_host *host, struct device *device, bool port,
	        uint64_t base, uint64_t size, unsigned window);
	void (*unmap)(struct device_host *host, struct device *device, bool port,
	        unsigned window);
	/* Asks for the end of the VM; returns at once, from any thread. */
	void (*request)(
	        struct device_host *host, enum device_request request, unsigned status);
	/* Records mark `mark` (0..255) of the guest in the timeline, now. */
	void (*mark)(struct device_host *host, unsigned mark);
	/*
	 * From write(), of a machine with one CPU: the access cannot be completed yet. The
	 * same one comes again, unless the VM ends meanwhile, when one of `fds` has an event
	 * (revents are then set), at `deadline_ns` of CLOCK_MONOTONIC (UINT64_MAX: never),
	 * or earlier. `fds` stay the device's. No lock is held until then.
	 */
	void (*wait)(struct device_host *host, struct pollfd *fds, unsigned count,
	        uint64_t deadline_ns);
};

/* A kind of device: const, one per file. Members that a device lacks are NULL. */
struct device_type {
	const char *name; /* "serial" */
	const char *help; /* one line for --help: what the guest sees */
	void (*destroy)(struct device *device); /* what it owns beside its own memory */
	/*
	 * A guest's access of 1, 2, 4 or 8 bytes at `offset` of the window that was
	 * registered with `window`. `data` is little-endian bytes. What a device does
	 * not know reads as all ones (the bus has preset them) and ignores writes.
	 */
	void (*read)(struct device *device, unsigned window, uint64_t offset,
	        void *data, unsigned size);
	void (*write)(struct device *device, unsigned window, uint64_t offset,
	        const void *data, unsigned size);
	/* Between pause and resume a device starts nothing and its state is at rest. */
	void (*pause)(struct device *device);
	void (*resume)(struct device *device);
	/* Guest-visible state: one plain struct inside the device (offsetof, sizeof). */
	size_t state_offset;
	size_t state_size;
	uint32_t state_version;
};

/* First member of every device's own struct. */
struct device {
	const struct device_type *type;
	struct device_host *host;
	pthread_mutex_t lock;
};

/*
 * Zeroed memory for a device of `size` bytes, whose first member is a struct device, filled;
 * NULL (logged) without any.
 */
void *device_create(
        size_t size, const struct device_type *type, struct device_host *host);
/* Calls the type's destroy under no lock, and frees the device; takes NULL. */
void device_destroy(struct device *device);
