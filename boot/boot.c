#include "boot/boot.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "boot/loader.h"
#include "vmm/log.h"
#include "vmm/memory.h"

/* PROTOCOL_AUTO takes the first that the image offers. */
static const struct entry_protocol *const protocols[] = {
        &protocol_hvt,
        &protocol_pvh,
        &protocol_multiboot2,
        &protocol_multiboot,
        &protocol_linux64,
        &protocol_linux32,
        &protocol_riscv,
};
enum { PROTOCOLS = sizeof(protocols) / sizeof(protocols[0]) };

int boot_choose(struct boot_source *source, enum boot_protocol protocol)
{
	const char *name = "auto";

	/* It stays what the bzImage is: the header also says how the root is mounted. */
	if (protocol == PROTOCOL_AUTO && source->unpacked)
		protocol = PROTOCOL_LINUX64;
	/* A kernel has one or the other, and --boot linux is that. */
	if (protocol == PROTOCOL_LINUX64 && source->has_linux32)
		protocol = PROTOCOL_LINUX32;
	for (unsigned i = 0; i < PROTOCOLS; i++) {
		if (protocol != PROTOCOL_AUTO && protocol != protocols[i]->protocol)
			continue;
		name = protocols[i]->name;
		if (protocols[i]->offered(source)) {
			source->protocol = protocols[i]->protocol;
			return 0;
		}
	}
	return log_error(-EINVAL,
	        "--boot %s: '%s' (%s) cannot be entered that way: leave --boot out",
	        name, source->kernel_path, source->kind);
}

const char *boot_protocol_name(enum boot_protocol protocol)
{
	for (unsigned i = 0; i < PROTOCOLS; i++)
		if (protocols[i]->protocol == protocol)
			return protocols[i]->name;
	return "none";
}

size_t boot_cmdline_max(const struct boot_source *source)
{
	return source->cmdline_max;
}

static bool is_ram(
        const struct boot_machine_info *machine, const struct boot_segment *segment)
{
	for (unsigned i = 0; i < machine->region_count; i++) {
		const struct boot_region *region = machine->regions + i;
		uint64_t offset = segment->guest - region->guest;

		if (!region->reserved && segment->guest >= region->guest &&
		        offset < region->size && segment->size <= region->size - offset)
			return true;
	}
	return false;
}

uint64_t boot_ram_base(const struct boot_machine_info *machine)
{
	return machine->region_count ? machine->regions[0].guest : 0;
}

/* More RAM helps only below the hole that every machine has for its devices. */
static int segment_misplaced(const struct boot_source *source,
        const struct boot_machine_info *machine, const struct boot_segment *segment)
{
	const struct boot_segment *last = source->segments + source->segment_count - 1;
	uint64_t end = last->guest + last->size - boot_ram_base(machine);

	if (end <= 3ull << 30)
		return log_error(-ENOMEM,
		        "--mem: '%s' needs memory up to 0x%" PRIx64
		        ": give --mem at least %" PRIu64 "M",
		        source->kernel_path, last->guest + last->size,
		        (end + (1 << 20) - 1) >> 20);
	return log_error(-EINVAL,
	        "image: '%s': its segment of 0x%" PRIx64 " bytes at 0x%" PRIx64
	        " lies outside RAM",
	        source->kernel_path, segment->size, segment->guest);
}

/*
 * What follows file_size in memory is zero already: no one has touched this RAM.
 *
 * Linux patches itself at boot (alternatives, returns, calls, trace points), so that hardly
 * a page of its text stays as it is in the file. Mapped, each would be two faults of 4 KiB
 * and a copy; read, all of it is in huge pages.
 */
static int kernel_load(const struct boot_source *source, struct memory *memory,
        const struct boot_machine_info *machine, struct boot_image *image)
{
	const struct boot_segment *end = source->segments + source->segment_count;
	int (*load)(struct memory *, uint64_t, uint64_t, int, uint64_t) =
	        source->needs.linux_kernel ? memory_load_copy : memory_load;

	for (const struct boot_segment *segment = source->segments; segment < end;
	        segment++) {
		int error;

		if (!is_ram(machine, segment))
			return segment_misplaced(source, machine, segment);
		error = load(memory, segment->guest, segment->file_size,
		        source->kernel_fd, source->kernel_offset + segment->offset);
		if (error == -ENODATA)
			return log_error(error, "image: '%s' was cut while it was read",
			        source->kernel_path);
		if (error)
			return log_error(error, "image: cannot load '%s': %s",
			        source->kernel_path, strerror(-error));
	}
	image->kernel_start = source->segments[0].guest;
	image->kernel_end = end[-1].guest + end[-1].size;
	return 0;
}

static int cmdline_load(const struct boot_source *source, uint64_t guest,
        struct memory *memory, const struct boot_machine_info *machine,
        struct boot_image *image)
{
	size_t length = strlen(machine->cmdline);

	if (length > source->cmdline_max)
		return log_error(-E2BIG,
		        "--cmdline: %zu bytes with what was added, '%s' takes %zu: "
		        "shorten "
		        "it",
		        length, source->kernel_path, source->cmdline_max);
	if (!guest)
		return 0;
	image->cmdline = guest;
	image->cmdline_size = length + 1;
	return memory_write(memory, image->cmdline, machine->cmdline, length + 1);
}

static const struct entry_protocol *protocol_find(enum boot_protocol protocol)
{
	for (unsigned i = 0; i < PROTOCOLS; i++)
		if (protocols[i]->protocol == protocol)
			return protocols[i];
	return NULL;
}

int boot_load(const struct boot_source *source, struct memory *memory,
        const struct boot_machine_info *machine, struct boot_image *image)
{
	const struct entry_protocol *protocol = protocol_find(source->protocol);
	struct boot_image result = {.protocol = source->protocol};
	int error;

	assert(protocol && source->segment_count);
	assert(machine->region_count <= BOOT_REGIONS);
	error = kernel_load(source, memory, machine, &result);
	if (error)
		return error;
	error = initrd_load(source, memory, machine, &result);
	if (error)
		return error;
	error = cmdline_load(source, protocol->cmdline, memory, machine, &result);
	if (!error)
		error = protocol->prepare(source, memory, machine, &result);
	if (error == -EFAULT)
		return log_error(
		        -ENOMEM, "--mem: too little for a guest: give at least 2M");
	if (error)
		return error;
	*image = result;
	return 0;
}
