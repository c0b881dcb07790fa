/* devices/serial.c against the PC16550D data sheet and what Linux's 8250 driver tries. */
#include <linux/serial_reg.h>
#include <string.h>

#include "devices/console.h"
#include "devices/devices.h"
#include "tests/unit/unit.h"

enum { GSI = 4 };

/* The host's end, in place of devices/console.c. */
static struct {
	struct console_client client;
	int attach_error;
	char output[256];
	size_t output_size;
	const char *input; /* what is still to be taken */
} end;

static struct {
	struct device_host host;
	unsigned edges;
	bool level;
} machine;

static struct device *serial;

int console_attach(struct console *console, const struct console_client *client)
{
	(void)console;
	end.client = *client;
	return end.attach_error;
}

void console_want_input(struct console *console)
{
	(void)console;
	if (end.input)
		end.input += end.client.input(
		        end.client.context, end.input, strlen(end.input));
}

void console_write(struct console *console, const void *data, size_t size)
{
	(void)console;
	if (size <= sizeof(end.output) - end.output_size) {
		memcpy(end.output + end.output_size, data, size);
		end.output_size += size;
	}
}

static void set_irq(struct device_host *host, unsigned gsi, bool level)
{
	(void)host;
	CU_ASSERT_EQUAL(gsi, GSI);
	CU_ASSERT_NOT_EQUAL(level, machine.level);
	machine.edges += level;
	machine.level = level;
}

static void setup(void)
{
	memset(&end, 0, sizeof(end));
	memset(&machine, 0, sizeof(machine));
	machine.host.set_irq = set_irq;
	serial = serial_create(&machine.host, (struct console *)&end, GSI);
	CU_ASSERT_PTR_NOT_NULL_FATAL(serial);
}

static void teardown(void)
{
	CU_ASSERT_FALSE(machine.level);
	device_destroy(serial);
}

static void out(unsigned offset, uint8_t value)
{
	pthread_mutex_lock(&serial->lock);
	serial->type->write(serial, 0, offset, &value, 1);
	pthread_mutex_unlock(&serial->lock);
}

static uint8_t in(unsigned offset)
{
	uint8_t value = 0xff;

	pthread_mutex_lock(&serial->lock);
	serial->type->read(serial, 0, offset, &value, 1);
	pthread_mutex_unlock(&serial->lock);
	return value;
}

/* Edges since the last call. */
static unsigned edges(void)
{
	unsigned count = machine.edges;

	machine.edges = 0;
	return count;
}

static void failed_attach_creates_nothing(void)
{
	memset(&end, 0, sizeof(end));
	end.attach_error = -5;
	CU_ASSERT_PTR_NULL(serial_create(&machine.host, (struct console *)&end, GSI));
}

static void no_console_swallows_output(void)
{
	struct device *lone = serial_create(&machine.host, NULL, GSI);

	CU_ASSERT_PTR_NOT_NULL_FATAL(lone);
	lone->type->write(lone, 0, UART_IER, "\x01", 1);
	lone->type->write(lone, 0, UART_TX, "x", 1);
	device_destroy(lone);
}

static void output_reaches_the_console_in_order(void)
{
	setup();
	for (const char *c = "hello\n"; *c; c++) {
		CU_ASSERT_EQUAL(in(UART_LSR), UART_LSR_TEMT | UART_LSR_THRE);
		out(UART_TX, *c);
	}
	CU_ASSERT_EQUAL(end.output_size, 6);
	CU_ASSERT_NSTRING_EQUAL(end.output, "hello\n", 6);
	CU_ASSERT_EQUAL(edges(), 0);
	teardown();
}

