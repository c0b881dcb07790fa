/*
 * Interrupts and time. start.S gives I/O APIC pin n vector 32 + n; a handler there sets
 * bit n of irq_pending and nothing more, so irq_wait() is the whole of scheduling here.
 *
 * Time is the TSC. Its frequency comes from KVM's clock page, or is measured against
 * the local APIC timer, which counts nanoseconds under KVM and QEMU alike.
 */
#include "guest.h"
#include "mayfly.h"
#include "x86/cpu.h"

#define VECTOR_IRQ      32
#define VECTOR_TIMER    (VECTOR_IRQ + IRQ_TIMER)
#define VECTOR_SPURIOUS 63 /* older local APICs force its low four bits to 1 */

/* Intel SDM vol. 3, table 11-1. */
#define LAPIC_SPURIOUS     0xf0
#define LAPIC_TIMER        0x320
#define LAPIC_LINT0        0x350
#define LAPIC_TIMER_COUNT  0x380
#define LAPIC_TIMER_NOW    0x390
#define LAPIC_TIMER_DIVIDE 0x3e0

#define LAPIC_ENABLE       0x100
#define LAPIC_MASKED       0x10000
#define LAPIC_TSC_DEADLINE 0x40000
#define LAPIC_DIVIDE_BY_1  0xb

#define MSR_TSC_DEADLINE         0x6e0
#define CPUID_1_ECX_TSC_DEADLINE (1u << 24)

/* 82093AA data sheet, 3.1 and 3.2.4. */
#define IOAPIC_SELECT      (MAYFLY_IOAPIC + 0x00ul)
#define IOAPIC_WINDOW      (MAYFLY_IOAPIC + 0x10ul)
#define IOAPIC_REDIRECTION 0x10

/* Linux Documentation/virt/kvm/x86/{cpuid,msr}.rst. */
#define CPUID_KVM                0x40000000
#define CPUID_KVM_FEATURES       0x40000001
#define KVM_FEATURE_CLOCKSOURCE2 (1u << 3)
#define MSR_KVM_SYSTEM_TIME_NEW  0x4b564d01

struct kvm_clock {
	uint32_t version;
	uint32_t pad;
	uint64_t tsc;
	uint64_t system_time;
	uint32_t tsc_to_ns_multiplier; /* ns = (tsc << shift) * multiplier >> 32 */
	int8_t tsc_shift;
	uint8_t flags;
	uint8_t pad2[2];
};

static uint64_t tsc_khz; /* 0: not set up yet */
static bool has_tsc_deadline;

static void lapic_write(unsigned offset, uint32_t value)
{
	mmio_write(MAYFLY_LAPIC + (uintptr_t)offset, value);
}

static uint32_t lapic_read(unsigned offset)
{
	return mmio_read(MAYFLY_LAPIC + (uintptr_t)offset);
}

static uint64_t tsc_khz_from_kvm(void)
{
	static struct kvm_clock clock __attribute__((aligned(64)));
	struct cpuid id = cpuid(CPUID_KVM);

	if (id.ebx != 0x4b4d564b /* KVMKVMKVM */ || id.ecx != 0x4d564b56 ||
	        !(cpuid(CPUID_KVM_FEATURES).eax & KVM_FEATURE_CLOCKSOURCE2))
		return 0;

	/* KVM fills the page before the guest runs on; we only want it once. */
	wrmsr(MSR_KVM_SYSTEM_TIME_NEW, (uintptr_t)&clock | 1);
	uint64_t multiplier = *(volatile uint32_t *)&clock.tsc_to_ns_multiplier;
	int shift = *(volatile int8_t *)&clock.tsc_shift;
	wrmsr(MSR_KVM_SYSTEM_TIME_NEW, 0);

	if (!multiplier)
		return 0;
	uint64_t khz = (1000000ull << 32) / multiplier;
	return shift < 0 ? khz << -shift : khz >> shift;
}

static uint64_t tsc_khz_from_lapic(void)
{
	lapic_write(LAPIC_TIMER, LAPIC_MASKED);
	lapic_write(LAPIC_TIMER_COUNT, UINT32_MAX);

	uint32_t start = lapic_read(LAPIC_TIMER_NOW), elapsed_ns;
	uint64_t tsc = rdtsc();

	do
		elapsed_ns = start - lapic_read(LAPIC_TIMER_NOW);
	while (elapsed_ns < 2000000);
	return (rdtsc() - tsc) * 1000000 / elapsed_ns;
}

static void irq_setup(void)
{
	lapic_write(LAPIC_SPURIOUS, LAPIC_ENABLE | VECTOR_SPURIOUS);
	lapic_write(
	        LAPIC_LINT0, LAPIC_MASKED); /* nothing from a PIC, if there is one */
	lapic_write(LAPIC_TIMER_DIVIDE, LAPIC_DIVIDE_BY_1);
	tsc_khz = tsc_khz_from_kvm();
	if (!tsc_khz)
		tsc_khz = tsc_khz_from_lapic();
	has_tsc_deadline = cpuid(1).ecx & CPUID_1_ECX_TSC_DEADLINE;
	lapic_write(LAPIC_TIMER,
	        VECTOR_TIMER | (has_tsc_deadline ? LAPIC_TSC_DEADLINE : 0));
}

void irq_enable(unsigned irq)
{
	if (!tsc_khz)
		irq_setup();

	/* To APIC ID 0, fixed, edge triggered, active high: all zero but the vector. */
	mmio_write(IOAPIC_SELECT, IOAPIC_REDIRECTION + 2 * irq + 1);
	mmio_write(IOAPIC_WINDOW, 0);
	mmio_write(IOAPIC_SELECT, IOAPIC_REDIRECTION + 2 * irq);
	mmio_write(IOAPIC_WINDOW, VECTOR_IRQ + irq);
}

static void timer_arm(uint64_t deadline_ms)
{
	if (deadline_ms == NEVER)
		return;

	uint64_t deadline = deadline_ms * tsc_khz;

	if (has_tsc_deadline) {
		/*
		 * A moment in the past fires at once. SDM 11.5.4.1 wants a fence after
		 * the write that set the mode; that write has trapped to KVM long ago.
		 */
		wrmsr(MSR_TSC_DEADLINE, deadline);
		return;
	}

	uint64_t now = rdtsc();
	uint64_t ns = deadline <= now ? 1 : (deadline - now) * 1000000 / tsc_khz + 1;

	/* An early wake-up is harmless: the caller looks at the clock and waits again. */
	lapic_write(LAPIC_TIMER_COUNT, ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns);
}

uint32_t irq_wait(uint64_t deadline_ms)
{
	if (!tsc_khz)
		irq_setup();
	timer_arm(deadline_ms);
	/* STI takes effect after the next instruction: no interrupt is lost before HLT. */
	__asm__ volatile("sti; hlt; cli" : : : "memory");

	uint32_t irqs = irq_pending;

	irq_pending = 0;
	return irqs;
}

uint64_t clock_ms(void)
{
	if (!tsc_khz)
		irq_setup();
	return rdtsc() / tsc_khz;
}

uint32_t random_u32(void)
{
	static uint64_t state;

	/* Marsaglia, Xorshift RNGs (2003), stirred with the time of each call. */
	state ^= rdtsc() | 1;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 16);
}
