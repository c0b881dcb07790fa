/*
 * Prints the memory map and writes to the last bytes of every RAM range. Leaves with 1
 * if one of them does not keep what was written, or there is no RAM at all.
 */
#include "guest.h"
#include "mayfly.h"

MAYFLY_NEEDS(MAYFLY_NEEDS_CPUID);

static bool word_keeps(volatile uint64_t *word)
{
	/* Something of ours may lie there. */
	uint64_t before = *word;
	uint64_t pattern = 0x0123456789abcdef ^ before;
	bool kept;

	*word = pattern;
	kept = *word == pattern;
	*word = before;
	return kept;
}

int main(void)
{
	struct memory_range range;
	uint64_t ram = 0;
	int status = 0;

	for (unsigned n = 0; memory_range(n, &range); n++) {
		uint64_t end = range.start + range.size;

		print("memory: 0x%lx-0x%lx %s\n", range.start, end,
		        range.ram ? "RAM" : "reserved");
		if (!range.ram || range.size < 16)
			continue;
		ram += range.size;
		if (!word_keeps(memory_window((end - 8) & ~7ul))) {
			print("memory: 0x%lx does not keep its value\n", end - 8);
			status = 1;
		}
	}
	print("memory: %lu KiB of RAM\n", ram / 1024);
	return ram ? status : 1;
}
