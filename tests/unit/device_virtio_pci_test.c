/* Both interfaces of a virtio-pci function, and its interrupts. */
#include <linux/virtio_ring.h>

#include "devices/msix.h"
#include "tests/unit/pci_guest.h"
#include "tests/unit/unit.h"

/* Places that the capabilities are to name, and where a queue of 64 has its rings. */
enum {
	ISR = 0x100,
	NOTIFY = 0x400,
	TABLE = 0x1000,
	QUEUE = 64,
	DESC = 0x4000,
	AVAIL = DESC + 16 * QUEUE,
	USED = 0x5000,
	DATA = 0x8000,
	GSI = PCI_GUEST_GSI + 1,
};

#define BASE      ((uint64_t)pci_guest_base(1))
#define VERSION_1 1 /* in the upper half */

static void init(struct pci_guest *guest)
{
	pci_guest_init(guest);
	pci_guest_add(guest, virtio_rng_create(&guest->host));
}

static uint64_t modern_get(struct pci_guest *guest, unsigned offset, unsigned size)
{
	return pci_get(&guest->mmio, BASE + offset, size);
}

static void modern_set(
        struct pci_guest *guest, unsigned offset, uint64_t value, unsigned size)
{
	pci_set(&guest->mmio, BASE + offset, value, size);
}

static uint32_t legacy_get(struct pci_guest *guest, unsigned offset, unsigned size)
{
	return pci_get(&guest->ports, pci_guest_port(1) + offset, size);
}

static void legacy_set(
        struct pci_guest *guest, unsigned offset, uint32_t value, unsigned size)
{
	pci_set(&guest->ports, pci_guest_port(1) + offset, value, size);
}

static unsigned modern_status(struct pci_guest *guest, unsigned value)
{
	modern_set(guest, VIRTIO_PCI_COMMON_STATUS, value, 1);
	return modern_get(guest, VIRTIO_PCI_COMMON_STATUS, 1);
}

static unsigned legacy_status(struct pci_guest *guest, unsigned value)
{
	legacy_set(guest, VIRTIO_PCI_STATUS, value, 1);
	return legacy_get(guest, VIRTIO_PCI_STATUS, 1);
}

static void modern_features(struct pci_guest *guest, uint32_t low, uint32_t high)
{
	modern_set(guest, VIRTIO_PCI_COMMON_GFSELECT, 0, 4);
	modern_set(guest, VIRTIO_PCI_COMMON_GF, low, 4);
	modern_set(guest, VIRTIO_PCI_COMMON_GFSELECT, 1, 4);
	modern_set(guest, VIRTIO_PCI_COMMON_GF, high, 4);
}

