#include "riscv/platform.h"

#include "guest.h"
#include "mayfly.h"

/* Devicetree Specification 0.4, 5.4: tokens, each a big-endian word. */
enum { FDT_BEGIN_NODE = 1, FDT_END_NODE, FDT_PROP, FDT_NOP, FDT_END };

void platform_start(const uint32_t *tree);
__attribute__((noreturn)) void exception(
        uint64_t cause, uint64_t address, uint64_t value);

struct virtio_place {
	uintptr_t registers;
	unsigned irq;
};

enum { PLACES = 34 };

struct platform platform;
const char *command_line = "";
static struct virtio_place places[PLACES];
static unsigned place_count;

static uint32_t word(const uint32_t *at)
{
	return __builtin_bswap32(*at);
}

static uint64_t pair(const uint32_t *at)
{
	return (uint64_t)word(at) << 32 | word(at + 1);
}

static bool starts(const char *text, const char *start)
{
	while (*start && *text == *start)
		text++, start++;
	return !*start;
}

static bool is(const char *text, const char *name)
{
	return starts(text, name) && starts(name, text);
}

/* One property of the node `node`, as Mayfly's trees have them. */
static void property(const char *node, const char *name, const uint32_t *value)
{
	bool reg = is(name, "reg");

	if (is(name, "bootargs"))
		command_line = (const char *)value;
	else if (is(name, "timebase-frequency"))
		platform.timebase_hz = word(value);
	else if (reg && starts(node, "memory@"))
		platform.memory = pair(value), platform.memory_size = pair(value + 2);
	else if (reg && starts(node, "plic@"))
		platform.plic = pair(value);
	else if (reg && starts(node, "aplic@"))
		platform.aplic = pair(value);
	else if (reg && starts(node, "imsics@"))
		platform.imsic = pair(value);
	else if (reg && starts(node, "virtio@") && place_count < PLACES)
		places[place_count++].registers = pair(value);
	else if (starts(node, "virtio@") && is(name, "interrupts") && place_count)
		places[place_count - 1].irq = word(value);
}

static void tree_read(const uint32_t *tree)
{
	const uint32_t *at = tree + word(tree + 2) / 4;
	const char *names = (const char *)tree + word(tree + 3), *node = "";

	for (;;) {
		uint32_t token = word(at++), size;

		switch (token) {
		case FDT_BEGIN_NODE:
			node = (const char *)at;
			for (size = 0; node[size]; size++)
				;
			at += size / 4 + 1;
			break;
		case FDT_PROP:
			size = word(at);
			property(node, names + word(at + 1), at + 2);
			at += 2 + (size + 3) / 4;
			break;
		case FDT_END_NODE:
		case FDT_NOP:
			break;
		default:
			return;
		}
	}
}

void platform_start(const uint32_t *tree)
{
	tree_read(tree);
	guest_exit((unsigned)main());
}

void exception(uint64_t cause, uint64_t address, uint64_t value)
{
	print("guest: exception %lu at 0x%lx, value 0x%lx\n", cause, address, value);
	guest_exit(255);
}

bool virtio_place(unsigned index, uintptr_t *registers, unsigned *irq)
{
	if (index >= place_count)
		return false;
	*registers = places[index].registers;
	*irq = places[index].irq;
	return true;
}

void guest_exit(unsigned status)
{
	mmio_write(MAYFLY_EXIT_ADDRESS, status & 0xff);
	guest_halt();
}

void guest_mark(uint8_t mark)
{
	*(volatile uint8_t *)(MAYFLY_EXIT_ADDRESS + MAYFLY_MARK_OFFSET) = mark;
}

void guest_halt(void)
{
	csr_write("sie", 0);
	for (;;)
		__asm__ volatile("wfi");
}

void console_write(const char *text, size_t size)
{
	while (size--)
		*(volatile uint8_t *)MAYFLY_COM1_ADDRESS = (uint8_t)*text++;
}

bool memory_range(unsigned index, struct memory_range *range)
{
	if (index)
		return false;
	*range = (struct memory_range){platform.memory, platform.memory_size, true};
	return true;
}

void *memory_window(uint64_t guest)
{
	return (void *)guest;
}
