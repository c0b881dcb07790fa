/* i8042, both clocks, pvpanic, exit, text: each on a bus, as a guest reaches it. */
#include <string.h>
#include <time.h>

#include "devices/console.h"
#include "devices/devices.h"
#include "tests/unit/unit.h"
#include "vmm/bus.h"
#include "vmm/memory.h"

static struct {
	struct device_host host;
	struct bus bus;
	unsigned requests;
	enum device_request request;
	unsigned status;
	unsigned marks, mark;
	struct memory memory;
	char printed[64];
	size_t printed_size;
} machine;

/* In place of devices/console.c. */
void console_write(struct console *console, const void *data, size_t size)
{
	CU_ASSERT_PTR_EQUAL(console, &machine);
	CU_ASSERT_FATAL(size <= sizeof(machine.printed));
	memcpy(machine.printed, data, size);
	machine.printed_size = size;
}

static void request(
        struct device_host *host, enum device_request request_kind, unsigned status)
{
	(void)host;
	machine.requests++;
	machine.request = request_kind;
	machine.status = status;
}

static void mark(struct device_host *host, unsigned number)
{
	(void)host;
	machine.marks++;
	machine.mark = number;
}

static struct device_host *setup(void)
{
	memset(&machine, 0, sizeof(machine));
	machine.host.request = request;
	machine.host.mark = mark;
	return &machine.host;
}

static void put(struct device *device, uint64_t base, uint64_t size, unsigned window)
{
	CU_ASSERT_PTR_NOT_NULL_FATAL(device);
	CU_ASSERT_EQUAL(bus_add(&machine.bus, base, size, device, window), 0);
}

static void out(uint64_t port, uint32_t value, unsigned size)
{
	CU_ASSERT_TRUE(bus_write(&machine.bus, port, &value, size));
}

static uint32_t in(uint64_t port, unsigned size)
{
	uint32_t value = 0;

	CU_ASSERT_TRUE(bus_read(&machine.bus, port, &value, size));
	return value;
}

/* i8042 */

static struct device *keyboard(void)
{
	struct device *device = i8042_create(setup());

	put(device, 0x60, 1, 0);
	put(device, 0x64, 1, 1);
	return device;
}

static void i8042_pulse_of_line_0_resets(void)
{
	struct device *device = keyboard();

	CU_ASSERT_EQUAL(in(0x64, 1) & 0x03, 0); /* Linux's kb_wait() is over at once */
	out(0x64, 0xff, 1);
	out(0x64, 0xf1, 1);
	CU_ASSERT_EQUAL(machine.requests, 0);
	out(0x64, 0xfe, 1);
	CU_ASSERT_EQUAL(machine.requests, 1);
	CU_ASSERT_EQUAL(machine.request, REQUEST_RESET);
	device_destroy(device);
}

static void i8042_output_port_resets(void)
{
	struct device *device = keyboard();

	out(0x64, 0xd0, 1);
	CU_ASSERT_EQUAL(in(0x60, 1) & 0x01, 0x01);
	out(0x64, 0xd1, 1);
	out(0x60, 0x03, 1);
	CU_ASSERT_EQUAL(machine.requests, 0);
	out(0x60, 0x02, 1); /* no command waits for it: not the output port's */
	CU_ASSERT_EQUAL(machine.requests, 0);
	out(0x64, 0xd1, 1);
	out(0x60, 0x02, 1);
	CU_ASSERT_EQUAL(machine.request, REQUEST_RESET);
	CU_ASSERT_EQUAL(machine.requests, 1);
	device_destroy(device);
}

