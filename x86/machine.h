/* What the files of x86/ share beside the contracts of vmm/. */
#pragma once

#include <linux/kvm.h>
#include <stdbool.h>

#include "x86/cpuid.h"
#include "x86/layout.h"

struct boot_device;
struct boot_image;
struct boot_machine_info;
struct device;
struct memory;
struct user_regs_struct;
struct vcpu;
struct vm;

/* vm->arch. Devices belong to vm->devices; NULL where the guest needs none. */
struct arch_vm {
	struct device *ioapic;
	struct device *power;
	bool pc; /* KVM has all interrupt controllers: pc.c */
	struct device *hvt;
	struct boot_device *hvt_devices; /* the image's, with what is attached */
	/* NULL, 0 until the first vCPU needs them. */
	struct cpuid_table *cpuid;
	uint32_t tsc_khz; /* 0: KVM does not know it */
	/* What level-triggered pins send; guarded by the IOAPIC's lock. */
	struct kvm_irq_routing_entry routes[GSI_COUNT];
	unsigned route_count;
};

/* Intel SDM volume 3, 2.2.1, 2.3, 2.5 and 3.4.5.1. */
enum {
	CR0_PE = 1 << 0,
	CR0_ET = 1 << 4,
	CR0_NE = 1 << 5,
	CR0_WP = 1 << 16,
	CR4_PAE = 1 << 5,
	CR4_OSFXSR = 1 << 9,
	CR4_OSXMMEXCPT = 1 << 10,
	EFER_LME = 1 << 8,
	EFER_LMA = 1 << 10,
	EFER_NXE = 1 << 11,
	RFLAGS_FIXED = 1 << 1,
	SEGMENT_CODE = 0xb,
	SEGMENT_DATA = 0x3,
};
static const uint64_t CR0_PG = UINT64_C(1) << 31;

/* vcpu.c: a 32-bit segment of all 4 GiB, how a GDT holds one, and all registers at once:
 * those of `mode`, on top of what they are after reset. -Exxx (logged). */
struct kvm_segment flat_segment(uint16_t selector, uint8_t type);
uint64_t segment_descriptor(const struct kvm_segment *segment);
int vcpu_enter(struct vcpu *vcpu, struct kvm_segment code, struct kvm_segment data,
        void (*mode)(struct kvm_sregs *), const struct kvm_regs *regs);

/* The state in which each protocol enters the guest. */
int vcpu_enter_protected(struct vcpu *vcpu, const struct boot_image *image);
int vcpu_enter_linux32(struct vcpu *vcpu, const struct boot_image *image);
int vcpu_enter_linux64(struct vcpu *vcpu, const struct boot_image *image);
int vcpu_enter_hvt(struct vcpu *vcpu, const struct boot_image *image); /* hvt.c */

/* hvt.c: the device with what the plan attaches to it; what boot_load() has to know of
 * that; and what a guest that aborted says of its registers. */
int hvt_add(struct vm *vm);
int hvt_describe(struct vm *vm, struct boot_machine_info *machine);
void hvt_registers(const struct device *hvt, struct user_regs_struct *registers);

/* pc.c: all of KVM's irqchip and its PIT, in place of the IOAPIC here. */
int pc_create(struct vm *vm);
int pc_describe(
        struct memory *memory); /* into low memory, what the guest looks for there */
void pc_destroy(struct vm *vm); /* before the VM is closed */
void pc_set_irq(struct vm *vm, unsigned gsi, bool level);
bool pc_unmasked(struct vm *vm, unsigned gsi);
