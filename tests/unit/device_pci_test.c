/* Configuration space, BARs and MSI-X. */
#include <errno.h>

#include "devices/msix.h"
#include "tests/unit/pci_guest.h"
#include "tests/unit/unit.h"

static void init(struct pci_guest *guest, unsigned devices)
{
	pci_guest_init(guest);
	while (devices--)
		pci_guest_add(guest, virtio_rng_create(&guest->host));
}

static uint32_t by_ports(
        struct pci_guest *guest, uint32_t address, unsigned byte, unsigned size)
{
	pci_set(&guest->ports, 0xcf8, address, 4);
	return pci_get(&guest->ports, 0xcfc + byte, size);
}

static void both_ways_lead_to_the_same_configuration(void)
{
	struct pci_guest guest;

	init(&guest, 1);
	/* As Linux looks for type 1 configuration. */
	pci_set(&guest.ports, 0xcfb, 1, 1);
	pci_set(&guest.ports, 0xcf8, 0x80000000, 4);
	CU_ASSERT_EQUAL(pci_get(&guest.ports, 0xcf8, 4), 0x80000000);
	for (unsigned slot = 0; slot < 2; slot++)
		for (unsigned at = 0; at < PCI_CONFIG; at++) {
			unsigned size = at % 4 == 0 ? 4 : at % 2 == 0 ? 2 : 1;
			uint32_t address = 0x80000000 | slot << 11 | (at & 0xfc);

			CU_ASSERT_EQUAL(by_ports(&guest, address, at & 3, size),
			        slot_get(&guest, slot, at, size));
		}
	CU_ASSERT_EQUAL(slot_get(&guest, 0, PCI_CLASS_DEVICE, 2), 0x0600);
	CU_ASSERT_EQUAL(slot_get(&guest, 1, PCI_VENDOR_ID, 4), 0x10051af4);
	CU_ASSERT_EQUAL(slot_get(&guest, 1, PCI_SUBSYSTEM_ID, 2), 4);
	CU_ASSERT_EQUAL(slot_get(&guest, 1, PCI_INTERRUPT_LINE, 2), 0x100 | 17);
	pci_set(&guest.ports, 0xcf8, 0x80000000 | 1 << 11 | PCI_INTERRUPT_LINE, 4);
	pci_set(&guest.ports, 0xcfc, 9, 1);
	CU_ASSERT_EQUAL(slot_get(&guest, 1, PCI_INTERRUPT_LINE, 1), 9);
	pci_guest_destroy(&guest);
}

static void what_is_not_there_reads_as_ones(void)
{
	struct pci_guest guest;

	init(&guest, 1);
	CU_ASSERT_EQUAL(slot_get(&guest, 2, 0, 4), UINT32_MAX);
	CU_ASSERT_EQUAL(slot_get(&guest, 31, 0, 4), UINT32_MAX);
	/* Another function, another bus, no enable bit. */
	CU_ASSERT_EQUAL(slot_get(&guest, 1, 0x1000, 4), UINT32_MAX);
	CU_ASSERT_EQUAL(by_ports(&guest, 0x80000900, 0, 4), UINT32_MAX);
	CU_ASSERT_EQUAL(by_ports(&guest, 0x80010800, 0, 4), UINT32_MAX);
	CU_ASSERT_EQUAL(by_ports(&guest, 0x80ff0800, 0, 4), UINT32_MAX);
	CU_ASSERT_EQUAL(by_ports(&guest, 0x00000800, 0, 4), UINT32_MAX);
	/* Across a double word, or longer than one. */
	CU_ASSERT_EQUAL(slot_get(&guest, 1, 1, 2), 0xffff);
	CU_ASSERT_EQUAL(slot_get(&guest, 1, 2, 4), UINT32_MAX);
	CU_ASSERT_EQUAL(pci_get(&guest.mmio, pci_config(1, 0), 8), UINT64_MAX);
	CU_ASSERT_EQUAL(by_ports(&guest, 0x80000800, 2, 4), UINT32_MAX);
	/* Extended space has no capability. */
	CU_ASSERT_EQUAL(slot_get(&guest, 1, PCI_CONFIG, 4), 0);
	CU_ASSERT_EQUAL(slot_get(&guest, 1, 0xffc, 4), 0);
	slot_set(&guest, 1, PCI_CONFIG, UINT32_MAX, 4);
	slot_set(&guest, 2, 0, UINT32_MAX, 4);
	CU_ASSERT_EQUAL(slot_get(&guest, 1, PCI_CONFIG, 4), 0);
	pci_guest_destroy(&guest);
}