static void i8042_answers_every_probe_at_once(void)
{
	static const struct {
		uint8_t command;
		int data; /* written to 0x60, or -1 */
		uint8_t answer;
	} probes[] = {
	        {0xaa, -1, 0x55}, /* self-test */
	        {0xab, -1, 0x00}, /* keyboard lines */
	        {0xa9, -1, 0x01}, /* there is no mouse port */
	        {0xd2, 0x5a, 0x5a}, {0xd3, 0xa5, 0xa5},
	        {0xd4, 0xf2, 0xfe}, /* to the mouse */
	        {0xae, 0xf2, 0xfe}, /* to the keyboard */
	};
	struct device *device = keyboard();

	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		out(0x64, probes[i].command, 1);
		if (probes[i].data >= 0)
			out(0x60, probes[i].data, 1);
		CU_ASSERT_EQUAL(in(0x64, 1) & 0x21, 0x01);
		CU_ASSERT_EQUAL(in(0x60, 1), probes[i].answer);
		CU_ASSERT_EQUAL(in(0x64, 1) & 0x01, 0);
	}
	device_destroy(device);
}

static void i8042_remembers_its_mode(void)
{
	struct device *device = keyboard();

	out(0x64, 0x60, 1);
	out(0x60, 0x47, 1);
	CU_ASSERT_EQUAL(in(0x64, 1) & 0x01, 0);
	out(0x64, 0x20, 1);
	CU_ASSERT_EQUAL(in(0x60, 1), 0x47);
	device_destroy(device);
}

/* rtc */

static uint8_t cmos(uint8_t index)
{
	out(0x70, index, 1);
	return in(0x71, 1);
}

static void set_cmos(uint8_t index, uint8_t value)
{
	out(0x70, index, 1);
	out(0x71, value, 1);
}

static struct device *clock_device(void)
{
	struct device *device = rtc_create(setup());

	put(device, 0x70, 2, 0);
	return device;
}

static unsigned from_bcd(uint8_t value)
{
	CU_ASSERT((value & 0x0f) < 10 && value >> 4 < 10);
	return (value >> 4) * 10 + (value & 0x0f);
}

static time_t cmos_time(void)
{
	struct tm tm = {
	        .tm_sec = from_bcd(cmos(0)),
	        .tm_min = from_bcd(cmos(2)),
	        .tm_hour = from_bcd(cmos(4)),
	        .tm_mday = from_bcd(cmos(7)),
	        .tm_mon = from_bcd(cmos(8)) - 1,
	        .tm_year = from_bcd(cmos(0x32)) * 100 + from_bcd(cmos(9)) - 1900,
	};

	return timegm(&tm);
}

static void rtc_tells_the_hosts_utc(void)
{
	struct device *device = clock_device();
	time_t before, after, told;

	/* Read in several steps: again if a second ended meanwhile. */
	do {
		before = time(NULL);
		told = cmos_time();
		after = time(NULL);
	} while (before != after);
	CU_ASSERT_EQUAL(told, before);
	struct tm tm = *gmtime(&told);
	CU_ASSERT_EQUAL(cmos(6), tm.tm_wday + 1);
	device_destroy(device);
}

static void rtc_is_valid_and_never_updating(void)
{
	struct device *device = clock_device();

	CU_ASSERT_EQUAL(cmos(0x0a), 0x26);
	CU_ASSERT_EQUAL(cmos(0x0b), 0x02);
	CU_ASSERT_EQUAL(cmos(0x0c), 0x00);
	CU_ASSERT_EQUAL(cmos(0x0d), 0x80);
	set_cmos(0x0a, 0xff);
	CU_ASSERT_EQUAL(cmos(0x0a), 0x7f);
	set_cmos(0x0d, 0);
	CU_ASSERT_EQUAL(cmos(0x0d), 0x80);
	CU_ASSERT_EQUAL(in(0x70, 1), 0xff);
	device_destroy(device);
}

