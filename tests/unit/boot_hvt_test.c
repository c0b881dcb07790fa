/* Solo5's hvt images: notes, manifest, segments, and what the guest is told. */
#include <elf.h>
#include <stddef.h>

#include "guests/hvt.h"
#include "tests/unit/boot_image.h"

enum {
	BASE = 0x100000,
	TEXT = 0x1000, /* in the file */
	NOTES = 0x2000,
	IMAGE_SIZE = 0x5000,
	ABI = 0x31494241,
	MANIFEST = 0x3154464d,
};

struct abi {
	uint32_t target, version, reserved[2];
};

/* The manifest as its note has it. */
struct manifest {
	uint32_t padding;
	struct hvt_manifest hvt;
} __attribute__((packed));

struct elf {
	union {
		unsigned char bytes[IMAGE_SIZE];
		struct {
			Elf64_Ehdr header;
			Elf64_Phdr segments[8];
		};
	};
	unsigned notes;
};

static void note_add(struct elf *elf, uint32_t type, const void *data, size_t size)
{
	const Elf64_Nhdr note = {6, (Elf64_Word)size, type};
	unsigned char *at = elf->bytes + NOTES + elf->notes;

	memcpy(at, &note, sizeof(note));
	memcpy(at + sizeof(note), "Solo5\0\0", 8);
	memcpy(at + sizeof(note) + 8, data, size);
	elf->notes += (unsigned)(sizeof(note) + 8 + ((size + 3) & ~(size_t)3));
	elf->segments[0].p_filesz = elf->segments[0].p_memsz = elf->notes;
}

static void segment_add(struct elf *elf, uint64_t guest, uint64_t size, uint32_t flags)
{
	elf->segments[elf->header.e_phnum++] = (Elf64_Phdr){
	        .p_type = PT_LOAD,
	        .p_flags = flags,
	        .p_offset = TEXT,
	        .p_vaddr = guest,
	        .p_paddr = 0, /* of no meaning to Solo5 */
	        .p_filesz = size < 0x100 ? size : 0x100,
	        .p_memsz = size,
	};
}

static struct elf plain(void)
{
	struct elf elf = {
	        .header = elf64_header(BASE + 0x20, 1),
	        .segments[0] = {.p_type = PT_NOTE, .p_offset = NOTES, .p_align = 4},
	};

	segment_add(&elf, BASE, 0x1100, PF_R | PF_X);
	segment_add(&elf, BASE + 0x2000, 0x1234, PF_R | PF_W);
	segment_add(&elf, 0, 0, PF_R); /* as Solo5's linker scripts make one */
	return elf;
}

static struct manifest manifest_of(unsigned count)
{
	struct manifest manifest = {.hvt = {1, count, {{.kind = HVT_RESERVED}}}};

	for (unsigned i = 1; i < count; i++) {
		manifest.hvt.devices[i].kind = i % 2 ? HVT_BLOCK : HVT_NET;
		snprintf(manifest.hvt.devices[i].name, 68, "device%u", (i + 1) / 2);
	}
	return manifest;
}

static size_t manifest_size(unsigned count)
{
	return 12 + count * sizeof(struct hvt_device);
}

static struct elf unikernel(
        uint32_t target, uint32_t version, const struct manifest *manifest, size_t size)
{
	const struct abi abi = {.target = target, .version = version};
	struct elf elf = plain();

	note_add(&elf, ABI, &abi, sizeof(abi));
	note_add(&elf, MANIFEST, manifest, size);
	return elf;
}

static struct elf good(unsigned count)
{
	struct manifest manifest = manifest_of(count);

	return unikernel(1, 2, &manifest, manifest_size(count));
}

static bool refused(const struct elf *elf, const char *part)
{
	return image_refused(elf->bytes, sizeof(elf->bytes), part);
}

/* As `manifest` in an otherwise good image. */
static bool manifest_refused(
        const struct manifest *manifest, size_t size, const char *part)
{
	struct elf elf = unikernel(1, 2, manifest, size);

	return refused(&elf, part);
}

static void image_is_known_by_its_notes(void)
{
	struct elf elf = good(3);
	struct boot_source source;

	CU_ASSERT_FATAL(!image_open(&source, elf.bytes, sizeof(elf.bytes)));
	CU_ASSERT_EQUAL(source.protocol, PROTOCOL_HVT);
	CU_ASSERT_STRING_EQUAL(source.kind, "Solo5 hvt unikernel");
	CU_ASSERT_STRING_EQUAL(boot_protocol_name(source.protocol), "hvt");
	CU_ASSERT(source.has_hvt && source.declares_devices);
	CU_ASSERT_EQUAL(source.needs.memory, 512 << 20);
	CU_ASSERT_EQUAL(source.needs.memory_max, UINT64_C(4) << 30);
	CU_ASSERT(!source.needs.irqchip && !source.needs.acpi &&
	          !source.needs.console_input && !source.needs.legacy);
	CU_ASSERT(source.needs.cpuid && source.needs.cpus_max == 1);
	CU_ASSERT_EQUAL(boot_cmdline_max(&source), 8191);
	CU_ASSERT_EQUAL(source.segment_count, 2);
	CU_ASSERT_EQUAL(source.segments[0].guest, BASE);
	CU_ASSERT_EQUAL(source.device_count, 2);
	CU_ASSERT_STRING_EQUAL(source.devices[0].name, "device1");
	CU_ASSERT_EQUAL(source.devices[0].kind, DEVICE_DISK);
	CU_ASSERT_EQUAL(source.devices[1].kind, DEVICE_NIC);
	boot_close(&source);
	CU_ASSERT_PTR_NULL(source.devices);
}

