/*
 * From an address to a device: sorted windows of a port or an MMIO space.
 *
 * Windows are added while no vCPU runs, so look-up takes no lock; the device's own lock
 * is held around its read and write. An access that no single window covers reads as all
 * ones and ignores writes.
 *
 * Where the guest moves windows while it runs (the BARs of PCI), look-up takes a lock, and
 * drops it before the device is called: whoever found a window that is moved meanwhile
 * comes to the device as if just before. Devices outlive the guest's last access.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct device;

enum { BUS_WINDOWS = 80 };

struct bus_window {
	uint64_t base;
	uint64_t size;
	struct device *device;
	unsigned window; /* handed to the device with each access */
};

/* Zeroed: empty. */
struct bus {
	pthread_rwlock_t
	        lock; /* of the windows, once they may move; after any device's */
	bool windows_move;
	struct bus_window windows[BUS_WINDOWS]; /* ascending, never overlapping */
	unsigned count;
};

/* -EINVAL for an empty or wrapping window, -EEXIST if it overlaps another, -ENOSPC. */
int bus_add(struct bus *bus, uint64_t base, uint64_t size, struct device *device,
        unsigned window);
/* False if there is no such window. */
bool bus_remove(struct bus *bus, const struct device *device, unsigned window);

/* A device sees sizes of 1, 2, 4 and 8 only. False when no window is there. */
bool bus_read(struct bus *bus, uint64_t address, void *data, unsigned size);
bool bus_write(struct bus *bus, uint64_t address, const void *data, unsigned size);
