#include "x86/cpuid.h"

#include "vmm/log.h"

#include <asm/kvm_para.h>
#include <assert.h>
#include <cpuid.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>

static_assert(
        offsetof(struct cpuid_table, entries) == offsetof(struct kvm_cpuid2, entries),
        "struct cpuid_table is handed to KVM as struct kvm_cpuid2");

/* Intel SDM volume 2, CPUID, and AMD's "CPUID" in APM volume 3. */
enum {
	ECX1_X2APIC = 1 << 21,
	ECX1_TSC_DEADLINE = 1 << 24,
	ECX1_HYPERVISOR = 1u << 31,
	EDX1_APIC = 1 << 9,
	/* FPU, PSE, TSC, MSR, PAE; SEP, MTRR, PGE; PAT, PSE36; CLFSH */
	EDX1_BASELINE = 0x79 | 7 << 11 | 3 << 16 | 1 << 19,
	EDX1_HTT = 1 << 28,
	EAX6_ARAT = 1 << 2,
	EBX7_ERMS = 1 << 9,
	ECX80000001_CMP_LEGACY = 1 << 1,
	EDX80000001_SYSCALL = 1 << 11,
	EDX80000001_NX = 1 << 20,
	LEVEL_SMT = 1 << 8, /* leaf 0xb: level types, in ECX */
	LEVEL_CORE = 2 << 8,
};

enum {
	LEAF_FEATURES = 1,
	LEAF_CACHE = 4,
	LEAF_POWER = 6,
	LEAF_STRUCTURED = 7,
	LEAF_TOPOLOGY = 0xb,
	LEAF_XSAVE = 0xd,
	LEAF_TSC = 0x15,
	LEAF_FREQUENCY = 0x16,
	LEAF_TOPOLOGY_V2 = 0x1f,
	LEAF_VMWARE_TIMING = 0x40000010,
	LEAF_EXT = 0x80000000,
	LEAF_EXT_FEATURES = 0x80000001,
	LEAF_EXT_SIZES = 0x80000008,
	LEAF_EXT_CACHE = 0x8000001d,
	LEAF_EXT_TOPOLOGY = 0x8000001e,
};

/* Leaf 0: "Genu" of GenuineIntel. */
enum { INTEL_EBX = 0x756e6547 };

/* The APIC timer's clock (KVM's APIC_BUS_CYCLE_NS is 1). */
enum { APIC_BUS_KHZ = 1000000 };

/* What of KVM's paravirtual features works without its local APIC. */
enum {
	FEATURES_WITHOUT_LAPIC =
	        1 << KVM_FEATURE_CLOCKSOURCE | 1 << KVM_FEATURE_NOP_IO_DELAY |
	        1 << KVM_FEATURE_CLOCKSOURCE2 | 1 << KVM_FEATURE_CLOCKSOURCE_STABLE_BIT,
};

static struct kvm_cpuid_entry2 *find(
        struct cpuid_table *table, uint32_t leaf, uint32_t index)
{
	for (unsigned i = 0; i < table->count; i++) {
		struct kvm_cpuid_entry2 *entry = &table->entries[i];

		if (entry->function == leaf && entry->index == index)
			return entry;
	}
	return NULL;
}

static void drop(struct cpuid_table *table, uint32_t leaf)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < table->count; i++)
		if (table->entries[i].function != leaf)
			table->entries[kept++] = table->entries[i];
	table->count = kept;
}

static bool add(struct cpuid_table *table, struct kvm_cpuid_entry2 entry)
{
	if (table->count == CPUID_ENTRIES)
		return false;
	table->entries[table->count++] = entry;
	return true;
}

static uint32_t at_most(uint32_t value, uint32_t limit)
{
	return value < limit ? value : limit;
}

/* Bits of an APIC id that tell one CPU from another. */
static unsigned id_bits(unsigned cpus)
{
	return cpus > 1 ? 32 - __builtin_clz(cpus - 1) : 0;
}

static void set_bits(uint32_t *reg, uint32_t bits, bool on)
{
	*reg = on ? *reg | bits : *reg & ~bits;
}

static void prepare_features(
        struct cpuid_table *table, const struct cpuid_machine *machine, bool intel)
{
	struct kvm_cpuid_entry2 *entry = find(table, LEAF_FEATURES, 0);