static void rtc_obeys_binary_and_12_hours(void)
{
	struct device *device = clock_device();
	time_t now;
	uint8_t hour, month;

	set_cmos(0x0b, 0x04);
	do {
		now = time(NULL);
		hour = cmos(4);
		month = cmos(8);
	} while (time(NULL) != now);
	struct tm tm = *gmtime(&now);
	CU_ASSERT_EQUAL(month, tm.tm_mon + 1);
	CU_ASSERT_EQUAL(hour >> 7, tm.tm_hour >= 12);
	CU_ASSERT_EQUAL((hour & 0x7f) % 12, tm.tm_hour % 12);
	CU_ASSERT((hour & 0x7f) >= 1 && (hour & 0x7f) <= 12);
	device_destroy(device);
}

static uint64_t goldfish_time(void)
{
	uint32_t low = in(0x1000, 4);

	return (uint64_t)in(0x1004, 4) << 32 | low;
}

static void goldfish_rtc_tells_the_hosts_utc_in_nanoseconds(void)
{
	struct device *device = goldfish_rtc_create(setup());
	struct timespec before, after;
	uint64_t told;

	put(device, 0x1000, GOLDFISH_RTC_SIZE, 0);
	clock_gettime(CLOCK_REALTIME, &before);
	told = goldfish_time();
	clock_gettime(CLOCK_REALTIME, &after);
	CU_ASSERT(told >= before.tv_sec * UINT64_C(1000000000) + before.tv_nsec);
	CU_ASSERT(told <= after.tv_sec * UINT64_C(1000000000) + after.tv_nsec);
	/* The high half belongs to the low one that was read, whatever is written. */
	out(0x1004, 0, 4);
	out(0x1000, 0, 4);
	CU_ASSERT_EQUAL(in(0x1004, 4), told >> 32);
	/* No alarm is pending. */
	CU_ASSERT_EQUAL(in(0x1018, 4), 0);
	device_destroy(device);
}

static void rtc_index_masks_the_nmi_bit(void)
{
	struct device *device = clock_device();

	set_cmos(0x8f, 0x0a); /* Linux: warm start of another CPU */
	CU_ASSERT_EQUAL(cmos(0x0f), 0x0a);
	CU_ASSERT_EQUAL(cmos(0xff), 0);
	out(0x70, 0x5540, 2);
	CU_ASSERT_EQUAL(cmos(0x40), 0x55);
	device_destroy(device);
}

/* pvpanic */

static void pvpanic_reports_a_panic_only(void)
{
	struct device *device = pvpanic_create(setup());

	put(device, 0x505, 1, 0);
	CU_ASSERT_EQUAL(in(0x505, 1), 1);
	out(0x505, 2, 1);
	CU_ASSERT_EQUAL(machine.requests, 0);
	out(0x505, 1, 1);
	CU_ASSERT_EQUAL(machine.requests, 1);
	CU_ASSERT_EQUAL(machine.request, REQUEST_PANIC);
	device_destroy(device);
}

/* exit */

static void exit_carries_its_status(void)
{
	struct device *device = exit_create(setup());

	put(device, 0xf4, 4, 0);
	out(0xf4, 7, 1);
	CU_ASSERT_EQUAL(machine.request, REQUEST_EXIT);
	CU_ASSERT_EQUAL(machine.status, 7);
	out(0xf4, 0x1234, 2);
	CU_ASSERT_EQUAL(machine.status, 0x1234);
	out(0xf4, 0xfffffff0, 4);
	CU_ASSERT_EQUAL(machine.status, 0xfffffff0);
	out(0xf5, 1, 1);
	CU_ASSERT_EQUAL(machine.requests, 3);
	CU_ASSERT_EQUAL(in(0xf4, 4), 0xffffffff);
	device_destroy(device);
}

static void exit_has_the_ways_of_qemu(void)
{
	struct device *device = exit_create(setup());

	put(device, 0x501, 2, 2);
	put(device, 0x604, 2, 3);
	out(0x604, 0x1fff, 2);
	CU_ASSERT_EQUAL(machine.requests, 0);
	out(0x604, 0x2000, 2);
	CU_ASSERT_EQUAL(machine.request, REQUEST_POWEROFF);
	out(0x501, 41, 2);
	CU_ASSERT_EQUAL(machine.request, REQUEST_EXIT);
	CU_ASSERT_EQUAL(machine.status, 83);
	out(0x502, 41, 1);
	CU_ASSERT_EQUAL(machine.requests, 2);
	device_destroy(device);
}

