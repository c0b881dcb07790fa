/*
 * What an architecture supplies. Each of x86/ and riscv/ implements all of it; the core
 * has no other place where architectures differ.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "boot/boot.h"

struct host;
struct kvm_run;
struct plan;
struct vcpu;
struct virtio;
struct vm;

struct arch_layout {
	const char *name; /* "x86-64" */
	enum boot_machine machine;
	enum boot_protocol linux_protocol; /* of --boot linux */
	uint64_t ram_base;
	uint64_t hole_end;    /* RAM goes around what plan->hole begins */
	uint64_t virtio_base; /* device n: + n * virtio_size, virtio_gsi + n */
	uint64_t virtio_size;
	unsigned virtio_gsi;
	bool virtio_button; /* Linux gets its power button as a virtio device */
	const unsigned char
	        *pic_gsis; /* the devices' lines in place of those (needs.pc) */
	unsigned pic_gsi_count;
	/* PCI: configuration space (ECAM), and where BARs are and may be moved. */
	uint64_t pci_ecam, pci_ecam_size;
	uint64_t pci_memory, pci_memory_size;
	uint64_t pci_ports, pci_ports_size;
	bool unpacks_faster; /* initrds, than a guest: none is left to it, even once */
	const char *console; /* "ttyS0" */
	const char *
	        legacy[2]; /* what needs.legacy stands for, without and with needs.pc */
	const char *linux_without_pci; /* what shortens any Linux boot then; or "" */
	const char *linux_untraced;    /* where its functions are not traced; or "" */
};

extern const struct arch_layout arch_layout;

/* Fills plan->regions, the map that the guest will see, and plan->hole. */
void arch_regions(struct plan *plan);

/* Whether this host's KVM can run what is planned; -ENOTSUP (logged), unless --force. */
int arch_check_host(const struct plan *plan);
/* The same of an image with `needs`, without a word. */
bool arch_host_runs(const struct boot_needs *needs);

/* After the memory slots, before the vCPUs: interrupt controller and clock, as needed. */
int arch_vm_create(struct vm *vm);
void arch_vm_destroy(struct vm *vm);
/* Serial port, reset, power, ...: what belongs to the machine rather than to an option. */
int arch_add_platform(struct vm *vm);
/* Registers, features and everything else of a new vCPU that does not depend on the image. */
int arch_vcpu_init(struct vcpu *vcpu);
/* Tables for the guest, and what else `machine` is to say of this one. */
int arch_tables(struct vm *vm, struct boot_machine_info *machine);
/* Puts vCPU 0 at the image's entry. */
int arch_boot(struct vm *vm);

/* Sets an interrupt line. Takes no device's lock. */
void arch_set_irq(struct vm *vm, unsigned gsi, bool level);
/* Delivers a message-signalled interrupt. */
void arch_send_msi(struct vm *vm, uint64_t address, uint32_t data);
/* An exit that only this architecture has: false if it is not known. */
bool arch_exit(struct vcpu *vcpu, const struct kvm_run *run);
/* KVM cannot do what the guest does; true: its CPU has taken a trap for that instead. */
bool arch_trap(struct vcpu *vcpu);

/* Presses the power button; false if the guest does not listen to it. */
bool arch_power_button(struct vm *vm);
/* A vCPU's registers as a core file has them: an elf_gregset_t. */
int arch_core_registers(struct vcpu *vcpu, void *registers);
/* The registers and the code around the instruction, on stderr. */
void arch_dump(struct vcpu *vcpu);
/* The MMIO transport's description on a command line, if there is one. */
int arch_virtio_argument(char *text, unsigned size, uint64_t base, unsigned gsi);
/* For `bench`: the code of a process that writes BENCH_LINE (vmm/bench.h) and a newline,
 * and ends with status 0; it runs wherever it is loaded. `machine` is its ELF e_machine. */
size_t arch_hello_process(const void **code, unsigned *machine);
/* For `inspect --host`: what only this architecture's KVM has; host_add() each. */
void arch_host(struct host *host);
