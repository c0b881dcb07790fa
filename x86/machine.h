/* What the files of x86/ share beside the contracts of vmm/. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct boot_image;
struct device;
struct memory;
struct vcpu;

/* vm->arch. Devices belong to vm->devices; NULL where the guest needs none. */
struct arch_vm {
	struct device *ioapic;
	struct device *power;
	struct cpuid_table *cpuid;
};

/* vcpu.c: the state in which each protocol enters the guest. */
int vcpu_enter_pvh(struct vcpu *vcpu, const struct boot_image *image);
int vcpu_enter_linux64(struct vcpu *vcpu, const struct boot_image *image);
