/*
 * An MC146818 real-time clock: the host's UTC, and CMOS memory.
 *
 * The time is computed when it is read, so an update is never in progress (UIP is 0) and
 * no driver waits. The guest may choose binary or BCD and 12 or 24 hours in register B.
 * A new time, alarms and interrupt enables are remembered like CMOS memory and have no
 * effect: the clock is the host's, and flags in register C never come.
 */
#include <time.h>

#include "devices/devices.h"

/* Offsets of the window: ports 0x70 and 0x71. */
enum { RTC_INDEX, RTC_DATA };

/* MC146818 data sheet, figure 12. */
enum {
	RTC_SECONDS = 0x00,
	RTC_MINUTES = 0x02,
	RTC_HOURS = 0x04,
	RTC_WEEKDAY = 0x06,
	RTC_DAY = 0x07,
	RTC_MONTH = 0x08,
	RTC_YEAR = 0x09,
	RTC_A = 0x0a,
	RTC_B = 0x0b,
	RTC_C = 0x0c,
	RTC_D = 0x0d,
	RTC_CENTURY = 0x32, /* where PCs keep it; the FADT names it */
	RTC_REGISTERS = 0x80,
};

enum {
	A_UIP = 0x80,
	A_DEFAULT = 0x26, /* 32768 Hz, 1024 Hz periodic rate */
	B_24H = 0x02,
	B_BINARY = 0x04,
	D_VALID = 0x80, /* the battery is good */
	HOUR_PM = 0x80,
};

struct rtc_state {
	uint8_t index;
	uint8_t registers[RTC_REGISTERS];
};

struct rtc {
	struct device device;
	struct rtc_state state;
};

static uint8_t encode(const struct rtc *rtc, unsigned value)
{
	if (rtc->state.registers[RTC_B] & B_BINARY)
		return value;
	return value / 10 << 4 | value % 10;
}

static uint8_t encode_hour(const struct rtc *rtc, unsigned hour)
{
	if (rtc->state.registers[RTC_B] & B_24H)
		return encode(rtc, hour);
	return encode(rtc, (hour + 11) % 12 + 1) | (hour >= 12 ? HOUR_PM : 0);
}

static struct tm utc_now(void)
{
	time_t now = time(NULL);
	struct tm utc = {0};

	gmtime_r(&now, &utc);
	return utc;
}

static uint8_t read_register(const struct rtc *rtc, uint8_t index)
{
	struct tm utc = utc_now();

	switch (index) {
	case RTC_SECONDS:
		return encode(rtc, utc.tm_sec);
	case RTC_MINUTES:
		return encode(rtc, utc.tm_min);
	case RTC_HOURS:
		return encode_hour(rtc, utc.tm_hour);
	case RTC_WEEKDAY:
		return encode(rtc, utc.tm_wday + 1);
	case RTC_DAY:
		return encode(rtc, utc.tm_mday);
	case RTC_MONTH:
		return encode(rtc, utc.tm_mon + 1);
	case RTC_YEAR:
		return encode(rtc, utc.tm_year % 100);
	case RTC_CENTURY:
		return encode(rtc, utc.tm_year / 100 + 19);
	case RTC_A:
		return rtc->state.registers[RTC_A] & ~A_UIP;
	case RTC_C:
		return 0;
	case RTC_D:
		return D_VALID;
	}
	return rtc->state.registers[index];
}

static void rtc_read(struct device *device, unsigned window, uint64_t offset,
        void *data, unsigned size)
{
	struct rtc *rtc = (struct rtc *)device;
	uint8_t *byte = data;

	(void)window;
	/* The index cannot be read back. */
	if (offset == RTC_DATA && size == 1)
		*byte = read_register(rtc, rtc->state.index % RTC_REGISTERS);
}

static void rtc_write(struct device *device, unsigned window, uint64_t offset,
        const void *data, unsigned size)
{
	struct rtc *rtc = (struct rtc *)device;
	const uint8_t *bytes = data;

	(void)window;
	/* outw to 0x70 is an index and its data. Bit 7 of the index masks NMI: no index. */
	for (unsigned i = 0; i < size; i++, offset++)
		if (offset == RTC_INDEX)
			rtc->state.index = bytes[i] % RTC_REGISTERS;
		else if (offset == RTC_DATA)
			rtc->state.registers[rtc->state.index % RTC_REGISTERS] =
			        bytes[i];
}

static const struct device_type rtc_type = {
        .name = "rtc",
        .help = "MC146818 clock with the host's UTC",
        .read = rtc_read,
        .write = rtc_write,
        .state_offset = offsetof(struct rtc, state),
        .state_size = sizeof(struct rtc_state),
        .state_version = 1,
};

struct device *rtc_create(struct device_host *host)
{
	struct rtc *rtc = device_create(sizeof(*rtc), &rtc_type, host);

	if (!rtc)
		return NULL;
	rtc->state.registers[RTC_A] = A_DEFAULT;
	rtc->state.registers[RTC_B] = B_24H;
	/* The C library opens the time zone's file at the first call: now, not in a jail. */
	(void)utc_now();
	return &rtc->device;
}
