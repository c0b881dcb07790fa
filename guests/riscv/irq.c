/*
 * Interrupts and time. Interrupts are never taken: WFI ends for one that is enabled in sie
 * although sstatus keeps it out (Privileged ISA, 3.3.3), and the controller then says which.
 *
 * The controller is a PLIC (PLIC Specification 1.0.0), or an APLIC that sends messages to
 * this hart's IMSIC (AIA 1.0, chapters 3 and 4), whichever the device tree has.
 */
#include "guest.h"
#include "riscv/platform.h"

#define SIE_TIMER    (1ul << 5)
#define SIE_EXTERNAL (1ul << 9)

#define PLIC_ENABLE 0x2000
#define PLIC_CLAIM  0x200004

#define APLIC_DOMAINCFG  0x0
#define APLIC_SOURCECFG  0x4
#define APLIC_SETIENUM   0x1edc
#define APLIC_TARGET     0x3004
#define APLIC_ENABLE     (1u << 8)
#define APLIC_MESSAGES   (1u << 2)
#define APLIC_EDGE_RISES 4

/* CSRs by number, as older assemblers do not know them. */
#define CSR_SISELECT "0x150"
#define CSR_SIREG    "0x151"
#define CSR_STOPEI   "0x15c"

#define IMSIC_DELIVERY  0x70
#define IMSIC_THRESHOLD 0x72
#define IMSIC_ENABLE    0xc0

#define SBI_TIME 0x54494d45

static uint64_t enabled; /* sources */

static uint64_t time(void)
{
	return csr_read("time");
}

static void imsic_write(unsigned select, uint64_t value)
{
	csr_write(CSR_SISELECT, select);
	csr_write(CSR_SIREG, value);
}

static void timer_set(uint64_t deadline)
{
	register uint64_t a0 __asm__("a0") = deadline;
	register uint64_t a6 __asm__("a6") = 0;
	register uint64_t a7 __asm__("a7") = SBI_TIME;

	__asm__ volatile("ecall" : "+r"(a0) : "r"(a6), "r"(a7) : "a1", "memory");
}

/* The identity of a source's message is its number. */
static void aplic_enable(unsigned irq)
{
	enabled |= 1ull << irq;
	imsic_write(IMSIC_ENABLE, enabled);
	imsic_write(IMSIC_THRESHOLD, 0);
	imsic_write(IMSIC_DELIVERY, 1);
	mmio_write(platform.aplic + APLIC_DOMAINCFG, APLIC_ENABLE | APLIC_MESSAGES);
	mmio_write(platform.aplic + APLIC_SOURCECFG + 4 * (irq - 1), APLIC_EDGE_RISES);
	mmio_write(platform.aplic + APLIC_TARGET + 4 * (irq - 1), irq);
	mmio_write(platform.aplic + APLIC_SETIENUM, irq);
}

static void plic_enable(unsigned irq)
{
	enabled |= 1ull << irq;
	mmio_write(platform.plic + 4 * irq, 1);
	mmio_write(platform.plic + PLIC_ENABLE, (uint32_t)enabled);
	mmio_write(platform.plic + PLIC_ENABLE + 4, (uint32_t)(enabled >> 32));
}

void irq_enable(unsigned irq)
{
	if (platform.aplic)
		aplic_enable(irq);
	else
		plic_enable(irq);
}

/* The source of an interrupt that came, which is thereby taken; 0: none did. */
static unsigned claim(void)
{
	unsigned irq;

	if (platform.aplic) {
		irq = (unsigned)(csr_read(CSR_STOPEI) >> 16);
		if (irq)
			csr_write(CSR_STOPEI, 0);
	} else {
		irq = mmio_read(platform.plic + PLIC_CLAIM);
		if (irq)
			mmio_write(platform.plic + PLIC_CLAIM, irq);
	}
	return irq;
}

uint32_t irq_wait(uint64_t deadline_ms)
{
	uint32_t irqs = 0;
	unsigned irq;

	timer_set(deadline_ms == NEVER ? UINT64_MAX
	                               : deadline_ms * (platform.timebase_hz / 1000));
	csr_write("sie", SIE_TIMER | SIE_EXTERNAL);
	__asm__ volatile("wfi" : : : "memory");
	while (enabled && (irq = claim()))
		irqs |= 1u << irq % 32;
	return irqs;
}

uint64_t clock_ms(void)
{
	return time() / (platform.timebase_hz / 1000);
}

uint32_t random_u32(void)
{
	static uint64_t state;

	/* Marsaglia, Xorshift RNGs (2003), stirred with the time of each call. */
	state ^= time() | 1;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 16);
}
