/* On made-up hosts; no KVM is needed. */
#include "tests/unit/unit.h"

#include "x86/cpuid.h"

#include <string.h>

enum {
	INTEL = 0x756e6547,
	AMD = 0x68747541,
	INDEXED = KVM_CPUID_FLAG_SIGNIFCANT_INDEX
};

static struct cpuid_table host(uint32_t vendor, uint32_t max_leaf)
{
	static const struct kvm_cpuid_entry2 entries[] = {
	        {.function = 0},
	        {.function = 1, .ebx = 0x77ff0800, .edx = 1 << 28},
	        {.function = 4, .index = 0, .flags = INDEXED, .eax = 0xffffc121},
	        {.function = 4, .index = 1, .flags = INDEXED, .eax = 0xffffc163},
	        {.function = 4, .index = 2, .flags = INDEXED, .eax = 0},
	        {.function = 6},
	        {.function = 0xb, .flags = INDEXED},
	        {.function = 0x1f, .flags = INDEXED},
	        {.function = 0x40000000, .eax = 0x40000001},
	        {.function = 0x40000001, .eax = 0x01007efb},
	        {.function = 0x80000001, .edx = 1 << 9},
	        {.function = 0x80000008, .ecx = 0x1234},
	        {.function = 0x8000001d,
	                .index = 3,
	                .flags = INDEXED,
	                .eax = 0x3ffc163},
	        {.function = 0x8000001e, .ecx = 0x707},
	};
	struct cpuid_table table = {.count = sizeof(entries) / sizeof(entries[0])};

	memcpy(table.entries, entries, sizeof(entries));
	table.entries[0].eax = max_leaf;
	table.entries[0].ebx = vendor;
	return table;
}

static struct kvm_cpuid_entry2 leaf(
        const struct cpuid_table *table, uint32_t function, uint32_t index)
{
	struct kvm_cpuid_entry2 found = {0};
	unsigned count = 0;

	for (unsigned i = 0; i < table->count; i++) {
		if (table->entries[i].function != function ||
		        table->entries[i].index != index)
			continue;
		found = table->entries[i];
		count++;
	}
	CU_ASSERT_TRUE(count <= 1);
	return found;
}

static const struct cpuid_machine one = {
        .cpus = 1, .lapic = true, .tsc_deadline = true, .tsc_khz = 2596142};

static void features_follow_the_machine(void)
{
	struct cpuid_table table = host(AMD, 0x10);
	struct cpuid_machine machine = one;

	CU_ASSERT_TRUE(cpuid_prepare(&table, &machine));
	CU_ASSERT_EQUAL(leaf(&table, 1, 0).ecx, 1u << 31 | 1 << 24 | 1 << 21);
	CU_ASSERT_EQUAL(leaf(&table, 1, 0).edx, 1 << 9);
	CU_ASSERT_EQUAL(leaf(&table, 6, 0).eax, 4);

	table = host(AMD, 0x10);
	machine.tsc_deadline = false;
	CU_ASSERT_TRUE(cpuid_prepare(&table, &machine));
	CU_ASSERT_EQUAL(leaf(&table, 1, 0).ecx, 1u << 31 | 1 << 21);
}

static void without_lapic_nothing_needs_one(void)
{
	struct cpuid_table table = host(AMD, 0x10);
	struct cpuid_machine machine = {.cpus = 1, .tsc_deadline = true};

	CU_ASSERT_TRUE(cpuid_prepare(&table, &machine));
	CU_ASSERT_EQUAL(leaf(&table, 1, 0).ecx, 1u << 31);
	CU_ASSERT_EQUAL(leaf(&table, 1, 0).edx, 0);
	CU_ASSERT_EQUAL(leaf(&table, 0x80000001, 0).edx, 0);
	CU_ASSERT_EQUAL(leaf(&table, 0x40000001, 0).eax, 0x0100000b);
	CU_ASSERT_EQUAL(leaf(&table, 0x40000000, 0).eax, 0x40000001); /* no TSC kHz */
}