static void manifest_may_be_empty_or_full(void)
{
	static const unsigned counts[] = {1, 64};

	for (unsigned i = 0; i < 2; i++) {
		struct elf elf = good(counts[i]);
		struct boot_source source;

		CU_ASSERT_FATAL(!image_open(&source, elf.bytes, sizeof(elf.bytes)));
		CU_ASSERT_EQUAL(source.device_count, counts[i] - 1);
		boot_close(&source);
	}
}

static void damaged_manifest_is_refused(void)
{
	struct manifest manifest = manifest_of(3);
	const size_t size = manifest_size(3);

	CU_ASSERT(manifest_refused(&manifest, size - 1, "wrong size"));
	CU_ASSERT(manifest_refused(&manifest, size + 4, "wrong size"));
	CU_ASSERT(manifest_refused(&manifest, 11, "wrong size"));
	CU_ASSERT(manifest_refused(&manifest, 0, "wrong size"));
	manifest.hvt.count = 0;
	CU_ASSERT(manifest_refused(&manifest, manifest_size(0), "wrong size"));
	manifest.hvt.count = UINT32_MAX;
	CU_ASSERT(manifest_refused(&manifest, size, "wrong size"));
	manifest = manifest_of(3);
	manifest.hvt.version = 2;
	CU_ASSERT(manifest_refused(&manifest, size, "manifest of version 2"));
	manifest = manifest_of(3);
	manifest.hvt.devices[0].kind = HVT_BLOCK;
	CU_ASSERT(manifest_refused(&manifest, size, "first entry is not reserved"));
	manifest = manifest_of(3);
	manifest.hvt.devices[0].name[0] = 'x';
	CU_ASSERT(manifest_refused(&manifest, size, "first entry is not reserved"));
	manifest = manifest_of(3);
	manifest.hvt.devices[2].attached = 1;
	CU_ASSERT(manifest_refused(&manifest, size, "attached already"));
	manifest = manifest_of(3);
	manifest.hvt.devices[2].kind = 3;
	CU_ASSERT(manifest_refused(&manifest, size, "unknown type 3"));
}

static void names_are_checked(void)
{
	struct manifest manifest = manifest_of(3);
	const size_t size = manifest_size(3);

	memset(manifest.hvt.devices[1].name, 'a', 67);
	struct elf elf = unikernel(1, 2, &manifest, size);
	struct boot_source source;
	CU_ASSERT_FATAL(!image_open(&source, elf.bytes, sizeof(elf.bytes)));
	CU_ASSERT_EQUAL(strlen(source.devices[0].name), 67);
	boot_close(&source);
	manifest.hvt.devices[1].name[67] = 'a';
	CU_ASSERT(manifest_refused(&manifest, size, "letters and digits"));
	strcpy(manifest.hvt.devices[1].name, "");
	CU_ASSERT(manifest_refused(&manifest, size, "letters and digits"));
	strcpy(manifest.hvt.devices[1].name, "a\033b");
	CU_ASSERT(manifest_refused(&manifest, size, "letters and digits"));
	manifest = manifest_of(3);
	manifest.hvt.devices[2].kind = HVT_BLOCK;
	CU_ASSERT(manifest_refused(&manifest, size, "there twice"));
}

static void both_notes_are_needed_once(void)
{
	const struct abi abi = {.target = 1, .version = 2};
	struct manifest manifest = manifest_of(2);
	struct elf elf = plain();

	note_add(&elf, ABI, &abi, sizeof(abi));
	CU_ASSERT(refused(&elf, "without a manifest"));
	elf = plain();
	note_add(&elf, MANIFEST, &manifest, manifest_size(2));
	CU_ASSERT(refused(&elf, "unknown target, 0"));
	elf = good(2);
	note_add(&elf, MANIFEST, &manifest, manifest_size(2));
	CU_ASSERT(refused(&elf, "there are two"));
	elf = plain();
	note_add(&elf, ABI, &abi, 4);
	CU_ASSERT(refused(&elf, "ABI note has a wrong size"));
}

static void other_targets_are_named(void)
{
	static const struct {
		uint32_t target;
		const char *said;
	} targets[] = {
	        {2, "for 'spt': build it for hvt"},
	        {3, "for 'virtio'"},
	        {4, "for 'muen'"},
	        {5, "for 'genode'"},
	        {6, "for 'xen'"},
	        {7, "for an unknown target, 7"},
	        {UINT32_MAX, "for an unknown target"},
	};
	struct manifest manifest = manifest_of(2);

	for (unsigned i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		struct elf elf =
		        unikernel(targets[i].target, 2, &manifest, manifest_size(2));

		CU_ASSERT(refused(&elf, targets[i].said));
	}
}

