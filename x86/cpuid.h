/*
 * What CPUID tells the guest: what KVM supports on this host, with the guest's own
 * topology and clock frequencies. Fetched once for a VM, patched for each vCPU.
 */
#pragma once

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

enum { CPUID_ENTRIES = 256 }; /* KVM_MAX_CPUID_ENTRIES */

/* As struct kvm_cpuid2, whose array has no size. */
struct cpuid_table {
	uint32_t count;
	uint32_t padding;
	struct kvm_cpuid_entry2 entries[CPUID_ENTRIES];
};

/* What the table is made for. */
struct cpuid_machine {
	unsigned cpus;     /* cores of one package; APIC ids are 0 to cpus - 1 */
	uint32_t tsc_khz;  /* 0: not known */
	bool lapic;        /* the guest uses the local APICs, which KVM has */
	bool tsc_deadline; /* KVM_CAP_TSC_DEADLINE_TIMER */
};

/*
 * What all vCPUs of the VM have in common: KVM_GET_SUPPORTED_CPUID or, without `lapic`, a
 * baseline that costs less to find out. -Exxx (logged). More than 255 CPUs have
 * KVM_FEATURE_MSI_EXT_DEST_ID: KVM_CAP_X2APIC_API with 32-bit ids is then to be enabled.
 */
int cpuid_fetch(struct cpuid_table *table, int kvm_fd, unsigned cpus, uint32_t tsc_khz,
        bool lapic);

/* KVM_SET_CPUID2 on vCPU `index`. -Exxx (logged). */
int cpuid_set(struct cpuid_table *table, int vcpu_fd, unsigned index);

/* The two steps without KVM. False when the table has no room. */
bool cpuid_prepare(struct cpuid_table *table, const struct cpuid_machine *machine);
void cpuid_patch(struct cpuid_table *table, unsigned index);
