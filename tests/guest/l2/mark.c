/*
 * mark N: writes byte N to the monitor's timer port, 0xf8. Debian's cloud kernel has no /dev/port, so this is its own
 * program, without a C library: the guest's init runs it first, and its size and start-up stand in the measurement.
 */
static long system_call(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("syscall"
	                 : "=a"(result)
	                 : "a"(number), "D"(a), "S"(b), "d"(c)
	                 : "rcx", "r11", "memory");
	return result;
}

enum { SYS_EXIT = 60, SYS_IOPERM = 173, TIMER_PORT = 0xf8 };

__attribute__((used, noreturn)) static void mark(const long *stack)
{
	const char *const *arguments = (const char *const *)(stack + 1);
	unsigned char value = stack[0] > 1 ? (unsigned char)(arguments[1][0] - '0') : 1;
	long error = system_call(SYS_IOPERM, TIMER_PORT, 1, 1);

	if (!error)
		__asm__ volatile("outb %0, %1"
		                 :
		                 : "a"(value), "Nd"((unsigned short)TIMER_PORT));
	for (;;)
		system_call(SYS_EXIT, error != 0, 0, 0);
}

__asm__(".globl _start\n_start:\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall mark\n");
