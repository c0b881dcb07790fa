#include <string.h>

#include "guest.h"
#include "hvt.h"

HVT_DEVICES(2, {.name = "storage", .kind = HVT_BLOCK},
        {.name = "second", .kind = HVT_BLOCK});

enum { BLOCK_MAX = 32768 };

static uint8_t written[BLOCK_MAX], got[BLOCK_MAX];
static int failures;

static int transfer(
        enum hvt_call call, uint64_t handle, uint64_t offset, void *data, size_t size)
{
	struct hvt_block block = {handle, offset, data, size, -1};

	hvt_call(call, &block);
	return block.result;
}

static void expect(const char *what, int found, int wanted)
{
	if (found == wanted)
		return;
	print("blk: wrong: %s is %d, not %d\n", what, found, wanted);
	failures++;
}

/* The first, a middle and the last block keep what is written; two disks are two. */
static void keeps(uint64_t handle, uint64_t capacity, size_t block)
{
	const uint64_t places[] = {0, capacity / block / 2 * block, capacity - block};

	for (unsigned i = 0; i < 3; i++) {
		for (size_t at = 0; at < block; at++)
			written[at] = (uint8_t)(at * 7 + i + handle);
		expect("a write",
		        transfer(HVT_BLOCK_WRITE, handle, places[i], written, block),
		        HVT_OK);
		expect("a read",
		        transfer(HVT_BLOCK_READ, handle, places[i], got, block),
		        HVT_OK);
		expect("what was read", memcmp(got, written, block), 0);
	}
}

static void refuses(uint64_t handle, uint64_t capacity, size_t block)
{
	const struct {
		const char *what;
		uint64_t handle, offset;
		void *data;
		size_t size;
	} cases[] = {
	        {"handle 0", 0, 0, got, block},
	        {"an unknown handle", 3, 0, got, block},
	        {"a huge handle", 1ul << 40 | 1, 0, got, block},
	        {"the end", handle, capacity, got, block},
	        {"past the end", handle, capacity - block, got, 2 * block},
	        {"a wrapping end", handle, -block, got, 2 * block},
	        {"an odd offset", handle, block / 2, got, block},
	        {"an odd size", handle, 0, got, block - 1},
	        {"no size", handle, 0, got, 0},
	        {"a huge size", handle, 0, got, 1ul << 63},
	        {"data outside RAM", handle, 0, (void *)hvt_info->memory_size, block},
	        {"data across RAM's end", handle, 0,
	                (void *)(hvt_info->memory_size - block / 2), block},
	        {"data at the top", handle, 0, (void *)-block, block},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (int call = HVT_BLOCK_WRITE; call <= HVT_BLOCK_READ; call++)
			expect(cases[i].what,
			        transfer((enum hvt_call)call, cases[i].handle,
			                cases[i].offset, cases[i].data, cases[i].size),
			        HVT_EINVAL);
	/* Memory that the guest cannot write is not written for it. */
	expect("a read into code",
	        transfer(HVT_BLOCK_READ, handle, 0, (void *)main, block), HVT_EINVAL);
	expect("a read into page tables",
	        transfer(HVT_BLOCK_READ, handle, 0, (void *)0x2000, block), HVT_EINVAL);
	expect("a write out of code",
	        transfer(HVT_BLOCK_WRITE, handle, 0, (void *)((uint64_t)main & ~4095ul),
	                block <= 4096 ? block : 0),
	        block <= 4096 ? HVT_OK : HVT_EINVAL);
}

int main(void)
{
	const struct hvt_device *devices = hvt_info->manifest->devices;

	if (option_number("ro", 0)) {
		expect("a write to a read-only disk",
		        transfer(HVT_BLOCK_WRITE, 1, 0, written, 512), HVT_EUNSPEC);
		expect("a read of a read-only disk",
		        transfer(HVT_BLOCK_READ, 1, 0, got, 512), HVT_OK);
		return failures != 0;
	}
	for (unsigned i = 1; i <= 2; i++) {
		if (!devices[i].attached)
			return 2;
		print("blk: %s: %lu bytes, %u a block\n", devices[i].name,
		        devices[i].block.capacity, devices[i].block.block_size);
	}
	for (unsigned i = 1; i <= 2; i++)
		keeps(i, devices[i].block.capacity, devices[i].block.block_size);
	refuses(1, devices[1].block.capacity, devices[1].block.block_size);
	if (!failures)
		print("blk: ok\n");
	return failures != 0;
}
