/* What the files of riscv/ share beside the contracts of vmm/. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "riscv/isa.h"

struct device;
struct fdt_machine;
struct kvm_run;
struct vcpu;
struct vm;

/* vm->arch. Without interrupts it has neither controller. */
struct arch_vm {
	int aia_fd;            /* -1: KVM has none, or the guest needs none */
	unsigned aia_ids;      /* interrupt identities of an IMSIC */
	struct device *plic;   /* ours, of vm->devices, where KVM has no AIA */
	struct device *serial; /* of vm->devices; NULL: the console is another one */
	unsigned traps;        /* that arch_trap() was asked for */
	bool isa_known;
	struct isa isa;
};

/*
 * vcpu.c: KVM's registers (api.rst, 4.68): `type` as KVM_REG_RISCV_CORE, each one of the
 * machine's words. 0 or -errno, silent.
 */
int register_get(
        const struct vcpu *vcpu, uint64_t type, uint64_t index, uint64_t *value);
int register_set(
        const struct vcpu *vcpu, uint64_t type, uint64_t index, uint64_t value);
int vcpu_enter(struct vcpu *vcpu, uint64_t entry, uint64_t fdt);

/* aia.c: interrupt controllers in KVM. -ENODEV, silent, if it has none. */
int aia_create(struct vm *vm);
/* Once all vCPUs exist. */
int aia_start(struct vm *vm);
void aia_destroy(struct vm *vm);
void aia_set_irq(struct vm *vm, unsigned irq, bool level);

/* A message to a hart's IMSIC; to anywhere else it is lost. */
void aia_send_msi(struct vm *vm, uint64_t address, uint32_t data);

/* pci.c: vm->pci, and PCI's ports in memory. */
int pci_host_add(struct vm *vm);

/* sbi.c: calls that KVM leaves to us, after they were asked for. */
int sbi_enable(struct vcpu *vcpu);
bool sbi_exit(struct vcpu *vcpu, const struct kvm_run *run);
