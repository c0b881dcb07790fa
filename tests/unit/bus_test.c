#include "vmm/bus.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "vmm/device.h"

/* A device that remembers the last access and answers with its window's number. */
struct recorder {
	struct device device;
	unsigned calls;
	unsigned window, size;
	uint64_t offset;
	uint8_t written[8];
};

static void record(
        struct device *device, unsigned window, uint64_t offset, unsigned size)
{
	struct recorder *recorder = (struct recorder *)device;

	CU_ASSERT(pthread_mutex_trylock(&device->lock) != 0);
	recorder->calls++;
	recorder->window = window;
	recorder->offset = offset;
	recorder->size = size;
}

static void recorder_read(struct device *device, unsigned window, uint64_t offset,
        void *data, unsigned size)
{
	record(device, window, offset, size);
	*(uint8_t *)data = window;
}

static void recorder_write(struct device *device, unsigned window, uint64_t offset,
        const void *data, unsigned size)
{
	record(device, window, offset, size);
	memcpy(((struct recorder *)device)->written, data, size);
}

static const struct device_type recorder_type = {
        .name = "recorder",
        .read = recorder_read,
        .write = recorder_write,
};
static const struct device_type silent_type = {.name = "silent"};

static void recorder_init(struct recorder *recorder, const struct device_type *type)
{
	*recorder = (struct recorder){.device.type = type};
	pthread_mutex_init(&recorder->device.lock, NULL);
}

static void windows_never_overlap(void)
{
	struct bus bus = {0};

	CU_ASSERT_EQUAL(bus_add(&bus, 0x100, 0x10, NULL, 0), 0);
	CU_ASSERT_EQUAL(bus_add(&bus, 0x100, 0x10, NULL, 0), -EEXIST);
	CU_ASSERT_EQUAL(bus_add(&bus, 0x10f, 1, NULL, 0), -EEXIST);
	CU_ASSERT_EQUAL(bus_add(&bus, 0x10f, 0x10, NULL, 0), -EEXIST);
	CU_ASSERT_EQUAL(bus_add(&bus, 0xff, 2, NULL, 0), -EEXIST);
	CU_ASSERT_EQUAL(bus_add(&bus, 0, UINT64_MAX, NULL, 0), -EEXIST);
	CU_ASSERT_EQUAL(bus_add(&bus, 0x104, 4, NULL, 0), -EEXIST);
	CU_ASSERT_EQUAL(bus.count, 1);
	CU_ASSERT_EQUAL(bus_add(&bus, 0x110, 0x10, NULL, 0), 0); /* adjacent */
	CU_ASSERT_EQUAL(bus_add(&bus, 0xf0, 0x10, NULL, 0), 0);
	CU_ASSERT_EQUAL(bus_add(&bus, 0xe0, 0x11, NULL, 0), -EEXIST);
	CU_ASSERT_EQUAL(bus.count, 3);
	CU_ASSERT_EQUAL(bus.windows[0].base, 0xf0);
	CU_ASSERT_EQUAL(bus.windows[2].base, 0x110);
}

static void empty_and_wrapping_windows_are_refused(void)
{
	struct bus bus = {0};

	CU_ASSERT_EQUAL(bus_add(&bus, 0x100, 0, NULL, 0), -EINVAL);
	CU_ASSERT_EQUAL(bus_add(&bus, UINT64_MAX, 2, NULL, 0), -EINVAL);
	CU_ASSERT_EQUAL(bus_add(&bus, 1, UINT64_MAX, NULL, 0), 0);
	CU_ASSERT_EQUAL(bus_add(&bus, UINT64_MAX, 1, NULL, 0), -EEXIST);
	bus = (struct bus){0};
	CU_ASSERT_EQUAL(bus_add(&bus, UINT64_MAX, 1, NULL, 0), 0);
}

static void full_table_is_refused(void)
{
	struct bus bus = {0};

	for (unsigned i = BUS_WINDOWS; i; i--)
		CU_ASSERT_EQUAL(bus_add(&bus, i * 16, 16, NULL, i), 0);
	CU_ASSERT_EQUAL(bus_add(&bus, 0, 16, NULL, 0), -ENOSPC);
	CU_ASSERT_EQUAL(bus.count, BUS_WINDOWS);
	for (unsigned i = 0; i < BUS_WINDOWS; i++)
		CU_ASSERT_EQUAL(bus.windows[i].window, i + 1);
}

