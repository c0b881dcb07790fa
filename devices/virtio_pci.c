/*
 * Virtio over PCI (VIRTIO 1.2, 4.1). A device that has a legacy form is a transitional one:
 * BAR 0 is the legacy interface's ports (4.1.4.8). BAR 1 is memory: what the capabilities
 * of the modern interface name (4.1.4), each at the place below, and the MSI-X table.
 *
 * An interrupt is a message if the driver enabled MSI-X, else INTA#, whose level is that
 * of the ISR status until that is read.
 */
#include <assert.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_pci.h>
#include <string.h>

#include "devices/msix.h"
#include "devices/pci.h"
#include "devices/virtio.h"

enum { BAR_LEGACY, BAR_MODERN };

/* Places in BAR_MODERN. */
enum {
	COMMON = 0x000,
	COMMON_SIZE = sizeof(struct virtio_pci_common_cfg),
	ISR = 0x100,
	CONFIG = 0x200,
	NOTIFY = 0x400,
	NOTIFY_STEP = 4, /* bytes between the queues' */
	MSIX = 0x1000,
};

static_assert(
        MSIX + MSIX_SIZE == VIRTIO_PCI_MEMORY, "the MSI-X table is the last page");

enum { VENDOR = 0x1af4, MODERN_DEVICE = 0x1040, MODERN_REVISION = 1 };

struct virtio_pci {
	struct device device;
	struct pci_function function;
	struct virtio *virtio;
	unsigned gsi;
	bool line;
	unsigned msix_at, window_at; /* two of the capabilities */
	struct virtio_pci_state {
		struct msix msix;
		uint16_t config_vector;
		uint16_t queue_vectors[VIRTIO_QUEUES];
	} state;
};

/* Interrupts. */

/* 4.1.4.5.1: the PCI status tells of ISR status; 6.2.2: INTA# can be switched off. */
static void update_line(struct virtio_pci *pci)
{
	struct device_host *host = pci->device.host;
	uint8_t *status = &pci->function.config[PCI_STATUS];
	bool pending = pci->virtio->state.interrupt_status != 0 &&
	               !msix_enabled(&pci->state.msix);
	bool off = pci_config16(&pci->function, PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE;

	*status = (*status & ~PCI_STATUS_INTERRUPT) |
	          (pending ? PCI_STATUS_INTERRUPT : 0);
	if (pci->line == (pending && !off))
		return;
	pci->line = pending && !off;
	host->set_irq(host, pci->gsi, pci->line);
}

/* 4.1.4.5.1: with MSI-X, ISR status tells of the configuration only. */
static void interrupt(struct virtio *virtio, uint32_t status_bit, unsigned queue)
{
	struct virtio_pci *pci = virtio->transport;
	struct virtio_pci_state *state = &pci->state;
	bool of_queue = status_bit == VIRTIO_INTERRUPT_QUEUE;

	if (!of_queue || !msix_enabled(&state->msix))
		virtio->state.interrupt_status |= status_bit;
	msix_raise(&state->msix, pci->device.host,
	        of_queue ? state->queue_vectors[queue] : state->config_vector);
	update_line(pci);
}

static uint8_t isr_read(struct virtio_pci *pci)
{
	uint32_t *status = &pci->virtio->state.interrupt_status;
	uint8_t value = *status;

	*status = 0;
	update_line(pci);
	return value;
}

/* 4.1.5.1.2.1: a vector that does not exist reads back as none. */
static uint16_t vector_checked(const struct virtio_pci *pci, uint16_t vector)
{
	return vector < pci->state.msix.count ? vector : VIRTIO_MSI_NO_VECTOR;
}

static uint16_t *selected_vector(struct virtio_pci *pci)
{
	uint32_t queue = pci->virtio->state.queue_select;

	return queue < pci->virtio->type->queue_count ? &pci->state.queue_vectors[queue]
	                                              : NULL;
}

static uint16_t selected_vector_value(struct virtio_pci *pci)
{
	const uint16_t *vector = selected_vector(pci);

	return vector ? *vector : VIRTIO_MSI_NO_VECTOR;
}

static void set_selected_vector(struct virtio_pci *pci, uint16_t value)
{
	uint16_t *vector = selected_vector(pci);

	if (vector)
		*vector = vector_checked(pci, value);
}

static void reset_vectors(struct virtio_pci *pci)
{
	pci->state.config_vector = VIRTIO_MSI_NO_VECTOR;
	for (unsigned i = 0; i < VIRTIO_QUEUES; i++)
		pci->state.queue_vectors[i] = VIRTIO_MSI_NO_VECTOR;
}

static void set_status(struct virtio_pci *pci, uint8_t status,
        void (*set)(struct virtio *virtio, uint32_t status))
{
	set(pci->virtio, status);
	if (status == 0)
		reset_vectors(pci);
	update_line(pci);
}

/* The little-endian bytes [offset, offset + size) of a register file, if it has them. */
static void copy_out(
        const void *file, size_t file_size, uint64_t offset, void *data, unsigned size)
{
	if (offset < file_size && size <= file_size - offset)
		memcpy(data, (const char *)file + offset, size);
}

static uint64_t value_of(const void *data, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, data, size);
	return value;
}

