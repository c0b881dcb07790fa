/*
 * A unikernel as those for Firecracker are: a plain ELF, no notes, whose entry is Linux's
 * 64-bit one (Documentation/arch/x86/boot.rst). Prints the command line, by its size as
 * the zero page has it. Status 1 if that is not a zero page.
 */
#include "mayfly.h"

#define E820_ENTRIES 0x1e8
#define BOOT_FLAG 0x1fe
#define HEADER 0x202
#define CMD_LINE_PTR 0x228
#define CMDLINE_SIZE 0x238

	.text
	.globl	_start
_start:
	mov	$1, %bl
	cmpw	$0xaa55, BOOT_FLAG(%rsi)
	jne	leave
	cmpl	$0x53726448, HEADER(%rsi)	/* "HdrS" */
	jne	leave
	cmpb	$0, E820_ENTRIES(%rsi)
	je	leave
	xor	%ebx, %ebx
	mov	$MAYFLY_COM1_PORT, %edx
	mov	CMDLINE_SIZE(%rsi), %ecx
	mov	CMD_LINE_PTR(%rsi), %esi
	test	%ecx, %ecx
	jz	end
next:
	mov	(%rsi), %al
	out	%al, %dx
	inc	%rsi
	dec	%ecx
	jnz	next
end:
	mov	$10, %al
	out	%al, %dx
leave:
	mov	%ebx, %eax
	out	%al, $MAYFLY_EXIT_PORT
	hlt

	.section .note.GNU-stack, "", %progbits
