/*
 * Android's Goldfish clock (Linux, drivers/rtc/rtc-goldfish.c and
 * include/clocksource/timer-goldfish.h): the host's UTC in nanoseconds. A new time and
 * alarms are taken and have no effect: the clock is the host's.
 */
#include <string.h>
#include <time.h>

#include "devices/devices.h"

enum { TIME_LOW = 0x00, TIME_HIGH = 0x04 };

struct goldfish_state {
	uint32_t high; /* of the time whose low half was read last */
};

struct goldfish {
	struct device device;
	struct goldfish_state state;
};

static uint32_t read_time(struct goldfish *goldfish)
{
	struct timespec now = {0};
	uint64_t now_ns;

	clock_gettime(CLOCK_REALTIME, &now);
	now_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	goldfish->state.high = now_ns >> 32;
	return (uint32_t)now_ns;
}

static void goldfish_read(struct device *device, unsigned window, uint64_t offset,
        void *data, unsigned size)
{
	struct goldfish *goldfish = (struct goldfish *)device;
	uint32_t value = 0;

	(void)window;
	if (size != sizeof(value))
		return;
	if (offset == TIME_LOW)
		value = read_time(goldfish);
	else if (offset == TIME_HIGH)
		value = goldfish->state.high;
	memcpy(data, &value, sizeof(value));
}

static const struct device_type goldfish_type = {
        .name = "goldfish-rtc",
        .help = "Goldfish clock with the host's UTC",
        .read = goldfish_read,
        .state_offset = offsetof(struct goldfish, state),
        .state_size = sizeof(struct goldfish_state),
        .state_version = 1,
};

struct device *goldfish_rtc_create(struct device_host *host)
{
	return device_create(sizeof(struct goldfish), &goldfish_type, host);
}