/* The modern interface, 4.1.4.3. */

/* A queue is as long as it can be until the driver says otherwise. */
static uint16_t queue_size(
        const struct virtio *virtio, const struct virtqueue_state *queue)
{
	return queue->size ? queue->size : virtio->type->queue_size;
}

static void common_read(
        struct virtio_pci *pci, uint64_t offset, void *data, unsigned size)
{
	struct virtio *virtio = pci->virtio;
	const struct virtio_state *state = &virtio->state;
	const struct virtqueue_state *queue = virtio_selected(virtio);
	struct virtio_pci_common_cfg file = {
	        .device_feature_select = state->features_select,
	        .device_feature =
	                state->features_select > 1
	                        ? 0
	                        : virtio->features >> 32 * state->features_select,
	        .guest_feature_select = state->driver_select,
	        .guest_feature =
	                state->driver_select > 1
	                        ? 0
	                        : state->driver_features >> 32 * state->driver_select,
	        .msix_config = pci->state.config_vector,
	        .num_queues = virtio->type->queue_count,
	        .device_status = state->status,
	        .config_generation = state->config_generation,
	        .queue_select = state->queue_select,
	        .queue_msix_vector = selected_vector_value(pci),
	};

	if (queue) {
		file.queue_size = queue_size(virtio, queue);
		file.queue_enable = queue->ready;
		file.queue_notify_off = state->queue_select;
		file.queue_desc_lo = queue->desc;
		file.queue_desc_hi = queue->desc >> 32;
		file.queue_avail_lo = queue->avail;
		file.queue_avail_hi = queue->avail >> 32;
		file.queue_used_lo = queue->used;
		file.queue_used_hi = queue->used >> 32;
	}
	copy_out(&file, sizeof(file), offset, data, size);
}

/* 4.1.4.3.2: a queue is not configured once it is enabled; it is disabled by a reset. */
static void queue_write(struct virtio *virtio, uint64_t offset, uint32_t value)
{
	struct virtqueue_state *queue = virtio_selected_writable(virtio);

	if (!queue || queue->ready)
		return;
	switch (offset) {
	case VIRTIO_PCI_COMMON_Q_SIZE:
		/* 0 is illegal, and no length at all: neither is taken for the default. */
		queue->size =
		        value && value <= virtio->type->queue_size ? value : UINT16_MAX;
		break;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		queue->size = queue_size(virtio, queue);
		queue->ready = value == 1;
		break;
	case VIRTIO_PCI_COMMON_Q_DESCLO:
	case VIRTIO_PCI_COMMON_Q_DESCHI:
		virtio_set_half(
		        &queue->desc, offset == VIRTIO_PCI_COMMON_Q_DESCHI, value);
		break;
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
	case VIRTIO_PCI_COMMON_Q_AVAILHI:
		virtio_set_half(
		        &queue->avail, offset == VIRTIO_PCI_COMMON_Q_AVAILHI, value);
		break;
	case VIRTIO_PCI_COMMON_Q_USEDLO:
	case VIRTIO_PCI_COMMON_Q_USEDHI:
		virtio_set_half(
		        &queue->used, offset == VIRTIO_PCI_COMMON_Q_USEDHI, value);
		break;
	}
}

