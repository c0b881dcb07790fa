/*
 * Configuration space: any accesses by ports and by ECAM to a bus of three devices, and
 * what must hold of it afterwards. Each operation has 8 bytes.
 */
#include <assert.h>

#include "tests/unit/loop_fake.c"
#include "tests/unit/pci_guest.h"
#include "vmm/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DEVICES = 3 };

struct operation {
	uint8_t kind; /* bits 0-1: size, 2: write, 3-4: the way */
	uint8_t slot;
	uint16_t offset;
	uint32_t value;
};

/* Mostly a BAR at one of few places, so that they meet. */
static uint32_t value_of(const struct operation *operation)
{
	static const uint32_t bases[] = {PCI_GUEST_BARS, PCI_GUEST_BARS + 0x2000,
	        PCI_GUEST_ECAM, 0x1000, 0x1080, 0xcf8, UINT32_MAX, 0};

	return operation->kind & 0x80 ? bases[operation->value % 8] : operation->value;
}

static void act(struct pci_guest *guest, const struct operation *operation)
{
	unsigned size = 1 << (operation->kind & 3),
	         slot = operation->slot % (DEVICES + 2);
	bool write = operation->kind & 4;
	struct bus *bus = &guest->mmio;
	uint64_t address = 0;

	switch (operation->kind >> 3 & 3) {
	case 0:
		address = pci_config(slot, operation->offset % PCI_CONFIG);
		break;
	case 1:
		address = PCI_GUEST_ECAM + (operation->slot << 12 | operation->offset);
		break;
	case 2:
		pci_set(&guest->ports, 0xcf8,
		        0x80000000 | slot << 11 | (operation->offset & 0xff), 4);
		bus = &guest->ports;
		address = 0xcfc + (operation->offset & 3);
		break;
	case 3:
		bus = &guest->ports;
		address = 0xcf8 + operation->offset % 8;
		break;
	}
	if (write)
		pci_set(bus, address, value_of(operation), size);
	else
		pci_get(bus, address, size);
}

/* No window of a device is anywhere but where its BAR says, switched on. */
static void check_windows(struct pci_guest *guest, struct bus *bus, bool port)
{
	for (unsigned i = 0; i < bus->count; i++) {
		const struct bus_window *window = &bus->windows[i];
		unsigned slot = 0;

		assert(!i || bus->windows[i - 1].base + bus->windows[i - 1].size <=
		                     window->base);
		for (unsigned n = 0; n < DEVICES; n++)
			if (guest->devices[n] == window->device)
				slot = n + 1;
		if (!slot)
			continue; /* the root's own */
		uint32_t bar = slot_get(
		        guest, slot, PCI_BASE_ADDRESS_0 + 4 * window->window, 4);
		assert((bar & 1) == port);
		assert((bar & ~(port ? 3u : 15u)) == window->base);
		assert(slot_get(guest, slot, PCI_COMMAND, 2) & (port ? 1 : 2));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct operation operation;
	struct pci_guest guest;

	log_set_level(LOG_ERROR);
	pci_guest_init(&guest);
	for (unsigned i = 0; i < DEVICES; i++)
		pci_guest_add(&guest, virtio_rng_create(&guest.host));
	for (; size >= sizeof(operation); size -= sizeof(operation)) {
		memcpy(&operation, data, sizeof(operation));
		data += sizeof(operation);
		act(&guest, &operation);
	}
	check_windows(&guest, &guest.mmio, false);
	check_windows(&guest, &guest.ports, true);
	for (unsigned i = 1; i <= DEVICES; i++) {
		assert(slot_get(&guest, i, PCI_VENDOR_ID, 4) == 0x10051af4);
		assert(slot_get(&guest, i, PCI_CAPABILITY_LIST, 1) == 0x40);
	}
	pci_guest_destroy(&guest);
	return 0;
}
