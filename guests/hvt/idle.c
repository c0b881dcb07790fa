#include "guest.h"
#include "hvt.h"

HVT_DEVICES(0);

int main(void)
{
	struct hvt_poll poll = {.timeout_ns = UINT64_MAX};

	print("idle\n");
	for (;;)
		hvt_call(HVT_POLL, &poll);
}