static void modern_queue(struct pci_guest *guest)
{
	modern_set(guest, VIRTIO_PCI_COMMON_Q_SELECT, 0, 2);
	modern_set(guest, VIRTIO_PCI_COMMON_Q_DESCLO, DESC, 4);
	modern_set(guest, VIRTIO_PCI_COMMON_Q_DESCHI, 0, 4);
	modern_set(guest, VIRTIO_PCI_COMMON_Q_AVAILLO, AVAIL, 8);
	modern_set(guest, VIRTIO_PCI_COMMON_Q_USEDLO, USED, 8);
	modern_set(guest, VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
}

static void modern_start(struct pci_guest *guest)
{
	CU_ASSERT_EQUAL(modern_status(guest, 0), 0);
	CU_ASSERT_EQUAL(modern_status(guest, 3), 3);
	modern_features(guest, 0, VERSION_1);
	CU_ASSERT_EQUAL(modern_status(guest, 11), 11);
	modern_queue(guest);
	CU_ASSERT_EQUAL(modern_status(guest, 15), 15);
}

static void legacy_start(struct pci_guest *guest)
{
	CU_ASSERT_EQUAL(legacy_status(guest, 0), 0);
	CU_ASSERT_EQUAL(legacy_status(guest, 3), 3);
	legacy_set(guest, VIRTIO_PCI_QUEUE_SEL, 0, 2);
	legacy_set(guest, VIRTIO_PCI_QUEUE_PFN, DESC >> 12, 4);
	CU_ASSERT_EQUAL(legacy_status(guest, 7), 7);
}

static void *ring(struct pci_guest *guest, uint64_t address)
{
	return (char *)guest->memory.ranges[0].host + address;
}

/* Asks for 8 random bytes. */
static void ask(struct pci_guest *guest)
{
	struct vring_desc *desc = ring(guest, DESC);
	struct vring_avail *avail = ring(guest, AVAIL);

	desc[0] = (struct vring_desc){DATA, 8, VRING_DESC_F_WRITE, 0};
	avail->ring[avail->idx % QUEUE] = 0;
	avail->idx++;
}

static unsigned answered(struct pci_guest *guest)
{
	return ((struct vring_used *)ring(guest, USED))->idx;
}

/* 4.1.4: each structure once, in memory of a BAR that has room for it. */
static void capabilities_name_every_structure(void)
{
	struct pci_guest guest;
	unsigned seen = 0, at;

	init(&guest);
	CU_ASSERT(slot_get(&guest, 1, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
	at = slot_get(&guest, 1, PCI_CAPABILITY_LIST, 1);
	for (unsigned i = 0; at && i < 16; i++) {
		unsigned id = slot_get(&guest, 1, at, 1);
		unsigned type = slot_get(&guest, 1, at + 3, 1);
		unsigned bar = slot_get(&guest, 1, at + 4, 1);
		uint32_t offset = slot_get(&guest, 1, at + 8, 4);
		uint32_t length = slot_get(&guest, 1, at + 12, 4);

		CU_ASSERT_EQUAL(at % 4, 0);
		if (id == PCI_CAP_ID_MSIX) {
			CU_ASSERT_EQUAL(slot_get(&guest, 1, at + 2, 2), 1);
			CU_ASSERT_EQUAL(slot_get(&guest, 1, at + 4, 4), 0x1001);
			CU_ASSERT_EQUAL(slot_get(&guest, 1, at + 8, 4), 0x1801);
			seen |= 1;
		} else {
			CU_ASSERT_EQUAL(id, PCI_CAP_ID_VNDR);
			CU_ASSERT_EQUAL(seen >> type & 1, 0);
			seen |= 1 << type;
			if (type != VIRTIO_PCI_CAP_PCI_CFG) {
				CU_ASSERT_EQUAL(bar, 1);
				CU_ASSERT(length > 0 && offset + length <= TABLE);
			}
		}
		at = slot_get(&guest, 1, at + PCI_CAP_LIST_NEXT, 1);
	}
	CU_ASSERT_EQUAL(at, 0);
	CU_ASSERT_EQUAL(
	        seen, 0x2f); /* all but a configuration, which rng has none of */
	pci_guest_destroy(&guest);
}

static void modern_driver_gets_its_answer(void)
{
	struct pci_guest guest;

	init(&guest);
	modern_set(&guest, VIRTIO_PCI_COMMON_DFSELECT, 1, 4);
	CU_ASSERT_EQUAL(modern_get(&guest, VIRTIO_PCI_COMMON_DF, 4), VERSION_1);
	modern_set(&guest, VIRTIO_PCI_COMMON_DFSELECT, 2, 4);
	CU_ASSERT_EQUAL(modern_get(&guest, VIRTIO_PCI_COMMON_DF, 4), 0);
	CU_ASSERT_EQUAL(modern_get(&guest, VIRTIO_PCI_COMMON_NUMQ, 2), 1);
	CU_ASSERT_EQUAL(modern_get(&guest, VIRTIO_PCI_COMMON_Q_SIZE, 2), QUEUE);
	modern_start(&guest);
	CU_ASSERT_EQUAL(modern_get(&guest, VIRTIO_PCI_COMMON_Q_AVAILLO, 8), AVAIL);
	ask(&guest);
	modern_set(&guest, NOTIFY, 0, 2);
	CU_ASSERT_EQUAL(answered(&guest), 1);
	/* Of the line: up until the status is read. */
	CU_ASSERT_EQUAL(guest.lines, 1 << GSI);
	CU_ASSERT(slot_get(&guest, 1, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	CU_ASSERT_EQUAL(modern_get(&guest, ISR, 1), 1);
	CU_ASSERT_EQUAL(guest.lines, 0);
	CU_ASSERT_EQUAL(modern_get(&guest, ISR, 1), 0);
	CU_ASSERT_FALSE(slot_get(&guest, 1, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	CU_ASSERT_EQUAL(guest.messages, 0);
	/* Other queues do not exist. */
	modern_set(&guest, VIRTIO_PCI_COMMON_Q_SELECT, 1, 2);
	CU_ASSERT_EQUAL(modern_get(&guest, VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
	modern_set(&guest, NOTIFY + 4, 1, 2);
	CU_ASSERT_EQUAL(modern_status(&guest, 0), 0);
	pci_guest_destroy(&guest);
}

static void legacy_driver_gets_its_answer(void)
{
	struct pci_guest guest;

	init(&guest);
	/* ANY_LAYOUT, INDIRECT_DESC, EVENT_IDX and nothing of the upper half. */
	CU_ASSERT_EQUAL(legacy_get(&guest, VIRTIO_PCI_HOST_FEATURES, 4), 0x38000000);
	CU_ASSERT_EQUAL(legacy_get(&guest, VIRTIO_PCI_QUEUE_NUM, 2), QUEUE);
	legacy_start(&guest);
	CU_ASSERT_EQUAL(legacy_get(&guest, VIRTIO_PCI_QUEUE_PFN, 4), DESC >> 12);
	ask(&guest);
	legacy_set(&guest, VIRTIO_PCI_QUEUE_NOTIFY, 0, 2);
	CU_ASSERT_EQUAL(answered(&guest), 1);
	CU_ASSERT_EQUAL(guest.lines, 1 << GSI);
	CU_ASSERT_EQUAL(legacy_get(&guest, VIRTIO_PCI_ISR, 1), 1);
	CU_ASSERT_EQUAL(guest.lines, 0);
	CU_ASSERT_EQUAL(legacy_status(&guest, 0), 0);
	CU_ASSERT_EQUAL(legacy_get(&guest, VIRTIO_PCI_QUEUE_PFN, 4), 0);
	pci_guest_destroy(&guest);
}

/* 3.1.2: some notify before DRIVER_OK, and set bits one at a time. */
static void early_request_of_a_legacy_driver_is_not_lost(void)
{
	struct pci_guest guest;

	init(&guest);
	CU_ASSERT_EQUAL(legacy_status(&guest, 1), 1);
	CU_ASSERT_EQUAL(legacy_status(&guest, 2), 3);
	legacy_set(&guest, VIRTIO_PCI_QUEUE_PFN, DESC >> 12, 4);
	ask(&guest);
	legacy_set(&guest, VIRTIO_PCI_QUEUE_NOTIFY, 0, 2);
	CU_ASSERT_EQUAL(answered(&guest), 0);
	CU_ASSERT_EQUAL(legacy_status(&guest, 4), 7);
	CU_ASSERT_EQUAL(answered(&guest), 1);
	pci_guest_destroy(&guest);
}

static void queue_is_frozen_from_driver_ok_on(void)
{
	struct pci_guest guest;

	init(&guest);
	modern_start(&guest);
	modern_set(&guest, VIRTIO_PCI_COMMON_Q_SIZE, 8, 2);
	modern_set(&guest, VIRTIO_PCI_COMMON_Q_DESCLO, 0x10000, 4);
	modern_set(&guest, VIRTIO_PCI_COMMON_Q_USEDLO, 0x10000, 8);
	modern_set(&guest, VIRTIO_PCI_COMMON_Q_ENABLE, 0, 2);
	legacy_set(&guest, VIRTIO_PCI_QUEUE_PFN, 0x20, 4);
	CU_ASSERT_EQUAL(modern_get(&guest, VIRTIO_PCI_COMMON_Q_SIZE, 2), QUEUE);
	CU_ASSERT_EQUAL(modern_get(&guest, VIRTIO_PCI_COMMON_Q_DESCLO, 4), DESC);
	CU_ASSERT_EQUAL(modern_get(&guest, VIRTIO_PCI_COMMON_Q_USEDLO, 4), USED);
	CU_ASSERT_EQUAL(modern_get(&guest, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);

	legacy_start(&guest);
	legacy_set(&guest, VIRTIO_PCI_QUEUE_PFN, 0x20, 4);
	legacy_set(&guest, VIRTIO_PCI_GUEST_FEATURES, UINT32_MAX, 4);
	modern_set(&guest, VIRTIO_PCI_COMMON_Q_ENABLE, 0, 2);
	modern_set(&guest, VIRTIO_PCI_COMMON_Q_USEDLO, 0x10000, 4);
	CU_ASSERT_EQUAL(legacy_get(&guest, VIRTIO_PCI_QUEUE_PFN, 4), DESC >> 12);
	CU_ASSERT_EQUAL(legacy_get(&guest, VIRTIO_PCI_GUEST_FEATURES, 4), 0);
	CU_ASSERT_EQUAL(modern_get(&guest, VIRTIO_PCI_COMMON_Q_USEDLO, 4), USED);
	pci_guest_destroy(&guest);
}

/* Who acknowledges the device drives it until it is reset. */
static void interfaces_do_not_mix(void)
{
	struct pci_guest guest;

	init(&guest);
	CU_ASSERT_EQUAL(legacy_status(&guest, 3), 3);
	modern_features(&guest, 0, VERSION_1);
	CU_ASSERT_EQUAL(modern_status(&guest, 11), 3);
	modern_queue(&guest);
	CU_ASSERT_EQUAL(modern_get(&guest, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	CU_ASSERT_EQUAL(modern_status(&guest, 0), 0);
	CU_ASSERT_EQUAL(modern_status(&guest, 3), 3);
	CU_ASSERT_EQUAL(legacy_status(&guest, 7), 3);
	legacy_set(&guest, VIRTIO_PCI_QUEUE_PFN, 1, 4);
	CU_ASSERT_EQUAL(legacy_get(&guest, VIRTIO_PCI_QUEUE_PFN, 4), 0);
	/* A legacy driver does not get what it was not offered. */
	legacy_status(&guest, 0);
	legacy_status(&guest, 3);
	modern_features(&guest, 0, UINT32_MAX);
	legacy_set(&guest, VIRTIO_PCI_GUEST_FEATURES, UINT32_MAX, 4);
	CU_ASSERT_EQUAL(legacy_status(&guest, 7), 7);
	CU_ASSERT_EQUAL(legacy_get(&guest, VIRTIO_PCI_GUEST_FEATURES, 4), 0x38000000);
	modern_set(&guest, VIRTIO_PCI_COMMON_GFSELECT, 1, 4);
	CU_ASSERT_EQUAL(modern_get(&guest, VIRTIO_PCI_COMMON_GF, 4), 0);
	pci_guest_destroy(&guest);
}

static void features_that_were_not_offered_are_dropped(void)
{
	struct pci_guest guest;

	init(&guest);
	CU_ASSERT_EQUAL(modern_status(&guest, 3), 3);
	modern_features(&guest, UINT32_MAX, UINT32_MAX);
	CU_ASSERT_EQUAL(modern_status(&guest, 11), 11);
	CU_ASSERT_EQUAL(modern_get(&guest, VIRTIO_PCI_COMMON_GF, 4), VERSION_1);
	modern_set(&guest, VIRTIO_PCI_COMMON_GFSELECT, 0, 4);
	CU_ASSERT_EQUAL(modern_get(&guest, VIRTIO_PCI_COMMON_GF, 4), 0x30000000);
	pci_guest_destroy(&guest);
}

static void bad_queues_need_a_reset(void)
{
	static const uint16_t sizes[] = {0, 3, 128, 65535};
	static const uint32_t pages[] = {PCI_GUEST_MEMORY >> 12, 0xff, UINT32_MAX};
	struct pci_guest guest;

	init(&guest);
	for (unsigned i = 0; i < 4; i++) {
		modern_status(&guest, 0);
		modern_status(&guest, 3);
		modern_features(&guest, 0, VERSION_1);
		modern_status(&guest, 11);
		modern_set(&guest, VIRTIO_PCI_COMMON_Q_SIZE, sizes[i], 2);
		modern_queue(&guest);
		CU_ASSERT_EQUAL(modern_status(&guest, 15), 11 | 64);
		modern_set(&guest, NOTIFY, 0, 2);
	}
	for (unsigned i = 0; i < 3; i++) {
		legacy_status(&guest, 0);
		legacy_status(&guest, 3);
		legacy_set(&guest, VIRTIO_PCI_QUEUE_PFN, pages[i], 4);
		CU_ASSERT_EQUAL(legacy_status(&guest, 7), 3 | 64);
		legacy_set(&guest, VIRTIO_PCI_QUEUE_NOTIFY, 0, 2);
	}
	legacy_start(&guest);
	pci_guest_destroy(&guest);
}

static void enable_messages(struct pci_guest *guest)
{
	unsigned at = slot_get(guest, 1, PCI_CAPABILITY_LIST, 1);

	for (unsigned i = 0; i < 2; i++) {
		modern_set(guest, TABLE + i * 16, 0xfee00000, 8);
		modern_set(guest, TABLE + i * 16 + 8, 0x30 + i, 8);
	}
	slot_set(guest, 1, at + 2, MSIX_CONTROL_ENABLED, 2);
}

static void messages_take_the_place_of_the_line(void)
{
	struct pci_guest guest;

	init(&guest);
	enable_messages(&guest);
	modern_start(&guest);
	modern_set(&guest, VIRTIO_PCI_COMMON_Q_MSIX, 1, 2);
	CU_ASSERT_EQUAL(modern_get(&guest, VIRTIO_PCI_COMMON_Q_MSIX, 2), 1);
	ask(&guest);
	modern_set(&guest, NOTIFY, 0, 2);
	CU_ASSERT_EQUAL(guest.messages, 1);
	CU_ASSERT_EQUAL(guest.message_data, 0x31);
	CU_ASSERT_EQUAL(guest.lines, 0);
	CU_ASSERT_EQUAL(modern_get(&guest, ISR, 1), 0);
	/* A vector too many is none, and none is no interrupt. */
	modern_set(&guest, VIRTIO_PCI_COMMON_Q_MSIX, 2, 2);
	CU_ASSERT_EQUAL(modern_get(&guest, VIRTIO_PCI_COMMON_Q_MSIX, 2), 0xffff);
	modern_set(&guest, VIRTIO_PCI_COMMON_MSIX, 0, 2);
	ask(&guest);
	modern_set(&guest, NOTIFY, 0, 2);
	CU_ASSERT_EQUAL(answered(&guest), 2);
	CU_ASSERT_EQUAL(guest.messages, 1);
	/* A ring that lies: the configuration's message. */
	((struct vring_avail *)ring(&guest, AVAIL))->idx += 100;
	modern_set(&guest, NOTIFY, 0, 2);
	CU_ASSERT_EQUAL(guest.messages, 2);
	CU_ASSERT_EQUAL(guest.message_data, 0x30);
	CU_ASSERT_EQUAL(modern_get(&guest, ISR, 1), 2);
	CU_ASSERT_EQUAL(modern_status(&guest, 0), 0);
	CU_ASSERT_EQUAL(modern_get(&guest, VIRTIO_PCI_COMMON_MSIX, 2), 0xffff);
	pci_guest_destroy(&guest);
}

/* 4.1.4.8: two registers more, and the configuration behind them. */
static void legacy_registers_grow_with_messages(void)
{
	struct pci_guest guest;

	init(&guest);
	CU_ASSERT_EQUAL(legacy_get(&guest, VIRTIO_MSI_CONFIG_VECTOR, 2), 0xffff);
	legacy_set(&guest, VIRTIO_MSI_QUEUE_VECTOR, 1, 2);
	enable_messages(&guest);
	CU_ASSERT_EQUAL(legacy_get(&guest, VIRTIO_MSI_QUEUE_VECTOR, 2), 0xffff);
	legacy_start(&guest);
	legacy_set(&guest, VIRTIO_MSI_QUEUE_VECTOR, 1, 2);
	CU_ASSERT_EQUAL(legacy_get(&guest, VIRTIO_MSI_QUEUE_VECTOR, 2), 1);
	ask(&guest);
	legacy_set(&guest, VIRTIO_PCI_QUEUE_NOTIFY, 0, 2);
	CU_ASSERT_EQUAL(guest.messages, 1);
	CU_ASSERT_EQUAL(guest.message_data, 0x31);
	pci_guest_destroy(&guest);
}

static void line_can_be_switched_off(void)
{
	struct pci_guest guest;

	init(&guest);
	modern_start(&guest);
	ask(&guest);
	modern_set(&guest, NOTIFY, 0, 2);
	CU_ASSERT_EQUAL(guest.lines, 1 << GSI);
	slot_set(&guest, 1, PCI_COMMAND, 7 | PCI_COMMAND_INTX_DISABLE, 2);
	CU_ASSERT_EQUAL(guest.lines, 0);
	CU_ASSERT(slot_get(&guest, 1, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	slot_set(&guest, 1, PCI_COMMAND, 7, 2);
	CU_ASSERT_EQUAL(guest.lines, 1 << GSI);
	enable_messages(&guest);
	CU_ASSERT_EQUAL(guest.lines, 0);
	slot_set(&guest, 1, slot_get(&guest, 1, PCI_CAPABILITY_LIST, 1) + 2, 0, 2);
	CU_ASSERT_EQUAL(guest.lines, 1 << GSI);
	CU_ASSERT_EQUAL(modern_status(&guest, 0), 0);
	CU_ASSERT_EQUAL(guest.lines, 0);
	pci_guest_destroy(&guest);
}

/* The capability of VIRTIO_PCI_CAP_PCI_CFG: the last one. */
static unsigned window_at(struct pci_guest *guest)
{
	unsigned at = slot_get(guest, 1, PCI_CAPABILITY_LIST, 1), next;

	while ((next = slot_get(guest, 1, at + PCI_CAP_LIST_NEXT, 1)))
		at = next;
	return at;
}

/* 4.1.4.9 */
static void configuration_space_is_a_way_to_the_registers(void)
{
	struct pci_guest guest;
	unsigned at;

	init(&guest);
	at = window_at(&guest);
	slot_set(&guest, 1, at + VIRTIO_PCI_CAP_BAR, 1, 1);
	slot_set(&guest, 1, at + VIRTIO_PCI_CAP_LENGTH, 1, 4);
	slot_set(&guest, 1, at + VIRTIO_PCI_CAP_OFFSET, VIRTIO_PCI_COMMON_STATUS, 4);
	slot_set(&guest, 1, at + 16, 3, 1);
	CU_ASSERT_EQUAL(modern_get(&guest, VIRTIO_PCI_COMMON_STATUS, 1), 3);
	CU_ASSERT_EQUAL(slot_get(&guest, 1, at + 16, 1), 3);
	/* Of another length, of no BAR, across the end: the bytes are only bytes. */
	slot_set(&guest, 1, at + 16, 0, 4);
	slot_set(&guest, 1, at + VIRTIO_PCI_CAP_BAR, 2, 1);
	slot_set(&guest, 1, at + 16, 0, 1);
	slot_set(&guest, 1, at + VIRTIO_PCI_CAP_BAR, 1, 1);
	slot_set(&guest, 1, at + VIRTIO_PCI_CAP_OFFSET, VIRTIO_PCI_MEMORY, 4);
	slot_set(&guest, 1, at + 16, 0, 1);
	slot_set(&guest, 1, at + VIRTIO_PCI_CAP_OFFSET, UINT32_MAX, 4);
	slot_set(&guest, 1, at + 16, 0, 1);
	CU_ASSERT_EQUAL(modern_get(&guest, VIRTIO_PCI_COMMON_STATUS, 1), 3);
	/* And to the legacy ones. */
	slot_set(&guest, 1, at + VIRTIO_PCI_CAP_BAR, 0, 1);
	slot_set(&guest, 1, at + VIRTIO_PCI_CAP_LENGTH, 2, 4);
	slot_set(&guest, 1, at + VIRTIO_PCI_CAP_OFFSET, VIRTIO_PCI_QUEUE_NUM, 4);
	CU_ASSERT_EQUAL(slot_get(&guest, 1, at + 16, 2), QUEUE);
	pci_guest_destroy(&guest);
}

static void registers_have_their_width(void)
{
	struct pci_guest guest;

	init(&guest);
	modern_set(&guest, VIRTIO_PCI_COMMON_STATUS, 1, 4);
	modern_set(&guest, VIRTIO_PCI_COMMON_STATUS, 1, 2);
	legacy_set(&guest, VIRTIO_PCI_STATUS, 1, 4);
	legacy_set(&guest, VIRTIO_PCI_STATUS, 1, 2);
	CU_ASSERT_EQUAL(modern_get(&guest, VIRTIO_PCI_COMMON_STATUS, 1), 0);
	modern_set(&guest, VIRTIO_PCI_COMMON_Q_SELECT, 1, 1);
	modern_set(&guest, VIRTIO_PCI_COMMON_Q_SELECT, 1, 8);
	CU_ASSERT_EQUAL(modern_get(&guest, VIRTIO_PCI_COMMON_Q_SELECT, 2), 0);
	/* Past the registers, and in the holes between them. */
	CU_ASSERT_EQUAL(modern_get(&guest, 56, 4), UINT32_MAX);
	CU_ASSERT_EQUAL(modern_get(&guest, 52, 8), UINT64_MAX);
	CU_ASSERT_EQUAL(modern_get(&guest, 0x200, 4), UINT32_MAX);
	CU_ASSERT_EQUAL(modern_get(&guest, 0xffc, 4), 0);
	CU_ASSERT_EQUAL(legacy_get(&guest, VIRTIO_PCI_ISR, 2), 0xffff);
	CU_ASSERT_EQUAL(legacy_get(&guest, VIRTIO_PCI_PORTS - 1, 1), 0xff);
	pci_guest_destroy(&guest);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(capabilities_name_every_structure),
	        UNIT(modern_driver_gets_its_answer),
	        UNIT(legacy_driver_gets_its_answer),
	        UNIT(early_request_of_a_legacy_driver_is_not_lost),
	        UNIT(queue_is_frozen_from_driver_ok_on),
	        UNIT(interfaces_do_not_mix),
	        UNIT(features_that_were_not_offered_are_dropped),
	        UNIT(bad_queues_need_a_reset),
	        UNIT(messages_take_the_place_of_the_line),
	        UNIT(legacy_registers_grow_with_messages),
	        UNIT(line_can_be_switched_off),
	        UNIT(configuration_space_is_a_way_to_the_registers),
	        UNIT(registers_have_their_width),
	        {0},
	};

	return unit_run("virtio-pci", tests);
}
