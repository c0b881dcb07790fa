/* The instruction set that KVM gives a vCPU, as a device tree tells it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct vcpu;

enum { ISA_EXTENSIONS = 128, ISA_TEXT = 1024 };

struct isa {
	/* By KVM's number of the extension (enum KVM_RISCV_ISA_EXT_ID). */
	uint64_t extensions[ISA_EXTENSIONS / 64];
	uint64_t timebase_hz;
	uint64_t satp_mode; /* 8, 9, 10: sv39, sv48, sv57 (Privileged ISA, 10.1.11) */
	uint64_t cbom_size, cboz_size; /* bytes of a cache block; 0: none */
};

/* What KVM reports of this vCPU. -Exxx (logged). */
int isa_fetch(struct isa *isa, const struct vcpu *vcpu);

/* "rv64imafdc_sstc_...": riscv,isa. */
void isa_string(const struct isa *isa, char text[ISA_TEXT]);
/* "i\0m\0a\0...": riscv,isa-extensions; its size with all NULs. */
size_t isa_list(const struct isa *isa, char text[ISA_TEXT]);
/* "riscv,sv48" */
const char *isa_mmu(const struct isa *isa);
