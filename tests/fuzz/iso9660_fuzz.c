/* ISO 9660 and Rock Ridge. */
#include "tests/fuzz/volume_fuzz.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	return volume_fuzz(&volume_iso9660, data, size);
}
