/*
 * Sends back what comes in on the serial line and leaves with 0 at a 'q'. It sleeps in
 * between and is woken by the UART's interrupt; with "echo=poll" it never uses that.
 */
#include "guest.h"
#include "mayfly.h"
#include "x86/cpu.h"

MAYFLY_NEEDS(MAYFLY_NEEDS_IRQCHIP | MAYFLY_NEEDS_INPUT);

/* PC16550D data sheet, table II. */
#define DATA             (MAYFLY_COM1_PORT + 0)
#define INTERRUPT_ENABLE (MAYFLY_COM1_PORT + 1)
#define MODEM_CONTROL    (MAYFLY_COM1_PORT + 4)
#define LINE_STATUS      (MAYFLY_COM1_PORT + 5)

#define DATA_AVAILABLE 0x01 /* in INTERRUPT_ENABLE and LINE_STATUS */
#define OUT2           0x08 /* on a PC it gates the interrupt */

int main(void)
{
	const char *how = option_find(command_line, "echo");
	bool poll = how && option_is(how, "poll");

	if (!poll) {
		irq_enable(MAYFLY_COM1_IRQ);
		out8(MODEM_CONTROL, OUT2);
		out8(INTERRUPT_ENABLE, DATA_AVAILABLE);
	}
	print("echo\n");
	guest_mark(MAYFLY_MARK_APPLICATION);
	for (;;) {
		while (in8(LINE_STATUS) & DATA_AVAILABLE) {
			char c = (char)in8(DATA);

			console_write(&c, 1);
			if (c == 'q')
				return 0;
		}
		if (!poll)
			irq_wait(NEVER);
	}
}
