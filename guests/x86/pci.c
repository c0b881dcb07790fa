/*
 * Reads random bytes of a virtio-pci device, found by ports 0xcf8 and 0xcfc:
 * interface=legacy, or the modern one; interrupts=messages (MSI-X), or the line; moved=yes:
 * its BARs lie elsewhere first. Leaves with 0 if bytes and interrupt came, each twice.
 */
#include <linux/errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>

#include "guest.h"
#include "mayfly.h"
#include "x86/cpu.h"

MAYFLY_NEEDS(MAYFLY_NEEDS_IRQCHIP);

enum {
	CONFIG_ADDRESS = 0xcf8,
	CONFIG_DATA = 0xcfc,
	VENDOR_VIRTIO = 0x1af4,
	PAGE = 4096,
	MESSAGE_IRQ = 20, /* start.S: vector 32 + 20 */
	MESSAGE_VECTOR = 52,
	TIMEOUT_MS = 5000,
	MOVED_PORTS = 0x4000,
	BYTES = 32,
};
#define MOVED_MEMORY 0xdc000000u

/* A queue in the legacy layout, of a size that divides a page (VIRTIO 1.2, 2.7.2). */
static uint8_t queue_memory[2 * PAGE] __attribute__((aligned(PAGE)));
static uint8_t bytes[BYTES];

static struct device {
	unsigned slot;
	bool legacy, messages;
	uint16_t ports;
	uintptr_t memory;
	uint32_t common, isr, notify, table;
	unsigned irq, queue_size;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
} device;

static uint32_t config_read(unsigned offset)
{
	out32(CONFIG_ADDRESS, 0x80000000 | device.slot << 11 | (offset & 0xfc));
	return in32(CONFIG_DATA);
}

static void config_write(unsigned offset, uint32_t value)
{
	out32(CONFIG_ADDRESS, 0x80000000 | device.slot << 11 | (offset & 0xfc));
	out32(CONFIG_DATA, value);
}

static volatile void *common(unsigned offset)
{
	return (volatile void *)(device.memory + device.common + offset);
}

static void common_write8(unsigned offset, uint8_t value)
{
	*(volatile uint8_t *)common(offset) = value;
}

static void common_write16(unsigned offset, uint16_t value)
{
	*(volatile uint16_t *)common(offset) = value;
}

static void common_write32(unsigned offset, uint32_t value)
{
	*(volatile uint32_t *)common(offset) = value;
}

/* By its subsystem, as legacy drivers know what a device is (4.1.2). */
static int find(void)
{
	for (device.slot = 0; device.slot < 32; device.slot++)
		if ((config_read(PCI_VENDOR_ID) & 0xffff) == VENDOR_VIRTIO &&
		        config_read(PCI_SUBSYSTEM_VENDOR_ID) >> 16 == VIRTIO_ID_RNG)
			return 0;
	return -ENODEV;
}