	if (entry) {
		set_bits(&entry->ecx, ECX1_X2APIC, machine->lapic);
		set_bits(&entry->ecx, ECX1_TSC_DEADLINE,
		        machine->lapic && machine->tsc_deadline);
		set_bits(&entry->ecx, ECX1_HYPERVISOR, true);
		set_bits(&entry->edx, EDX1_APIC, machine->lapic);
		set_bits(&entry->edx, EDX1_HTT, machine->cpus > 1);
		/* As many ids as a package has, which is what HTT makes valid. */
		set_bits(&entry->ebx, 0xff << 16, false);
		entry->ebx |= at_most(1u << id_bits(machine->cpus), 0xff) << 16;
	}
	entry = find(table, LEAF_POWER, 0);
	if (entry)
		set_bits(&entry->eax, EAX6_ARAT, machine->lapic);
	entry = find(table, LEAF_EXT_FEATURES, 0);
	if (entry && !intel) {
		set_bits(&entry->ecx, ECX80000001_CMP_LEGACY, machine->cpus > 1);
		set_bits(&entry->edx, EDX1_APIC,
		        machine->lapic); /* AMD repeats leaf 1 */
	}
}

/* Caches of level 3 are everybody's, those below each core's own. */
static void prepare_caches(struct cpuid_table *table, unsigned cpus)
{
	for (unsigned i = 0; i < table->count; i++) {
		struct kvm_cpuid_entry2 *entry = &table->entries[i];
		unsigned level = entry->eax >> 5 & 7;

		if (entry->function != LEAF_CACHE && entry->function != LEAF_EXT_CACHE)
			continue;
		if ((entry->eax & 0x1f) == 0) /* the list's end */
			continue;
		entry->eax &= 0x3fff;
		if (level >= 3)
			entry->eax |= at_most(cpus - 1, 0xfff) << 14;
		if (entry->function == LEAF_CACHE)
			entry->eax |= at_most(cpus - 1, 0x3f) << 26;
	}
}

/* One thread a core, all cores in one package; leaf 0x1f has the form of 0xb. KVM answers
 * for the levels past the last by itself. */
static bool prepare_levels(struct cpuid_table *table, uint32_t leaf, unsigned cpus)
{
	struct kvm_cpuid_entry2 smt = {
	        .function = leaf,
	        .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
	        .ebx = 1,
	        .ecx = LEVEL_SMT,
	};
	struct kvm_cpuid_entry2 core = {
	        .function = leaf,
	        .index = 1,
	        .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
	        .eax = id_bits(cpus),
	        .ebx = cpus,
	        .ecx = LEVEL_CORE | 1,
	};

	drop(table, leaf);
	return add(table, smt) && add(table, core);
}

static bool prepare_topology(
        struct cpuid_table *table, unsigned cpus, uint32_t max_leaf, bool intel)
{
	struct kvm_cpuid_entry2 *sizes = find(table, LEAF_EXT_SIZES, 0);

	prepare_caches(table, cpus);
	if (sizes && !intel)
		sizes->ecx = at_most(cpus - 1, 0xff) | id_bits(cpus) << 12;
	if (max_leaf >= LEAF_TOPOLOGY && !prepare_levels(table, LEAF_TOPOLOGY, cpus))
		return false;
	return max_leaf < LEAF_TOPOLOGY_V2 ||
	       prepare_levels(table, LEAF_TOPOLOGY_V2, cpus);
}

/* KVM's own leaves (cpuid.rst), and the frequencies where VMware has them. */
static bool prepare_hypervisor(
        struct cpuid_table *table, const struct cpuid_machine *machine)
{
	struct kvm_cpuid_entry2 *signature = find(table, KVM_CPUID_SIGNATURE, 0);
	struct kvm_cpuid_entry2 *features = find(table, KVM_CPUID_FEATURES, 0);
	struct kvm_cpuid_entry2 timing = {
	        .function = LEAF_VMWARE_TIMING,
	        .eax = machine->tsc_khz,
	        .ebx = APIC_BUS_KHZ,
	};

	if (features && !machine->lapic)
		features->eax &= FEATURES_WITHOUT_LAPIC;
	if (features && machine->lapic && machine->cpus > 255)
		features->eax |= 1 << KVM_FEATURE_MSI_EXT_DEST_ID;
	if (!signature || !machine->tsc_khz)
		return true;
	signature->eax = LEAF_VMWARE_TIMING;
	drop(table, LEAF_VMWARE_TIMING);
	return add(table, timing);
}