/* 4.1.3.1: registers are written at their own width, of 64-bit ones each half. */
static unsigned common_width(uint64_t offset)
{
	if (offset >= VIRTIO_PCI_COMMON_Q_DESCLO || offset < VIRTIO_PCI_COMMON_MSIX)
		return offset % 4 ? 0 : 4;
	if (offset == VIRTIO_PCI_COMMON_STATUS ||
	        offset == VIRTIO_PCI_COMMON_CFGGENERATION)
		return 1;
	return offset % 2 ? 0 : 2;
}

static void common_write(
        struct virtio_pci *pci, uint64_t offset, const void *data, unsigned size)
{
	struct virtio *virtio = pci->virtio;
	struct virtio_state *state = &virtio->state;
	uint32_t value;

	/* Some drivers write an address as one. */
	if (size == 8 && offset >= VIRTIO_PCI_COMMON_Q_DESCLO && offset % 8 == 0) {
		common_write(pci, offset, data, 4);
		common_write(pci, offset + 4, (const char *)data + 4, 4);
		return;
	}
	if (size != common_width(offset))
		return;
	value = value_of(data, size);
	switch (offset) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		state->features_select = value;
		break;
	case VIRTIO_PCI_COMMON_GFSELECT:
		state->driver_select = value;
		break;
	case VIRTIO_PCI_COMMON_GF:
		virtio_set_features(virtio, state->driver_select, value);
		break;
	case VIRTIO_PCI_COMMON_MSIX:
		pci->state.config_vector = vector_checked(pci, value);
		break;
	case VIRTIO_PCI_COMMON_STATUS:
		set_status(pci, value, virtio_set_status);
		break;
	case VIRTIO_PCI_COMMON_Q_SELECT:
		state->queue_select = value;
		break;
	case VIRTIO_PCI_COMMON_Q_MSIX:
		set_selected_vector(pci, value);
		break;
	default:
		queue_write(virtio, offset, value);
		break;
	}
}

static void modern_read(
        struct virtio_pci *pci, uint64_t offset, void *data, unsigned size)
{
	if (offset >= MSIX)
		msix_read(&pci->state.msix, offset - MSIX, data, size);
	else if (offset >= NOTIFY)
		memset(data, 0, size);
	else if (offset >= CONFIG)
		virtio_config_read(pci->virtio, offset - CONFIG, data, size);
	else if (offset == ISR && size == 1)
		*(uint8_t *)data = isr_read(pci);
	else if (offset < COMMON_SIZE)
		common_read(pci, offset, data, size);
}

static void modern_write(
        struct virtio_pci *pci, uint64_t offset, const void *data, unsigned size)
{
	if (offset >= MSIX)
		msix_write(
		        &pci->state.msix, pci->device.host, offset - MSIX, data, size);
	else if (offset >= NOTIFY)
		virtio_kick(pci->virtio, (offset - NOTIFY) / NOTIFY_STEP);
	else if (offset >= CONFIG)
		virtio_config_write(pci->virtio, offset - CONFIG, data, size);
	else if (offset < COMMON_SIZE)
		common_write(pci, offset, data, size);
}

/* The legacy interface, 4.1.4.8. */

