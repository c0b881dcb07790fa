/*
 * bzImage: what /boot/vmlinuz is on x86. Linux's Documentation/arch/x86/boot.rst, by whose
 * names the fields go. Kernels for x86-64 have a 64-bit entry since protocol 2.12; all others
 * are entered in 32-bit mode. The entry in real mode needs a BIOS.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "boot/layout.h"
#include "boot/linux.h"
#include "boot/loader.h"
#include "vmm/log.h"

enum { SECTOR = 512, VERSION_TEXT = 0x200, PF_RWX = 7 };

/* The boot page tables reach this far. */
static const uint64_t reach = 1ull << 32;

static int refuse(const struct boot_source *source, const char *what)
{
	return log_error(-EINVAL, "image: '%s' is a Linux bzImage %s",
	        source->kernel_path, what);
}

static int fields_check(
        const struct boot_source *source, const struct linux_params *file)
{
	uint32_t alignment = file->kernel_alignment;

	if (file->version < LINUX_VERSION_MIN)
		return refuse(source,
		        "older than boot protocol 2.08 (Linux 2.6.26), or a program "
		        "that looks like one: it would need a BIOS");
	if (!(file->loadflags & LINUX_LOADED_HIGH) || !file->syssize ||
	        !file->cmdline_size || !file->init_size)
		return refuse(source, "with a damaged header");
	if (file->relocatable_kernel && (!alignment || alignment & (alignment - 1)))
		return refuse(source, "with a damaged kernel_alignment");
	if (file->pref_address < LAYOUT_KERNEL_MIN || file->pref_address > reach)
		return refuse(source, "with a damaged pref_address");
	return 0;
}

static bool has_linux64(const struct linux_params *file)
{
	return file->version >= LINUX_VERSION_64 && file->xloadflags & LINUX_KERNEL_64;
}

/* What the kernel's protocol is too old for: it uses no more than its file says. */
static void fields_complete(struct linux_params *file)
{
	if (file->version >= LINUX_VERSION_INIT_SIZE)
		return;
	file->pref_address = LAYOUT_KERNEL_MIN;
	file->init_size = 1;
}

/* Where the protected-mode kernel goes, and all that it uses at first. */
static int segment_set(struct boot_source *source, const struct linux_params *file)
{
	uint64_t sectors = 1 + (file->setup_sects ? file->setup_sects : 4);
	struct boot_segment segment = {
	        .guest = LAYOUT_KERNEL_MIN,
	        .file_size = (uint64_t)file->syssize * 16,
	        .offset = sectors * SECTOR,
	        .flags = PF_RWX,
	};
	uint64_t entry = has_linux64(file) ? LINUX_ENTRY_64 : 0;
	uint64_t run = file->pref_address, end;
	uint64_t missing = segment.offset + segment.file_size - source->kernel_size;

	/* syssize counts in units of 16 bytes; the last one may be cut short. */
	if (missing < 16 && segment.file_size > missing)
		segment.file_size -= missing;

	/* Where it would move to by itself, if it can: then it is there already. */
	if (file->relocatable_kernel) {
		uint64_t mask = (uint64_t)file->kernel_alignment - 1;

		run = (run + mask) & ~mask;
		segment.guest = run;
	}
	/* init_size counts from where it runs, be that elsewhere than it was loaded. */
	end = run + file->init_size;
	if (end < segment.guest + segment.file_size)
		end = segment.guest + segment.file_size;
	segment.size = end - segment.guest;
	if (end > reach)
		return refuse(source, "that wants to lie above 4 GiB");
	if (segment.file_size <= entry || segment.offset > source->kernel_size ||
	        segment.file_size > source->kernel_size - segment.offset)
		return log_error(-EINVAL,
		        "image: '%s' is a truncated Linux bzImage: %" PRIu64
		        " bytes, its header says %" PRIu64,
		        source->kernel_path, source->kernel_size,
		        segment.offset + segment.file_size);
	source->segments[0] = segment;
	source->segment_count = 1;
	source->elf_entry = segment.guest + entry;
	return 0;
}

static int bzimage_probe(struct boot_source *source, enum boot_machine machine)
{
	struct linux_params file = {0};
	char version[64] = "";
	int error = boot_read(source, LINUX_HEADER, (char *)&file + LINUX_HEADER,
	        LINUX_HEADER_END - LINUX_HEADER);

	if (error || file.boot_flag != LINUX_BOOT_FLAG || file.header != LINUX_MAGIC)
		return -ENOEXEC;
	if (machine != MACHINE_X86)
		return boot_foreign(source, "an x86-64", machine);
	fields_complete(&file);
	error = fields_check(source, &file);
	if (!error)
		error = segment_set(source, &file);
	if (error)
		return error;

	source->format = FORMAT_BZIMAGE;
	source->has_linux64 = has_linux64(&file);
	source->has_linux32 = !source->has_linux64;
	source->initrd_max = file.initrd_addr_max;
	source->cmdline_max = file.cmdline_size < BOOT_CMDLINE_MAX
	                              ? file.cmdline_size
	                              : BOOT_CMDLINE_MAX - 1;
	source->needs = boot_needs_all(true);
	memcpy(source->setup_header, (char *)&file + LINUX_HEADER,
	        sizeof(source->setup_header));
	/* Its text may as well be missing: it is for people only. */
	if (!file.kernel_version ||
	        boot_read(source, VERSION_TEXT + file.kernel_version, version,
	                sizeof(version)))
		version[0] = '\0';
	boot_describe(source, "Linux bzImage", version, sizeof(version));
	return 0;
}

const struct image_format format_bzimage = {
        .name = "bzImage",
        .probe = bzimage_probe,
};
