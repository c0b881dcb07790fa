/*
 * Solo5's hvt ABI, version 2: how MirageOS and other Solo5 unikernels are entered.
 *
 * Two ELF notes of owner "Solo5" make an image one of these: ABI1 says for which of Solo5's
 * targets it was linked, MFT1 is its manifest, the devices that it will ask for by name
 * (Solo5's elf_abi.h, mft_abi.h). The guest starts in 64-bit mode with the address of
 * struct hvt_boot_info (hvt_abi.h) in its first argument; the manifest follows that, now
 * with what was attached. The handle of a device is the index of its entry.
 */
#include <assert.h>
#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "boot/layout.h"
#include "boot/loader.h"
#include "vmm/log.h"
#include "vmm/memory.h"

enum { NOTE_ABI = 0x31494241, NOTE_MANIFEST = 0x3154464d }; /* "ABI1", "MFT1" */
enum { TARGET_VIRTIO = 3, ABI_VERSION = 2, MANIFEST_VERSION = 1 };
enum { TYPE_BLOCK = 1, TYPE_NET = 2, TYPE_RESERVED = 1 << 30, ENTRIES_MAX = 64 };
enum { NOTE_PADDING = 4 }; /* before the manifest, which it aligns */
enum { CMDLINE_SIZE = 8192, PAGE_SIZE = 4096, UNIT = 2 << 20 };

struct entry {
	char name[BOOT_DEVICE_NAME];
	uint32_t type;
	union {
		struct {
			uint64_t capacity;
			uint16_t block_size;
		} block;
		struct {
			uint8_t mac[6];
			uint16_t mtu;
		} net;
		uint64_t words[2];
	};
	uint64_t host; /* the monitor's own */
	uint8_t attached;
	uint8_t padding[7];
};

struct manifest {
	uint32_t version;
	uint32_t count;
	struct entry entries[ENTRIES_MAX];
};

struct boot_info {
	uint64_t memory_size;
	uint64_t kernel_end;
	uint64_t cycle_hz;
	uint64_t cmdline;
	uint64_t manifest;
	uint32_t host_features; /* bit 0: rings in shared memory, which are optional */
	uint32_t guest_features;
	uint64_t net_ring;
};

static_assert(sizeof(struct entry) == 104, "as in mft_abi.h");
static_assert(offsetof(struct manifest, entries) == 8, "as in mft_abi.h");
static_assert(sizeof(struct boot_info) == 56, "as in hvt_abi.h");
static_assert(LAYOUT_HVT_INFO + sizeof(struct boot_info) + sizeof(struct manifest) <=
                      LAYOUT_CMDLINE,
        "they have room");
static_assert(CMDLINE_SIZE <= LAYOUT_CMDLINE_END - LAYOUT_CMDLINE, "it has room");

static int manifest_damaged(const struct boot_source *source, const char *what)
{
	return log_error(-EINVAL, "image: '%s': its Solo5 manifest is damaged: %s",
	        source->kernel_path, what);
}

static bool name_valid(const char *name)
{
	size_t size = 0;

	while (size < BOOT_DEVICE_NAME && isalnum((unsigned char)name[size]))
		size++;
	return size && size < BOOT_DEVICE_NAME && !name[size];
}

static int device_take(struct boot_source *source, const struct entry *entry)
{
	struct boot_device *device = &source->devices[source->device_count];

	if (!name_valid(entry->name))
		return manifest_damaged(source, "a name is not of letters and digits");
	if (entry->type != TYPE_BLOCK && entry->type != TYPE_NET)
		return log_error(-EINVAL,
		        "image: '%s' declares '%s', a device of unknown type %" PRIu32,
		        source->kernel_path, entry->name, entry->type);
	if (entry->attached)
		return manifest_damaged(source, "a device is attached already");
	*device = (struct boot_device){
	        .kind = entry->type == TYPE_BLOCK ? DEVICE_DISK : DEVICE_NIC};
	memcpy(device->name, entry->name, sizeof(device->name));
	for (unsigned i = 0; i < source->device_count; i++)
		if (source->devices[i].kind == device->kind &&
		        !strcmp(source->devices[i].name, device->name))
			return manifest_damaged(source, "a name is there twice");
	source->device_count++;
	return 0;
}

static int manifest_take(struct boot_source *source, const char *data, uint32_t size)
{
	const uint32_t head = offsetof(struct manifest, entries);
	struct manifest manifest;
	int error = 0;

	if (source->devices)
		return manifest_damaged(source, "there are two");
	if (size < NOTE_PADDING + head || size > NOTE_PADDING + sizeof(manifest))
		return manifest_damaged(source, "it has a wrong size");
	size -= NOTE_PADDING;
	memcpy(&manifest, data + NOTE_PADDING, size);
	if (manifest.version != MANIFEST_VERSION)
		return log_error(-EINVAL,
		        "image: '%s' has a Solo5 manifest of version %" PRIu32
		        ", this Mayfly knows 1",
		        source->kernel_path, manifest.version);
	if (!manifest.count || manifest.count > ENTRIES_MAX ||
	        size != head + manifest.count * sizeof(struct entry))
		return manifest_damaged(source, "it has a wrong size");
	if (manifest.entries[0].type != TYPE_RESERVED || *manifest.entries[0].name ||
	        manifest.entries[0].attached)
		return manifest_damaged(source, "its first entry is not reserved");
	source->devices = calloc(manifest.count, sizeof(*source->devices));
	if (!source->devices)
		return log_error(-ENOMEM, "image: no memory");
	for (unsigned i = 1; i < manifest.count && !error; i++)
		error = device_take(source, &manifest.entries[i]);
	return error;
}

