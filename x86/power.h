/*
 * The power device behind the ACPI tables: the guest's way to S5 (sleep control and
 * status registers, ACPI 6.5, 4.8.3.7) and the power button, an event register behind a
 * generic event device (5.6.9).
 */
#pragma once

#include "vmm/device.h"

/* The registers, one byte each, from PORT_POWER on. */
enum {
	POWER_SLEEP_CONTROL,
	POWER_SLEEP_STATUS,
	POWER_EVENT, /* reads clear it */
	POWER_SIZE,
};

enum {
	POWER_SLEEP_S5 = 5,          /* SLP_TYP of \_S5 */
	POWER_EVENT_BUTTON = 1 << 0, /* in the event register */
};

/* NULL (logged) on failure. One window of POWER_SIZE bytes. */
struct device *power_create(struct device_host *host);

/* From any thread that holds no lock. */
void power_button_press(struct device *device);
