/* The process that `mayfly bench` starts as such and in containers: two system calls. */
#include <elf.h>

#include "vmm/arch.h"
#include "vmm/bench.h"

extern const char hello_start[] __attribute__((visibility("hidden")));
extern const char hello_end[] __attribute__((visibility("hidden")));

__asm__("	.pushsection .rodata\n"
        "	.balign	4\n"
        "hello_start:\n"
        "	li	a7, 64\n" /* write(1, line, 19) */
        "	li	a0, 1\n"
        "	lla	a1, 1f\n"
        "	lla	a2, 2f\n"
        "	sub	a2, a2, a1\n"
        "	ecall\n"
        "	li	a7, 93\n" /* exit(0) */
        "	li	a0, 0\n"
        "	ecall\n"
        "1:	.ascii	\"" BENCH_LINE "\\n\"\n"
        "2:\n"
        "hello_end:\n"
        "	.popsection\n");

size_t arch_hello_process(const void **code, unsigned *machine)
{
	*code = hello_start;
	*machine = EM_RISCV;
	return (size_t)(hello_end - hello_start);
}
