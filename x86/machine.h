/* What the files of x86/ share beside the contracts of vmm/. */
#pragma once

#include <linux/kvm.h>
#include <stdbool.h>

#include "x86/cpuid.h"
#include "x86/layout.h"

struct boot_image;
struct device;
struct vcpu;

/* vm->arch. Devices belong to vm->devices; NULL where the guest needs none. */
struct arch_vm {
	struct device *ioapic;
	struct device *power;
	bool cpuid_fetched;
	struct cpuid_table cpuid;
	/* What level-triggered pins send; guarded by the IOAPIC's lock. */
	struct kvm_irq_routing_entry routes[GSI_COUNT];
	unsigned route_count;
};

/* vcpu.c: the state in which each protocol enters the guest. */
int vcpu_enter_pvh(struct vcpu *vcpu, const struct boot_image *image);
int vcpu_enter_linux64(struct vcpu *vcpu, const struct boot_image *image);
