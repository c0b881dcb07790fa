#include "vmm/bus.h"

#include <errno.h>
#include <string.h>

#include "vmm/device.h"

int bus_add(struct bus *bus, uint64_t base, uint64_t size, struct device *device,
        unsigned window)
{
	unsigned at = 0;

	if (!size || base + (size - 1) < base)
		return -EINVAL;
	if (bus->count == BUS_WINDOWS)
		return -ENOSPC;
	while (at < bus->count && bus->windows[at].base < base)
		at++;
	if (at < bus->count && bus->windows[at].base - base < size)
		return -EEXIST;
	if (at && base - bus->windows[at - 1].base < bus->windows[at - 1].size)
		return -EEXIST;
	memmove(&bus->windows[at + 1], &bus->windows[at],
	        (bus->count - at) * sizeof(bus->windows[0]));
	bus->windows[at] = (struct bus_window){base, size, device, window};
	bus->count++;
	return 0;
}

static const struct bus_window *find(
        const struct bus *bus, uint64_t address, unsigned size)
{
	unsigned low = 0, high = bus->count;

	/* KVM splits an access across two pages into pieces of any size. */
	if (size & (size - 1) || size > 8)
		return NULL;
	while (low < high) {
		unsigned middle = (low + high) / 2;
		const struct bus_window *window = &bus->windows[middle];

		if (address < window->base)
			high = middle;
		else if (address - window->base >= window->size)
			low = middle + 1;
		else
			return size <= window->size - (address - window->base) ? window
			                                                       : NULL;
	}
	return NULL;
}

bool bus_read(struct bus *bus, uint64_t address, void *data, unsigned size)
{
	const struct bus_window *window = find(bus, address, size);

	memset(data, 0xff, size);
	if (!window || !window->device->type->read)
		return window != NULL;
	pthread_mutex_lock(&window->device->lock);
	window->device->type->read(
	        window->device, window->window, address - window->base, data, size);
	pthread_mutex_unlock(&window->device->lock);
	return true;
}

bool bus_write(struct bus *bus, uint64_t address, const void *data, unsigned size)
{
	const struct bus_window *window = find(bus, address, size);

	if (!window || !window->device->type->write)
		return window != NULL;
	pthread_mutex_lock(&window->device->lock);
	window->device->type->write(
	        window->device, window->window, address - window->base, data, size);
	pthread_mutex_unlock(&window->device->lock);
	return true;
}
