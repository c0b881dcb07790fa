/*
 * Ends badly, in the way that "crash=" names:
 *
 *   jump     jumps to where no memory is; the start code reports the trap: status 255
 *   atomic   an atomic operation on a device, which KVM does not know   (default)
 *   panic    says so to pvpanic, then halts
 */
#include "guest.h"
#include "mayfly.h"
#include "riscv/platform.h"

MAYFLY_NEEDS(MAYFLY_NEEDS_NOTHING);

#define NOWHERE 0x70000000

static void jump(void)
{
	((void (*)(void))(uintptr_t)NOWHERE)();
}

static void atomic(void)
{
	__asm__ volatile("amoadd.w zero, zero, (%0)" : : "r"(MAYFLY_COM1_ADDRESS));
}

int main(void)
{
	const char *how = option_find(command_line, "crash");

	if (!how || option_is(how, "atomic"))
		atomic();
	else if (option_is(how, "jump"))
		jump();
	else if (option_is(how, "panic"))
		*(volatile uint8_t *)MAYFLY_PVPANIC_ADDRESS = MAYFLY_PVPANIC_PANICKED;
	else
		return 1;
	guest_halt();
}
