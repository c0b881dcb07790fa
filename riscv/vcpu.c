/* Registers: how a guest is entered, and what to show of one that crashed. */

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

/*
 * Linux, Documentation/arch/riscv/boot.rst: a0 is the hart's id, a1 the device tree, satp
 * is 0. The other harts stay stopped (KVM_MP_STATE_STOPPED): the guest starts them itself.
 */
int vcpu_enter(struct vcpu *vcpu, uint64_t entry, uint64_t fdt)
{
	const struct {
		uint64_t index, value;
	} registers[] = {
	        {KVM_REG_RISCV_CORE_REG(regs.pc), entry},
	        {KVM_REG_RISCV_CORE_REG(regs.a0), vcpu->index},
	        {KVM_REG_RISCV_CORE_REG(regs.a1), fdt},
	};
	int error = 0;

	for (unsigned i = 0; i < sizeof(registers) / sizeof(registers[0]) && !error;
	        i++)
		error = register_set(vcpu, KVM_REG_RISCV_CORE, registers[i].index,
		        registers[i].value);
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