/* drivers/tty/serial/8250: autoconfig(), and its scratch, IER and EFR probes. */
static void linux_autoconfig_finds_a_16550a(void)
{
	setup();
	out(UART_IER, 0);
	CU_ASSERT_EQUAL(in(UART_IER), 0);
	out(UART_IER, 0x0f);
	CU_ASSERT_EQUAL(in(UART_IER)&0x0f, 0x0f);
	out(UART_IER, 0xff);
	CU_ASSERT_EQUAL(in(UART_IER), 0x0f);
	out(UART_IER, 0);
	out(UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS);
	CU_ASSERT_EQUAL(in(UART_MSR)&0xf0, UART_MSR_DCD | UART_MSR_CTS);
	out(UART_MCR, 0);
	/* Nothing that a later chip has answers at the EFR. */
	out(UART_LCR, 0xbf);
	out(UART_IIR, 0);
	out(UART_LCR, 0);
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	CU_ASSERT_EQUAL(in(UART_IIR) >> 6, 3);
	out(UART_SCR, 0x5a);
	CU_ASSERT_EQUAL(in(UART_SCR), 0x5a);
	out(UART_FCR, 0);
	CU_ASSERT_EQUAL(in(UART_IIR), UART_IIR_NO_INT);
	teardown();
}

/* serial8250_THRE_test(): the interrupt must come again when enabled again. */
static void enabling_thri_raises_it_each_time(void)
{
	setup();
	for (int i = 0; i < 2; i++) {
		out(UART_IER, UART_IER_THRI);
		CU_ASSERT_EQUAL(edges(), 1);
		CU_ASSERT_EQUAL(in(UART_IIR), UART_IIR_THRI);
		CU_ASSERT_EQUAL(in(UART_IIR), UART_IIR_NO_INT);
		out(UART_IER, 0);
	}
	CU_ASSERT_EQUAL(edges(), 0);
	teardown();
}

static void each_character_sent_renews_thri(void)
{
	setup();
	out(UART_IER, UART_IER_THRI);
	edges();
	in(UART_IIR);
	out(UART_TX, 'a');
	CU_ASSERT_EQUAL(edges(), 1);
	/* Not acknowledged by IIR, but by the next character. */
	out(UART_TX, 'b');
	CU_ASSERT_EQUAL(edges(), 1);
	CU_ASSERT_EQUAL(in(UART_IIR), UART_IIR_THRI);
	CU_ASSERT_EQUAL(in(UART_IIR), UART_IIR_NO_INT);
	teardown();
}

static void divisor_latch_hides_data_and_ier(void)
{
	setup();
	out(UART_LCR, UART_LCR_DLAB | UART_LCR_WLEN8);
	out(UART_DLL, 0x0c);
	out(UART_DLM, 0x34);
	CU_ASSERT_EQUAL(in(UART_DLL), 0x0c);
	CU_ASSERT_EQUAL(in(UART_DLM), 0x34);
	CU_ASSERT_EQUAL(in(UART_LCR), UART_LCR_DLAB | UART_LCR_WLEN8);
	out(UART_LCR, UART_LCR_WLEN8);
	CU_ASSERT_EQUAL(in(UART_IER), 0);
	CU_ASSERT_EQUAL(end.output_size, 0);
	teardown();
}

static void loopback_returns_characters_and_keeps_them_in(void)
{
	setup();
	end.input = "outside";
	out(UART_IER, UART_IER_RDI | UART_IER_RLSI);
	while (in(UART_LSR)&UART_LSR_DR)
		in(UART_RX);
	out(UART_MCR, UART_MCR_LOOP);
	end.input = "more";
	edges();
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	for (int i = 0; i < 16; i++)
		out(UART_TX, i);
	CU_ASSERT_EQUAL(edges(), 1);
	CU_ASSERT_EQUAL(in(UART_LSR)&UART_LSR_OE, 0);
	out(UART_TX, 16);
	CU_ASSERT_EQUAL(in(UART_IIR)&0x0f, UART_IIR_RLSI);
	CU_ASSERT_EQUAL(in(UART_LSR)&UART_LSR_OE, UART_LSR_OE);
	CU_ASSERT_EQUAL(in(UART_LSR)&UART_LSR_OE, 0);
	for (int i = 0; i < 16; i++)
		CU_ASSERT_EQUAL(in(UART_RX), i);
	CU_ASSERT_EQUAL(in(UART_LSR)&UART_LSR_DR, 0);
	CU_ASSERT_EQUAL(end.output_size, 0);
	CU_ASSERT_STRING_EQUAL(end.input, "more");
	out(UART_MCR, 0);
	CU_ASSERT_EQUAL(in(UART_RX), 'm');
	teardown();
}

