#include "devices/msix.h"

#include <assert.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "vmm/device.h"

static_assert(sizeof(struct msix_entry) == MSIX_ENTRY, "6.8.2: the table is its image");
static_assert(
        MSIX_VECTORS * MSIX_ENTRY <= MSIX_PENDING_OFFSET, "two things, two places");

void msix_init(struct msix *msix, unsigned count)
{
	assert(count > 0 && count <= MSIX_VECTORS);
	*msix = (struct msix){.count = count};
	for (unsigned i = 0; i < count; i++)
		msix->table[i].masked = PCI_MSIX_ENTRY_CTRL_MASKBIT;
}

void msix_capability(const struct msix *msix, unsigned bar, uint32_t offset,
        uint8_t capability[MSIX_CAPABILITY])
{
	uint16_t control = msix->count - 1;
	uint32_t table = offset | bar, pending = (offset + MSIX_PENDING_OFFSET) | bar;

	memset(capability, 0, MSIX_CAPABILITY);
	capability[0] = PCI_CAP_ID_MSIX;
	memcpy(capability + PCI_MSIX_FLAGS, &control, sizeof(control));
	memcpy(capability + PCI_MSIX_TABLE, &table, sizeof(table));
	memcpy(capability + PCI_MSIX_PBA, &pending, sizeof(pending));
}

static bool masked(const struct msix *msix, unsigned vector)
{
	return msix->control & MSIX_CONTROL_MASKED ||
	       msix->table[vector].masked & PCI_MSIX_ENTRY_CTRL_MASKBIT;
}

static void send(struct msix *msix, struct device_host *host, unsigned vector)
{
	const struct msix_entry *entry = &msix->table[vector];

	msix->pending &= ~(UINT64_C(1) << vector);
	/* 6.8.2.4: the address's lowest bits are not implemented. */
	host->send_msi(host, entry->address & ~UINT64_C(3), entry->data);
}

void msix_raise(struct msix *msix, struct device_host *host, unsigned vector)
{
	if (vector >= msix->count || !msix_enabled(msix))
		return;
	if (masked(msix, vector))
		msix->pending |= UINT64_C(1) << vector;
	else
		send(msix, host, vector);
}

static void send_pending(struct msix *msix, struct device_host *host)
{
	for (unsigned i = 0; i < msix->count && msix_enabled(msix); i++)
		if (msix->pending >> i & 1 && !masked(msix, i))
			send(msix, host, i);
}

void msix_set_control(struct msix *msix, struct device_host *host, uint16_t control)
{
	msix->control = control & (MSIX_CONTROL_MASKED | MSIX_CONTROL_ENABLED);
	send_pending(msix, host);
}

/* 6.8.2: software uses aligned double words and quad words; anything else is undefined. */
static bool is_word(uint64_t offset, unsigned size)
{
	return (size == 4 || size == 8) && offset % size == 0;
}

void msix_read(const struct msix *msix, uint64_t offset, void *data, unsigned size)
{
	size_t table = msix->count * sizeof(msix->table[0]);

	if (!is_word(offset, size))
		return;
	if (offset < table) /* aligned, so all of it */
		memcpy(data, (const char *)msix->table + offset, size);
	else if (offset - MSIX_PENDING_OFFSET < sizeof(msix->pending))
		memcpy(data,
		        (const char *)&msix->pending + (offset - MSIX_PENDING_OFFSET),
		        size);
	else
		memset(data, 0, size);
}

/* The pending bits are the device's. */
void msix_write(struct msix *msix, struct device_host *host, uint64_t offset,
        const void *data, unsigned size)
{
	if (!is_word(offset, size) || offset >= msix->count * sizeof(msix->table[0]))
		return;
	memcpy((char *)msix->table + offset, data, size);
	msix->table[offset / MSIX_ENTRY].masked &= PCI_MSIX_ENTRY_CTRL_MASKBIT;
	send_pending(msix, host);
}