static void read_only_bits_stay(void)
{
	struct pci_guest guest;
	uint8_t before[PCI_CONFIG];

	init(&guest, 1);
	for (unsigned slot = 0; slot < 2; slot++) {
		for (unsigned at = 0; at < PCI_CONFIG; at++)
			before[at] = slot_get(&guest, slot, at, 1);
		for (unsigned at = 0; at < PCI_STD_HEADER_SIZEOF; at++)
			slot_set(&guest, slot, at, 0xff, 1);
		CU_ASSERT_EQUAL(
		        slot_get(&guest, slot, PCI_COMMAND, 2), slot ? 0x407 : 0x404);
		for (unsigned at = 0; at < PCI_STD_HEADER_SIZEOF; at++)
			slot_set(&guest, slot, at, before[at], 1);
		for (unsigned at = 0; at < PCI_CONFIG; at++)
			CU_ASSERT_EQUAL(slot_get(&guest, slot, at, 1), before[at]);
	}
	pci_guest_destroy(&guest);
}

static void bars_answer_with_their_size(void)
{
	struct pci_guest guest;

	init(&guest, 1);
	CU_ASSERT_EQUAL(slot_get(&guest, 1, PCI_BASE_ADDRESS_0, 4), 0x1081);
	CU_ASSERT_EQUAL(slot_get(&guest, 1, PCI_BASE_ADDRESS_1, 4), 0x50002000);
	for (unsigned at = PCI_BASE_ADDRESS_0; at <= PCI_BASE_ADDRESS_5; at += 4)
		slot_set(&guest, 1, at, UINT32_MAX, 4);
	slot_set(&guest, 1, PCI_ROM_ADDRESS, UINT32_MAX, 4);
	CU_ASSERT_EQUAL(slot_get(&guest, 1, PCI_BASE_ADDRESS_0, 4), 0xffffff81);
	CU_ASSERT_EQUAL(slot_get(&guest, 1, PCI_BASE_ADDRESS_1, 4), 0xffffe000);
	for (unsigned at = PCI_BASE_ADDRESS_2; at <= PCI_BASE_ADDRESS_5; at += 4)
		CU_ASSERT_EQUAL(slot_get(&guest, 1, at, 4), 0);
	CU_ASSERT_EQUAL(slot_get(&guest, 1, PCI_ROM_ADDRESS, 4), 0);
	/* While it is sized it is nowhere. */
	CU_ASSERT_FALSE(
	        bus_read(&guest.mmio, 0xffffe000, &(uint32_t){0}, sizeof(uint32_t)));
	pci_guest_destroy(&guest);
}

static bool is_there(struct pci_guest *guest, uint64_t base)
{
	uint8_t status;

	return bus_read(&guest->mmio, base + VIRTIO_PCI_COMMON_STATUS, &status, 1);
}

