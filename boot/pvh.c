/*
 * PVH: Xen's "x86/HVM direct boot ABI" (docs/misc/pvh.pandoc): 32-bit protected mode
 * without paging, %ebx holds hvm_start_info (public/arch-x86/hvm/start_info.h, version 1).
 */
#include <assert.h>
#include <string.h>

#include "boot/layout.h"
#include "boot/loader.h"
#include "vmm/memory.h"

enum { PVH_MAGIC = 0x336ec578, PVH_VERSION = 1, PVH_RAM = 1, PVH_RESERVED = 2 };

struct pvh_start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t module_count;
	uint64_t modules;
	uint64_t cmdline;
	uint64_t rsdp;
	uint64_t regions; /* from version 1 on */
	uint32_t region_count;
	uint32_t reserved;
};

struct pvh_module {
	uint64_t guest;
	uint64_t size;
	uint64_t cmdline;
	uint64_t reserved;
};

struct pvh_region {
	uint64_t guest;
	uint64_t size;
	uint32_t type; /* as in an E820 map */
	uint32_t reserved;
};

/* All of it in one piece. */
struct pvh_info {
	struct pvh_start_info start;
	struct pvh_module initrd;
	struct pvh_region regions[BOOT_REGIONS];
};

static_assert(sizeof(struct pvh_start_info) == 56, "as in start_info.h");
static_assert(
        LAYOUT_PVH_INFO + sizeof(struct pvh_info) <= LAYOUT_ZERO_PAGE, "it has a page");

static bool pvh_offered(const struct boot_source *source)
{
	return source->has_pvh;
}

static int pvh_prepare(const struct boot_source *source, struct memory *memory,
        const struct boot_machine_info *machine, struct boot_image *image)
{
	struct pvh_info info = {
	        .start =
	                {
	                        .magic = PVH_MAGIC,
	                        .version = PVH_VERSION,
	                        .module_count = image->initrd_size ? 1 : 0,
	                        .cmdline = image->cmdline,
	                        .rsdp = machine->acpi_rsdp,
	                        .regions = LAYOUT_PVH_INFO +
	                                   offsetof(struct pvh_info, regions),
	                        .region_count = machine->region_count,
	                },
	};

	if (image->initrd_size) {
		info.start.modules =
		        LAYOUT_PVH_INFO + offsetof(struct pvh_info, initrd);
		info.initrd.guest = image->initrd;
		info.initrd.size = image->initrd_size;
	}
	for (unsigned i = 0; i < machine->region_count; i++) {
		const struct boot_region *region = machine->regions + i;

		info.regions[i] = (struct pvh_region){region->guest, region->size,
		        region->reserved ? PVH_RESERVED : PVH_RAM, 0};
	}
	image->entry = source->pvh_entry;
	image->info = LAYOUT_PVH_INFO;
	return memory_write(memory, image->info, &info, sizeof(info));
}

const struct entry_protocol protocol_pvh = {
        .protocol = PROTOCOL_PVH,
        .name = "pvh",
        .cmdline = LAYOUT_CMDLINE,
        .offered = pvh_offered,
        .prepare = pvh_prepare,
};
