/* Registers: how a guest is entered, and what to show of one that crashed. */

#include <assert.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/procfs.h>
#include <sys/user.h>

#include "boot/layout.h"
#include "vmm/arch.h"
#include "vmm/log.h"
#include "vmm/vm.h"
#include "x86/machine.h"

enum { PAGE_PRESENT_WRITE = 3, PAGE_LARGE = 1 << 7 }; /* Intel SDM vol. 3, 4.5 */
enum { TYPE_TSS = 0xb, TEXT_SIGN = 0x4d460000 };

struct kvm_segment flat_segment(uint16_t selector, uint8_t type)
{
	return (struct kvm_segment){
	        .limit = 0xffffffff,
	        .selector = selector,
	        .type = type,
	        .present = 1,
	        .s = 1,
	        .db = 1,
	        .g = 1,
	};
}

/* The descriptor of a segment as a GDT holds it (Intel SDM vol. 3, 3.4.5). */
uint64_t segment_descriptor(const struct kvm_segment *segment)
{
	uint64_t limit = segment->g ? segment->limit >> 12 : segment->limit;
	uint64_t access = segment->type | segment->s << 4 | segment->dpl << 5 |
	                  segment->present << 7;
	uint64_t flags = segment->l << 1 | segment->db << 2 | segment->g << 3;

	return (limit & 0xffff) | access << 40 | (limit >> 16 & 0xf) << 48 |
	       flags << 52;
}

/* KVM_RUN takes the registers from its page: a call of their own each costs 6 us and more. */
int vcpu_enter(struct vcpu *vcpu, struct kvm_segment code, struct kvm_segment data,
        void (*mode)(struct kvm_sregs *), const struct kvm_regs *regs)
{
	enum { SYNCED = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS };
	struct kvm_sync_regs *sync = &vcpu->run->s.regs;
	struct kvm_sregs *sregs = &sync->sregs;

	if (SYNCED & ~ioctl(vcpu->vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_SYNC_REGS))
		return log_error(-ENOTSUP,
		        "kvm: this host takes no registers with KVM_RUN; Linux does "
		        "since 4.17");
	if (ioctl(vcpu->fd, KVM_GET_SREGS, sregs) < 0)
		return log_error(-errno, "kvm: cannot read CPU %u's registers: %s",
		        vcpu->index, strerror(errno));
	sregs->cs = code;
	sregs->ds = sregs->es = sregs->ss = sregs->fs = sregs->gs = data;
	sregs->tr = (struct kvm_segment){.limit = 0x67, .type = TYPE_TSS, .present = 1};
	mode(sregs);
	sync->regs = *regs;
	vcpu->run->kvm_dirty_regs = SYNCED;
	return 0;
}

static void protected_mode(struct kvm_sregs *sregs)
{
	sregs->cr0 = CR0_PE | CR0_ET;
}

/*
 * 32-bit protected mode without paging, ebx = info: Xen, "x86/HVM direct boot ABI", and
 * Multiboot 0.6.96, 3.2 (version 2: 3.3), which has its magic number in eax. They leave edx
 * open: it says that a text has a port. Nor do they promise a stack, but Nanos uses the one
 * that QEMU's own loader leaves.
 */
int vcpu_enter_protected(struct vcpu *vcpu, const struct boot_image *image)
{
	bool text = vcpu->vm->plan->config->console == CONSOLE_SERIAL;

	return vcpu_enter(vcpu, flat_segment(0x8, SEGMENT_CODE),
	        flat_segment(0x10, SEGMENT_DATA), protected_mode,
	        &(struct kvm_regs){.rip = image->entry,
	                .rax = image->magic,
	                .rbx = image->info,
	                .rdx = text ? TEXT_SIGN | PORT_TEXT : 0,
	                .rsp = LAYOUT_STACK,
	                .rflags = RFLAGS_FIXED});
}

