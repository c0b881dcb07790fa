#include "vmm/device.h"

void device_init(
        struct device *device, const struct device_type *type, struct device_host *host)
{
	device->type = type;
	device->host = host;
	pthread_mutex_init(&device->lock, NULL);
}

void device_destroy(struct device *device)
{
	if (device)
		device->type->destroy(device);
}
