#include "vmm/device.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/log.h"

void *device_create(
        size_t size, const struct device_type *type, struct device_host *host)
{
	struct device *device = calloc(1, size);

	if (!device) {
		log_error(-ENOMEM, "%s: out of memory", type->name);
		return NULL;
	}
	device->type = type;
	device->host = host;
	pthread_mutex_init(&device->lock, NULL);
	return device;
}

void device_destroy(struct device *device)
{
	if (!device)
		return;
	if (device->type->destroy)
		device->type->destroy(device);
	pthread_mutex_destroy(&device->lock);
	free(device);
}
