#include "tests/unit/unit.h"

#include "x86/ioapic.h"
#include "x86/layout.h"

#include <pthread.h>
#include <string.h>

enum { MASKED = 1 << 16, LEVEL = 1 << 15, REMOTE_IRR = 1 << 14, LOGICAL = 1 << 11 };

/* What left the IOAPIC. */
struct fake {
	struct device_host host;
	struct device *device;
	unsigned sent, routes;
	uint64_t address, route_address;
	uint32_t data, route_data;
	unsigned route_gsi;
	bool route_enabled;
};

static void send(void *context, uint64_t address, uint32_t data)
{
	struct fake *fake = context;

	fake->sent++;
	fake->address = address;
	fake->data = data;
}

static void route(
        void *context, unsigned gsi, bool enabled, uint64_t address, uint32_t data)
{
	struct fake *fake = context;

	fake->routes++;
	fake->route_gsi = gsi;
	fake->route_enabled = enabled;
	fake->route_address = address;
	fake->route_data = data;
}

static void create(struct fake *fake)
{
	const struct ioapic_output output = {send, route, fake};

	*fake = (struct fake){0};
	fake->device = ioapic_create(&fake->host, &output, GSI_COUNT);
	CU_ASSERT_FATAL(fake->device != NULL);
}

static void write32(struct fake *fake, uint64_t offset, uint32_t value)
{
	fake->device->type->write(fake->device, 0, offset, &value, sizeof(value));
}

static uint32_t read32(struct fake *fake, uint64_t offset)
{
	uint32_t value = UINT32_MAX;

	fake->device->type->read(fake->device, 0, offset, &value, sizeof(value));
	return value;
}

static void write_indirect(struct fake *fake, uint32_t index, uint32_t value)
{
	write32(fake, 0, index);
	write32(fake, 0x10, value);
}

static uint32_t read_indirect(struct fake *fake, uint32_t index)
{
	write32(fake, 0, index);
	return read32(fake, 0x10);
}

static void write_entry(struct fake *fake, unsigned pin, uint64_t entry)
{
	write_indirect(fake, 0x11 + 2 * pin, entry >> 32);
	write_indirect(fake, 0x10 + 2 * pin, entry);
}

static void pulse(struct fake *fake, unsigned pin)
{
	ioapic_set_line(fake->device, pin, true);
	ioapic_set_line(fake->device, pin, false);
}

static void version_tells_64_pins_and_eoi(void)
{
	struct fake fake;

	create(&fake);
	CU_ASSERT_EQUAL(read_indirect(&fake, 1), 63 << 16 | 0x20);
	write_indirect(&fake, 1, 0);
	CU_ASSERT_EQUAL(read_indirect(&fake, 1), 63 << 16 | 0x20);
	write_indirect(&fake, 0, UINT32_MAX);
	CU_ASSERT_EQUAL(read_indirect(&fake, 0), 0x0f000000);
	CU_ASSERT_EQUAL(read_indirect(&fake, 2), 0x0f000000);
	CU_ASSERT_EQUAL(read_indirect(&fake, 3), UINT32_MAX);
	device_destroy(fake.device);
}

static void pins_start_masked(void)
{
	struct fake fake;

	create(&fake);
	for (unsigned pin = 0; pin < GSI_COUNT; pin++) {
		CU_ASSERT_EQUAL(read_indirect(&fake, 0x10 + 2 * pin), MASKED);
		CU_ASSERT_EQUAL(read_indirect(&fake, 0x11 + 2 * pin), 0);
		CU_ASSERT_FALSE(ioapic_unmasked(fake.device, pin));
		pulse(&fake, pin);
	}
	CU_ASSERT_EQUAL(fake.sent, 0);
	device_destroy(fake.device);
}

static void last_entry_is_the_last_register(void)
{
	struct fake fake;

	create(&fake);
	write_entry(&fake, 63, 0x42);
	CU_ASSERT_TRUE(ioapic_unmasked(fake.device, 63));
	CU_ASSERT_EQUAL(read_indirect(&fake, 0x10 + 2 * 63), 0x42);
	write_indirect(&fake, 0x10 + 2 * 64, 0x43);
	CU_ASSERT_EQUAL(read_indirect(&fake, 0x10 + 2 * 64), UINT32_MAX);
	CU_ASSERT_EQUAL(read_indirect(&fake, 0xff), UINT32_MAX);
	CU_ASSERT_EQUAL(fake.routes, 1);
	device_destroy(fake.device);
}

