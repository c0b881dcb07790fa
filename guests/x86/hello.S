/*
 * The smallest guest: says hello and leaves. It stays in the 32-bit mode in which PVH
 * enters, uses no stack and writes no memory; its two notes make Mayfly build nothing
 * beyond a vCPU, RAM and the ports.
 */
#include "mayfly.h"

	.text
	.code32
	.globl	_start
_start:
	out	%al, $MAYFLY_TIMER_PORT		/* AL is 0: MAYFLY_MARK_KERNEL */
	mov	$text, %esi
	mov	$text_end - text, %ecx
	mov	$MAYFLY_COM1_PORT, %edx
	rep outsb				/* where KVM can: one exit for all bytes */
	xor	%eax, %eax
	out	%al, $MAYFLY_EXIT_PORT
1:	hlt
	jmp	1b

text:	.ascii	"Hello from Mayfly!\n"
text_end:

	.section .note.Xen, "a", %note
	.long	4, 4, XEN_ELFNOTE_PHYS32_ENTRY
	.asciz	"Xen"
	.long	_start

	MAYFLY_NEEDS(MAYFLY_NEEDS_NOTHING)