static void every_byte_finds_its_window(void)
{
	struct bus bus = {0};
	struct recorder recorder;

	recorder_init(&recorder, &recorder_type);
	for (unsigned i = 0; i < BUS_WINDOWS; i++)
		CU_ASSERT_EQUAL(bus_add(&bus, i * 32, 16, &recorder.device, i), 0);
	for (uint64_t address = 0; address < BUS_WINDOWS * 32; address++) {
		uint8_t byte = 0;
		bool there = address % 32 < 16;

		CU_ASSERT_EQUAL(bus_read(&bus, address, &byte, 1), there);
		CU_ASSERT_EQUAL(byte, there ? address / 32 : 0xff);
		if (there)
			CU_ASSERT_EQUAL(recorder.offset, address % 32);
	}
}

static void nothing_there_reads_as_ones(void)
{
	struct bus bus = {0};
	uint64_t data = 0;

	CU_ASSERT_FALSE(bus_read(&bus, 0x100, &data, 4));
	CU_ASSERT_EQUAL(data, 0xffffffff);
	CU_ASSERT_FALSE(bus_write(&bus, 0x100, &data, 4));
}

static void access_across_windows_reaches_neither(void)
{
	struct bus bus = {0};
	struct recorder low, high;
	uint32_t data = 0;

	recorder_init(&low, &recorder_type);
	recorder_init(&high, &recorder_type);
	bus_add(&bus, 0x100, 0x10, &low.device, 1);
	bus_add(&bus, 0x110, 0x10, &high.device, 2);
	CU_ASSERT_FALSE(bus_read(&bus, 0x10e, &data, 4));
	CU_ASSERT_EQUAL(data, UINT32_MAX);
	CU_ASSERT_FALSE(bus_write(&bus, 0x10e, &data, 4));
	CU_ASSERT_FALSE(bus_write(&bus, 0xfe, &data, 4));
	CU_ASSERT_FALSE(bus_write(&bus, 0x11e, &data, 4));
	CU_ASSERT_EQUAL(low.calls + high.calls, 0);
	CU_ASSERT_TRUE(bus_write(&bus, 0x10c, &data, 4));
	CU_ASSERT_EQUAL(low.calls, 1);
	CU_ASSERT_EQUAL(low.offset, 0xc);
	CU_ASSERT_TRUE(bus_write(&bus, 0x110, &data, 4));
	CU_ASSERT_EQUAL(high.window, 2);
	CU_ASSERT_EQUAL(high.size, 4);
}

static void access_at_the_end_of_the_space_does_not_wrap(void)
{
	struct bus bus = {0};
	struct recorder recorder;
	uint64_t data = 0;

	recorder_init(&recorder, &recorder_type);
	bus_add(&bus, 0, 16, &recorder.device, 0);
	bus_add(&bus, UINT64_MAX - 3, 4, &recorder.device, 1);
	CU_ASSERT_FALSE(bus_read(&bus, UINT64_MAX - 3, &data, 8));
	CU_ASSERT_TRUE(bus_read(&bus, UINT64_MAX - 3, &data, 4));
	CU_ASSERT_EQUAL(recorder.calls, 1);
}

/* KVM hands on the two parts of an access across pages as they are. */
static void odd_sizes_reach_no_device(void)
{
	struct bus bus = {0};
	struct recorder recorder;
	uint8_t data[16];

	recorder_init(&recorder, &recorder_type);
	bus_add(&bus, 0, 0x100, &recorder.device, 0);
	for (unsigned size = 1; size <= sizeof(data); size++) {
		bool right = size == 1 || size == 2 || size == 4 || size == 8;

		memset(data, 0, sizeof(data));
		CU_ASSERT_EQUAL(bus_read(&bus, 0, data, size), right);
		CU_ASSERT_EQUAL(data[size - 1], size == 1 ? 0 : 0xff);
		CU_ASSERT_EQUAL(bus_write(&bus, 0, data, size), right);
	}
	CU_ASSERT_EQUAL(recorder.calls, 8);
}