static void pins_end_where_they_were_said_to(void)
{
	const struct ioapic_output output = {send, route, NULL};
	struct fake fake = {0};

	fake.device = ioapic_create(&fake.host, &output, 24);
	CU_ASSERT_FATAL(fake.device != NULL);
	write32(&fake, 0, 1);
	CU_ASSERT_EQUAL(read32(&fake, 0x10) >> 16, 23);
	write32(&fake, 0, 0x10 + 2 * 23);
	CU_ASSERT_EQUAL(read32(&fake, 0x10), 0x10000);
	write32(&fake, 0, 0x10 + 2 * 24);
	write32(&fake, 0x10, 0);
	CU_ASSERT_EQUAL(read32(&fake, 0x10), UINT32_MAX);
	device_destroy(fake.device);
}

static void edge_is_sent_once_for_each_rise(void)
{
	struct fake fake;

	create(&fake);
	write_entry(&fake, 4, 3ull << 56 | 0x31);
	CU_ASSERT_TRUE(ioapic_unmasked(fake.device, 4));
	ioapic_set_line(fake.device, 4, true);
	CU_ASSERT_EQUAL(fake.sent, 1);
	CU_ASSERT_EQUAL(fake.address, 0xfee03000);
	CU_ASSERT_EQUAL(fake.data, 0x31);
	ioapic_set_line(fake.device, 4, true);
	CU_ASSERT_EQUAL(fake.sent, 1);
	ioapic_set_line(fake.device, 4, false);
	ioapic_set_line(fake.device, 4, true);
	CU_ASSERT_EQUAL(fake.sent, 2);
	CU_ASSERT_EQUAL(read_indirect(&fake, 0x18), 0x31);
	device_destroy(fake.device);
}

static void edge_on_a_masked_pin_is_lost(void)
{
	struct fake fake;

	create(&fake);
	write_entry(&fake, 4, MASKED | 0x31);
	ioapic_set_line(fake.device, 4, true);
	write_entry(&fake, 4, 0x31);
	CU_ASSERT_EQUAL(fake.sent, 0);
	pulse(&fake, 4); /* was high: no rise */
	CU_ASSERT_EQUAL(fake.sent, 0);
	pulse(&fake, 4);
	CU_ASSERT_EQUAL(fake.sent, 1);
	device_destroy(fake.device);
}

static void level_repeats_after_eoi_while_high(void)
{
	struct fake fake;

	create(&fake);
	write_entry(&fake, 20, LEVEL | 0x50);
	ioapic_set_line(fake.device, 20, true);
	CU_ASSERT_EQUAL(fake.sent, 1);
	CU_ASSERT_EQUAL(fake.data, 0xc050);
	CU_ASSERT_TRUE(read_indirect(&fake, 0x10 + 40) & REMOTE_IRR);
	ioapic_set_line(fake.device, 20, true);
	pulse(&fake, 20);
	ioapic_set_line(fake.device, 20, true);
	ioapic_eoi(fake.device, 0x51); /* not its vector */
	CU_ASSERT_EQUAL(fake.sent, 1);
	ioapic_eoi(fake.device, 0x50);
	CU_ASSERT_EQUAL(fake.sent, 2);
	ioapic_set_line(fake.device, 20, false);
	write32(&fake, 0x40, 0x50); /* the EOI register */
	CU_ASSERT_EQUAL(fake.sent, 2);
	CU_ASSERT_FALSE(read_indirect(&fake, 0x10 + 40) & REMOTE_IRR);
	device_destroy(fake.device);
}

static void level_waits_behind_the_mask(void)
{
	struct fake fake;

	create(&fake);
	write_entry(&fake, 20, MASKED | LEVEL | 0x50);
	ioapic_set_line(fake.device, 20, true);
	CU_ASSERT_EQUAL(fake.sent, 0);
	write_entry(&fake, 20, LEVEL | 0x50);
	CU_ASSERT_EQUAL(fake.sent, 1);
	write_entry(&fake, 20, MASKED | LEVEL | 0x50);
	ioapic_eoi(fake.device, 0x50); /* comes while masked */
	CU_ASSERT_EQUAL(fake.sent, 1);
	write_entry(&fake, 20, LEVEL | 0x50);
	CU_ASSERT_EQUAL(fake.sent, 2);
	device_destroy(fake.device);
}

static void guest_cannot_write_remote_irr(void)
{
	struct fake fake;

	create(&fake);
	write_entry(&fake, 9, LEVEL | REMOTE_IRR | 1 << 12 | 0x50);
	CU_ASSERT_EQUAL(read_indirect(&fake, 0x10 + 18), LEVEL | 0x50);
	ioapic_set_line(fake.device, 9, true);
	write_entry(&fake, 9, LEVEL | 0x50);
	CU_ASSERT_TRUE(read_indirect(&fake, 0x10 + 18) & REMOTE_IRR);
	CU_ASSERT_EQUAL(fake.sent, 1);
	write_entry(&fake, 9, MASKED | 0x50); /* edge: clears it */
	CU_ASSERT_FALSE(read_indirect(&fake, 0x10 + 18) & REMOTE_IRR);
	device_destroy(fake.device);
}