static void each_cpu_has_its_apic_id(void)
{
	static const unsigned ids[] = {0, 1, 254, 299, 1};
	struct cpuid_table table = host(AMD, 0x1f);
	struct cpuid_machine machine = one;

	machine.cpus = 300;
	CU_ASSERT_TRUE(cpuid_prepare(&table, &machine));
	for (unsigned i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		cpuid_patch(&table, ids[i]);
		CU_ASSERT_EQUAL(leaf(&table, 1, 0).ebx,
		        (ids[i] & 0xff) << 24 | 0xff << 16 | 0x0800);
		CU_ASSERT_EQUAL(leaf(&table, 0xb, 0).edx, ids[i]);
		CU_ASSERT_EQUAL(leaf(&table, 0xb, 1).edx, ids[i]);
		CU_ASSERT_EQUAL(leaf(&table, 0x1f, 1).edx, ids[i]);
		CU_ASSERT_EQUAL(leaf(&table, 0x8000001e, 0).eax, ids[i]);
		CU_ASSERT_EQUAL(leaf(&table, 0x8000001e, 0).ebx, ids[i] & 0xff);
		CU_ASSERT_EQUAL(leaf(&table, 0x8000001e, 0).ecx, 0);
	}
}

static void topology_is_cores_of_one_package(void)
{
	static const struct {
		unsigned cpus, bits;
	} cases[] = {
	        {1, 0}, {2, 1}, {3, 2}, {4, 2}, {5, 3}, {64, 6}, {65, 7}, {300, 9}};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cpuid_table table = host(AMD, 0x1f);
		struct cpuid_machine machine = one;
		unsigned cpus = cases[i].cpus, bits = cases[i].bits;

		machine.cpus = cpus;
		CU_ASSERT_TRUE(cpuid_prepare(&table, &machine));
		CU_ASSERT_EQUAL(leaf(&table, 0xb, 0).eax, 0);
		CU_ASSERT_EQUAL(leaf(&table, 0xb, 0).ebx, 1);
		CU_ASSERT_EQUAL(leaf(&table, 0xb, 0).ecx, 0x100);
		CU_ASSERT_EQUAL(leaf(&table, 0xb, 1).eax, bits);
		CU_ASSERT_EQUAL(leaf(&table, 0xb, 1).ebx, cpus);
		CU_ASSERT_EQUAL(leaf(&table, 0xb, 1).ecx, 0x201);
		CU_ASSERT_EQUAL(leaf(&table, 1, 0).edx >> 28 & 1, cpus > 1);
		CU_ASSERT_EQUAL(leaf(&table, 0x80000001, 0).ecx >> 1 & 1, cpus > 1);
		CU_ASSERT_EQUAL(leaf(&table, 0x80000008, 0).ecx,
		        bits << 12 | (cpus > 256 ? 255 : cpus - 1));
		CU_ASSERT_EQUAL(leaf(&table, 4, 0).eax & 0x3ffffff, 0x121);
		CU_ASSERT_EQUAL(leaf(&table, 4, 1).eax >> 14 & 0xfff, cpus - 1);
		CU_ASSERT_EQUAL(
		        leaf(&table, 4, 1).eax >> 26, cpus > 64 ? 63 : cpus - 1);
		CU_ASSERT_EQUAL(leaf(&table, 4, 2).eax, 0);
		CU_ASSERT_EQUAL(
		        leaf(&table, 0x8000001d, 3).eax, 0x163 | (cpus - 1) << 14);
	}
}

static void leaves_past_the_last_stay_absent(void)
{
	struct cpuid_table table = host(AMD, 7);
	unsigned count = table.count;

	CU_ASSERT_TRUE(cpuid_prepare(&table, &one));
	CU_ASSERT_EQUAL(leaf(&table, 0xb, 1).ecx, 0);
	CU_ASSERT_EQUAL(leaf(&table, 0x15, 0).ebx, 0);
	CU_ASSERT_EQUAL(table.count, count + 1); /* 0x40000010 */
}

