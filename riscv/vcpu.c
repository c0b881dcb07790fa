/*
 * Registers: how a guest is entered, what to show of one that crashed, and the one trap that
 * KVM leaves to us.
 */

#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/procfs.h>

#include "riscv/machine.h"
#include "vmm/arch.h"
#include "vmm/log.h"
#include "vmm/vm.h"

static uint64_t register_id(uint64_t type, uint64_t index)
{
	return KVM_REG_RISCV | KVM_REG_SIZE_U64 | type | index;
}

int register_get(
        const struct vcpu *vcpu, uint64_t type, uint64_t index, uint64_t *value)
{
	struct kvm_one_reg one = {
	        .id = register_id(type, index), .addr = (uintptr_t)value};

	return ioctl(vcpu->fd, KVM_GET_ONE_REG, &one) < 0 ? -errno : 0;
}

int register_set(const struct vcpu *vcpu, uint64_t type, uint64_t index, uint64_t value)
{
	struct kvm_one_reg one = {
	        .id = register_id(type, index), .addr = (uintptr_t)&value};

	return ioctl(vcpu->fd, KVM_SET_ONE_REG, &one) < 0 ? -errno : 0;
}

struct setting {
	uint64_t type, index, value;
};

static int registers_set(
        const struct vcpu *vcpu, const struct setting *settings, size_t count)
{
	int error = 0;

	for (size_t i = 0; i < count && !error; i++)
		error = register_set(
		        vcpu, settings[i].type, settings[i].index, settings[i].value);
	return error;
}

/*
 * Linux, Documentation/arch/riscv/boot.rst: a0 is the hart's id, a1 the device tree, satp
 * is 0. The other harts stay stopped (KVM_MP_STATE_STOPPED): the guest starts them itself.
 */
int vcpu_enter(struct vcpu *vcpu, uint64_t entry, uint64_t fdt)
{
	const struct setting settings[] = {
	        {KVM_REG_RISCV_CORE, KVM_REG_RISCV_CORE_REG(regs.pc), entry},
	        {KVM_REG_RISCV_CORE, KVM_REG_RISCV_CORE_REG(regs.a0), vcpu->index},
	        {KVM_REG_RISCV_CORE, KVM_REG_RISCV_CORE_REG(regs.a1), fdt},
	};
	int error =
	        registers_set(vcpu, settings, sizeof(settings) / sizeof(settings[0]));

	return error ? log_error(error, "kvm: cannot set CPU %u's registers: %s",
	                       vcpu->index, strerror(-error))
	             : 0;
}

/* KVM has them in the same order: pc, then x1 to x31. */
int arch_core_registers(struct vcpu *vcpu, void *registers)
{
	elf_gregset_t *set = registers;
	int error = 0;

	for (unsigned i = 0; i < sizeof(*set) / sizeof(uint64_t) && !error; i++)
		error = register_get(vcpu, KVM_REG_RISCV_CORE, i, &(*set)[i]);
	return error;
}

static uint64_t csr(const struct vcpu *vcpu, uint64_t index)
{
	uint64_t value = 0;

	register_get(vcpu, KVM_REG_RISCV_CSR, index, &value);
	return value;
}

/*
 * Where `virtual` lies (Privileged ISA, 10.3.2, and Sv48 and Sv57 alike); -EFAULT if
 * nowhere. A table that the guest changes meanwhile gives another address, no harm.
 */
static int translate(const struct vcpu *vcpu, uint64_t virtual, uint64_t *guest)
{
	enum { PAGE_BITS = 12, INDEX_BITS = 9, VALID = 1, LEAF = 0xe };
	const uint64_t page_number = ((UINT64_C(1) << 44) - 1);
	uint64_t satp = csr(vcpu, KVM_REG_RISCV_CSR_REG(satp));
	uint64_t mode = satp >> 60, table = (satp & page_number) << PAGE_BITS, entry;

	*guest = virtual;
	if (!mode)
		return 0;
	if (mode < 8 || mode > 10)
		return -EFAULT;
	for (int level = (int)mode - 6; level >= 0; level--) {
		unsigned shift = PAGE_BITS + INDEX_BITS * (unsigned)level;
		uint64_t index = virtual >> shift & ((1 << INDEX_BITS) - 1);

		if (memory_read(&vcpu->vm->memory, table + index * sizeof(entry),
		            &entry, sizeof(entry)) < 0 ||
		        !(entry & VALID))
			return -EFAULT;
		table = (entry >> 10 & page_number) << PAGE_BITS;
		if (entry & LEAF) {
			uint64_t offset = (UINT64_C(1) << shift) - 1;

			*guest = (table & ~offset) | (virtual & offset);
			return 0;
		}
	}
	return -EFAULT;
}

