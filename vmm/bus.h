/*
 * From an address to a device: sorted windows of a port or an MMIO space.
 *
 * Windows are added while no vCPU runs, so look-up takes no lock; the device's own lock
 * is held around its read and write. An access that no single window covers reads as all
 * ones and ignores writes.
 */
#pragma once

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

struct bus {
	struct bus_window windows[BUS_WINDOWS]; /* ascending, never overlapping */
	unsigned count;
};

/* -EINVAL for an empty or wrapping window, -EEXIST if it overlaps another, -ENOSPC. */
int bus_add(struct bus *bus, uint64_t base, uint64_t size, struct device *device,
        unsigned window);

/* A device sees sizes of 1, 2, 4 and 8 only. False when no window is there. */
bool bus_read(struct bus *bus, uint64_t address, void *data, unsigned size);
bool bus_write(struct bus *bus, uint64_t address, const void *data, unsigned size);
