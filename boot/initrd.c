/*
 * Several initrds are one to the guest: Linux unpacks archives one after the other and
 * skips zeros between them (Documentation/driver-api/early-userspace/buffer-format.rst).
 * Each starts on a page, so that all of them can be mapped rather than copied.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "boot/layout.h"
#include "boot/loader.h"
#include "vmm/log.h"
#include "vmm/memory.h"

static const uint64_t page_mask = 4095;

static int too_big(const struct boot_source *source)
{
	return log_error(-E2BIG,
	        "--initrd: '%s' does not fit below 0x%" PRIx64
	        ", the end of what this kernel reads: make it smaller",
	        source->initrd_paths[0], source->initrd_max + 1);
}

/* All of them, each but the last padded to whole pages. */
static int initrd_sum(const struct boot_source *source, uint64_t *size)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < source->initrd_count; i++) {
		sum = (sum + page_mask) & ~page_mask;
		if (sum > source->initrd_max ||
		        source->initrd_sizes[i] > source->initrd_max - sum)
			return too_big(source);
		sum += source->initrd_sizes[i];
	}
	*size = sum;
	return 0;
}

/* The highest page in [low, high) from which `size` bytes fit, or 0. */
static uint64_t place_in(uint64_t low, uint64_t high, uint64_t size)
{
	uint64_t start;

	if (high <= low || size > high - low)
		return 0;
	start = (high - size) & ~page_mask;
	return start >= low ? start : 0;
}

/*
 * Right behind the kernel, where Multiboot's loaders put modules: their kernels may take
 * what follows the last module for free, and nothing else.
 */
static uint64_t place_behind(const struct boot_machine_info *machine,
        const struct boot_image *image, uint64_t size)
{
	uint64_t start = (image->kernel_end + page_mask) & ~page_mask;

	for (unsigned i = 0; i < machine->region_count; i++) {
		const struct boot_region *region = machine->regions + i;

		if (!region->reserved && start - region->guest < region->size &&
		        size <= region->size - (start - region->guest))
			return start;
	}
	return 0;
}

/*
 * As high as the kernel can reach, for what is below grows into each other there: the
 * kernel, and what it allocates first.
 */
static uint64_t place(const struct boot_source *source,
        const struct boot_machine_info *machine, const struct boot_image *image,
        uint64_t size)
{
	uint64_t best = 0;

	if (source->multiboot.version)
		return place_behind(machine, image, size);
	for (unsigned i = 0; i < machine->region_count; i++) {
		const struct boot_region *region = machine->regions + i;
		uint64_t low = region->guest, high = region->guest + region->size, at;

		if (region->reserved)
			continue;
		if (low < LAYOUT_KERNEL_MIN)
			low = LAYOUT_KERNEL_MIN;
		if (high > source->initrd_max)
			high = source->initrd_max + 1;
		if (image->kernel_start >= high || image->kernel_end <= low) {
			at = place_in(low, high, size);
		} else {
			at = place_in(image->kernel_end, high, size);
			if (!at)
				at = place_in(low, image->kernel_start, size);
		}
		if (at > best)
			best = at;
	}
	return best;
}

int initrd_load(const struct boot_source *source, struct memory *memory,
        const struct boot_machine_info *machine, struct boot_image *image)
{
	/*
	 * Linux reads it once and puts other things in its place: mapped, each page would
	 * be three faults of 4 KiB. What keeps it shares it with others' guests.
	 */
	int (*load)(struct memory *, uint64_t, uint64_t, int, uint64_t) =
	        source->needs.linux_kernel ? memory_load_copy : memory_load;
	uint64_t size = 0, start, at;
	int error;

	if (!source->initrd_count)
		return 0;
	error = initrd_sum(source, &size);
	if (error)
		return error;
	start = place(source, machine, image, size);
	if (!start) {
		/* More RAM helps as far as the kernel reads. */
		uint64_t end = ((image->kernel_end + page_mask) & ~page_mask) + size;

		if (end - 1 > source->initrd_max)
			return too_big(source);
		return log_error(-ENOMEM,
		        "--mem: '%s' of %" PRIu64
		        " KiB does not fit beside the kernel: "
		        "give --mem at least %" PRIu64 "M",
		        source->initrd_paths[0], (size + 1023) >> 10,
		        (end - boot_ram_base(machine) + (1 << 20) - 1) >> 20);
	}
	image->initrd = start;
	image->initrd_size = size;
	for (unsigned i = 0; i < source->initrd_count; i++) {
		at = initrd_guest(source, image, i);
		error = load(memory, at, source->initrd_sizes[i], source->initrd_fds[i],
		        source->initrd_offsets[i]);
		if (error)
			return log_error(error, "--initrd: cannot load '%s': %s",
			        source->initrd_paths[i], strerror(-error));
	}
	return 0;
}

uint64_t initrd_guest(const struct boot_source *source, const struct boot_image *image,
        unsigned index)
{
	uint64_t at = image->initrd;

	for (unsigned i = 0; i < index; i++)
		at = (at + source->initrd_sizes[i] + page_mask) & ~page_mask;
	return at;
}
