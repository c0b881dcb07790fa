/* Leaves with the status that "exit=7" asks for, 0 by default. */
#include "guest.h"
#include "mayfly.h"

MAYFLY_NEEDS(MAYFLY_NEEDS_CPUID);

int main(void)
{
	return (int)option_number("exit", 0);
}
