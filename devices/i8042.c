/*
 * An 8042 keyboard controller with nothing plugged in: kernels use its reset line.
 *
 * Every command that has an answer is answered at once, so that no driver waits; what is
 * sent to a keyboard or mouse comes back as the controller's time-out (0xfe, status bit
 * 6). There are no interrupts. IBM PS/2 Technical Reference, "Keyboard and Auxiliary
 * Device Controller".
 */
#include "devices/devices.h"

enum { WINDOW_DATA, WINDOW_COMMAND };

enum {
	STATUS_OUTPUT_FULL = 0x01,
	STATUS_SYSTEM = 0x04, /* passed its self-test */
	STATUS_COMMAND = 0x08,
	STATUS_UNLOCKED = 0x10,
	STATUS_TIMEOUT = 0x40,
};

enum {
	COMMAND_READ_MODE = 0x20,
	COMMAND_WRITE_MODE = 0x60,
	COMMAND_TEST_MOUSE = 0xa9,
	COMMAND_SELF_TEST = 0xaa,
	COMMAND_TEST_KEYBOARD = 0xab,
	COMMAND_READ_PORT = 0xd0,
	COMMAND_WRITE_PORT = 0xd1,
	COMMAND_ECHO = 0xd2,
	COMMAND_ECHO_MOUSE = 0xd3,
	COMMAND_PULSE = 0xf0, /* 0xf0..0xff: low bits are the lines left alone */
};

enum { PORT_RESET = 0x01, PORT_A20 = 0x02 }; /* the reset line is active low */

struct i8042_state {
	uint8_t status;
	uint8_t data;    /* the output buffer */
	uint8_t mode;    /* the command byte */
	uint8_t command; /* that waits for its data byte, or 0 */
};

struct i8042 {
	struct device device;
	struct i8042_state state;
};

static void answer(struct i8042 *i8042, uint8_t data)
{
	i8042->state.data = data;
	i8042->state.status |= STATUS_OUTPUT_FULL;
}

static void reset_line(struct i8042 *i8042, uint8_t lines)
{
	struct device_host *host = i8042->device.host;

	if (!(lines & PORT_RESET))
		host->request(host, REQUEST_RESET, 0);
}

static void write_command(struct i8042 *i8042, uint8_t command)
{
	i8042->state.status |= STATUS_COMMAND;
	i8042->state.command = 0;
	switch (command) {
	case COMMAND_READ_MODE:
		answer(i8042, i8042->state.mode);
		break;
	case COMMAND_SELF_TEST:
		answer(i8042, 0x55);
		break;
	case COMMAND_TEST_KEYBOARD:
		answer(i8042, 0x00);
		break;
	case COMMAND_TEST_MOUSE:
		answer(i8042, 0x01); /* clock line stuck: no such port */
		break;
	case COMMAND_READ_PORT:
		answer(i8042, PORT_RESET | PORT_A20);
		break;
	case COMMAND_WRITE_MODE:
	case COMMAND_WRITE_PORT:
	case COMMAND_ECHO:
	case COMMAND_ECHO_MOUSE:
		i8042->state.command = command;
		break;
	case COMMAND_PULSE ... 0xff:
		reset_line(i8042, command);
		break;
	}
}

static void write_data(struct i8042 *i8042, uint8_t data)
{
	uint8_t command = i8042->state.command;

	i8042->state.status &= ~(STATUS_COMMAND | STATUS_TIMEOUT);
	i8042->state.command = 0;
	switch (command) {
	case COMMAND_WRITE_MODE:
		i8042->state.mode = data;
		break;
	case COMMAND_WRITE_PORT:
		reset_line(i8042, data);
		break;
	case COMMAND_ECHO:
	case COMMAND_ECHO_MOUSE: /* not marked as the mouse's: there is none */
		answer(i8042, data);
		break;
	default:
		answer(i8042, 0xfe);
		i8042->state.status |= STATUS_TIMEOUT;
	}
}

static void i8042_read(struct device *device, unsigned window, uint64_t offset,
        void *data, unsigned size)
{
	struct i8042 *i8042 = (struct i8042 *)device;
	uint8_t *byte = data;

	(void)offset;
	(void)size;
	if (window == WINDOW_COMMAND) {
		*byte = i8042->state.status;
		return;
	}
	*byte = i8042->state.data;
	i8042->state.status &= ~(STATUS_OUTPUT_FULL | STATUS_TIMEOUT);
}

static void i8042_write(struct device *device, unsigned window, uint64_t offset,
        const void *data, unsigned size)
{
	struct i8042 *i8042 = (struct i8042 *)device;
	const uint8_t *byte = data;

	(void)offset;
	(void)size;
	if (window == WINDOW_COMMAND)
		write_command(i8042, *byte);
	else
		write_data(i8042, *byte);
}

static const struct device_type i8042_type = {
        .name = "i8042",
        .help = "keyboard controller without a keyboard: resets the machine",
        .read = i8042_read,
        .write = i8042_write,
        .state_offset = offsetof(struct i8042, state),
        .state_size = sizeof(struct i8042_state),
        .state_version = 1,
};

struct device *i8042_create(struct device_host *host)
{
	struct i8042 *i8042 = device_create(sizeof(*i8042), &i8042_type, host);

	if (!i8042)
		return NULL;
	i8042->state.status = STATUS_SYSTEM | STATUS_UNLOCKED;
	return &i8042->device;
}