static void other_versions_are_refused(void)
{
	struct manifest manifest = manifest_of(2);

	for (uint32_t version = 0; version < 4; version++) {
		struct elf elf = unikernel(1, version, &manifest, manifest_size(2));

		CU_ASSERT(refused(&elf, version == 2 ? NULL : "Solo5 hvt ABI") ==
		          (version != 2));
	}
}

static void only_static_64_bit_executables_do(void)
{
	struct elf elf = good(2);

	elf.header.e_type = ET_DYN;
	CU_ASSERT(refused(&elf, "static x86-64 ELF64"));
	elf = good(2);
	elf.header.e_machine = EM_386;
	CU_ASSERT(refused(&elf, "static x86-64 ELF64"));
}

static void segments_have_pages_of_their_own(void)
{
	struct elf elf = good(2);

	elf.segments[2].p_flags = PF_W | PF_X;
	CU_ASSERT(refused(&elf, "both writable and executable"));
	elf = good(2);
	elf.segments[2].p_vaddr = BASE + 0x1100;
	CU_ASSERT(refused(&elf, "shares a page"));
	elf = good(2);
	elf.segments[2].p_vaddr = BASE - 0x1000;
	CU_ASSERT(refused(&elf, "below 1 MiB"));
	elf = good(2);
	elf.header.e_entry = BASE + 0x2000 + 0x100;
	CU_ASSERT(refused(&elf, "entry is in none"));
}

static void guest_is_told_what_is_attached(void)
{
	struct elf elf = good(3);
	struct hvt_boot_info *info;
	struct hvt_manifest *manifest;
	struct boot_source source;
	struct boot_device devices[2];
	struct boot_image image;
	struct guest guest;
	const uint8_t mac[6] = {2, 1, 2, 3, 4, 5};

	CU_ASSERT_FATAL(!image_open(&source, elf.bytes, sizeof(elf.bytes)));
	memcpy(devices, source.devices, sizeof(devices));
	devices[0].capacity = 1 << 20;
	devices[0].block_size = 4096;
	memcpy(devices[1].mac, mac, 6);
	devices[1].mtu = 9000;
	guest_create(&guest, 4);
	guest.machine.devices = devices;
	guest.machine.cycle_hz = 1234567000;
	CU_ASSERT_FATAL(!boot_load(&source, &guest.memory, &guest.machine, &image));
	CU_ASSERT_EQUAL(image.entry, BASE + 0x20);
	info = memory_at(&guest.memory, image.info, sizeof(*info));
	CU_ASSERT_PTR_NOT_NULL_FATAL(info);
	CU_ASSERT_EQUAL(image.info, 0x10000);
	CU_ASSERT_EQUAL(info->memory_size, 4 << 20);
	CU_ASSERT_EQUAL(info->kernel_end, BASE + 0x4000);
	CU_ASSERT_EQUAL(info->cycle_hz, 1234567000);
	CU_ASSERT(!info->host_features && !info->guest_features && !info->net_ring);
	CU_ASSERT_STRING_EQUAL(memory_at(&guest.memory, (uintptr_t)info->cmdline, 14),
	        "console=ttyS0");
	manifest = memory_at(
	        &guest.memory, (uintptr_t)info->manifest, manifest_size(3) - 4);
	CU_ASSERT_PTR_NOT_NULL_FATAL(manifest);
	CU_ASSERT(manifest->version == 1 && manifest->count == 3);
	CU_ASSERT(manifest->devices[0].kind == HVT_RESERVED &&
	          !manifest->devices[0].attached);
	CU_ASSERT_STRING_EQUAL(manifest->devices[1].name, "device1");
	CU_ASSERT(manifest->devices[1].kind == HVT_BLOCK &&
	          manifest->devices[1].attached == 1);
	CU_ASSERT_EQUAL(manifest->devices[1].block.capacity, 1 << 20);
	CU_ASSERT_EQUAL(manifest->devices[1].block.block_size, 4096);
	CU_ASSERT(manifest->devices[2].kind == HVT_NET &&
	          manifest->devices[2].attached == 1);
	CU_ASSERT_EQUAL(memcmp(manifest->devices[2].net.mac, mac, 6), 0);
	CU_ASSERT_EQUAL(manifest->devices[2].net.mtu, 9000);
	memory_destroy(&guest.memory);
	boot_close(&source);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(image_is_known_by_its_notes),
	        UNIT(manifest_may_be_empty_or_full),
	        UNIT(damaged_manifest_is_refused),
	        UNIT(names_are_checked),
	        UNIT(both_notes_are_needed_once),
	        UNIT(other_targets_are_named),
	        UNIT(other_versions_are_refused),
	        UNIT(only_static_64_bit_executables_do),
	        UNIT(segments_have_pages_of_their_own),
	        UNIT(guest_is_told_what_is_attached),
	        {0},
	};

	return unit_run("boot hvt", tests);
}