static void message_has_mode_and_extended_destination(void)
{
	struct fake fake;

	create(&fake);
	write_entry(&fake, 5, 0xffull << 56 | 0x7full << 49 | LOGICAL | 0x100 | 0x99);
	pulse(&fake, 5);
	CU_ASSERT_EQUAL(fake.address, 0x7full << 40 | 0xfeeff004);
	CU_ASSERT_EQUAL(fake.data, 0x199);
	device_destroy(fake.device);
}

static void routes_are_told_when_they_change(void)
{
	struct fake fake;

	create(&fake);
	write_entry(&fake, 7, LEVEL | MASKED | 0x60);
	CU_ASSERT_EQUAL(fake.routes, 1);
	CU_ASSERT_EQUAL(fake.route_gsi, 7);
	CU_ASSERT_TRUE(fake.route_enabled);
	CU_ASSERT_EQUAL(fake.route_data, 0xc060);
	write_entry(&fake, 7, LEVEL | 0x60); /* masks of level pins leave it */
	write_entry(&fake, 7, LEVEL | 0x60);
	CU_ASSERT_EQUAL(fake.routes, 1);
	write_entry(&fake, 7, 1ull << 56 | LEVEL | 0x60);
	CU_ASSERT_EQUAL(fake.routes, 2);
	CU_ASSERT_EQUAL(fake.route_address, 0xfee01000);
	write_entry(&fake, 7, 1ull << 56 | MASKED | 0x60);
	CU_ASSERT_EQUAL(fake.routes, 3);
	CU_ASSERT_FALSE(fake.route_enabled);
	device_destroy(fake.device);
}

static void accesses_of_any_size_stay_within_registers(void)
{
	struct fake fake;
	uint64_t wide = 0xaabbccdd00000010, value;

	create(&fake);
	for (unsigned size = 1; size <= 8; size *= 2) {
		fake.device->type->write(fake.device, 0, 0, &wide, size);
		value = 0;
		fake.device->type->read(fake.device, 0, 0, &value, size);
		CU_ASSERT_EQUAL(value, 0x10);
	}
	value = UINT64_MAX;
	fake.device->type->read(fake.device, 0, 4, &value, 4);
	CU_ASSERT_EQUAL(value, UINT64_MAX);
	device_destroy(fake.device);
}

static void hostile_snapshot_is_made_valid(void)
{
	struct fake fake;
	const struct device_type *type;

	create(&fake);
	type = fake.device->type;
	memset((char *)fake.device + type->state_offset, 0xff, type->state_size);
	type->resume(fake.device);
	CU_ASSERT_EQUAL(fake.routes, GSI_COUNT); /* all level */
	CU_ASSERT_EQUAL(read32(&fake, 0), 0xff);
	CU_ASSERT_EQUAL(read_indirect(&fake, 0), 0x0f000000);
	for (unsigned pin = 0; pin < GSI_COUNT; pin++) {
		CU_ASSERT_EQUAL(read_indirect(&fake, 0x10 + 2 * pin), 0x1efff);
		CU_ASSERT_EQUAL(read_indirect(&fake, 0x11 + 2 * pin), 0xfffe0000);
	}
	CU_ASSERT_EQUAL(fake.sent, 0);
	device_destroy(fake.device);
}

static void *pulse_often(void *context)
{
	for (unsigned i = 0; i < 1000; i++)
		pulse(context, 30);
	return NULL;
}

/* The bus holds the device's lock, and set_line takes it: every edge arrives. */
static void lines_may_be_set_from_any_thread(void)
{
	pthread_t thread;
	struct fake fake;

	create(&fake);
	write_entry(&fake, 30, 0x70);
	write_entry(&fake, 31, 0x71);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, pulse_often, &fake), 0);
	for (unsigned i = 0; i < 1000; i++) {
		pthread_mutex_lock(&fake.device->lock);
		write_entry(&fake, 32, i);
		pthread_mutex_unlock(&fake.device->lock);
		pulse(&fake, 31);
	}
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(fake.sent, 2000);
	device_destroy(fake.device);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(version_tells_64_pins_and_eoi),
	        UNIT(pins_start_masked),
	        UNIT(last_entry_is_the_last_register),
	        UNIT(pins_end_where_they_were_said_to),
	        UNIT(edge_is_sent_once_for_each_rise),
	        UNIT(edge_on_a_masked_pin_is_lost),
	        UNIT(level_repeats_after_eoi_while_high),
	        UNIT(level_waits_behind_the_mask),
	        UNIT(guest_cannot_write_remote_irr),
	        UNIT(message_has_mode_and_extended_destination),
	        UNIT(routes_are_told_when_they_change),
	        UNIT(accesses_of_any_size_stay_within_registers),
	        UNIT(hostile_snapshot_is_made_valid),
	        UNIT(lines_may_be_set_from_any_thread),
	        {0},
	};
	return unit_run("ioapic", tests);
}
