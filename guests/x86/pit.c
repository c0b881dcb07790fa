/*
 * Tells time as kernels of PCs do: PIT channel 0 interrupts through the PIC, channel 2 is
 * polled through port 0x61, the RTC is read. Status 1 if one of them does not work.
 * "ticks=N" interrupts of 10 ms (3 by default) are waited for.
 */
#include "guest.h"
#include "mayfly.h"
#include "x86/cpu.h"

MAYFLY_NEEDS(MAYFLY_NEEDS_PC | MAYFLY_NEEDS_LEGACY);

/* 8259A data sheet: initialization and operation command words. */
enum { PIC1 = 0x20, PIC2 = 0xa0, PIC_INIT = 0x11, PIC_8086 = 1, PIC_EOI = 0x20 };
/* 8254 data sheet. */
enum {
	PIT_0 = 0x40,
	PIT_2 = 0x42,
	PIT_CONTROL = 0x43,
	PIT_RATE_0 = 0x34,     /* channel 0, both bytes, mode 2 */
	PIT_ONE_SHOT_2 = 0xb0, /* channel 2, both bytes, mode 0 */
	PIT_10MS = 11932,
	SPEAKER = 0x61,
	SPEAKER_GATE = 1,
	SPEAKER_OUT = 0x20,
};

static void pic_setup(void)
{
	out8(PIC1, PIC_INIT);
	out8(PIC2, PIC_INIT);
	out8(PIC1 + 1, 32); /* start.S: interrupt n is vector 32 + n */
	out8(PIC2 + 1, 40);
	out8(PIC1 + 1, 4);
	out8(PIC2 + 1, 2);
	out8(PIC1 + 1, PIC_8086);
	out8(PIC2 + 1, PIC_8086);
	out8(PIC1 + 1, 0xfe); /* all but the timer's are masked */
	out8(PIC2 + 1, 0xff);
}

static void pit_load(uint16_t port, uint8_t mode, uint16_t count)
{
	out8(PIT_CONTROL, mode);
	out8(port, (uint8_t)count);
	out8(port, count >> 8);
}

/* Until the interrupt comes: nothing else is let in. */
static bool tick(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
	if (irq_pending != 1)
		return false;
	irq_pending = 0;
	out8(PIC1, PIC_EOI);
	return true;
}

int main(void)
{
	uint64_t start, ticks = option_number("ticks", 3), polls = 0;
	uint8_t second;

	pic_setup();
	pit_load(PIT_0, PIT_RATE_0, PIT_10MS);
	start = rdtsc();
	for (uint64_t i = 0; i < ticks; i++)
		if (!tick()) {
			print("pit: another interrupt\n");
			return 1;
		}
	print("pit: %lu ticks, %lu cycles each\n", ticks, (rdtsc() - start) / ticks);

	out8(SPEAKER, SPEAKER_GATE);
	pit_load(PIT_2, PIT_ONE_SHOT_2, PIT_10MS);
	start = rdtsc();
	while (!(in8(SPEAKER) & SPEAKER_OUT))
		polls++;
	print("pit: channel 2 after %lu cycles\n", rdtsc() - start);
	if (!polls)
		return 1;

	out8(0x70, 0); /* seconds */
	second = in8(0x71);
	print("rtc: %x\n", (unsigned)second);
	return (second & 0xf) > 9 || second > 0x59;
}