static void place(bool moved)
{
	if (moved) {
		config_write(PCI_BASE_ADDRESS_0, MOVED_PORTS);
		config_write(PCI_BASE_ADDRESS_1, MOVED_MEMORY);
	}
	config_write(
	        PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	device.ports = config_read(PCI_BASE_ADDRESS_0) & PCI_BASE_ADDRESS_IO_MASK;
	device.memory =
	        config_read(PCI_BASE_ADDRESS_1) & (uint32_t)PCI_BASE_ADDRESS_MEM_MASK;
	device.irq = config_read(PCI_INTERRUPT_LINE) & 0xff;
}

/* 4.1.4: where the structures are in BAR 1; switches the messages on, if asked to. */
static void read_capabilities(void)
{
	unsigned at = config_read(PCI_CAPABILITY_LIST) & 0xfc;

	for (; at; at = config_read(at) >> 8 & 0xfc) {
		uint32_t head = config_read(at), place = config_read(at + 8);

		if ((head & 0xff) == PCI_CAP_ID_MSIX) {
			device.table = config_read(at + PCI_MSIX_TABLE) & ~7u;
			if (device.messages)
				config_write(at, (uint32_t)PCI_MSIX_FLAGS_ENABLE << 16);
		} else if (head >> 24 == VIRTIO_PCI_CAP_COMMON_CFG) {
			device.common = place;
		} else if (head >> 24 == VIRTIO_PCI_CAP_NOTIFY_CFG) {
			device.notify = place;
		} else if (head >> 24 == VIRTIO_PCI_CAP_ISR_CFG) {
			device.isr = place;
		}
	}
}

/* Vector 0 of the table; PCI Local Bus 3.0, 6.8.2 and Intel SDM volume 3, 11.11. */
static void set_message(void)
{
	uintptr_t entry = device.memory + device.table;

	mmio_write(entry, MAYFLY_LAPIC);
	mmio_write(entry + 4, 0);
	mmio_write(entry + 8, MESSAGE_VECTOR);
	mmio_write(entry + 12, 0);
	device.irq = MESSAGE_IRQ;
}

static void set_rings(void)
{
	uint8_t *used = queue_memory + PAGE;

	device.desc = (void *)queue_memory;
	device.avail = (void *)(device.desc + device.queue_size);
	device.used = (void *)used;
}

/* Bits one by one, as some legacy drivers do. */
static void start_legacy(void)
{
	out8(device.ports + VIRTIO_PCI_STATUS, 0);
	out8(device.ports + VIRTIO_PCI_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	out8(device.ports + VIRTIO_PCI_STATUS, VIRTIO_CONFIG_S_DRIVER);
	out32(device.ports + VIRTIO_PCI_GUEST_FEATURES, 0);
	out16(device.ports + VIRTIO_PCI_QUEUE_SEL, 0);
	device.queue_size = in16(device.ports + VIRTIO_PCI_QUEUE_NUM);
	set_rings();
	out32(device.ports + VIRTIO_PCI_QUEUE_PFN, (uintptr_t)queue_memory / PAGE);
	if (device.messages)
		out16(device.ports + VIRTIO_MSI_QUEUE_VECTOR, 0);
	out8(device.ports + VIRTIO_PCI_STATUS, VIRTIO_CONFIG_S_DRIVER_OK);
}

static void start_modern(void)
{
	uint8_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	common_write8(VIRTIO_PCI_COMMON_STATUS, 0);
	common_write8(VIRTIO_PCI_COMMON_STATUS, status);
	common_write32(VIRTIO_PCI_COMMON_GFSELECT, 1);
	common_write32(VIRTIO_PCI_COMMON_GF, 1u << (VIRTIO_F_VERSION_1 - 32));
	status |= VIRTIO_CONFIG_S_FEATURES_OK;
	common_write8(VIRTIO_PCI_COMMON_STATUS, status);
	common_write16(VIRTIO_PCI_COMMON_Q_SELECT, 0);
	device.queue_size = *(volatile uint16_t *)common(VIRTIO_PCI_COMMON_Q_SIZE);
	set_rings();
	common_write32(VIRTIO_PCI_COMMON_Q_DESCLO, (uint32_t)(uintptr_t)device.desc);
	common_write32(VIRTIO_PCI_COMMON_Q_AVAILLO, (uint32_t)(uintptr_t)device.avail);
	common_write32(VIRTIO_PCI_COMMON_Q_USEDLO, (uint32_t)(uintptr_t)device.used);
	if (device.messages)
		common_write16(VIRTIO_PCI_COMMON_Q_MSIX, 0);
	common_write16(VIRTIO_PCI_COMMON_Q_ENABLE, 1);
	common_write8(VIRTIO_PCI_COMMON_STATUS, status | VIRTIO_CONFIG_S_DRIVER_OK);
}

static void kick(void)
{
	if (device.legacy)
		out16(device.ports + VIRTIO_PCI_QUEUE_NOTIFY, 0);
	else
		*(volatile uint16_t *)(device.memory + device.notify) = 0;
}

/* The line falls when this is read; with messages nobody needs to. */
static uint8_t isr(void)
{
	return device.legacy ? in8(device.ports + VIRTIO_PCI_ISR)
	                     : *(volatile uint8_t *)(device.memory + device.isr);
}

/* Both: the device has used the buffer, and said so. */
static bool bytes_come(void)
{
	uint64_t deadline = clock_ms() + TIMEOUT_MS;
	uint16_t index = device.avail->idx;

	device.desc[0] =
	        (struct vring_desc){(uintptr_t)bytes, BYTES, VRING_DESC_F_WRITE, 0};
	device.avail->ring[index % device.queue_size] = 0;
	__atomic_store_n(&device.avail->idx, (uint16_t)(index + 1), __ATOMIC_RELEASE);
	kick();
	while (!(irq_wait(deadline) & 1u << device.irq))
		if (clock_ms() >= deadline)
			return false;
	if (!device.messages && isr() != 1)
		return false;
	return *(volatile uint16_t *)&device.used->idx == (uint16_t)(index + 1);
}

static bool option_has(const char *name, const char *word)
{
	const char *text = option_find(command_line, name);

	return text && option_is(text, word);
}

int main(void)
{
	uint8_t first[BYTES];
	unsigned different = 0;

	device.legacy = option_has("interface", "legacy");
	device.messages = option_has("interrupts", "messages");
	if (config_read(PCI_VENDOR_ID) == UINT32_MAX) {
		print("pci: no PCI\n");
		return 2;
	}
	if (find()) {
		print("pci: no device\n");
		return 2;
	}
	place(option_has("moved", "yes"));
	read_capabilities();
	if (device.messages)
		set_message();
	else
		irq_enable(device.irq);
	if (device.legacy)
		start_legacy();
	else
		start_modern();
	for (unsigned round = 0; round < 2; round++) {
		if (!bytes_come()) {
			print("pci: the device does not answer\n");
			return 1;
		}
		for (unsigned n = 0; n < BYTES; n++) {
			different += round && bytes[n] != first[n];
			first[n] = bytes[n];
		}
	}
	print("pci: %s\n", different ? "ok" : "the same bytes twice");
	return different ? 0 : 1;
}
