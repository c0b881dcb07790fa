#include "devices/pci.h"

#include <assert.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "devices/devices.h"
#include "vmm/log.h"

/* PCI Local Bus 3.0, 3.2.2.3.2: CONFIG_ADDRESS, and CONFIG_DATA behind it. */
enum { ADDRESS = 0, DATA = 4 };
static const uint32_t ADDRESS_ENABLE = UINT32_C(1) << 31;
static const uint32_t ADDRESS_BITS = 0x80fffffc;

struct pci {
	struct device device;
	struct pci_function bridge;
	struct pci_function *functions[PCI_SLOTS];
	/* Where the windows are now; they follow the configuration space. */
	struct {
		bool mapped[PCI_BARS];
		uint32_t bases[PCI_BARS];
	} slots[PCI_SLOTS];
	struct pci_state {
		uint32_t address;
	} state;
	struct log_counter overlaps;
};

/* The configuration space is little-endian, as all our hosts are. */
static void set16(uint8_t *config, unsigned offset, uint16_t value)
{
	memcpy(config + offset, &value, sizeof(value));
}

static void set32(uint8_t *config, unsigned offset, uint32_t value)
{
	memcpy(config + offset, &value, sizeof(value));
}

uint16_t pci_config16(const struct pci_function *function, unsigned offset)
{
	uint16_t value;

	memcpy(&value, function->config + offset, sizeof(value));
	return value;
}

static uint32_t config32(const struct pci_function *function, unsigned offset)
{
	uint32_t value;

	memcpy(&value, function->config + offset, sizeof(value));
	return value;
}