static void frequencies_are_told(void)
{
	static const uint32_t khz[] = {800000, 1000000, 1999999, 2000000, 2100000,
	        2394454, 2596142, 2900000, 3792873, 4200000, 5000001};

	for (unsigned i = 0; i < sizeof(khz) / sizeof(khz[0]); i++) {
		struct cpuid_table table = host(INTEL, 0xd);
		struct cpuid_machine machine = one;
		struct kvm_cpuid_entry2 tsc;
		uint64_t told;

		machine.tsc_khz = khz[i];
		CU_ASSERT_TRUE(cpuid_prepare(&table, &machine));
		CU_ASSERT_EQUAL(leaf(&table, 0, 0).eax, 0x16);
		CU_ASSERT_EQUAL(leaf(&table, 0x40000000, 0).eax, 0x40000010);
		CU_ASSERT_EQUAL(leaf(&table, 0x40000010, 0).eax, khz[i]);
		CU_ASSERT_EQUAL(leaf(&table, 0x40000010, 0).ebx, 1000000);
		CU_ASSERT_EQUAL(leaf(&table, 0x16, 0).eax, khz[i] / 1000);

		/* As Linux computes it, in 32 bits: right to 100 ppm. */
		tsc = leaf(&table, 0x15, 0);
		CU_ASSERT_FATAL(tsc.eax != 0);
		told = (uint64_t)(tsc.ecx / 1000) * tsc.ebx;
		CU_ASSERT_TRUE(told <= UINT32_MAX);
		told /= tsc.eax;
		CU_ASSERT_TRUE(told + khz[i] / 10000 >= khz[i]);
		CU_ASSERT_TRUE(told <= khz[i] + khz[i] / 10000);
	}
}

static void intel_has_no_amd_leaves(void)
{
	struct cpuid_table table = host(INTEL, 0x16);
	struct cpuid_machine machine = one;

	machine.cpus = 8;
	CU_ASSERT_TRUE(cpuid_prepare(&table, &machine));
	CU_ASSERT_EQUAL(leaf(&table, 0x80000008, 0).ecx, 0x1234);
	CU_ASSERT_EQUAL(leaf(&table, 0x80000001, 0).ecx, 0);
}

static void extended_destinations_beyond_255_cpus(void)
{
	struct cpuid_table table = host(AMD, 0x10);
	struct cpuid_machine machine = one;

	machine.cpus = 255;
	cpuid_prepare(&table, &machine);
	CU_ASSERT_FALSE(leaf(&table, 0x40000001, 0).eax & 1 << 15);
	machine.cpus = 256;
	cpuid_prepare(&table, &machine);
	CU_ASSERT_TRUE(leaf(&table, 0x40000001, 0).eax & 1 << 15);
}

static void preparing_twice_changes_nothing(void)
{
	struct cpuid_table once = host(INTEL, 0x1f), twice;

	cpuid_prepare(&once, &one);
	twice = once;
	cpuid_prepare(&twice, &one);
	CU_ASSERT_EQUAL(once.count, twice.count);
	CU_ASSERT_EQUAL(memcmp(&once, &twice, sizeof(once)), 0);
}

static void full_table_is_refused(void)
{
	struct cpuid_table table = host(INTEL, 0x1f);

	while (table.count < CPUID_ENTRIES)
		table.entries[table.count++].function = 0x80000002;
	CU_ASSERT_FALSE(cpuid_prepare(&table, &one));
	CU_ASSERT_TRUE(table.count <= CPUID_ENTRIES);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(features_follow_the_machine),
	        UNIT(without_lapic_nothing_needs_one),
	        UNIT(each_cpu_has_its_apic_id),
	        UNIT(topology_is_cores_of_one_package),
	        UNIT(leaves_past_the_last_stay_absent),
	        UNIT(frequencies_are_told),
	        UNIT(intel_has_no_amd_leaves),
	        UNIT(extended_destinations_beyond_255_cpus),
	        UNIT(preparing_twice_changes_nothing),
	        UNIT(full_table_is_refused),
	        {0},
	};
	return unit_run("cpuid", tests);
}
