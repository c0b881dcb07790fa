/*
 * A hostile driver against the legacy and the modern registers of every virtio device on
 * PCI. The input chooses the device and is then a list of operations of a few bytes each:
 * register accesses of both BARs, bytes of memory, kicks, time. A start-up in good order
 * is one operation each, so that the fuzzer need not find it byte by byte.
 */
#include <linux/virtio_ring.h>

#include "devices/msix.h"
#include "tests/fuzz/virtio_input.h"
#include "tests/unit/loop_fake.c"
#include "tests/unit/pci_guest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOTIFY = 0x400, LEGACY_PAGE = 4096 };
/* The first capability, and the last page of the BAR. */
enum { MSIX_AT = PCI_STD_HEADER_SIZEOF, MSIX_TABLE = VIRTIO_PCI_MEMORY - MSIX_SIZE };

static void modern_set(
        struct pci_guest *guest, unsigned offset, uint64_t value, unsigned size)
{
	pci_set(&guest->mmio, pci_guest_base(1) + offset, value, size);
}

static void legacy_set(
        struct pci_guest *guest, unsigned offset, uint64_t value, unsigned size)
{
	pci_set(&guest->ports, pci_guest_port(1) + offset, value, size);
}

/* Queue n has its rings in 16 KiB of their own, in the legacy layout. */
static void start_modern(struct pci_guest *guest, struct input *input)
{
	uint64_t features = take(input, 4) | UINT64_C(1) << 32;

	modern_set(guest, VIRTIO_PCI_COMMON_STATUS, 0, 1);
	modern_set(guest, VIRTIO_PCI_COMMON_STATUS, 3, 1);
	for (unsigned half = 0; half < 2; half++) {
		modern_set(guest, VIRTIO_PCI_COMMON_DFSELECT, half, 4);
		modern_set(guest, VIRTIO_PCI_COMMON_GFSELECT, half, 4);
		modern_set(guest, VIRTIO_PCI_COMMON_GF,
		        features >> 32 * half &
		                pci_get(&guest->mmio,
		                        pci_guest_base(1) + VIRTIO_PCI_COMMON_DF, 4),
		        4);
	}
	modern_set(guest, VIRTIO_PCI_COMMON_STATUS, 11, 1);
	for (unsigned i = 0; i < VIRTIO_QUEUES; i++) {
		uint64_t base = (1 + i) * 4 * LEGACY_PAGE;

		modern_set(guest, VIRTIO_PCI_COMMON_Q_SELECT, i, 2);
		modern_set(guest, VIRTIO_PCI_COMMON_Q_DESCLO, base, 8);
		modern_set(guest, VIRTIO_PCI_COMMON_Q_AVAILLO, base + 4096, 8);
		modern_set(guest, VIRTIO_PCI_COMMON_Q_USEDLO, base + 8192, 8);
		modern_set(guest, VIRTIO_PCI_COMMON_Q_MSIX, i, 2);
		modern_set(guest, VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
	}
	modern_set(guest, VIRTIO_PCI_COMMON_STATUS, 15, 1);
}

static void start_legacy(struct pci_guest *guest, struct input *input)
{
	legacy_set(guest, VIRTIO_PCI_STATUS, 0, 1);
	legacy_set(guest, VIRTIO_PCI_STATUS, 3, 1);
	legacy_set(guest, VIRTIO_PCI_GUEST_FEATURES, take(input, 4), 4);
	for (unsigned i = 0; i < VIRTIO_QUEUES; i++) {
		legacy_set(guest, VIRTIO_PCI_QUEUE_SEL, i, 2);
		legacy_set(guest, VIRTIO_PCI_QUEUE_PFN, (1 + i) * 4, 4);
	}
	legacy_set(guest, VIRTIO_PCI_STATUS, 7, 1);
}

/* Messages instead of the line; the bits of `masked` are vectors that have to wait. */
static void start_messages(struct pci_guest *guest, uint8_t masked)
{
	slot_set(guest, 1, MSIX_AT, (uint32_t)MSIX_CONTROL_ENABLED << 16, 4);
	for (unsigned i = 0; i < MSIX_VECTORS; i++) {
		modern_set(guest, MSIX_TABLE + i * MSIX_ENTRY, 0xfee00000, 8);
		modern_set(guest, MSIX_TABLE + i * MSIX_ENTRY + 8,
		        i | (uint64_t)(masked >> i & 1) << 32, 8);
	}
	modern_set(guest, VIRTIO_PCI_COMMON_MSIX, 0, 2);
}

/* PCI Local Bus 3.0, 6.8.3.3: with MSI-X enabled there is no line. */
static void check_line(struct pci_guest *guest)
{
	if (guest->lines && slot_get(guest, 1, MSIX_AT, 4) >> 16 & MSIX_CONTROL_ENABLED)
		abort();
}

/* A descriptor, and perhaps an entry of the available ring that leads to it. */
static void describe(struct pci_guest *guest, struct input *input)
{
	unsigned queue = take(input, 1) % VIRTIO_QUEUES, index = take(input, 1) % 16;
	uint8_t shape = take(input, 1);
	char *base =
	        (char *)guest->memory.ranges[0].host + (1 + queue) * 4 * LEGACY_PAGE;
	struct vring_desc *desc = (struct vring_desc *)base + index;
	struct vring_avail *avail = (struct vring_avail *)(base + 4096);

	desc->addr = shape & 0x80 ? take(input, 8) : 0x40000 + take(input, 2);
	desc->len = shape & 0x40 ? take(input, 4) : take(input, 2) % 2048;
	desc->flags = shape & 7;
	desc->next = take(input, 1) % 18;
	if (shape & 0x20) {
		avail->ring[avail->idx % 64] = index;
		avail->idx++;
	}
}

static void step(struct pci_guest *guest, struct input *input)
{
	uint8_t operation = take(input, 1), at = take(input, 1);
	unsigned size = 1 << (operation >> 4 & 3);
	uint64_t modern = pci_guest_base(1), port = pci_guest_port(1) + at % 128;

	switch (operation % 13) {
	case 0:
		start_modern(guest, input);
		break;
	case 1:
		start_legacy(guest, input);
		break;
	case 2:
		pci_get(&guest->mmio, modern + take(input, 2) % VIRTIO_PCI_MEMORY,
		        size);
		break;
	case 3:
		pci_set(&guest->mmio, modern + take(input, 2) % VIRTIO_PCI_MEMORY,
		        take(input, 8), size);
		break;
	case 4:
		modern_set(guest, at % 64, take(input, 4), size);
		break;
	case 5:
		pci_get(&guest->ports, port, size);
		break;
	case 6:
		pci_set(&guest->ports, port, take(input, 4), size);
		break;
	case 7:
		describe(guest, input);
		break;
	case 8:
		modern_set(guest, NOTIFY + at % 8 * 4, 0, 2);
		legacy_set(guest, VIRTIO_PCI_QUEUE_NOTIFY, at % 8, 2);
		break;
	case 9:
		slot_set(guest, 1, at & ~3U, take(input, 4), 4);
		break;
	case 10:
		loop_fake_run(guest->host.loop);
		loop_fake_advance(guest->host.loop, (uint64_t)at << 20);
		break;
	case 11:
		pthread_mutex_lock(&guest->devices[0]->lock);
		guest->devices[0]->type->pause(guest->devices[0]);
		guest->devices[0]->type->resume(guest->devices[0]);
		pthread_mutex_unlock(&guest->devices[0]->lock);
		break;
	case 12:
		start_messages(guest, at);
		break;
	}
	check_line(guest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};
	struct pci_guest guest;

	log_set_level(LOG_ERROR);
	pci_guest_init(&guest);
	pci_guest_add(&guest, devices[take(&input, 1) % DEVICES](&guest.host));
	while (input.size > 0)
		step(&guest, &input);
	pci_guest_destroy(&guest);
	return 0;
}
