#include "vmm/bus.h"

#include <errno.h>
#include <string.h>

#include "vmm/device.h"

static int insert(struct bus *bus, uint64_t base, uint64_t size, struct device *device,
        unsigned window)
{
	unsigned at = 0;

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

int bus_add(struct bus *bus, uint64_t base, uint64_t size, struct device *device,
        unsigned window)
{
	int error;

	if (!size || base + (size - 1) < base)
		return -EINVAL;
	pthread_rwlock_wrlock(&bus->lock);
	error = insert(bus, base, size, device, window);
	pthread_rwlock_unlock(&bus->lock);
	return error;
}

bool bus_remove(struct bus *bus, const struct device *device, unsigned window)
{
	struct bus_window *windows = bus->windows;
	unsigned at = 0;
	bool found;

	pthread_rwlock_wrlock(&bus->lock);
	while (at < bus->count &&
	        (windows[at].device != device || windows[at].window != window))
		at++;
	found = at < bus->count;
	if (found) {
		bus->count--;
		memmove(&windows[at], &windows[at + 1],
		        (bus->count - at) * sizeof(windows[0]));
	}
	pthread_rwlock_unlock(&bus->lock);
	return found;
}

static const struct bus_window *search(
        const struct bus *bus, uint64_t address, unsigned size)
{
	unsigned low = 0, high = bus->count;

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

static bool find(
        struct bus *bus, uint64_t address, unsigned size, struct bus_window *found)
{
	const struct bus_window *window;

	/* KVM splits an access across two pages into pieces of any size. */
	if (size & (size - 1) || size > 8)
		return false;
	if (bus->windows_move)
		pthread_rwlock_rdlock(&bus->lock);
	window = search(bus, address, size);
	if (window)
		*found = *window;
	if (bus->windows_move)
		pthread_rwlock_unlock(&bus->lock);
	return window != NULL;
}

bool bus_read(struct bus *bus, uint64_t address, void *data, unsigned size)
{
	struct bus_window window;

	memset(data, 0xff, size);
	if (!find(bus, address, size, &window))
		return false;
	if (!window.device->type->read)
		return true;
	pthread_mutex_lock(&window.device->lock);
	window.device->type->read(
	        window.device, window.window, address - window.base, data, size);
	pthread_mutex_unlock(&window.device->lock);
	return true;
}

bool bus_write(struct bus *bus, uint64_t address, const void *data, unsigned size)
{
	struct bus_window window;

	if (!find(bus, address, size, &window))
		return false;
	if (!window.device->type->write)
		return true;
	pthread_mutex_lock(&window.device->lock);
	window.device->type->write(
	        window.device, window.window, address - window.base, data, size);
	pthread_mutex_unlock(&window.device->lock);
	return true;
}
