/*
 * A unikernel's way out, and its marks in the timeline: guests/README.md documents both.
 * A write to window 0 ends the VM with the value as its status; a write to window 1
 * records that mark. Guests made for QEMU know two other ways (its docs/specs/isa-debug-
 * exit and hw/acpi/core.c): window 2 ends with the status that QEMU would have, an odd
 * one; window 3 is a PM1 control register that knows only how to go to sleep for good.
 * None can be read.
 */
#include "devices/devices.h"

enum { WINDOW_EXIT, WINDOW_MARK, WINDOW_QEMU_EXIT, WINDOW_QEMU_PM1 };

enum { PM1_SLEEP_ENABLE = 1 << 13 }; /* ACPI 6.5, 4.8.3.2.1 */

static void exit_write(struct device *device, unsigned window, uint64_t offset,
        const void *data, unsigned size)
{
	struct device_host *host = device->host;
	const uint8_t *bytes = data;
	uint32_t status = 0;

	if (offset)
		return;
	if (window == WINDOW_MARK) {
		host->mark(host, bytes[0]);
		return;
	}
	for (unsigned i = 0; i < size && i < sizeof(status); i++)
		status |= (uint32_t)bytes[i] << 8 * i;
	if (window == WINDOW_QEMU_PM1) {
		if (status & PM1_SLEEP_ENABLE)
			host->request(host, REQUEST_POWEROFF, 0);
		return;
	}
	if (window == WINDOW_QEMU_EXIT)
		status = status << 1 | 1;
	host->request(host, REQUEST_EXIT, status);
}

static const struct device_type exit_type = {
        .name = "exit",
        .help = "ends a unikernel with a status, marks its timeline",
        .write = exit_write,
};

struct device *exit_create(struct device_host *host)
{
	return device_create(sizeof(struct device), &exit_type, host);
}
