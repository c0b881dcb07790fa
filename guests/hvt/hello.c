#include "guest.h"
#include "hvt.h"

HVT_DEVICES(0);

extern char image_end[];

static int wrong(const char *what)
{
	print("hello: wrong: %s\n", what);
	return 1;
}

/* What the guest is told, against what it can see for itself. */
int main(void)
{
	const struct hvt_manifest *manifest = hvt_info->manifest;
	uint64_t end = ((uint64_t)image_end + 4095) & ~4095ul;

	print("hello: %lu MiB, '%s'\n", hvt_info->memory_size >> 20, command_line);
	if (hvt_info->kernel_end != end)
		return wrong("kernel end");
	if (hvt_info->cycle_hz < 100000000)
		return wrong("cycles");
	if (manifest->version != 1 || manifest->count != 1 ||
	        manifest->devices[0].kind != HVT_RESERVED)
		return wrong("manifest");
	if (hvt_info->host_features || hvt_info->guest_features || hvt_info->net_ring)
		return wrong("features");
	/* The stack begins at the end of RAM, which is there to its last byte. */
	uint64_t here = (uint64_t)__builtin_frame_address(0);
	if (here > hvt_info->memory_size || hvt_info->memory_size - here > 4096)
		return wrong("stack");
	return 0;
}