int hvt_note_take(struct boot_source *source, struct solo5_abi *abi, uint32_t type,
        const char *data, uint32_t size)
{
	if (type == NOTE_MANIFEST)
		return manifest_take(source, data, size);
	if (type != NOTE_ABI)
		return 0;
	if (size < sizeof(*abi))
		return log_error(-EINVAL,
		        "image: '%s' is damaged: its Solo5 ABI note has a wrong size",
		        source->kernel_path);
	memcpy(abi, data, sizeof(*abi));
	return 0;
}

/* Solo5's elf_abi.h, and what runs each. */
static int target_refuse(const struct boot_source *source, const struct solo5_abi *abi)
{
	static const char *const names[] = {
	        "?", "hvt", "spt", "virtio", "muen", "genode", "xen"};

	if (abi->target < sizeof(names) / sizeof(names[0]) && abi->target)
		return log_error(-EINVAL,
		        "image: '%s' is a Solo5 unikernel for '%s': build it for hvt "
		        "(MirageOS: mirage configure -t hvt)",
		        source->kernel_path, names[abi->target]);
	return log_error(-EINVAL,
	        "image: '%s' is a Solo5 unikernel for an unknown target, %" PRIu32
	        ": build it for hvt",
	        source->kernel_path, abi->target);
}

int hvt_identify(struct boot_source *source, const struct solo5_abi *abi,
        bool otherwise_enterable)
{
	if (!abi->target && !source->devices)
		return 0;
	/* Those are for any machine with virtio; Xen's also have a PVH entry, though. The
	 * manifest is then the image's own affair. */
	if (abi->target == TARGET_VIRTIO && otherwise_enterable) {
		source->device_count = 0;
		return 0;
	}
	if (abi->target != SOLO5_HVT)
		return target_refuse(source, abi);
	if (abi->version != ABI_VERSION)
		return log_error(-EINVAL,
		        "image: '%s' is for version %" PRIu32
		        " of the Solo5 hvt ABI, this Mayfly knows 2: rebuild it with "
		        "Solo5 0.6 or later",
		        source->kernel_path, abi->version);
	if (!source->devices)
		return log_error(-EINVAL,
		        "image: '%s' is a Solo5 unikernel without a manifest",
		        source->kernel_path);
	source->has_hvt = true;
	source->declares_devices = true;
	source->cmdline_max = CMDLINE_SIZE - 1;
	source->needs = (struct boot_needs){
	        .cpuid = true,
	        .memory = 512 << 20,
	        .memory_unit = UNIT,
	        .memory_max = UINT64_C(4) << 30,
	        .cpus_max = 1,
	};
	boot_describe(source, "Solo5 hvt unikernel", "", 0);
	return 0;
}

int hvt_segments_check(const struct boot_source *source)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < source->segment_count; i++) {
		const struct boot_segment *segment = &source->segments[i];

		if (segment->flags & PF_W && segment->flags & PF_X)
			return log_error(-EINVAL,
			        "image: '%s': its segment at 0x%" PRIx64
			        " is both writable and executable",
			        source->kernel_path, segment->guest);
		/* Each has rights of its own, which are those of whole pages. */
		if ((segment->guest & -(uint64_t)PAGE_SIZE) < end)
			return log_error(-EINVAL,
			        "image: '%s': its segment at 0x%" PRIx64
			        " shares a page with another",
			        source->kernel_path, segment->guest);
		end = segment->guest + segment->size;
	}
	if (source->initrd_count)
		return log_error(-EINVAL,
		        "--initrd: '%s' is a Solo5 unikernel, which takes none",
		        source->kernel_path);
	return 0;
}

static bool hvt_offered(const struct boot_source *source)
{
	return source->has_hvt;
}

static int manifest_write(struct memory *memory, uint64_t guest,
        const struct boot_device *devices, unsigned count)
{
	struct manifest manifest = {
	        .version = MANIFEST_VERSION,
	        .count = count + 1,
	        .entries[0] = {.type = TYPE_RESERVED},
	};

	for (unsigned i = 0; i < count; i++) {
		const struct boot_device *device = &devices[i];
		struct entry *entry = &manifest.entries[i + 1];

		memcpy(entry->name, device->name, sizeof(entry->name));
		entry->attached = 1;
		if (device->kind == DEVICE_DISK) {
			entry->type = TYPE_BLOCK;
			entry->block.capacity = device->capacity;
			entry->block.block_size = device->block_size;
		} else {
			entry->type = TYPE_NET;
			memcpy(entry->net.mac, device->mac, sizeof(device->mac));
			entry->net.mtu = device->mtu;
		}
	}
	return memory_write(memory, guest, &manifest,
	        offsetof(struct manifest, entries[count + 1]));
}

static int hvt_prepare(const struct boot_source *source, struct memory *memory,
        const struct boot_machine_info *machine, struct boot_image *image)
{
	const struct boot_info info = {
	        .memory_size = memory->size,
	        .kernel_end =
	                (image->kernel_end + PAGE_SIZE - 1) & -(uint64_t)PAGE_SIZE,
	        .cycle_hz = machine->cycle_hz,
	        .cmdline = image->cmdline,
	        .manifest = LAYOUT_HVT_INFO + sizeof(info),
	};
	int error = memory_write(memory, LAYOUT_HVT_INFO, &info, sizeof(info));

	if (!error)
		error = manifest_write(
		        memory, info.manifest, machine->devices, source->device_count);
	image->entry = source->elf_entry;
	image->info = LAYOUT_HVT_INFO;
	return error;
}

const struct entry_protocol protocol_hvt = {
        .protocol = PROTOCOL_HVT,
        .name = "hvt",
        .cmdline = LAYOUT_CMDLINE,
        .offered = hvt_offered,
        .prepare = hvt_prepare,
};