struct legacy_file {
	uint32_t features, driver_features;
	uint32_t queue_page;
	uint16_t queue_size, queue_select, queue_notify;
	uint8_t status, isr;
	uint16_t config_vector, queue_vector; /* with MSI-X enabled only */
};

static_assert(sizeof(struct legacy_file) == VIRTIO_PCI_CONFIG_OFF(true), "4.1.4.8");

static size_t legacy_size(const struct virtio_pci *pci)
{
	return VIRTIO_PCI_CONFIG_OFF(msix_enabled(&pci->state.msix));
}

static void legacy_read(
        struct virtio_pci *pci, uint64_t offset, void *data, unsigned size)
{
	struct virtio *virtio = pci->virtio;
	const struct virtio_state *state = &virtio->state;
	size_t registers = legacy_size(pci);

	if (offset >= registers) {
		virtio_config_read(virtio, offset - registers, data, size);
		return;
	}
	struct legacy_file file = {
	        .features = virtio_features_legacy(virtio),
	        .driver_features = state->driver_features,
	        .queue_page = virtio_queue_page(virtio),
	        .queue_size = virtio_selected(virtio) ? virtio->type->queue_size : 0,
	        .queue_select = state->queue_select,
	        .status = state->status,
	        .config_vector = pci->state.config_vector,
	        .queue_vector = selected_vector_value(pci),
	};
	if (offset == VIRTIO_PCI_ISR)
		file.isr = isr_read(pci);
	copy_out(&file, registers, offset, data, size);
}

static void legacy_write(
        struct virtio_pci *pci, uint64_t offset, const void *data, unsigned size)
{
	static const uint8_t widths[VIRTIO_PCI_CONFIG_OFF(true)] = {
	        [VIRTIO_PCI_GUEST_FEATURES] = 4,
	        [VIRTIO_PCI_QUEUE_PFN] = 4,
	        [VIRTIO_PCI_QUEUE_SEL] = 2,
	        [VIRTIO_PCI_QUEUE_NOTIFY] = 2,
	        [VIRTIO_PCI_STATUS] = 1,
	        [VIRTIO_MSI_CONFIG_VECTOR] = 2,
	        [VIRTIO_MSI_QUEUE_VECTOR] = 2,
	};
	struct virtio *virtio = pci->virtio;
	size_t registers = legacy_size(pci);
	uint32_t value;

	if (offset >= registers) {
		virtio_config_write(virtio, offset - registers, data, size);
		return;
	}
	if (size != widths[offset])
		return;
	value = value_of(data, size);
	switch (offset) {
	case VIRTIO_PCI_GUEST_FEATURES:
		virtio_set_features(virtio, 0, value);
		break;
	case VIRTIO_PCI_QUEUE_PFN:
		virtio_set_queue_page(virtio, value);
		break;
	case VIRTIO_PCI_QUEUE_SEL:
		virtio->state.queue_select = value;
		break;
	case VIRTIO_PCI_QUEUE_NOTIFY:
		virtio_kick(virtio, value);
		break;
	case VIRTIO_PCI_STATUS:
		set_status(pci, value, virtio_set_status_legacy);
		break;
	case VIRTIO_MSI_CONFIG_VECTOR:
		pci->state.config_vector = vector_checked(pci, value);
		break;
	case VIRTIO_MSI_QUEUE_VECTOR:
		set_selected_vector(pci, value);
		break;
	}
}

static void bar_read(struct device *device, unsigned window, uint64_t offset,
        void *data, unsigned size)
{
	struct virtio_pci *pci = (struct virtio_pci *)device;

	if (window == BAR_LEGACY)
		legacy_read(pci, offset, data, size);
	else
		modern_read(pci, offset, data, size);
}

static void bar_write(struct device *device, unsigned window, uint64_t offset,
        const void *data, unsigned size)
{
	struct virtio_pci *pci = (struct virtio_pci *)device;

	if (window == BAR_LEGACY)
		legacy_write(pci, offset, data, size);
	else
		modern_write(pci, offset, data, size);
}