static void marks_reach_the_timeline(void)
{
	struct device *device = exit_create(setup());

	put(device, 0xf0, 1, 1);
	out(0xf0, 0xff, 1);
	CU_ASSERT_EQUAL(machine.marks, 1);
	CU_ASSERT_EQUAL(machine.mark, 0xff);
	CU_ASSERT_EQUAL(machine.requests, 0);
	device_destroy(device);
}

/* text */

static void print(uint64_t address, uint64_t size)
{
	const uint64_t place[] = {address, size};

	machine.printed_size = 0;
	CU_ASSERT_EQUAL(memory_write(&machine.memory, 0x100, place, sizeof(place)), 0);
	out(0xfc, 0x100, 4);
}

static void text_is_what_is_in_ram(void)
{
	enum { RAM = 1 << 20, MAX = 64 << 10 };
	static const struct {
		uint64_t address, size;
	} refused[] = {
	        {RAM - 5, 6},
	        {RAM - 5, UINT64_MAX},
	        {UINT64_MAX, 2},
	        {0, 0},
	        {0, MAX + 1},
	};
	struct device *device = text_create(setup(), (struct console *)&machine);

	CU_ASSERT_EQUAL_FATAL(
	        memory_create(&machine.memory, RAM, 0, UINT64_C(1) << 32, 0), 0);
	machine.host.memory = &machine.memory;
	put(device, 0xfc, 4, 0);
	memory_write(&machine.memory, RAM - 5, "hello", 5);
	for (unsigned i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		print(refused[i].address, refused[i].size);
		CU_ASSERT_EQUAL(machine.printed_size, 0);
	}
	print(RAM - 5, 5);
	CU_ASSERT_EQUAL(machine.printed_size, 5);
	CU_ASSERT_EQUAL(memcmp(machine.printed, "hello", 5), 0);
	/* No place, half a place, half an address and the middle of one. */
	machine.printed_size = 0;
	out(0xfc, 0xffffffff, 4);
	out(0xfc, RAM - 8, 4);
	out(0xfc, 0x100, 2);
	out(0xfe, 0x100, 2);
	CU_ASSERT_EQUAL(machine.printed_size, 0);
	CU_ASSERT_EQUAL(in(0xfc, 4), 0xffffffff);
	device_destroy(device);
	memory_destroy(&machine.memory);
}

static void table_names_each_device_once(void)
{
	for (const struct device_help *a = device_table; a->name; a++) {
		CU_ASSERT_PTR_NOT_NULL(a->help);
		for (const struct device_help *b = a + 1; b->name; b++)
			CU_ASSERT_STRING_NOT_EQUAL(a->name, b->name);
	}
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(i8042_pulse_of_line_0_resets),
	        UNIT(i8042_output_port_resets),
	        UNIT(i8042_answers_every_probe_at_once),
	        UNIT(i8042_remembers_its_mode),
	        UNIT(rtc_tells_the_hosts_utc),
	        UNIT(rtc_is_valid_and_never_updating),
	        UNIT(rtc_obeys_binary_and_12_hours),
	        UNIT(rtc_index_masks_the_nmi_bit),
	        UNIT(goldfish_rtc_tells_the_hosts_utc_in_nanoseconds),
	        UNIT(pvpanic_reports_a_panic_only),
	        UNIT(exit_carries_its_status),
	        UNIT(exit_has_the_ways_of_qemu),
	        UNIT(marks_reach_the_timeline),
	        UNIT(text_is_what_is_in_ram),
	        UNIT(table_names_each_device_once),
	        {0},
	};

	return unit_run("legacy devices", tests);
}