void pci_function_init(struct pci_function *function, struct device *device,
        const struct pci_identity *identity)
{
	uint8_t *config = function->config;

	*function =
	        (struct pci_function){.device = device, .free = PCI_STD_HEADER_SIZEOF};
	set16(config, PCI_VENDOR_ID, identity->vendor);
	set16(config, PCI_DEVICE_ID, identity->device);
	set32(config, PCI_CLASS_REVISION,
	        identity->class_code << 8 | identity->revision);
	set16(config, PCI_SUBSYSTEM_VENDOR_ID, identity->subsystem_vendor);
	set16(config, PCI_SUBSYSTEM_ID, identity->subsystem);
	set16(function->writable, PCI_COMMAND,
	        PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
	function->writable[PCI_CACHE_LINE_SIZE] = 0xff;
	function->writable[PCI_LATENCY_TIMER] = 0xff;
	function->writable[PCI_INTERRUPT_LINE] = 0xff;
}

static unsigned bar_at(unsigned bar)
{
	return PCI_BASE_ADDRESS_0 + bar * 4;
}

static bool is_port(const struct pci_function *function, unsigned bar)
{
	return function->config[bar_at(bar)] & PCI_BASE_ADDRESS_SPACE_IO;
}

/* The bits of a BAR that say what it is, and the command that switches it on. */
static uint32_t type_bits(const struct pci_function *function, unsigned bar)
{
	return is_port(function, bar) ? ~(uint32_t)PCI_BASE_ADDRESS_IO_MASK
	                              : ~(uint32_t)PCI_BASE_ADDRESS_MEM_MASK;
}

static uint16_t command_bit(const struct pci_function *function, unsigned bar)
{
	return is_port(function, bar) ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
}

void pci_add_bar(struct pci_function *function, unsigned bar, bool port, uint32_t size)
{
	/* 6.2.5.1: a memory BAR has four bits of type, so 16 bytes are the least. */
	assert(bar < PCI_BARS && size >= 16 && !(size & (size - 1)));
	function->bar_sizes[bar] = size;
	function->config[bar_at(bar)] =
	        port ? PCI_BASE_ADDRESS_SPACE_IO : PCI_BASE_ADDRESS_SPACE_MEMORY;
	set32(function->writable, bar_at(bar), ~(size - 1));
	function->writable[PCI_COMMAND] |= command_bit(function, bar);
}

void pci_add_interrupt(struct pci_function *function, uint8_t line)
{
	function->config[PCI_INTERRUPT_LINE] = line;
	function->config[PCI_INTERRUPT_PIN] = 1;
}

unsigned pci_add_capability(
        struct pci_function *function, const void *capability, size_t size)
{
	unsigned at = function->free;
	unsigned link = function->capability ? function->capability + PCI_CAP_LIST_NEXT
	                                     : PCI_CAPABILITY_LIST;

	assert(size <= PCI_CONFIG - at);
	memcpy(function->config + at, capability, size);
	function->config[at + PCI_CAP_LIST_NEXT] = 0;
	function->config[link] = at;
	function->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	function->capability = at;
	function->free = (at + size + 3) & ~3U;
	return at;
}

/* Where the guest wants a BAR's window; 0: nowhere. */
static uint32_t wanted(const struct pci_function *function, unsigned bar)
{
	uint32_t base = config32(function, bar_at(bar)) & ~type_bits(function, bar);
	uint32_t size = function->bar_sizes[bar];

	if (!size ||
	        !(pci_config16(function, PCI_COMMAND) & command_bit(function, bar)))
		return 0;
	/* While it is sized, a BAR is at the very end. */
	if (is_port(function, bar) ? base > 0x10000 - size : base > UINT32_MAX - size)
		return 0;
	return base;
}

/* All that goes, goes first: it may be where another one comes to. */
static void remap(struct pci *pci)
{
	struct device_host *host = pci->device.host;

	for (unsigned i = 0; i < PCI_SLOTS * PCI_BARS; i++) {
		unsigned slot = i / PCI_BARS, bar = i % PCI_BARS;
		struct pci_function *function = pci->functions[slot];

		if (!function || !pci->slots[slot].mapped[bar] ||
		        wanted(function, bar) == pci->slots[slot].bases[bar])
			continue;
		host->unmap(host, function->device, is_port(function, bar), bar);
		pci->slots[slot].mapped[bar] = false;
	}
	for (unsigned i = 0; i < PCI_SLOTS * PCI_BARS; i++) {
		unsigned slot = i / PCI_BARS, bar = i % PCI_BARS;
		struct pci_function *function = pci->functions[slot];
		uint32_t base = function ? wanted(function, bar) : 0;

		if (!base || pci->slots[slot].mapped[bar])
			continue;
		pci->slots[slot].bases[bar] = base;
		pci->slots[slot].mapped[bar] = !host->map(host, function->device,
		        is_port(function, bar), base, function->bar_sizes[bar], bar);
		if (!pci->slots[slot].mapped[bar])
			log_guest(&pci->overlaps,
			        "pci: device %u: BAR %u at %#x is where something else "
			        "is",
			        slot, bar, base);
	}
}

static bool overlaps(unsigned offset, unsigned size, unsigned at, unsigned length)
{
	return offset < at + length && at < offset + size;
}

/* The host bridge has no device of its own: it is the root's. */
static void function_lock(const struct pci_function *function)
{
	if (function->device)
		pthread_mutex_lock(&function->device->lock);
}

static void function_unlock(const struct pci_function *function)
{
	if (function->device)
		pthread_mutex_unlock(&function->device->lock);
}

/* The function at an ECAM offset; NULL: there is none, or the access is no legal one. */
static struct pci_function *select_function(
        const struct pci *pci, uint32_t address, unsigned size)
{
	/* Bus 0, function 0; 3.2.2.3.2: within a double word. */
	if (address >= PCI_ECAM_SIZE || address >> 12 & 7 || size > 4 || address % size)
		return NULL;
	return pci->functions[address >> 15];
}

static void config_read(
        const struct pci *pci, uint32_t address, void *data, unsigned size)
{
	struct pci_function *function = select_function(pci, address, size);
	unsigned offset = address & 0xfff;

	if (!function)
		return;
	if (offset >= PCI_CONFIG) {
		memset(data, 0, size);
		return;
	}
	function_lock(function);
	if (function->config_read)
		function->config_read(function, offset, size);
	memcpy(data, function->config + offset, size);
	function_unlock(function);
}

static void config_write(
        struct pci *pci, uint32_t address, const void *data, unsigned size)
{
	struct pci_function *function = select_function(pci, address, size);
	unsigned offset = address & 0xfff;
	const uint8_t *bytes = data;

	if (!function || offset >= PCI_CONFIG)
		return;
	function_lock(function);
	for (unsigned i = 0; i < size; i++) {
		uint8_t mask = function->writable[offset + i];
		uint8_t *byte = &function->config[offset + i];

		*byte = (*byte & ~mask) | (bytes[i] & mask);
	}
	if (function->config_written)
		function->config_written(function, offset, size);
	function_unlock(function);
	if (overlaps(offset, size, PCI_COMMAND, 2) ||
	        overlaps(offset, size, PCI_BASE_ADDRESS_0, PCI_BARS * 4))
		remap(pci);
}

/* From CONFIG_ADDRESS (bus 23:16, device and function 15:8, register 7:2) to ECAM. */
static uint32_t ecam_address(uint32_t address, unsigned byte)
{
	if (!(address & ADDRESS_ENABLE))
		return UINT32_MAX;
	return (address >> 8 & 0xffff) << 12 | (address & 0xfc) | byte;
}

static void pci_read(struct device *device, unsigned window, uint64_t offset,
        void *data, unsigned size)
{
	const struct pci *pci = (const struct pci *)device;

	if (window == PCI_WINDOW_ECAM)
		config_read(pci, offset, data, size);
	else if (offset >= DATA)
		config_read(pci, ecam_address(pci->state.address, offset - DATA), data,
		        size);
	else if (offset == ADDRESS && size == 4)
		memcpy(data, &pci->state.address, size);
}

static void pci_write(struct device *device, unsigned window, uint64_t offset,
        const void *data, unsigned size)
{
	struct pci *pci = (struct pci *)device;

	if (window == PCI_WINDOW_ECAM) {
		config_write(pci, offset, data, size);
	} else if (offset >= DATA) {
		config_write(pci, ecam_address(pci->state.address, offset - DATA), data,
		        size);
	} else if (offset == ADDRESS && size == 4) {
		memcpy(&pci->state.address, data, size);
		pci->state.address &= ADDRESS_BITS;
	}
}

/* A snapshot has the configuration spaces: windows go where these say. */
static void pci_resume(struct device *device)
{
	struct pci *pci = (struct pci *)device;

	pci->state.address &= ADDRESS_BITS;
	remap(pci);
}

static const struct device_type pci_type = {
        .name = "pci",
        .help = "PCI host bridge: configuration by ports and by memory (ECAM)",
        .read = pci_read,
        .write = pci_write,
        .resume = pci_resume,
        .state_offset = offsetof(struct pci, state),
        .state_size = sizeof(struct pci_state),
        .state_version = 1,
};

struct device *pci_create(struct device_host *host)
{
	/* QEMU's docs/specs/pci-ids.rst: the generic host bridge. */
	static const struct pci_identity bridge = {
	        .vendor = 0x1b36, .device = 0x0008, .class_code = 0x060000};
	struct pci *pci = device_create(sizeof(*pci), &pci_type, host);

	if (!pci)
		return NULL;
	pci_function_init(&pci->bridge, NULL, &bridge);
	pci->functions[0] = &pci->bridge;
	return &pci->device;
}

int pci_add(struct device *root, unsigned slot, struct pci_function *function,
        const uint32_t bases[PCI_BARS])
{
	struct pci *pci = (struct pci *)root;

	if (slot >= PCI_SLOTS)
		return -EINVAL;
	if (pci->functions[slot])
		return -EEXIST;
	for (unsigned bar = 0; bar < PCI_BARS; bar++) {
		uint32_t type = type_bits(function, bar), at = bar_at(bar);

		if (!function->bar_sizes[bar])
			continue;
		set32(function->config, at,
		        (bases[bar] & ~type) | (function->config[at] & type));
		function->config[PCI_COMMAND] |= command_bit(function, bar);
	}
	pthread_mutex_lock(&root->lock);
	pci->functions[slot] = function;
	remap(pci);
	pthread_mutex_unlock(&root->lock);
	return 0;
}