/* Configuration space. */

static struct virtio_pci *of(struct pci_function *function)
{
	return (struct virtio_pci *)((char *)function -
	                             offsetof(struct virtio_pci, function));
}

/*
 * 4.1.4.9: pci_cfg_data is the `length` bytes at `offset` of a BAR, for drivers that
 * cannot reach it. Whether an access of pci_cfg_data leads there, and where.
 */
static bool window_place(const struct virtio_pci *pci, unsigned offset, unsigned size,
        unsigned *bar, uint32_t *place)
{
	const uint8_t *config = pci->function.config;
	struct virtio_pci_cap cap;

	if (offset != pci->window_at + sizeof(cap))
		return false;
	memcpy(&cap, config + pci->window_at, sizeof(cap));
	if (cap.bar > BAR_MODERN || cap.length != size || cap.offset % size)
		return false;
	*bar = cap.bar;
	*place = cap.offset;
	/* Aligned, and sizes of BARs are powers of two. */
	return cap.offset < pci->function.bar_sizes[cap.bar];
}

static void config_read(struct pci_function *function, unsigned offset, unsigned size)
{
	struct virtio_pci *pci = of(function);
	uint8_t *data = &function->config[offset];
	unsigned bar;
	uint32_t place;

	if (!window_place(pci, offset, size, &bar, &place))
		return;
	memset(data, 0xff, size);
	bar_read(&pci->device, bar, place, data, size);
}

static void config_written(
        struct pci_function *function, unsigned offset, unsigned size)
{
	struct virtio_pci *pci = of(function);
	unsigned bar;
	uint32_t place;

	if (window_place(pci, offset, size, &bar, &place))
		bar_write(&pci->device, bar, place, &function->config[offset], size);
	msix_set_control(&pci->state.msix, pci->device.host,
	        pci_config16(function, pci->msix_at + PCI_MSIX_FLAGS));
	update_line(pci);
}

/* 4.1.2: what a device is called. A transitional one's id is its legacy form's. */
static struct pci_identity identity(unsigned device_id)
{
	static const struct {
		uint16_t legacy;     /* 0: there is no such form */
		uint32_t class_code; /* PCI Local Bus 3.0, appendix D */
	} kinds[] = {
	        [VIRTIO_ID_NET] = {0x1000, 0x020000},
	        [VIRTIO_ID_BLOCK] = {0x1001, 0x010000},
	        [VIRTIO_ID_CONSOLE] = {0x1003, 0x078000},
	        [VIRTIO_ID_RNG] = {0x1005, 0xff0000},
	};
	struct pci_identity identity = {
	        .vendor = VENDOR,
	        .device = MODERN_DEVICE + device_id,
	        .subsystem_vendor = VENDOR,
	        .subsystem = device_id,
	        .class_code = 0xff0000,
	        .revision = MODERN_REVISION,
	};

	if (device_id < sizeof(kinds) / sizeof(kinds[0]) && kinds[device_id].legacy) {
		identity.device = kinds[device_id].legacy;
		identity.class_code = kinds[device_id].class_code;
		identity.revision = VIRTIO_PCI_ABI_VERSION;
	}
	return identity;
}

static unsigned add_structure(
        struct pci_function *function, uint8_t type, uint32_t offset, uint32_t length)
{
	/* The largest of these; each is as long as it says. */
	struct virtio_pci_notify_cap capability = {
	        .cap = {.cap_vndr = PCI_CAP_ID_VNDR,
	                .cap_len = sizeof(struct virtio_pci_cap),
	                .cfg_type = type,
	                .bar = BAR_MODERN,
	                .offset = offset,
	                .length = length},
	        .notify_off_multiplier = NOTIFY_STEP,
	};

