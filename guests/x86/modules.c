/*
 * Adds up the first 64-bit word of each 512 bytes of its initrd, prints the sum, and stops
 * for good: what of the initrd's memory VMs of one image share can then be measured.
 */
#include "guest.h"
#include "mayfly.h"

MAYFLY_NEEDS(MAYFLY_NEEDS_CPUID);

enum { STEP = 512 };

int main(void)
{
	struct memory_range module;
	uint64_t sum = 0, size = 0;

	for (unsigned n = 0; module_range(n, &module); n++) {
		for (uint64_t at = 0; at + sizeof(sum) <= module.size; at += STEP)
			sum += *(volatile uint64_t *)(module.start + at);
		size += module.size;
	}
	print("modules: %lu bytes, sum 0x%lx\n", size, sum);
	guest_halt();
}
