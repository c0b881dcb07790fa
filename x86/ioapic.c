#include "x86/ioapic.h"

#include "x86/layout.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* 82093AA data sheet, 3.1: the window's registers; EOI is of version 0x20. */
enum { IOREGSEL = 0x00, IOWIN = 0x10, EOI = 0x40 };

/* 3.2: what IOREGSEL selects; two halves of a redirection entry for each pin. */
enum { IOAPIC_ID = 0, IOAPIC_VERSION = 1, IOAPIC_ARBITRATION = 2, IOAPIC_TABLE = 0x10 };

enum { ID_MASK = 0x0f000000, VERSION = 0x20 };

/* 3.2.4: a redirection entry. */
#define ENTRY_VECTOR     0xffull
#define ENTRY_LOGICAL    (1ull << 11)
#define ENTRY_REMOTE_IRR (1ull << 14) /* sent, and its EOI is awaited; level only */
#define ENTRY_LEVEL      (1ull << 15)
#define ENTRY_MASKED     (1ull << 16)
/* Read-only: delivery status (an MSI is never pending), remote IRR. Reserved: up to bit
 * 48, which with 49-55 is KVM's extended destination (KVM cpuid.rst, MSI_EXT_DEST_ID). */
#define ENTRY_WRITABLE 0xfffe00000001afffull

struct ioapic_state {
	uint64_t entries[GSI_COUNT];
	uint64_t lines; /* one bit a pin */
	uint32_t id;
	uint32_t select;
};

static_assert(GSI_COUNT == 64, "struct ioapic_state has a bit a pin");

struct ioapic {
	struct device device;
	unsigned pins;
	struct ioapic_output output;
	struct ioapic_state state;
};

/* Intel SDM volume 3, 11.11: the message of an entry; with x2APIC ids, the upper
 * destination bits are in the upper half of the address (KVM_CAP_X2APIC_API). */
static uint64_t message_address(uint64_t entry)
{
	uint64_t upper = entry >> 49 & 0x7f, low = entry >> 56;

	return upper << 40 | LAYOUT_LAPIC | low << 12 | (entry & ENTRY_LOGICAL ? 4 : 0);
}

static uint32_t message_data(uint64_t entry)
{
	/* Vector and delivery mode; then trigger mode, and "assert" for level. */
	return (entry & 0x7ff) | (entry & ENTRY_LEVEL ? 1 << 15 | 1 << 14 : 0);
}

static bool entry_listens(uint64_t entry)
{
	return !(entry & ENTRY_MASKED);
}

static void deliver(struct ioapic *ioapic, unsigned pin)
{
	uint64_t *entry = &ioapic->state.entries[pin];

	if (*entry & (ENTRY_MASKED | ENTRY_REMOTE_IRR))
		return;
	if (*entry & ENTRY_LEVEL)
		*entry |= ENTRY_REMOTE_IRR;
	ioapic->output.send(
	        ioapic->output.context, message_address(*entry), message_data(*entry));
}

/* A level-triggered pin that is high fires unless it did and has no EOI yet. */
static void deliver_level(struct ioapic *ioapic, unsigned pin)
{
	if (ioapic->state.entries[pin] & ENTRY_LEVEL && ioapic->state.lines >> pin & 1)
		deliver(ioapic, pin);
}

/* A level-triggered pin keeps its route while it is masked: the EOI of what it sent before
 * is still to come, and clears remote IRR. */
static bool entry_routed(uint64_t entry)
{
	return entry_listens(entry) || entry & ENTRY_LEVEL;
}

static void route(struct ioapic *ioapic, unsigned pin)
{
	uint64_t entry = ioapic->state.entries[pin];

	if (ioapic->output.route)
		ioapic->output.route(ioapic->output.context, pin, entry_routed(entry),
		        message_address(entry), message_data(entry));
}

static bool same_route(uint64_t a, uint64_t b)
{
	return entry_routed(a) == entry_routed(b) &&
	       message_address(a) == message_address(b) &&
	       message_data(a) == message_data(b);
}

static void end_of_interrupt(struct ioapic *ioapic, uint8_t vector)
{
	for (unsigned pin = 0; pin < GSI_COUNT; pin++) {
		uint64_t *entry = &ioapic->state.entries[pin];

		if (!(*entry & ENTRY_REMOTE_IRR) || (*entry & ENTRY_VECTOR) != vector)
			continue;
		*entry &= ~ENTRY_REMOTE_IRR;
		deliver_level(ioapic, pin);
	}
}

static void write_entry(struct ioapic *ioapic, unsigned half, uint32_t value)
{
	unsigned pin = half / 2, shift = half % 2 * 32;
	uint64_t *entry = &ioapic->state.entries[pin], old = *entry;
	uint64_t written = UINT32_MAX * (1ull << shift) & ENTRY_WRITABLE;

	*entry = (old & ~written) | ((uint64_t)value << shift & written);
	/* Guests switch to edge and back to get rid of a remote IRR, as 82093AA allows. */
	if (!(*entry & ENTRY_LEVEL))
		*entry &= ~ENTRY_REMOTE_IRR;
	if (!same_route(*entry, old))
		route(ioapic, pin);
	deliver_level(ioapic, pin);
}

