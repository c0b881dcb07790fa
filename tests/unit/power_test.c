#include "tests/unit/unit.h"

#include "x86/layout.h"
#include "x86/power.h"

#include <string.h>

struct fake {
	struct device_host host; /* first: set_irq and request get it */
	unsigned edges, gsi, poweroffs, others;
	bool level;
};

static void set_irq(struct device_host *host, unsigned gsi, bool level)
{
	struct fake *fake = (struct fake *)host;

	fake->edges += level && !fake->level;
	fake->level = level;
	fake->gsi = gsi;
}

static void request(
        struct device_host *host, enum device_request request, unsigned status)
{
	struct fake *fake = (struct fake *)host;

	(void)status;
	if (request == REQUEST_POWEROFF)
		fake->poweroffs++;
	else
		fake->others++;
}

static struct device *create(struct fake *fake)
{
	struct device *device;

	*fake = (struct fake){.host = {.set_irq = set_irq, .request = request}};
	device = power_create(&fake->host);
	CU_ASSERT_FATAL(device != NULL);
	return device;
}

static uint8_t read_register(struct device *device, uint64_t offset)
{
	uint8_t value = 0xff;

	device->type->read(device, 0, offset, &value, 1);
	return value;
}

static void write_register(struct device *device, uint64_t offset, uint8_t value)
{
	device->type->write(device, 0, offset, &value, 1);
}

static void only_s5_with_enable_powers_off(void)
{
	struct fake fake;
	struct device *device = create(&fake);

	for (unsigned value = 0; value < 256; value++) {
		bool s5 = (value & 0x3c) == (5 << 2 | 0x20);

		fake.poweroffs = 0;
		write_register(device, POWER_SLEEP_CONTROL, value);
		CU_ASSERT_EQUAL(fake.poweroffs, s5);
	}
	CU_ASSERT_EQUAL(fake.others, 0);
	device_destroy(device);
}

static void other_registers_ignore_writes(void)
{
	static const uint32_t wide = 0x34343434;
	struct fake fake;
	struct device *device = create(&fake);

	write_register(device, POWER_SLEEP_STATUS, 0x34);
	write_register(device, POWER_EVENT, 0x34);
	write_register(device, POWER_SIZE, 0x34);
	device->type->write(device, 0, POWER_SLEEP_CONTROL, &wide, sizeof(wide));
	CU_ASSERT_EQUAL(fake.poweroffs + fake.others, 0);
	CU_ASSERT_EQUAL(read_register(device, POWER_EVENT), 0);
	device_destroy(device);
}

static void sleep_status_never_wakes(void)
{
	struct fake fake;
	struct device *device = create(&fake);

	write_register(device, POWER_SLEEP_STATUS, 0x80);
	CU_ASSERT_EQUAL(read_register(device, POWER_SLEEP_STATUS), 0);
	device_destroy(device);
}

static void button_is_one_edge_and_one_event(void)
{
	struct fake fake;
	struct device *device = create(&fake);

	CU_ASSERT_EQUAL(read_register(device, POWER_EVENT), 0);
	power_button_press(device);
	CU_ASSERT_EQUAL(fake.edges, 1);
	CU_ASSERT_EQUAL(fake.gsi, GSI_GED);
	CU_ASSERT_FALSE(fake.level);
	CU_ASSERT_EQUAL(read_register(device, POWER_SLEEP_CONTROL), 0);
	CU_ASSERT_EQUAL(read_register(device, POWER_EVENT), POWER_EVENT_BUTTON);
	CU_ASSERT_EQUAL(read_register(device, POWER_EVENT), 0);
	power_button_press(device);
	CU_ASSERT_EQUAL(fake.edges, 2);
	CU_ASSERT_EQUAL(read_register(device, POWER_EVENT), POWER_EVENT_BUTTON);
	device_destroy(device);
}

static void event_is_in_the_saved_state(void)
{
	struct fake fake;
	struct device *saved = create(&fake), *restored = create(&fake);
	const struct device_type *type = saved->type;

	power_button_press(saved);
	memcpy((char *)restored + type->state_offset,
	        (char *)saved + type->state_offset, type->state_size);
	CU_ASSERT_EQUAL(read_register(restored, POWER_EVENT), POWER_EVENT_BUTTON);
	device_destroy(saved);
	device_destroy(restored);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(only_s5_with_enable_powers_off),
	        UNIT(other_registers_ignore_writes),
	        UNIT(sleep_status_never_wakes),
	        UNIT(button_is_one_edge_and_one_event),
	        UNIT(event_is_in_the_saved_state),
	        {0},
	};
	return unit_run("power", tests);
}
