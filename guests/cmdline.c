/* Prints its command line. */
#include "guest.h"
#include "mayfly.h"

MAYFLY_NEEDS(MAYFLY_NEEDS_CPUID);

int main(void)
{
	print("cmdline: %s\n", command_line);
	return 0;
}