/* Identity map of the first 4 GiB in 2 MiB pages: PML4, PDPT, four PDs. */
static int write_page_tables(struct memory *memory)
{
	enum { TABLES = 6, ENTRIES = 512 };
	uint64_t(*table)[ENTRIES] =
	        memory_at(memory, LAYOUT_PAGE_TABLES, TABLES * sizeof(*table));

	if (!table)
		return -EFAULT;
	memset(table, 0, TABLES * sizeof(*table));
	table[0][0] = (LAYOUT_PAGE_TABLES + 0x1000) | PAGE_PRESENT_WRITE;
	for (uint64_t i = 0; i < 4; i++) {
		table[1][i] =
		        (LAYOUT_PAGE_TABLES + 0x2000 + i * 0x1000) | PAGE_PRESENT_WRITE;
		for (uint64_t j = 0; j < ENTRIES; j++)
			table[2 + i][j] =
			        (i << 30 | j << 21) | PAGE_LARGE | PAGE_PRESENT_WRITE;
	}
	return 0;
}

static void boot_gdt(struct kvm_sregs *sregs)
{
	sregs->gdt = (struct kvm_dtable){.base = LAYOUT_GDT, .limit = 4 * 8 - 1};
}

static int write_boot_gdt(struct memory *memory, const struct kvm_segment *code,
        const struct kvm_segment *data)
{
	const uint64_t gdt[4] = {
	        [2] = segment_descriptor(code), [3] = segment_descriptor(data)};

	return memory_write(memory, LAYOUT_GDT, gdt, sizeof(gdt));
}

static void long_mode(struct kvm_sregs *sregs)
{
	boot_gdt(sregs);
	sregs->cr3 = LAYOUT_PAGE_TABLES;
	sregs->cr4 = CR4_PAE;
	sregs->cr0 = CR0_PE | CR0_ET | CR0_PG;
	sregs->efer = EFER_LME | EFER_LMA;
}

static void protected_mode_with_gdt(struct kvm_sregs *sregs)
{
	boot_gdt(sregs);
	protected_mode(sregs);
}

/*
 * Linux, Documentation/arch/x86/boot.rst: CS is selector 0x10, DS, ES and SS are 0x18;
 * rsi = boot_params, and rbp, rdi and rbx are zero.
 */
static int enter_linux(struct vcpu *vcpu, const struct boot_image *image,
        struct kvm_segment code, void (*mode)(struct kvm_sregs *sregs))
{
	struct kvm_segment data = flat_segment(0x18, SEGMENT_DATA);

	if (write_boot_gdt(&vcpu->vm->memory, &code, &data) < 0)
		return log_error(-ENOMEM, "--mem: too little for the boot GDT");
	return vcpu_enter(vcpu, code, data, mode,
	        &(struct kvm_regs){
	                .rip = image->entry,
	                .rsi = image->info,
	                .rsp = LAYOUT_STACK,
	                .rflags = RFLAGS_FIXED,
	        });
}

/* "64-bit boot protocol": paging on, identity mapped. */
int vcpu_enter_linux64(struct vcpu *vcpu, const struct boot_image *image)
{
	struct kvm_segment code = flat_segment(0x10, SEGMENT_CODE);

	code.db = 0;
	code.l = 1;
	if (write_page_tables(&vcpu->vm->memory) < 0)
		return log_error(-ENOMEM, "--mem: too little for the boot page tables");
	return enter_linux(vcpu, image, code, long_mode);
}

/* "32-bit boot protocol": without paging. */
int vcpu_enter_linux32(struct vcpu *vcpu, const struct boot_image *image)
{
	return enter_linux(
	        vcpu, image, flat_segment(0x10, SEGMENT_CODE), protected_mode_with_gdt);
}

static void dump_code(struct vcpu *vcpu, uint64_t rip)
{
	enum { BEFORE = 8, BYTES = 24 };
	struct kvm_translation translation = {.linear_address = rip};
	uint8_t bytes[BYTES];

	if (ioctl(vcpu->fd, KVM_TRANSLATE, &translation) < 0 || !translation.valid ||
	        memory_read(&vcpu->vm->memory, translation.physical_address - BEFORE,
	                bytes, sizeof(bytes)) < 0) {
		fputs("  code  not in guest memory\n", stderr);
		return;
	}
	fputs("  code ", stderr);
	for (unsigned i = 0; i < BYTES; i++)
		fprintf(stderr, i == BEFORE ? " <%02x>" : " %02x", bytes[i]);
	fputc('\n', stderr);
}

