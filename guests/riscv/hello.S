/*
 * The smallest guest: says hello and leaves. It uses no stack and reads no device tree; its
 * note makes Mayfly build nothing beyond a vCPU, RAM and the devices without interrupts.
 */
#include "mayfly.h"

	.text
	.globl	_start
_start:
	li	t0, MAYFLY_EXIT_ADDRESS
	sb	zero, MAYFLY_MARK_OFFSET(t0)	/* MAYFLY_MARK_KERNEL */
	li	t1, MAYFLY_COM1_ADDRESS
	.irp	letter, 'H, 'e, 'l, 'l, 'o, 32, 'f, 'r, 'o, 'm, 32, \
			'M, 'a, 'y, 'f, 'l, 'y, '!, 10
	li	a0, \letter
	sb	a0, 0(t1)
	.endr
	sw	zero, 0(t0)
	/* Never reached under Mayfly; other monitors end by SBI's system reset. */
	li	a7, 0x53525354
	li	a6, 0
	li	a0, 0
	li	a1, 0
	ecall
1:	wfi
	j	1b

	MAYFLY_NEEDS(MAYFLY_NEEDS_NOTHING)

	.section .note.GNU-stack, "", %progbits