	if (type == VIRTIO_PCI_CAP_NOTIFY_CFG || type == VIRTIO_PCI_CAP_PCI_CFG)
		capability.cap.cap_len = sizeof(capability);
	if (type == VIRTIO_PCI_CAP_PCI_CFG) {
		capability.cap.bar = 0;
		capability.notify_off_multiplier = 0; /* pci_cfg_data */
	}
	return pci_add_capability(function, &capability, capability.cap.cap_len);
}

static void add_capabilities(struct virtio_pci *pci)
{
	struct pci_function *function = &pci->function;
	const struct virtio_type *type = pci->virtio->type;
	uint8_t capability[MSIX_CAPABILITY];
	uint8_t *window;

	msix_capability(&pci->state.msix, BAR_MODERN, MSIX, capability);
	pci->msix_at = pci_add_capability(function, capability, sizeof(capability));
	function->writable[pci->msix_at + PCI_MSIX_FLAGS + 1] =
	        (MSIX_CONTROL_ENABLED | MSIX_CONTROL_MASKED) >> 8;

	add_structure(function, VIRTIO_PCI_CAP_COMMON_CFG, COMMON, COMMON_SIZE);
	add_structure(function, VIRTIO_PCI_CAP_NOTIFY_CFG, NOTIFY,
	        NOTIFY_STEP * type->queue_count);
	add_structure(function, VIRTIO_PCI_CAP_ISR_CFG, ISR, 1);
	if (type->config_size)
		add_structure(
		        function, VIRTIO_PCI_CAP_DEVICE_CFG, CONFIG, type->config_size);
	pci->window_at = add_structure(function, VIRTIO_PCI_CAP_PCI_CFG, 0, 0);
	window = function->writable + pci->window_at;
	window[VIRTIO_PCI_CAP_BAR] = 0xff;
	memset(window + VIRTIO_PCI_CAP_OFFSET, 0xff, 12); /* length and data, too */
}

static void virtio_pci_pause(struct device *device)
{
	virtio_pause(((struct virtio_pci *)device)->virtio);
}

static void virtio_pci_resume(struct device *device)
{
	virtio_resume(((struct virtio_pci *)device)->virtio);
}

static void virtio_pci_destroy(struct device *device)
{
	struct virtio_pci *pci = (struct virtio_pci *)device;

	virtio_destroy(pci->virtio);
}

static const struct device_type virtio_pci_type = {
        .name = "virtio-pci",
        .help = "the transport of virtio devices: a PCI function",
        .destroy = virtio_pci_destroy,
        .read = bar_read,
        .write = bar_write,
        .pause = virtio_pci_pause,
        .resume = virtio_pci_resume,
        .state_offset = offsetof(struct virtio_pci, state),
        .state_size = sizeof(struct virtio_pci_state),
        .state_version = 1,
};

struct pci_function *virtio_pci_create(
        struct device_host *host, struct virtio *virtio, unsigned gsi)
{
	struct pci_identity name = identity(virtio->type->device_id);
	struct virtio_pci *pci = device_create(sizeof(*pci), &virtio_pci_type, host);

	if (!pci) {
		virtio_destroy(virtio);
		return NULL;
	}
	pci->virtio = virtio;
	pci->gsi = gsi;
	msix_init(&pci->state.msix, virtio->type->queue_count + 1);
	reset_vectors(pci);
	pci_function_init(&pci->function, &pci->device, &name);
	pci->function.config_read = config_read;
	pci->function.config_written = config_written;
	if (name.revision == VIRTIO_PCI_ABI_VERSION)
		pci_add_bar(&pci->function, BAR_LEGACY, true, VIRTIO_PCI_PORTS);
	pci_add_bar(&pci->function, BAR_MODERN, false, VIRTIO_PCI_MEMORY);
	pci_add_interrupt(&pci->function, gsi);
	add_capabilities(pci);

	virtio->lock = &pci->device.lock;
	virtio->interrupt = interrupt;
	virtio->transport = pci;
	if (virtio_attach(virtio) < 0) {
		device_destroy(&pci->device);
		return NULL;
	}
	return &pci->function;
}
