/* ext4, which is libext2fs over functions of ours. */
#include "tests/fuzz/volume_fuzz.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	return volume_fuzz(&volume_ext4, data, size);
}