/*
 * Leaves 0x15 and 0x16, which Linux believes on Intel only. The crystal is the APIC
 * timer's clock; the ratio of the TSC to it is a fraction that times the crystal's kHz
 * stays below 2^32, as Linux multiplies (native_calibrate_tsc): the last convergent of
 * the continued fraction for which it does.
 */
static bool prepare_frequency(struct cpuid_table *table, uint32_t tsc_khz)
{
	uint32_t last_num = 0, num = 1, last_den = 1, den = 0;
	uint32_t a = tsc_khz, b = APIC_BUS_KHZ;
	struct kvm_cpuid_entry2 *max = find(table, 0, 0);

	while (b) {
		uint64_t next = (uint64_t)(a / b) * num + last_num;
		uint32_t rest = a % b, swap = den;

		if (next > UINT32_MAX / APIC_BUS_KHZ)
			break;
		den = a / b * den + last_den;
		last_den = swap;
		last_num = num;
		num = next;
		a = b;
		b = rest;
	}
	if (max && max->eax < LEAF_FREQUENCY)
		max->eax = LEAF_FREQUENCY;
	drop(table, LEAF_TSC);
	drop(table, LEAF_FREQUENCY);
	return add(table, (struct kvm_cpuid_entry2){.function = LEAF_TSC,
	                          .eax = den,
	                          .ebx = num,
	                          .ecx = APIC_BUS_KHZ * 1000}) &&
	       add(table, (struct kvm_cpuid_entry2){.function = LEAF_FREQUENCY,
	                          .eax = tsc_khz / 1000,
	                          .ebx = tsc_khz / 1000});
}

bool cpuid_prepare(struct cpuid_table *table, const struct cpuid_machine *machine)
{
	struct kvm_cpuid_entry2 *vendor = find(table, 0, 0);
	uint32_t max_leaf = vendor ? vendor->eax : 0;
	bool intel = vendor && vendor->ebx == INTEL_EBX;

	prepare_features(table, machine, intel);
	if (!prepare_topology(table, machine->cpus, max_leaf, intel))
		return false;
	if (!prepare_hypervisor(table, machine))
		return false;
	return !intel || !machine->tsc_khz ||
	       prepare_frequency(table, machine->tsc_khz);
}

void cpuid_patch(struct cpuid_table *table, unsigned index)
{
	for (unsigned i = 0; i < table->count; i++) {
		struct kvm_cpuid_entry2 *entry = &table->entries[i];

		switch (entry->function) {
		case LEAF_FEATURES:
			entry->ebx = (entry->ebx & 0xffffff) | index << 24;
			break;
		case LEAF_TOPOLOGY:
		case LEAF_TOPOLOGY_V2:
			entry->edx = index;
			break;
		case LEAF_EXT_TOPOLOGY: /* one thread a core, one node */
			entry->eax = index;
			entry->ebx = index & 0xff;
			entry->ecx = 0;
			break;
		}
	}
}

/*
 * What every 64-bit CPU and KVM can do, of what this host has: about x86-64-v2, random
 * numbers, what cryptography uses of leaf 7, and the KVM clock. Nothing of it needs more
 * state than SSE has, or KVM's help. KVM_GET_SUPPORTED_CPUID reads some eighty leaves, each
 * of them an exit of microseconds where the host is a virtual machine itself; these are six.
 */
