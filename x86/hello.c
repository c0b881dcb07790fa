/* The process that `mayfly bench` starts as such and in containers: two system calls. */
#include <elf.h>

#include "vmm/arch.h"
#include "vmm/bench.h"

extern const char hello_start[] __attribute__((visibility("hidden")));
extern const char hello_end[] __attribute__((visibility("hidden")));

__asm__("	.pushsection .rodata\n"
        "hello_start:\n"
        "	mov	$1, %eax\n" /* write(1, line, 19) */
        "	mov	%eax, %edi\n"
        "	lea	1f(%rip), %rsi\n"
        "	mov	$2f - 1f, %edx\n"
        "	syscall\n"
        "	mov	$60, %eax\n" /* exit(0) */
        "	xor	%edi, %edi\n"
        "	syscall\n"
        "1:	.ascii	\"" BENCH_LINE "\\n\"\n"
        "2:\n"
        "hello_end:\n"
        "	.popsection\n");

size_t arch_hello_process(const void **code, unsigned *machine)
{
	*code = hello_start;
	*machine = EM_X86_64;
	return (size_t)(hello_end - hello_start);
}