/* struct user_regs_struct is what an elf_gregset_t has, by name. */
static_assert(sizeof(elf_gregset_t) == sizeof(struct user_regs_struct), "one set");

int arch_core_registers(struct vcpu *vcpu, void *set)
{
	struct user_regs_struct registers;
	struct kvm_regs regs;
	struct kvm_sregs sregs;

	if (ioctl(vcpu->fd, KVM_GET_REGS, &regs) < 0 ||
	        ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0)
		return -errno;
	registers = (struct user_regs_struct){
	        .rip = regs.rip,
	        .eflags = regs.rflags,
	        .rsp = regs.rsp,
	        .rax = regs.rax,
	        .orig_rax = ~0ull, /* in no system call */
	        .rbx = regs.rbx,
	        .rcx = regs.rcx,
	        .rdx = regs.rdx,
	        .rsi = regs.rsi,
	        .rdi = regs.rdi,
	        .rbp = regs.rbp,
	        .r8 = regs.r8,
	        .r9 = regs.r9,
	        .r10 = regs.r10,
	        .r11 = regs.r11,
	        .r12 = regs.r12,
	        .r13 = regs.r13,
	        .r14 = regs.r14,
	        .r15 = regs.r15,
	        .cs = sregs.cs.selector,
	        .ss = sregs.ss.selector,
	        .ds = sregs.ds.selector,
	        .es = sregs.es.selector,
	        .fs = sregs.fs.selector,
	        .gs = sregs.gs.selector,
	        .fs_base = sregs.fs.base,
	        .gs_base = sregs.gs.base,
	};
	if (vcpu->vm->arch->hvt)
		hvt_registers(vcpu->vm->arch->hvt, &registers);
	memcpy(set, &registers, sizeof(registers));
	return 0;
}

void arch_dump(struct vcpu *vcpu)
{
	struct kvm_regs regs;
	struct kvm_sregs sregs;

	if (ioctl(vcpu->fd, KVM_GET_REGS, &regs) < 0 ||
	        ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0)
		return;
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
	        {"rip", regs.rip},
	        {"rflags", regs.rflags},
	        {"rsp", regs.rsp},
	        {"rax", regs.rax},
	        {"rbx", regs.rbx},
	        {"rcx", regs.rcx},
	        {"rdx", regs.rdx},
	        {"rsi", regs.rsi},
	        {"rdi", regs.rdi},
	        {"rbp", regs.rbp},
	        {"r8", regs.r8},
	        {"r9", regs.r9},
	        {"r10", regs.r10},
	        {"r11", regs.r11},
	        {"r12", regs.r12},
	        {"r13", regs.r13},
	        {"r14", regs.r14},
	        {"r15", regs.r15},
	        {"cr0", sregs.cr0},
	        {"cr2", sregs.cr2},
	        {"cr3", sregs.cr3},
	        {"cr4", sregs.cr4},
	        {"efer", sregs.efer},
	        {"cs", sregs.cs.selector},
	        {"gdt", sregs.gdt.base},
	        {"idt", sregs.idt.base},
	        {"idtlim", sregs.idt.limit},
	};

	/* AMD APM volume 2, 15.14.3: SVM leaves no state, so KVM resets the vCPU. */
	if (vcpu->run->exit_reason == KVM_EXIT_SHUTDOWN && !(sregs.cr0 & CR0_PE))
		fputs("  the registers are those after reset: this CPU (SVM) forgets\n"
		      "  what they were at the triple fault\n",
		        stderr);
	fprintf(stderr, "CPU %u:\n", vcpu->index);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		fprintf(stderr, "  %-6s %016llx%s", rows[i].name,
		        (unsigned long long)rows[i].value, i % 3 == 2 ? "\n" : "");
	dump_code(vcpu, regs.rip);
}
