#include "guest.h"
#include "hvt.h"

HVT_DEVICES(0);

/* As Solo5's own trap handler leaves it: cr2, error code, rip, cs, rflags, rsp, ss. */
static uint64_t cookie[64] = {0x1234, 2, 0x100123, 8, 2, 0x200000, 0x10};

/* status=N; cookie=1: with a trap frame, cookie=2: one outside RAM; argument=1: outside. */
int main(void)
{
	static const void *const cookies[] = {0, cookie, (void *)0xfffffffffffffff0};
	struct hvt_halt halt = {cookies[option_number("cookie", 0) % 3],
	        (int32_t)option_number("status", 0)};

	print("halt\n");
	if (option_number("argument", 0))
		hvt_out(0x500 + HVT_HALT, 0xfffffff0);
	hvt_call(HVT_HALT, &halt);
	return 1; /* it never comes back */
}