static void bars_move_and_go(void)
{
	struct pci_guest guest;

	init(&guest, 1);
	CU_ASSERT_TRUE(is_there(&guest, pci_guest_base(1)));
	slot_set(&guest, 1, PCI_BASE_ADDRESS_1, 0x60000000, 4);
	CU_ASSERT_FALSE(is_there(&guest, pci_guest_base(1)));
	CU_ASSERT_TRUE(is_there(&guest, 0x60000000));
	/* Half by half, as narrow writes may come. */
	slot_set(&guest, 1, PCI_BASE_ADDRESS_1 + 2, 0x6100, 2);
	CU_ASSERT_TRUE(is_there(&guest, 0x61000000));
	slot_set(&guest, 1, PCI_COMMAND, PCI_COMMAND_IO, 2);
	CU_ASSERT_FALSE(is_there(&guest, 0x61000000));
	CU_ASSERT_TRUE(bus_read(&guest.ports, pci_guest_port(1), &(uint32_t){0}, 4));
	slot_set(&guest, 1, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	CU_ASSERT_TRUE(is_there(&guest, 0x61000000));
	CU_ASSERT_FALSE(bus_read(&guest.ports, pci_guest_port(1), &(uint32_t){0}, 4));
	slot_set(&guest, 1, PCI_BASE_ADDRESS_1, 0, 4);
	CU_ASSERT_FALSE(is_there(&guest, 0));
	CU_ASSERT_EQUAL(guest.mmio.count, 1);
	CU_ASSERT_EQUAL(guest.ports.count, 1);
	/* Ports have 16 bits. */
	slot_set(&guest, 1, PCI_COMMAND, PCI_COMMAND_IO, 2);
	slot_set(&guest, 1, PCI_BASE_ADDRESS_0, 0x10000, 4);
	CU_ASSERT_EQUAL(guest.ports.count, 1);
	slot_set(&guest, 1, PCI_BASE_ADDRESS_0, 0xff80, 4);
	CU_ASSERT_EQUAL(guest.ports.count, 2);
	pci_guest_destroy(&guest);
}

/* The BAR that came second gets its place once the first one has left it. */
static void overlapping_bar_waits_for_its_place(void)
{
	struct pci_guest guest;

	init(&guest, 2);
	slot_set(&guest, 1, PCI_BASE_ADDRESS_1, pci_guest_base(2), 4);
	CU_ASSERT_EQUAL(guest.mmio.count, 2);
	CU_ASSERT_EQUAL(slot_get(&guest, 1, PCI_BASE_ADDRESS_1, 4), 0x50004000);
	pci_set(&guest.mmio, pci_guest_base(2) + VIRTIO_PCI_COMMON_STATUS, 1, 1);
	slot_set(&guest, 2, PCI_BASE_ADDRESS_1, 0x60000000, 4);
	CU_ASSERT_EQUAL(guest.mmio.count, 3);
	CU_ASSERT_EQUAL(
	        pci_get(&guest.mmio, 0x60000000 + VIRTIO_PCI_COMMON_STATUS, 1), 1);
	CU_ASSERT_EQUAL(
	        pci_get(&guest.mmio, pci_guest_base(2) + VIRTIO_PCI_COMMON_STATUS, 1),
	        0);
	/* On top of the root's own windows: never. */
	slot_set(&guest, 1, PCI_BASE_ADDRESS_1, PCI_GUEST_ECAM, 4);
	slot_set(&guest, 1, PCI_BASE_ADDRESS_0, 0xc80, 4);
	CU_ASSERT_EQUAL(guest.mmio.count, 2);
	CU_ASSERT_EQUAL(slot_get(&guest, 0, PCI_CLASS_DEVICE, 2), 0x0600);
	CU_ASSERT_EQUAL(by_ports(&guest, 0x80000008, 2, 2), 0x0600);
	pci_guest_destroy(&guest);
}

static void slots_are_taken_once(void)
{
	const uint32_t bases[PCI_BARS] = {0};
	struct pci_function function;
	struct pci_guest guest;

	init(&guest, 1);
	pci_function_init(&function, NULL, &(struct pci_identity){0});
	CU_ASSERT_EQUAL(pci_add(guest.root, 0, &function, bases), -EEXIST);
	CU_ASSERT_EQUAL(pci_add(guest.root, 1, &function, bases), -EEXIST);
	CU_ASSERT_EQUAL(pci_add(guest.root, PCI_SLOTS, &function, bases), -EINVAL);
	CU_ASSERT_EQUAL(pci_add(guest.root, PCI_SLOTS - 1, &function, bases), 0);
	pci_guest_destroy(&guest);
}

static void set_message(
        struct msix *msix, struct device_host *host, unsigned vector, uint32_t mask)
{
	const uint32_t words[] = {0xfee00000 | vector << 12, 1, 0x40 + vector, mask};

	for (unsigned i = 0; i < 4; i++)
		msix_write(msix, host, vector * MSIX_ENTRY + 4 * i, &words[i], 4);
}

static uint64_t pending(const struct msix *msix)
{
	uint64_t bits = UINT64_MAX;

	msix_read(msix, MSIX_PENDING_OFFSET, &bits, sizeof(bits));
	return bits;
}

/* 6.8.2.4 to 6.8.2.9 */
static void masked_messages_wait(void)
{
	struct pci_guest guest;
	struct msix msix;

	pci_guest_init(&guest);
	msix_init(&msix, 3);
	set_message(&msix, &guest.host, 2, 0);
	msix_raise(&msix, &guest.host, 2);
	CU_ASSERT_EQUAL(guest.messages, 0); /* not enabled */
	CU_ASSERT_EQUAL(pending(&msix), 0);
	msix_set_control(&msix, &guest.host, MSIX_CONTROL_ENABLED);
	msix_raise(&msix, &guest.host, 2);
	CU_ASSERT_EQUAL(guest.messages, 1);
	CU_ASSERT_EQUAL(guest.message_address, 0x1fee02000);
	CU_ASSERT_EQUAL(guest.message_data, 0x42);
	/* Its own mask, from the start on. */
	msix_raise(&msix, &guest.host, 1);
	msix_raise(&msix, &guest.host, 1);
	CU_ASSERT_EQUAL(guest.messages, 1);
	CU_ASSERT_EQUAL(pending(&msix), 2);
	set_message(&msix, &guest.host, 1, 0);
	CU_ASSERT_EQUAL(guest.messages, 2);
	CU_ASSERT_EQUAL(guest.message_data, 0x41);
	CU_ASSERT_EQUAL(pending(&msix), 0);
	/* The function's mask. */
	msix_set_control(
	        &msix, &guest.host, MSIX_CONTROL_ENABLED | MSIX_CONTROL_MASKED);
	msix_raise(&msix, &guest.host, 1);
	msix_raise(&msix, &guest.host, 2);
	CU_ASSERT_EQUAL(pending(&msix), 6);
	set_message(&msix, &guest.host, 2, 1);
	msix_set_control(&msix, &guest.host, MSIX_CONTROL_ENABLED);
	CU_ASSERT_EQUAL(guest.messages, 3);
	CU_ASSERT_EQUAL(pending(&msix), 4);
	/* What does not exist. */
	msix_raise(&msix, &guest.host, 3);
	msix_raise(&msix, &guest.host, VIRTIO_MSI_NO_VECTOR);
	CU_ASSERT_EQUAL(pending(&msix), 4);
	pci_guest_destroy(&guest);
}

static void message_table_takes_only_words(void)
{
	struct pci_guest guest;
	struct msix msix, before;
	uint64_t value = UINT64_MAX;

	pci_guest_init(&guest);
	msix_init(&msix, 2);
	before = msix;
	msix_write(&msix, &guest.host, 0, &value, 1);
	msix_write(&msix, &guest.host, 0, &value, 2);
	msix_write(&msix, &guest.host, 2, &value, 4);
	msix_write(&msix, &guest.host, 4, &value, 8);
	msix_write(&msix, &guest.host, 2 * MSIX_ENTRY, &value, 8);
	msix_write(&msix, &guest.host, MSIX_PENDING_OFFSET, &value, 8);
	msix_write(&msix, &guest.host, MSIX_SIZE - 8, &value, 8);
	CU_ASSERT_EQUAL(memcmp(&msix, &before, sizeof(msix)), 0);
	msix_write(&msix, &guest.host, 8, &value, 8);
	CU_ASSERT_EQUAL(msix.table[0].masked, 1); /* the rest is reserved */
	msix_read(&msix, 2 * MSIX_ENTRY, &value, 8);
	CU_ASSERT_EQUAL(value, 0);
	value = 7;
	msix_read(&msix, 1, &value, 4);
	CU_ASSERT_EQUAL(value, 7);
	pci_guest_destroy(&guest);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(both_ways_lead_to_the_same_configuration),
	        UNIT(what_is_not_there_reads_as_ones),
	        UNIT(read_only_bits_stay),
	        UNIT(bars_answer_with_their_size),
	        UNIT(bars_move_and_go),
	        UNIT(overlapping_bar_waits_for_its_place),
	        UNIT(slots_are_taken_once),
	        UNIT(masked_messages_wait),
	        UNIT(message_table_takes_only_words),
	        {0},
	};

	return unit_run("pci", tests);
}
