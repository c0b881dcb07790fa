/*
 * From the PVH entry (32 bits, no paging) to platform_start() in long mode.
 *
 * The page tables, the GDT and the IDT are complete in the file, so entering C costs
 * some twenty instructions; that counts where KVM has to emulate each one.
 */
#include "mayfly.h"

#define LOAD_ADDRESS 0x100000	/* guest.ld */
#define STACK_SIZE 0x4000

#define CODE_SELECTOR 8
#define DATA_SELECTOR 16

#define CR0_PG 0x80000000
#define CR4_PAE 0x20
#define MSR_EFER 0xc0000080
#define EFER_LME 0x100

#define PAGE_TABLE 3		/* present, writable */
#define PAGE_2M 0x83		/* present, writable, 2 MiB */

#define VECTORS 64
#define FIRST_IRQ 32

	.section .text.start, "ax"
	.code32
	.globl	_start
_start:
	out	%al, $MAYFLY_TIMER_PORT		/* AL is 0: MAYFLY_MARK_KERNEL */
	mov	%edx, text_sign
	mov	$stack_top, %esp
	mov	$page_map, %eax
	mov	%eax, %cr3
	mov	$CR4_PAE, %eax
	mov	%eax, %cr4
	mov	$MSR_EFER, %ecx
	mov	$EFER_LME, %eax
	xor	%edx, %edx
	wrmsr
	mov	%cr0, %eax
	or	$CR0_PG, %eax
	mov	%eax, %cr0
	lgdt	gdt_pointer
	ljmp	$CODE_SELECTOR, $start64

	.code64
start64:
	mov	$DATA_SELECTOR, %eax
	mov	%eax, %ss			/* IRETQ checks SS, nothing else is used */
	lidt	idt_pointer
	mov	%ebx, %edi			/* struct hvm_start_info */
	call	platform_start
	ud2

/*
 * 16 bytes of code for each vector, so that their addresses need no table.
 *
 * Exceptions end the guest. An interrupt only notes that it came and ends the HLT of
 * irq_wait(): guests have interrupts enabled nowhere else, so nothing is preempted and
 * no register has to be saved for C.
 */
	.balign	16
stubs:
	vector = 0
	.rept	VECTORS
	.balign	16
	.if	vector >= FIRST_IRQ
	btsl	$vector - FIRST_IRQ, irq_pending
	jmp	irq_end
	.else
	/* Intel SDM vol. 3, table 6-1: these push an error code themselves. */
	.if	!(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
	push	$0
	.endif
	push	$vector
	jmp	exception_entry
	.endif
	vector = vector + 1
	.endr
	.balign	16

irq_end:
	push	%rax
	xor	%eax, %eax
	movabs	%eax, MAYFLY_LAPIC + 0xb0	/* EOI */
	pop	%rax
	iretq

exception_entry:
	pop	%rdi				/* vector */
	pop	%rsi				/* error code */
	pop	%rdx				/* RIP */
	mov	%cr2, %rcx
	and	$-16, %rsp
	call	exception

	.data
/* The first 4 GiB as they are, and room for one more directory: memory_window(). */
	.balign	4096
page_map:
	.quad	page_pointers + PAGE_TABLE
	.balign	4096
page_pointers:
	.quad	page_directories + 0x0000 + PAGE_TABLE
	.quad	page_directories + 0x1000 + PAGE_TABLE
	.quad	page_directories + 0x2000 + PAGE_TABLE
	.quad	page_directories + 0x3000 + PAGE_TABLE
	.quad	page_window + PAGE_TABLE
	.balign	4096
page_directories:
	page = 0
	.rept	4 * 512
	.quad	(page << 21) + PAGE_2M
	page = page + 1
	.endr

	.balign	16
gdt:
	.quad	0
	.quad	0x00af9b000000ffff		/* 64-bit code */
	.quad	0x00cf93000000ffff		/* data */
gdt_pointer:
	.word	. - gdt - 1
	.long	gdt

idt_pointer:
	.word	VECTORS * 16 - 1
	.quad	idt

/* Intel SDM vol. 3, figure 6-8: an offset in three parts, more than a relocation can. */
	.balign	16
idt:
	vector = 0
	.rept	VECTORS
	.word	stubs - _start + 16 * vector
	.word	CODE_SELECTOR
	.word	0x8e00				/* present, interrupt gate */
	.word	LOAD_ADDRESS >> 16
	.quad	0
	vector = vector + 1
	.endr

	.bss
	.balign	4096
	.globl	page_window
page_window:
	.skip	4096
	.skip	STACK_SIZE
stack_top:
	.globl	irq_pending
irq_pending:
	.skip	8

	.section .note.Xen, "a", %note
	.long	4, 4, XEN_ELFNOTE_PHYS32_ENTRY
	.asciz	"Xen"
	.long	_start

	.section .note.GNU-stack, "", %progbits