static uint32_t read_selected(const struct ioapic *ioapic)
{
	const struct ioapic_state *state = &ioapic->state;
	uint32_t half = state->select - IOAPIC_TABLE;

	switch (state->select) {
	case IOAPIC_ID:
	case IOAPIC_ARBITRATION:
		return state->id;
	case IOAPIC_VERSION:
		return VERSION | (ioapic->pins - 1) << 16;
	default:
		/* IOREGSEL below the table: wraps, so large. */
		if (half >= 2 * ioapic->pins)
			return UINT32_MAX;
		return state->entries[half / 2] >> half % 2 * 32;
	}
}

static void write_selected(struct ioapic *ioapic, uint32_t value)
{
	uint32_t half = ioapic->state.select - IOAPIC_TABLE;

	if (ioapic->state.select == IOAPIC_ID)
		ioapic->state.id = value & ID_MASK;
	else if (half < 2 * ioapic->pins)
		write_entry(ioapic, half, value);
}

/* Registers are 32 bits wide; of narrower and wider accesses, the low bytes count. */
static void ioapic_read(struct device *device, unsigned window, uint64_t offset,
        void *data, unsigned size)
{
	struct ioapic *ioapic = (struct ioapic *)device;
	uint64_t value;

	(void)window;
	if (offset == IOREGSEL)
		value = ioapic->state.select;
	else if (offset == IOWIN)
		value = read_selected(ioapic);
	else
		return;
	memcpy(data, &value, size);
}

static void ioapic_write(struct device *device, unsigned window, uint64_t offset,
        const void *data, unsigned size)
{
	struct ioapic *ioapic = (struct ioapic *)device;
	uint64_t value = 0;

	(void)window;
	memcpy(&value, data, size);
	if (offset == IOREGSEL)
		ioapic->state.select = value & 0xff;
	else if (offset == IOWIN)
		write_selected(ioapic, value);
	else if (offset == EOI)
		end_of_interrupt(ioapic, value);
}

void ioapic_set_line(struct device *device, unsigned gsi, bool level)
{
	struct ioapic *ioapic = (struct ioapic *)device;
	uint64_t pin = 1ull << gsi, old;

	assert(gsi < GSI_COUNT);
	pthread_mutex_lock(&device->lock);
	old = ioapic->state.lines;
	ioapic->state.lines = level ? old | pin : old & ~pin;
	/* A rise is an edge; a level that is still high only fires without remote IRR. */
	if (level && (!(old & pin) || ioapic->state.entries[gsi] & ENTRY_LEVEL))
		deliver(ioapic, gsi);
	pthread_mutex_unlock(&device->lock);
}

void ioapic_eoi(struct device *device, uint8_t vector)
{
	pthread_mutex_lock(&device->lock);
	end_of_interrupt((struct ioapic *)device, vector);
	pthread_mutex_unlock(&device->lock);
}

bool ioapic_unmasked(struct device *device, unsigned gsi)
{
	struct ioapic *ioapic = (struct ioapic *)device;
	bool unmasked;

	assert(gsi < GSI_COUNT);
	pthread_mutex_lock(&device->lock);
	unmasked = entry_listens(ioapic->state.entries[gsi]);
	pthread_mutex_unlock(&device->lock);
	return unmasked;
}

/* The state may be a snapshot's: it becomes one that guest writes could have made. */
static void ioapic_resume(struct device *device)
{
	struct ioapic *ioapic = (struct ioapic *)device;

	ioapic->state.id &= ID_MASK;
	ioapic->state.select &= 0xff;
	for (unsigned pin = 0; pin < GSI_COUNT; pin++) {
		uint64_t *entry = &ioapic->state.entries[pin];

		*entry &=
		        ENTRY_WRITABLE | (*entry & ENTRY_LEVEL ? ENTRY_REMOTE_IRR : 0);
		if (entry_routed(*entry))
			route(ioapic, pin);
	}
}

static const struct device_type ioapic_type = {
        .name = "ioapic",
        .help = "interrupt controller of 24 pins or more",
        .read = ioapic_read,
        .write = ioapic_write,
        .resume = ioapic_resume,
        .state_offset = offsetof(struct ioapic, state),
        .state_size = sizeof(struct ioapic_state),
        .state_version = 1,
};

struct device *ioapic_create(
        struct device_host *host, const struct ioapic_output *output, unsigned pins)
{
	struct ioapic *ioapic = device_create(sizeof(*ioapic), &ioapic_type, host);

	if (!ioapic)
		return NULL;
	ioapic->output = *output;
	ioapic->pins = pins;
	for (unsigned pin = 0; pin < GSI_COUNT; pin++)
		ioapic->state.entries[pin] = ENTRY_MASKED;
	return &ioapic->device;
}