/* Privileged ISA, 10.1.1 (sstatus), 10.1.2 (stvec), 10.1.8 (scause). */
enum {
	SSTATUS_SIE = 1 << 1,
	SSTATUS_SPIE = 1 << 5,
	SSTATUS_SPP = 1 << 8,
	STVEC_MODE = 3,
	CAUSE_FETCH_ACCESS = 1,
};

/* KVM logs each on the host; and where no memory is at the vector either, they do not end. */
enum { TRAPS_MAX = 64 };

/* Whether there is memory to fetch an instruction from. */
static bool can_fetch(const struct vcpu *vcpu, uint64_t virtual)
{
	uint64_t guest;

	return !translate(vcpu, virtual, &guest) &&
	       memory_at(&vcpu->vm->memory, guest, sizeof(uint16_t));
}

/*
 * A jump to where no memory is ends KVM_RUN with -EOPNOTSUPP. A hart raises an access fault
 * (Privileged ISA, table 15), and Linux's kexec counts on it: it switches the MMU off, and so
 * comes to the trap's address. Newer KVMs do that themselves.
 */
bool arch_trap(struct vcpu *vcpu)
{
	const uint64_t vector =
	        csr(vcpu, KVM_REG_RISCV_CSR_REG(stvec)) & ~(uint64_t)STVEC_MODE;
	uint64_t status = csr(vcpu, KVM_REG_RISCV_CSR_REG(sstatus)), pc = 0, mode = 0;

	if (register_get(vcpu, KVM_REG_RISCV_CORE, KVM_REG_RISCV_CORE_REG(regs.pc),
	            &pc) < 0 ||
	        register_get(vcpu, KVM_REG_RISCV_CORE, KVM_REG_RISCV_CORE_REG(mode),
	                &mode) < 0 ||
	        can_fetch(vcpu, pc) ||
	        __atomic_fetch_add(&vcpu->vm->arch->traps, 1, __ATOMIC_RELAXED) >=
	                TRAPS_MAX)
		return false;

	const bool enabled = status & SSTATUS_SIE, supervisor = mode;

	status &= ~(uint64_t)(SSTATUS_SIE | SSTATUS_SPIE | SSTATUS_SPP);
	status |= (enabled ? SSTATUS_SPIE : 0) | (supervisor ? SSTATUS_SPP : 0);

	const struct setting settings[] = {
	        {KVM_REG_RISCV_CSR, KVM_REG_RISCV_CSR_REG(sstatus), status},
	        {KVM_REG_RISCV_CSR, KVM_REG_RISCV_CSR_REG(sepc), pc},
	        {KVM_REG_RISCV_CSR, KVM_REG_RISCV_CSR_REG(stval), pc},
	        {KVM_REG_RISCV_CSR, KVM_REG_RISCV_CSR_REG(scause), CAUSE_FETCH_ACCESS},
	        {KVM_REG_RISCV_CORE, KVM_REG_RISCV_CORE_REG(regs.pc), vector},
	        {KVM_REG_RISCV_CORE, KVM_REG_RISCV_CORE_REG(mode), KVM_RISCV_MODE_S},
	};

	return !registers_set(vcpu, settings, sizeof(settings) / sizeof(settings[0]));
}

static void dump_code(const struct vcpu *vcpu, uint64_t pc)
{
	enum { BEFORE = 8, BYTES = 24 };
	uint8_t bytes[BYTES];
	uint64_t guest;

	if (translate(vcpu, pc, &guest) < 0 ||
	        memory_read(&vcpu->vm->memory, guest - BEFORE, bytes, sizeof(bytes)) <
	                0) {
		fputs("  code  not in guest memory\n", stderr);
		return;
	}
	fputs("  code ", stderr);
	for (unsigned i = 0; i < BYTES; i++)
		fprintf(stderr, i == BEFORE ? " <%02x>" : " %02x", bytes[i]);
	fputc('\n', stderr);
}

void arch_dump(struct vcpu *vcpu)
{
	static const char *const core[] = {"pc", "ra", "sp", "gp", "tp", "t0", "t1",
	        "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "s2",
	        "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4",
	        "t5", "t6"};
	static const char *const control[] = {"sstatus", "sie", "stvec", "sscratch",
	        "sepc", "scause", "stval", "sip", "satp"};
	elf_gregset_t values;

	if (arch_core_registers(vcpu, &values) < 0)
		return;
	fprintf(stderr, "CPU %u:\n", vcpu->index);
	for (unsigned i = 0; i < sizeof(core) / sizeof(core[0]); i++)
		fprintf(stderr, "  %-8s %016llx%s", core[i],
		        (unsigned long long)values[i], i % 3 == 2 ? "\n" : "");
	fputc('\n', stderr);
	for (unsigned i = 0; i < sizeof(control) / sizeof(control[0]); i++)
		fprintf(stderr, "  %-8s %016llx%s", control[i],
		        (unsigned long long)csr(vcpu, i), i % 3 == 2 ? "\n" : "");
	dump_code(vcpu, values[0]);
}