static void fill_baseline(struct cpuid_table *table)
{
	static const struct kvm_cpuid_entry2 masks[] = {
	        /* Leaves up to 7 that have no entry read as 0. */
	        {.function = 0, .eax = 7, .ebx = ~0u, .ecx = ~0u, .edx = ~0u},
	        {
	                .function = LEAF_FEATURES,
	                .eax = ~0u,
	                .ebx = 0xff00, /* CLFLUSH's line */
	                .ecx = bit_SSE3 | bit_PCLMUL | bit_SSSE3 | bit_CMPXCHG16B |
	                       bit_SSE4_1 | bit_SSE4_2 | bit_POPCNT | bit_AES |
	                       bit_RDRND,
	                .edx = EDX1_BASELINE | bit_CMPXCHG8B | bit_CMOV | bit_MMX |
	                       bit_FXSAVE | bit_SSE | bit_SSE2,
	        },
	        {
	                .function = LEAF_STRUCTURED,
	                .ebx = bit_BMI | bit_BMI2 | bit_ADX | bit_RDSEED | bit_SHA |
	                       EBX7_ERMS,
	        },
	        {.function = LEAF_EXT, .eax = LEAF_EXT_SIZES},
	        {
	                .function = LEAF_EXT_FEATURES,
	                .ecx = bit_LAHF_LM,
	                .edx = EDX80000001_SYSCALL | EDX80000001_NX | bit_LM,
	        },
	        {.function = LEAF_EXT_SIZES, .eax = 0xff},
	};
	static const struct kvm_cpuid_entry2 kvm[] = {
	        {
	                .function = KVM_CPUID_SIGNATURE,
	                .eax = KVM_CPUID_FEATURES,
	                .ebx = 0x4b4d564b, /* "KVMKVMKVM" */
	                .ecx = 0x564b4d56,
	                .edx = 0x4d,
	        },
	        {.function = KVM_CPUID_FEATURES, .eax = FEATURES_WITHOUT_LAPIC},
	};

	table->count = 0;
	for (unsigned i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
		struct kvm_cpuid_entry2 entry = masks[i];
		uint32_t eax, ebx, ecx, edx;

		__cpuid_count(entry.function, 0, eax, ebx, ecx, edx);
		if (entry.function ==
		        LEAF_EXT_SIZES) /* physical, linear address bits */
			entry.eax = at_most(eax & 0xff, 40) | 48 << 8;
		else
			entry.eax = at_most(eax, entry.eax);
		entry.ebx &= ebx;
		entry.ecx &= ecx;
		entry.edx &= edx;
		add(table, entry);
	}
	for (unsigned i = 0; i < sizeof(kvm) / sizeof(kvm[0]); i++)
		add(table, kvm[i]);
}

static int fill_supported(struct cpuid_table *table, int kvm_fd)
{
	table->count = CPUID_ENTRIES;
	if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, table) < 0)
		return log_error(-errno,
		        "cpuid: KVM does not tell what it supports: %s",
		        strerror(errno));
	return 0;
}

int cpuid_fetch(struct cpuid_table *table, int kvm_fd, unsigned cpus, uint32_t tsc_khz,
        bool lapic)
{
	struct cpuid_machine machine = {
	        .cpus = cpus, .tsc_khz = tsc_khz, .lapic = lapic};
	int error;

	table->padding = 0;
	if (lapic) {
		error = fill_supported(table, kvm_fd);
		if (error)
			return error;
		machine.tsc_deadline = ioctl(kvm_fd, KVM_CHECK_EXTENSION,
		                               KVM_CAP_TSC_DEADLINE_TIMER) > 0;
	} else {
		fill_baseline(table);
	}
	if (!cpuid_prepare(table, &machine))
		return log_error(-E2BIG, "cpuid: more than %u leaves", CPUID_ENTRIES);
	return 0;
}

/*
 * A guest writes XCR0 before it uses what is in it, so it may find all of it enabled. It
 * must where XSETBV does not lead to KVM (SVM as QEMU 7.2 emulates it): KVM would go on to
 * run the guest with the x87 alone that XCR0 has after reset, and AVX would fault.
 */
static int set_xcr0(struct cpuid_table *table, int vcpu_fd)
{
	const struct kvm_cpuid_entry2 *xsave = find(table, LEAF_XSAVE, 0);
	struct kvm_xcrs xcrs = {.nr_xcrs = 1};

	if (!xsave || !xsave->eax)
		return 0;
	xcrs.xcrs[0].value = (uint64_t)xsave->edx << 32 | xsave->eax;
	if (ioctl(vcpu_fd, KVM_SET_XCRS, &xcrs) < 0)
		return log_error(-errno, "cpuid: KVM refuses XCR0 %#llx: %s",
		        (unsigned long long)xcrs.xcrs[0].value, strerror(errno));
	return 0;
}

int cpuid_set(struct cpuid_table *table, int vcpu_fd, unsigned index)
{
	cpuid_patch(table, index);
	if (ioctl(vcpu_fd, KVM_SET_CPUID2, table) < 0)
		return log_error(-errno, "cpuid: KVM refuses the table of vCPU %u: %s",
		        index, strerror(errno));
	return set_xcr0(table, vcpu_fd);
}
