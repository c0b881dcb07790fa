/* tar archives. */
#include "tests/fuzz/volume_fuzz.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	return volume_fuzz(&volume_tar, data, size);
}
