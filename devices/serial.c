/*
 * A 16550A (National Semiconductor PC16550D data sheet; "DS" below).
 *
 * Output is done when the guest writes it, so the transmitter is always empty; a write
 * of THR still ends and renews the THRE interrupt, as the shift register would. Input
 * rests in the console until the guest can take it: a driver has enabled the receive
 * interrupt, or a guest without one keeps polling LSR. Nothing is fed earlier, because
 * drivers clear the FIFO when they start, and what waited there would be lost.
 *
 * The ISA interrupt is an edge: a pulse whenever INTR goes from low to high.
 */
#include <linux/serial_reg.h>

#include "devices/console.h"
#include "devices/devices.h"

enum {
	FIFO_SIZE = 16,
	POLLS = 64, /* LSR reads with nothing else between: the guest waits for input */
	LINES_UP = UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS,
};

struct serial_state {
	uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
	uint8_t overrun;   /* UART_LSR_OE or 0, until LSR is read */
	uint8_t msr_delta; /* low half of MSR, until it is read */
	uint8_t thre;      /* the THRE interrupt is pending */
	uint8_t intr;      /* level of the INTR pin */
	uint8_t polls;     /* LSR reads since the last other write, at most POLLS */
	uint8_t fifo[FIFO_SIZE];
	uint8_t head, count;
};

struct serial {
	struct device device;
	struct console *console;
	unsigned gsi;
	bool paused;
	struct serial_state state;
};

static uint8_t interrupt_id(const struct serial_state *state)
{
	static const uint8_t triggers[] = {1, 4, 8, 14};

	/* DS 8.6, table IV: in order of priority. */
	if ((state->ier & UART_IER_RLSI) && state->overrun)
		return UART_IIR_RLSI;
	if ((state->ier & UART_IER_RDI) && state->count) {
		/* Below the trigger level it is the time-out, which comes at once. */
		if (state->fcr && state->count < triggers[state->fcr >> 6])
			return UART_IIR_RX_TIMEOUT;
		return UART_IIR_RDI;
	}
	if ((state->ier & UART_IER_THRI) && state->thre)
		return UART_IIR_THRI;
	if ((state->ier & UART_IER_MSI) && state->msr_delta)
		return UART_IIR_MSI;
	return UART_IIR_NO_INT;
}

static void update_interrupt(struct serial *serial)
{
	struct device_host *host = serial->device.host;
	bool level = interrupt_id(&serial->state) != UART_IIR_NO_INT;

	if (level && !serial->state.intr) {
		host->set_irq(host, serial->gsi, true);
		host->set_irq(host, serial->gsi, false);
	}
	serial->state.intr = level;
}

static size_t fifo_depth(const struct serial_state *state)
{
	return state->fcr ? FIFO_SIZE : 1;
}

static bool fifo_push(struct serial_state *state, uint8_t byte)
{
	if (state->count >= fifo_depth(state))
		return false;
	state->fifo[(state->head + state->count++) % FIFO_SIZE] = byte;
	return true;
}

static uint8_t fifo_pop(struct serial_state *state)
{
	uint8_t byte;

	if (!state->count)
		return 0;
	byte = state->fifo[state->head % FIFO_SIZE];
	state->head = (state->head + 1) % FIFO_SIZE;
	state->count--;
	/* DS 8.5: a read ends the time-out; what is left starts it anew. A guest that
	 * reads one character an interrupt depends on this edge. */
	state->intr = 0;
	return byte;
}

static bool wants_input(const struct serial *serial)
{
	const struct serial_state *state = &serial->state;

	return !serial->paused && !(state->mcr & UART_MCR_LOOP) &&
	       ((state->ier & UART_IER_RDI) || state->polls >= POLLS);
}

static size_t serial_input(void *context, const void *data, size_t size)
{
	struct serial *serial = context;
	const uint8_t *bytes = data;
	size_t taken = 0;

	if (!wants_input(serial))
		return 0;
	while (taken < size && fifo_push(&serial->state, bytes[taken]))
		taken++;
	update_interrupt(serial);
	return taken;
}

/* After every access: it may have made room, or be the first to care for input. */
static void refill(struct serial *serial)
{
	if (serial->console && !serial->state.count && wants_input(serial))
		console_want_input(serial->console);
}

static uint8_t modem_lines(uint8_t mcr)
{
	if (!(mcr & UART_MCR_LOOP))
		return LINES_UP;
	/* DS 8.7: in loop-back the four outputs are the four inputs. */
	return (mcr & UART_MCR_DTR ? UART_MSR_DSR : 0) |
	       (mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) |
	       (mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0) |
	       (mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0);
}

static uint8_t read_register(struct serial *serial, uint64_t offset)
{
	struct serial_state *state = &serial->state;
	bool dlab = state->lcr & UART_LCR_DLAB;
	uint8_t value;

	switch (offset) {
	case UART_RX:
		return dlab ? state->dll : fifo_pop(state);
	case UART_IER:
		return dlab ? state->dlm : state->ier;
	case UART_IIR:
		value = interrupt_id(state);
		/* DS 8.6: naming the THRE interrupt acknowledges it. */
		if (value == UART_IIR_THRI)
			state->thre = 0;
		return value | (state->fcr ? 0xc0 : 0);
	case UART_LCR:
		return state->lcr;
	case UART_MCR:
		return state->mcr;
	case UART_LSR:
		value = UART_LSR_TEMT | UART_LSR_THRE | state->overrun |
		        (state->count ? UART_LSR_DR : 0);
		state->overrun = 0;
		if (state->polls < POLLS)
			state->polls++;
		return value;
	case UART_MSR:
		value = modem_lines(state->mcr) | state->msr_delta;
		state->msr_delta = 0;
		return value;
	case UART_SCR:
		return state->scr;
	}
	return 0xff;
}

