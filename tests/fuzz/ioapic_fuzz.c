/* Register accesses, lines, EOIs and restored states in any order, and what must hold. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "vmm/bus.h"
#include "x86/ioapic.h"
#include "x86/layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum action { READ, WRITE, SET_LINE, END_OF_INTERRUPT, UNMASKED, RESTORE, ACTIONS };

struct step {
	uint8_t action, argument, size_log2;
	uint8_t value[8];
};

static void send(void *context, uint64_t address, uint32_t data)
{
	unsigned *sent = context;

	++*sent;
	assert((address & ~(0x7full << 40 | 0xff004)) == LAYOUT_LAPIC);
	assert((data & ~0xc7ffu) == 0);
}

static void route(
        void *context, unsigned gsi, bool enabled, uint64_t address, uint32_t data)
{
	unsigned sent = 0;

	(void)context;
	(void)enabled;
	assert(gsi < GSI_COUNT);
	send(&sent, address, data);
}

static void act(
        struct device *device, struct bus *bus, const struct step *step, unsigned *sent)
{
	/* Often a register, at times any offset. */
	static const uint64_t registers[] = {0x00, 0x10, 0x40};
	uint64_t value, offset = step->argument < 192 ? registers[step->argument % 3]
	                                              : step->argument * 16u;
	unsigned bytes = 1 << step->size_log2 % 4;

	memcpy(&value, step->value, sizeof(value));
	*sent = 0;
	switch (step->action % ACTIONS) {
	case READ:
		bus_read(bus, LAYOUT_IOAPIC + offset, &value, bytes);
		assert(*sent == 0);
		break;
	case WRITE:
		bus_write(bus, LAYOUT_IOAPIC + offset, &value, bytes);
		assert(*sent <= GSI_COUNT);
		break;
	case SET_LINE:
		ioapic_set_line(device, step->argument % GSI_COUNT, value & 1);
		assert(*sent <= (value & 1));
		break;
	case END_OF_INTERRUPT:
		ioapic_eoi(device, value);
		assert(*sent <= GSI_COUNT);
		break;
	case UNMASKED:
		ioapic_unmasked(device, step->argument % GSI_COUNT);
		assert(*sent == 0);
		break;
	case RESTORE:
		for (size_t i = 0; i < device->type->state_size; i++)
			((uint8_t *)device + device->type->state_offset)[i] =
			        step->value[i % sizeof(step->value)] +
			        step->argument * i;
		device->type->resume(device);
		assert(*sent == 0);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned sent = 0;
	const struct ioapic_output output = {send, route, &sent};
	struct device_host host = {0};
	struct device *device = ioapic_create(&host, &output, GSI_COUNT);
	struct bus bus = {0};
	struct step step;

	assert(device);
	assert(bus_add(&bus, LAYOUT_IOAPIC, LAYOUT_IOAPIC_SIZE, device, 0) == 0);
	for (; size >= sizeof(step); data += sizeof(step), size -= sizeof(step)) {
		memcpy(&step, data, sizeof(step));
		act(device, &bus, &step, &sent);
	}
	device_destroy(device);
	return 0;
}