static void modem_deltas_last_until_msr_is_read(void)
{
	setup();
	CU_ASSERT_EQUAL(in(UART_MSR), UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS);
	out(UART_IER, UART_IER_MSI);
	out(UART_MCR, UART_MCR_LOOP | UART_MCR_OUT1);
	CU_ASSERT_EQUAL(edges(), 1);
	CU_ASSERT_EQUAL(in(UART_IIR), UART_IIR_MSI);
	CU_ASSERT_EQUAL(in(UART_MSR),
	        UART_MSR_RI | UART_MSR_DDCD | UART_MSR_DDSR | UART_MSR_DCTS);
	CU_ASSERT_EQUAL(in(UART_MSR), UART_MSR_RI);
	out(UART_MCR, UART_MCR_LOOP);
	CU_ASSERT_EQUAL(in(UART_MSR), UART_MSR_TERI);
	CU_ASSERT_EQUAL(in(UART_IIR), UART_IIR_NO_INT);
	teardown();
}

static void nothing_is_taken_before_the_guest_listens(void)
{
	setup();
	end.input = "typed ahead";
	in(UART_RX);
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	CU_ASSERT_EQUAL(in(UART_LSR)&UART_LSR_DR, 0);
	out(UART_IER, UART_IER_RDI);
	CU_ASSERT_EQUAL(edges(), 1);
	CU_ASSERT_STRING_EQUAL(end.input, "");
	for (const char *c = "typed ahead"; *c; c++)
		CU_ASSERT_EQUAL(in(UART_RX), *c);
	teardown();
}

static void a_polling_guest_gets_input(void)
{
	unsigned polls = 0;

	setup();
	end.input = "key";
	/* A guest that writes polls LSR too, and does not count. */
	for (int i = 0; i < 200; i++) {
		in(UART_LSR);
		out(UART_TX, '.');
	}
	CU_ASSERT_STRING_EQUAL(end.input, "key");
	while (!(in(UART_LSR)&UART_LSR_DR) && polls < 1000)
		polls++;
	CU_ASSERT(polls < 100);
	CU_ASSERT_EQUAL(in(UART_RX), 'k');
	CU_ASSERT_EQUAL(in(UART_RX), 'e');
	CU_ASSERT_EQUAL(edges(), 0);
	teardown();
}

static void firmware_reads_the_same_input(void)
{
	char data[8];

	setup();
	CU_ASSERT_EQUAL(serial_receive(serial, data, sizeof(data)), 0);
	end.input = "one key after the other";
	CU_ASSERT_EQUAL(serial_receive(serial, data, 7), 7);
	CU_ASSERT_NSTRING_EQUAL(data, "one key", 7);
	CU_ASSERT_EQUAL(serial_receive(serial, data, 0), 0);
	CU_ASSERT_EQUAL(in(UART_RX), ' ');
	CU_ASSERT_EQUAL(edges(), 0);
	CU_ASSERT_EQUAL(serial_receive(serial, data, sizeof(data)), sizeof(data));
	CU_ASSERT_NSTRING_EQUAL(data, "after th", 8);
	teardown();
}

