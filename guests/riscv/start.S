/* From the entry (supervisor mode, no paging) to platform_start(): a stack, nothing else. */
#include "mayfly.h"

#define STACK_SIZE 0x4000

	.section .text.start, "ax"
	.globl	_start
_start:
	li	t0, MAYFLY_EXIT_ADDRESS
	sb	zero, MAYFLY_MARK_OFFSET(t0)	/* MAYFLY_MARK_KERNEL */
	la	sp, stack_top
	la	t0, exception_entry
	csrw	stvec, t0
	mv	a0, a1				/* the device tree */
	call	platform_start

	.balign	4
exception_entry:
	csrr	a0, scause
	csrr	a1, sepc
	csrr	a2, stval
	la	sp, stack_top
	call	exception

	.bss
	.balign	16
	.skip	STACK_SIZE
stack_top:

	.section .note.GNU-stack, "", %progbits
