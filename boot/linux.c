/*
 * Linux's entries (Documentation/arch/x86/boot.rst): "64-bit Boot Protocol": %rsi holds the
 * zero page, paging is on with all of it mapped to itself; "32-bit Boot Protocol": %esi
 * does, and paging is off.
 */
#include "boot/linux.h"

#include <string.h>

#include "boot/layout.h"
#include "boot/loader.h"
#include "vmm/memory.h"

static_assert(BOOT_SETUP_HEADER == LINUX_HEADER_END - LINUX_HEADER, "one header");
static_assert((int)BOOT_REGIONS <= (int)LINUX_E820_MAX, "the map fits");

static bool linux64_offered(const struct boot_source *source)
{
	return source->has_linux64;
}

static bool linux32_offered(const struct boot_source *source)
{
	return source->has_linux32;
}

/* A bzImage brings its header; a vmlinux gets the one that it was linked without. */
static void header_fill(struct linux_params *params, const struct boot_source *source,
        const struct boot_image *image)
{
	if (source->format == FORMAT_BZIMAGE || source->unpacked) {
		/* boot.rst, 64-bit Boot Protocol: it ends at 0x202 + the byte at 0x201. */
		size_t end = offsetof(struct linux_params, header) +
		             source->setup_header[0x201 - LINUX_HEADER];

		if (end > LINUX_HEADER_END)
			end = LINUX_HEADER_END;
		memcpy((char *)params + LINUX_HEADER, source->setup_header,
		        end - LINUX_HEADER);
		return;
	}
	params->boot_flag = LINUX_BOOT_FLAG;
	params->header = LINUX_MAGIC;
	params->version = LINUX_VERSION_64;
	params->loadflags = LINUX_LOADED_HIGH;
	params->initrd_addr_max = LINUX_INITRD_MAX;
	/* Firecracker tells the size there is, and Unikraft takes it for that. */
	params->cmdline_size = source->needs.linux_kernel
	                               ? LINUX_CMDLINE_MAX
	                               : (uint32_t)image->cmdline_size - 1;
}

static int linux_prepare(const struct boot_source *source, struct memory *memory,
        const struct boot_machine_info *machine, struct boot_image *image)
{
	struct linux_params params = {0};

	header_fill(&params, source, image);
	params.type_of_loader = LINUX_LOADER_UNKNOWN;
	params.cmd_line_ptr = (uint32_t)image->cmdline;
	params.ramdisk_image = (uint32_t)image->initrd;
	params.ext_ramdisk_image = (uint32_t)(image->initrd >> 32);
	params.ramdisk_size = (uint32_t)image->initrd_size;
	params.ext_ramdisk_size = (uint32_t)(image->initrd_size >> 32);
	params.acpi_rsdp_addr = machine->acpi_rsdp;
	params.e820_entries = (uint8_t)machine->region_count;
	for (unsigned i = 0; i < machine->region_count; i++) {
		const struct boot_region *region = machine->regions + i;

		params.e820_table[i] = (struct linux_e820){region->guest, region->size,
		        region->reserved ? LINUX_E820_RESERVED : LINUX_E820_RAM};
	}
	image->entry = source->elf_entry;
	image->info = LAYOUT_ZERO_PAGE;
	return memory_write(memory, image->info, &params, sizeof(params));
}

const struct entry_protocol protocol_linux64 = {
        .protocol = PROTOCOL_LINUX64,
        .name = "linux",
        .cmdline = LAYOUT_CMDLINE,
        .offered = linux64_offered,
        .prepare = linux_prepare,
};

const struct entry_protocol protocol_linux32 = {
        .protocol = PROTOCOL_LINUX32,
        .name = "linux32",
        .cmdline = LAYOUT_CMDLINE,
        .offered = linux32_offered,
        .prepare = linux_prepare,
};