static void device_may_lack_read_and_write(void)
{
	struct bus bus = {0};
	struct recorder recorder;
	uint8_t data = 0;

	recorder_init(&recorder, &silent_type);
	bus_add(&bus, 0, 1, &recorder.device, 0);
	CU_ASSERT_TRUE(bus_read(&bus, 0, &data, 1));
	CU_ASSERT_EQUAL(data, 0xff);
	CU_ASSERT_TRUE(bus_write(&bus, 0, &data, 1));
}

static void window_that_moves_leaves_nothing_behind(void)
{
	struct bus bus = {.windows_move = true};
	struct recorder one, two;
	uint8_t byte;

	recorder_init(&one, &recorder_type);
	recorder_init(&two, &recorder_type);
	CU_ASSERT_EQUAL(bus_add(&bus, 0x1000, 0x100, &one.device, 3), 0);
	CU_ASSERT_EQUAL(bus_add(&bus, 0x1100, 0x100, &one.device, 4), 0);
	CU_ASSERT_FALSE(bus_remove(&bus, &one.device, 5));
	CU_ASSERT_FALSE(bus_remove(&bus, &two.device, 3));
	CU_ASSERT_TRUE(bus_remove(&bus, &one.device, 3));
	CU_ASSERT_FALSE(bus_remove(&bus, &one.device, 3));
	CU_ASSERT_FALSE(bus_read(&bus, 0x1000, &byte, 1));
	CU_ASSERT_EQUAL(bus_add(&bus, 0x10ff, 1, &two.device, 1), 0);
	CU_ASSERT_EQUAL(bus_add(&bus, 0x1000, 0x100, &one.device, 3), -EEXIST);
	CU_ASSERT_EQUAL(bus_add(&bus, 0x2000, 0x100, &one.device, 3), 0);
	CU_ASSERT_TRUE(bus_read(&bus, 0x20ff, &byte, 1));
	CU_ASSERT_EQUAL(one.offset, 0xff);
	CU_ASSERT_EQUAL(byte, 3);
	CU_ASSERT_TRUE(bus_read(&bus, 0x1100, &byte, 1));
	CU_ASSERT_EQUAL(byte, 4);
	CU_ASSERT_EQUAL(bus.count, 3);
}

struct reader {
	struct bus *bus;
	atomic_bool over;
	unsigned found, lost;
};

static void *read_both_places(void *context)
{
	struct reader *reader = context;
	uint8_t byte;

	while (!atomic_load(&reader->over))
		for (unsigned i = 0; i < 2; i++) {
			if (!bus_read(reader->bus, 0x1000 + i * 0x1000, &byte, 1))
				reader->lost++;
			else if (byte == 3)
				reader->found++;
		}
	return NULL;
}

/* Another vCPU finds the device at either place or not at all. */
static void window_moves_under_a_reader(void)
{
	enum { MOVES = 2000 };
	struct bus bus = {.windows_move = true};
	struct reader reader = {.bus = &bus};
	struct recorder one;
	pthread_t thread;

	recorder_init(&one, &recorder_type);
	CU_ASSERT_EQUAL(bus_add(&bus, 0x1000, 0x100, &one.device, 3), 0);
	CU_ASSERT_EQUAL_FATAL(
	        pthread_create(&thread, NULL, read_both_places, &reader), 0);
	for (unsigned i = 1; i <= MOVES; i++) {
		CU_ASSERT_TRUE(bus_remove(&bus, &one.device, 3));
		CU_ASSERT_EQUAL(
		        bus_add(&bus, 0x1000 + i % 2 * 0x1000, 0x100, &one.device, 3),
		        0);
	}
	atomic_store(&reader.over, true);
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(one.calls, reader.found);
	CU_ASSERT_EQUAL(one.offset, 0);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(windows_never_overlap),
	        UNIT(empty_and_wrapping_windows_are_refused),
	        UNIT(full_table_is_refused),
	        UNIT(every_byte_finds_its_window),
	        UNIT(nothing_there_reads_as_ones),
	        UNIT(access_across_windows_reaches_neither),
	        UNIT(access_at_the_end_of_the_space_does_not_wrap),
	        UNIT(odd_sizes_reach_no_device),
	        UNIT(window_that_moves_leaves_nothing_behind),
	        UNIT(window_moves_under_a_reader),
	        UNIT(device_may_lack_read_and_write),
	        {0},
	};
	return unit_run("bus", tests);
}
