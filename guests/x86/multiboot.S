/*
 * A Multiboot header of version MULTIBOOT (1 or 2), and the way from its entry to that of
 * start.S: both are in 32-bit protected mode with %ebx at what the guest is told.
 */
#define MAGIC1 0x1badb002
#define FLAGS1 3			/* aligned modules, memory */
#define MAGIC2 0xe85250d6

	.section .text.start, "ax"
	.code32
	.balign	8
header:
#if MULTIBOOT == 1
	.long	MAGIC1, FLAGS1, -(MAGIC1 + FLAGS1)
#else
	.long	MAGIC2, 0, header_end - header, -(MAGIC2 + (header_end - header))
	.word	1, 0			/* information request: */
	.long	8 + 4 * 4
	.long	1, 3, 6, 15		/* command line, modules, memory map, ACPI */
	.word	3, 0			/* entry address */
	.long	12, multiboot_start, 0
	.word	5, 1			/* framebuffer, optional */
	.long	20, 0, 0, 0, 0
	.word	6, 0			/* module alignment */
	.long	8
	.word	0, 0
	.long	8
#endif
header_end:

	.globl	multiboot_start
multiboot_start:
	push	%eax			/* there is a stack, though none was promised */
	pop	multiboot_magic
	xor	%eax, %eax
	jmp	_start

	.section .note.GNU-stack, "", %progbits