static void transmit(struct serial *serial, uint8_t byte)
{
	struct serial_state *state = &serial->state;

	state->thre = 0;
	update_interrupt(serial);
	if (state->mcr & UART_MCR_LOOP) {
		if (!fifo_push(state, byte))
			state->overrun = UART_LSR_OE;
	} else if (serial->console) {
		console_write(serial->console, &byte, 1);
	}
	state->thre = 1;
}

static void write_fcr(struct serial_state *state, uint8_t value)
{
	/* DS 8.5: a change of mode clears the FIFO; bit 0 must be set for the others. */
	if (!(value & UART_FCR_ENABLE_FIFO))
		value = 0;
	if (!!value != !!state->fcr || (value & UART_FCR_CLEAR_RCVR))
		state->count = 0;
	state->fcr = value & (UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_MASK);
}

static void write_mcr(struct serial_state *state, uint8_t value)
{
	uint8_t old = modem_lines(state->mcr);

	state->mcr = value & 0x1f;
	uint8_t now = modem_lines(state->mcr);
	/* DS 8.8: RI alone is noticed at its trailing edge only. */
	uint8_t changed = ((old ^ now) & LINES_UP) | (old & ~now & UART_MSR_RI);
	state->msr_delta |= changed >> 4;
}

static void write_register(struct serial *serial, uint64_t offset, uint8_t value)
{
	struct serial_state *state = &serial->state;
	bool dlab = state->lcr & UART_LCR_DLAB;

	state->polls = 0;
	switch (offset) {
	case UART_TX:
		if (dlab)
			state->dll = value;
		else
			transmit(serial, value);
		break;
	case UART_IER:
		if (dlab) {
			state->dlm = value;
			break;
		}
		/* Enabled while THR is empty, the interrupt comes at once. */
		if (value & ~state->ier & UART_IER_THRI)
			state->thre = 1;
		state->ier = value & 0x0f;
		break;
	case UART_FCR:
		write_fcr(state, value);
		break;
	case UART_LCR:
		state->lcr = value;
		break;
	case UART_MCR:
		write_mcr(state, value);
		break;
	case UART_SCR:
		state->scr = value;
		break;
	}
}

/* The ISA bus splits wide accesses into bytes. */
static void serial_read(struct device *device, unsigned window, uint64_t offset,
        void *data, unsigned size)
{
	struct serial *serial = (struct serial *)device;
	uint8_t *bytes = data;

	(void)window;
	for (unsigned i = 0; i < size; i++)
		bytes[i] = read_register(serial, offset + i);
	update_interrupt(serial);
	refill(serial);
}

static void serial_write(struct device *device, unsigned window, uint64_t offset,
        const void *data, unsigned size)
{
	struct serial *serial = (struct serial *)device;
	const uint8_t *bytes = data;

	(void)window;
	for (unsigned i = 0; i < size; i++) {
		write_register(serial, offset + i, bytes[i]);
		update_interrupt(serial);
	}
	refill(serial);
}

size_t serial_receive(struct device *device, void *data, size_t size)
{
	struct serial *serial = (struct serial *)device;
	uint8_t *bytes = data;
	size_t taken = 0;

	pthread_mutex_lock(&device->lock);
	serial->state.polls = POLLS;
	for (refill(serial); taken < size && serial->state.count; refill(serial))
		bytes[taken++] = fifo_pop(&serial->state);
	update_interrupt(serial);
	pthread_mutex_unlock(&device->lock);
	return taken;
}

static void serial_pause(struct device *device)
{
	((struct serial *)device)->paused = true;
}

static void serial_resume(struct device *device)
{
	struct serial *serial = (struct serial *)device;

	serial->paused = false;
	refill(serial);
}

static const struct device_type serial_type = {
        .name = "serial",
        .help = "16550A serial port, the console",
        .read = serial_read,
        .write = serial_write,
        .pause = serial_pause,
        .resume = serial_resume,
        .state_offset = offsetof(struct serial, state),
        .state_size = sizeof(struct serial_state),
        .state_version = 1,
};

struct device *serial_create(
        struct device_host *host, struct console *console, unsigned gsi)
{
	struct serial *serial = device_create(sizeof(*serial), &serial_type, host);
	struct console_client client = {.input = serial_input, .context = serial};
	int error = 0;

	if (!serial)
		return NULL;
	serial->console = console;
	serial->gsi = gsi;
	serial->state.dll = 1; /* 115200 */
	serial->state.lcr = UART_LCR_WLEN8;
	client.lock = &serial->device.lock;
	pthread_mutex_lock(client.lock);
	if (console)
		error = console_attach(console, &client);
	pthread_mutex_unlock(client.lock);
	if (error) {
		device_destroy(&serial->device);
		return NULL;
	}
	return &serial->device;
}
