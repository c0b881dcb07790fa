/* pvpanic: one port on which a dying kernel says so (QEMU docs/specs/pvpanic.rst). */
#include "devices/devices.h"

/*
 * Bit 1, "a crash kernel takes over", is not offered: a guest with kdump then says
 * nothing, and is left to write its dump.
 */
enum { PVPANIC_PANICKED = 0x01 };

static void pvpanic_read(struct device *device, unsigned window, uint64_t offset,
        void *data, unsigned size)
{
	(void)device;
	(void)window;
	(void)offset;
	(void)size;
	*(uint8_t *)data = PVPANIC_PANICKED;
}

static void pvpanic_write(struct device *device, unsigned window, uint64_t offset,
        const void *data, unsigned size)
{
	(void)window;
	(void)offset;
	(void)size;
	if (*(const uint8_t *)data & PVPANIC_PANICKED)
		device->host->request(device->host, REQUEST_PANIC, 0);
}

static const struct device_type pvpanic_type = {
        .name = "pvpanic",
        .help = "tells the monitor of a kernel panic",
        .read = pvpanic_read,
        .write = pvpanic_write,
};

struct device *pvpanic_create(struct device_host *host)
{
	return device_create(sizeof(struct device), &pvpanic_type, host);
}
