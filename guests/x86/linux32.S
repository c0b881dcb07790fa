/*
 * A Linux bzImage, as far as its loader sees: boot sector, one sector of setup and a kernel
 * with nothing but the 32-bit entry, of boot protocol 2.08 (Documentation/arch/x86/boot.rst).
 * Prints the command line. Status 1 if that is not its zero page, 2 if the registers are not
 * as they are to be.
 */
#include "mayfly.h"

#define SECTOR 512
#define BASE 0x100000	/* where the third sector is loaded: it cannot move */
#define CODE 0x10
#define DATA 0x18
#define HEADER 0x202
#define MAGIC 0x53726448	/* "HdrS" */
#define E820_ENTRIES 0x1e8
#define CMD_LINE_PTR 0x228

	.text
	.code32
	.globl	_start
_start:
	.org	0x1f1
	.byte	1			/* setup_sects */
	.word	0
	.long	(end - kernel + 15) / 16	/* syssize */
	.org	0x1fe
	.word	0xaa55
	.byte	0xeb, header_end - . - 1
	.long	MAGIC
	.word	0x208			/* version */
	.org	0x211
	.byte	1			/* loadflags: LOADED_HIGH */
	.org	0x214
	.long	BASE			/* code32_start */
	.org	0x22c
	.long	0x37ffffff		/* initrd_addr_max */
	.org	0x238
	.long	255			/* cmdline_size */
	.org	0x250
header_end:

	.org	2 * SECTOR
kernel:
	or	%ebx, %ebp
	or	%edi, %ebp
	mov	$1, %bl
	cmpw	$0xaa55, 0x1fe(%esi)
	jne	leave
	cmpl	$MAGIC, HEADER(%esi)
	jne	leave
	cmpb	$0, E820_ENTRIES(%esi)
	je	leave
	mov	$2, %bl
	test	%ebp, %ebp
	jnz	leave
	mov	%cs, %eax
	cmp	$CODE, %ax
	jne	leave
	mov	%ss, %eax
	cmp	$DATA, %ax
	jne	leave
	mov	%eax, %ds		/* out of the table */
	ljmp	$CODE, $BASE + reloaded - kernel
reloaded:
	mov	%cr0, %eax
	test	%eax, %eax		/* paging */
	js	leave
	xor	%ebx, %ebx
	mov	CMD_LINE_PTR(%esi), %esi
	mov	$MAYFLY_COM1_PORT, %edx
next:
	lodsb
	test	%al, %al
	jz	printed
	out	%al, %dx
	jmp	next
printed:
	mov	$10, %al
	out	%al, %dx
leave:
	mov	%ebx, %eax
	out	%al, $MAYFLY_EXIT_PORT
	hlt
end:

	.section .note.GNU-stack, "", %progbits
