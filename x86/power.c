#include "x86/power.h"

#include "x86/layout.h"

#include <string.h>

/* Sleep control register (ACPI 6.5, table 4.24). */
enum { SLP_TYP_SHIFT = 2, SLP_TYP_MASK = 7, SLP_EN = 1 << 5 };

struct power_state {
	uint8_t events;
};

struct power {
	struct device device;
	struct power_state state;
};

/* Status reads as 0: a guest that asked for S5 never sees itself woken. */
static void power_read(struct device *device, unsigned window, uint64_t offset,
        void *data, unsigned size)
{
	struct power *power = (struct power *)device;
	uint8_t value = 0;

	(void)window;
	if (size != 1)
		return;
	if (offset == POWER_EVENT) {
		value = power->state.events;
		power->state.events = 0;
	}
	memcpy(data, &value, 1);
}

static void power_write(struct device *device, unsigned window, uint64_t offset,
        const void *data, unsigned size)
{
	uint8_t value;

	(void)window;
	if (size != 1 || offset != POWER_SLEEP_CONTROL)
		return;
	memcpy(&value, data, 1);
	if (value & SLP_EN && (value >> SLP_TYP_SHIFT & SLP_TYP_MASK) == POWER_SLEEP_S5)
		device->host->request(device->host, REQUEST_POWEROFF, 0);
}

void power_button_press(struct device *device)
{
	struct power *power = (struct power *)device;

	pthread_mutex_lock(&device->lock);
	power->state.events |= POWER_EVENT_BUTTON;
	device->host->set_irq(device->host, GSI_GED, true);
	device->host->set_irq(device->host, GSI_GED, false);
	pthread_mutex_unlock(&device->lock);
}

static const struct device_type power_type = {
        .name = "power",
        .help = "ACPI power button and power-off",
        .read = power_read,
        .write = power_write,
        .state_offset = offsetof(struct power, state),
        .state_size = sizeof(struct power_state),
        .state_version = 1,
};

struct device *power_create(struct device_host *host)
{
	return device_create(sizeof(struct power), &power_type, host);
}