static void fifo_takes_sixteen_and_refills_when_empty(void)
{
	setup();
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_8);
	end.input = "0123456789abcdefghij";
	out(UART_IER, UART_IER_RDI);
	CU_ASSERT_STRING_EQUAL(end.input, "ghij");
	CU_ASSERT_EQUAL(in(UART_IIR)&0x0f, UART_IIR_RDI);
	for (int i = 0; i < 9; i++)
		in(UART_RX);
	CU_ASSERT_EQUAL(in(UART_IIR)&0x0f, UART_IIR_RX_TIMEOUT);
	for (int i = 9; i < 15; i++)
		in(UART_RX);
	CU_ASSERT_STRING_EQUAL(end.input, "ghij");
	CU_ASSERT_EQUAL(in(UART_RX), 'f');
	CU_ASSERT_STRING_EQUAL(end.input, "");
	CU_ASSERT_EQUAL(in(UART_RX), 'g');
	teardown();
}

static void without_fifo_one_character_waits(void)
{
	setup();
	end.input = "ab";
	out(UART_IER, UART_IER_RDI);
	CU_ASSERT_STRING_EQUAL(end.input, "b");
	CU_ASSERT_EQUAL(edges(), 1);
	CU_ASSERT_EQUAL(in(UART_RX), 'a');
	CU_ASSERT_EQUAL(edges(), 1);
	CU_ASSERT_EQUAL(in(UART_RX), 'b');
	CU_ASSERT_EQUAL(edges(), 0);
	CU_ASSERT_EQUAL(in(UART_IIR), UART_IIR_NO_INT);
	teardown();
}

static void one_character_an_interrupt_is_enough(void)
{
	unsigned interrupts = 0;

	setup();
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	end.input = "the quick brown fox jumps";
	out(UART_IER, UART_IER_RDI);
	for (const char *c = "the quick brown fox jumps"; *c; c++) {
		CU_ASSERT(edges() > 0);
		CU_ASSERT_EQUAL(in(UART_RX), *c);
		interrupts++;
	}
	CU_ASSERT_EQUAL(interrupts, 25);
	CU_ASSERT_EQUAL(edges(), 0);
	teardown();
}

static void paused_port_takes_no_input(void)
{
	setup();
	out(UART_IER, UART_IER_RDI);
	serial->type->pause(serial);
	CU_ASSERT_EQUAL(end.client.input(end.client.context, "x", 1), 0);
	end.input = "y";
	serial->type->resume(serial);
	CU_ASSERT_EQUAL(in(UART_RX), 'y');
	teardown();
}

static void wide_accesses_are_bytes(void)
{
	uint8_t data[8];

	setup();
	serial->type->write(serial, 0, UART_LCR, "\x03\x00\xee\xee\x77", 5);
	CU_ASSERT_EQUAL(in(UART_SCR), 0x77);
	serial->type->read(serial, 0, 0, data, 8);
	CU_ASSERT_EQUAL(data[UART_LCR], 3);
	CU_ASSERT_EQUAL(data[UART_SCR], 0x77);
	teardown();
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(failed_attach_creates_nothing),
	        UNIT(no_console_swallows_output),
	        UNIT(output_reaches_the_console_in_order),
	        UNIT(linux_autoconfig_finds_a_16550a),
	        UNIT(enabling_thri_raises_it_each_time),
	        UNIT(each_character_sent_renews_thri),
	        UNIT(divisor_latch_hides_data_and_ier),
	        UNIT(loopback_returns_characters_and_keeps_them_in),
	        UNIT(modem_deltas_last_until_msr_is_read),
	        UNIT(nothing_is_taken_before_the_guest_listens),
	        UNIT(a_polling_guest_gets_input),
	        UNIT(firmware_reads_the_same_input),
	        UNIT(fifo_takes_sixteen_and_refills_when_empty),
	        UNIT(without_fifo_one_character_waits),
	        UNIT(one_character_an_interrupt_is_enough),
	        UNIT(paused_port_takes_no_input),
	        UNIT(wide_accesses_are_bytes),
	        {0},
	};

	return unit_run("serial", tests);
}
