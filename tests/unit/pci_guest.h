/*
 * A machine with a PCI root and virtio devices on it, for tests: the guest's side of the
 * buses, configuration by ports and by ECAM, and what came of interrupts.
 */
#pragma once

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <stdlib.h>
#include <string.h>

#include "devices/devices.h"
#include "devices/pci.h"
#include "devices/virtio.h"
#include "tests/unit/loop_fake.h"
#include "vmm/bus.h"
#include "vmm/memory.h"

enum {
	PCI_GUEST_MEMORY = 1 << 20,
	PCI_GUEST_ECAM = 0x40000000,
	PCI_GUEST_BARS = 0x50000000, /* device n (from 1): + n * VIRTIO_PCI_MEMORY */
	PCI_GUEST_PORTS = 0x1000,
	PCI_GUEST_GSI = 16, /* + n */
	PCI_GUEST_DEVICES = 4,
};

struct pci_guest {
	struct device_host host; /* first: the callbacks get back from it */
	struct memory memory;
	struct bus ports, mmio;
	struct device *root;
	struct device *devices[PCI_GUEST_DEVICES];
	unsigned device_count;
	uint64_t lines; /* a bit a GSI */
	unsigned messages;
	uint64_t message_address;
	uint32_t message_data;
};

static inline void pci_guest_set_irq(struct device_host *host, unsigned gsi, bool level)
{
	struct pci_guest *guest = (struct pci_guest *)host;
	uint64_t bit = UINT64_C(1) << gsi;

	guest->lines = level ? guest->lines | bit : guest->lines & ~bit;
}

static inline void pci_guest_send_msi(
        struct device_host *host, uint64_t address, uint32_t data)
{
	struct pci_guest *guest = (struct pci_guest *)host;

	guest->messages++;
	guest->message_address = address;
	guest->message_data = data;
}

static inline struct bus *pci_guest_bus(struct device_host *host, bool port)
{
	struct pci_guest *guest = (struct pci_guest *)host;

	return port ? &guest->ports : &guest->mmio;
}

static inline int pci_guest_map(struct device_host *host, struct device *device,
        bool port, uint64_t base, uint64_t size, unsigned window)
{
	return bus_add(pci_guest_bus(host, port), base, size, device, window);
}

static inline void pci_guest_unmap(
        struct device_host *host, struct device *device, bool port, unsigned window)
{
	/* Only what was mapped is unmapped. */
	if (!bus_remove(pci_guest_bus(host, port), device, window))
		abort();
}

static inline void pci_guest_init(struct pci_guest *guest)
{
	memset(guest, 0, sizeof(*guest));
	if (memory_create(
	            &guest->memory, PCI_GUEST_MEMORY, 0, 0xc0000000, 0x100000000) < 0)
		abort();
	guest->host.memory = &guest->memory;
	guest->host.loop = loop_create();
	guest->host.set_irq = pci_guest_set_irq;
	guest->host.send_msi = pci_guest_send_msi;
	guest->host.map = pci_guest_map;
	guest->host.unmap = pci_guest_unmap;
	guest->ports.windows_move = guest->mmio.windows_move = true;
	guest->root = pci_create(&guest->host);
	if (!guest->root ||
	        bus_add(&guest->ports, 0xcf8, PCI_PORTS_SIZE, guest->root,
	                PCI_WINDOW_PORTS) ||
	        bus_add(&guest->mmio, PCI_GUEST_ECAM, PCI_ECAM_SIZE, guest->root,
	                PCI_WINDOW_ECAM))
		abort();
}

static inline uint32_t pci_guest_base(unsigned slot)
{
	return PCI_GUEST_BARS + slot * VIRTIO_PCI_MEMORY;
}

static inline uint16_t pci_guest_port(unsigned slot)
{
	return PCI_GUEST_PORTS + slot * VIRTIO_PCI_PORTS;
}

/* In the next slot, from 1 on; its number. */
static inline unsigned pci_guest_add(struct pci_guest *guest, struct virtio *virtio)
{
	unsigned slot = 1 + guest->device_count;
	const uint32_t bases[PCI_BARS] = {pci_guest_port(slot), pci_guest_base(slot)};
	struct pci_function *function =
	        virtio_pci_create(&guest->host, virtio, PCI_GUEST_GSI + slot);

	if (!function || pci_add(guest->root, slot, function, bases))
		abort();
	guest->devices[guest->device_count++] = function->device;
	return slot;
}

static inline void pci_guest_destroy(struct pci_guest *guest)
{
	while (guest->device_count)
		device_destroy(guest->devices[--guest->device_count]);
	device_destroy(guest->root);
	loop_destroy(guest->host.loop);
	memory_destroy(&guest->memory);
}

static inline uint64_t pci_get(struct bus *bus, uint64_t address, unsigned size)
{
	uint64_t value = 0;

	bus_read(bus, address, &value, size);
	return value;
}

static inline void pci_set(
        struct bus *bus, uint64_t address, uint64_t value, unsigned size)
{
	bus_write(bus, address, &value, size);
}

/* Configuration space, by ECAM. */
static inline uint64_t pci_config(unsigned slot, unsigned offset)
{
	return PCI_GUEST_ECAM + slot * 0x8000u + offset;
}

static inline uint32_t slot_get(
        struct pci_guest *guest, unsigned slot, unsigned offset, unsigned size)
{
	return pci_get(&guest->mmio, pci_config(slot, offset), size);
}

static inline void slot_set(struct pci_guest *guest, unsigned slot, unsigned offset,
        uint32_t value, unsigned size)
{
	pci_set(&guest->mmio, pci_config(slot, offset), value, size);
}
