/* A whole medium: partitions, volumes, unified kernel images, what is in their files. */
#include "boot/find.h"
#include "tests/fuzz/volume_fuzz.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	static struct find *find_memory;
	static struct found *found;
	struct input input = {data, size};
	struct boot_medium medium = {size, input_read, &input, -1};

	if (!found) {
		find_memory = calloc(1, sizeof(*find_memory));
		found = calloc(1, sizeof(*found));
	}
	found->file_count = 0;
	find(find_memory, &medium, found);
	if (found->error > 0 || found->file_count > FIND_FILES ||
	        (!found->error && !found->file_count))
		__builtin_trap();
	for (uint32_t i = 0; !found->error && i < found->file_count; i++)
		if (found->files[i].first_run > FIND_RUNS ||
		        found->files[i].run_count >
		                FIND_RUNS - found->files[i].first_run)
			__builtin_trap();
	return 0;
}
