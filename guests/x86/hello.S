/*
 * The smallest guest: says hello and leaves. It stays in the 32-bit mode in which PVH
 * enters, uses no stack and writes no memory; its two notes make Mayfly build nothing
 * beyond a vCPU, RAM and the ports. Built with MULTIBOOT it is entered that way: 1 and 2
 * are the versions of an ELF's header, 0 is version 1 for a file without any format.
 *
 * Where there is no port for a text, it is one MOV and one OUT a letter: KVM passes a plain
 * OUT straight on, but decodes and emulates each byte of REP OUTSB; and an emulated CPU feels
 * a loop's instructions.
 */
#include "mayfly.h"

#ifdef MULTIBOOT
#define FLAGS (((MULTIBOOT == 0) & 1) << 16)		/* the header has addresses */
#if MULTIBOOT == 2
#define MAGIC 0x36d76289
#else
#define MAGIC 0x2badb002
#endif
#endif

	.text
	.code32
	.globl	_start
_start:
#ifdef MULTIBOOT
	cmp	$MAGIC, %eax
	jne	fail
	xor	%eax, %eax
#endif
	out	%al, $MAYFLY_TIMER_PORT		/* AL is 0: MAYFLY_MARK_KERNEL */
	cmp	$MAYFLY_TEXT_SIGN, %edx
	jne	letters
	mov	$text, %eax
	out	%eax, $MAYFLY_TEXT_PORT
	jmp	leave
letters:
	mov	$MAYFLY_COM1_PORT, %edx
	.irp	letter, 'H, 'e, 'l, 'l, 'o, 32, 'f, 'r, 'o, 'm, 32, \
			'M, 'a, 'y, 'f, 'l, 'y, '!, 10
	mov	$\letter, %al
	out	%al, %dx
	.endr
leave:
	xor	%eax, %eax
	out	%al, $MAYFLY_EXIT_PORT
	/*
	 * Never reached under Mayfly. Other monitors, for comparison, end by Cloud
	 * Hypervisor's sleep control (S5 is type 5), by the i8042's reset, or else by a
	 * triple fault: there is no IDT.
	 */
	mov	$0x600, %edx
	mov	$(1 << 5 | 5 << 2), %al
	out	%al, %dx
	mov	$MAYFLY_I8042_RESET, %al
	out	%al, $MAYFLY_I8042_PORT
	ud2

line:
	.ascii	"Hello from Mayfly!\n"
line_end:
	.balign	8
text:
	.quad	line, line_end - line

#ifdef MULTIBOOT
fail:
	mov	$1, %al
	out	%al, $MAYFLY_EXIT_PORT
	ud2

	.balign	8
header:
#if MULTIBOOT == 2
	.long	0xe85250d6, 0, 24, -(0xe85250d6 + 24)
	.word	0, 0
	.long	8
#else
	.long	0x1badb002, FLAGS, -(0x1badb002 + FLAGS)
	.long	header, LOAD_ADDRESS, 0, 0, _start
#endif
#else
	.section .note.Xen, "a", %note
	.long	4, 4, XEN_ELFNOTE_PHYS32_ENTRY
	.asciz	"Xen"
	.long	_start
#endif

	MAYFLY_NEEDS(MAYFLY_NEEDS_NOTHING)

	.section .note.GNU-stack, "", %progbits
