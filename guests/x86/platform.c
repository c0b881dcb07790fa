#include "x86/platform.h"
#include "guest.h"
#include "mayfly.h"
#include "x86/cpu.h"

#define PAGE_2M_SIZE   0x200000ul
#define PAGE_2M        0x83ul        /* present, writable, 2 MiB */
#define WINDOW_ADDRESS 0x100000000ul /* where start.S put page_window */

void platform_start(const struct hvm_start_info *info);
__attribute__((noreturn)) void exception(
        uint64_t vector, uint64_t error, uint64_t rip, uint64_t cr2);

extern uint64_t page_window[512];

static const struct hvm_start_info *start_info;
const char *command_line = "";
uint32_t text_sign;
uint32_t multiboot_magic;
const uint32_t *multiboot_info;

void platform_start(const struct hvm_start_info *info)
{
	if (multiboot_magic) {
		multiboot_info = (const uint32_t *)info;
		if (multiboot_magic == MULTIBOOT_MAGIC)
			command_line = (const char *)(uintptr_t)multiboot_info[4];
		guest_exit((unsigned)main());
	}
	start_info = info;
	if (info->magic != HVM_START_MAGIC) {
		print("guest: bad hvm_start_info magic 0x%x\n", info->magic);
		guest_exit(255);
	}
	if (info->command_line)
		command_line = (const char *)info->command_line;
	guest_exit((unsigned)main());
}

void exception(uint64_t vector, uint64_t error, uint64_t rip, uint64_t cr2)
{
	print("guest: exception %lu at 0x%lx, error 0x%lx, cr2 0x%lx\n", vector, rip,
	        error, cr2);
	guest_exit(255);
}

void guest_exit(unsigned status)
{
	out8(MAYFLY_EXIT_PORT, (uint8_t)status);
	guest_halt();
}

void guest_mark(uint8_t mark)
{
	out8(MAYFLY_TIMER_PORT, mark);
}

void guest_halt(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

void console_write(const char *text, size_t size)
{
	struct mayfly_text place = {(uintptr_t)text, size};

	/* Text and place are in memory, for the monitor to read. */
	__asm__ volatile("" : : "r"(&place) : "memory");
	if (text_sign == MAYFLY_TEXT_SIGN)
		out32(MAYFLY_TEXT_PORT, (uint32_t)(uintptr_t)&place);
	else
		while (size--)
			out8(MAYFLY_COM1_PORT, (uint8_t)*text++);
}

bool module_range(unsigned index, struct memory_range *range)
{
	const struct hvm_module *modules = (const void *)start_info->modules;

	if (index >= start_info->module_count)
		return false;
	*range = (struct memory_range){.start = modules[index].address,
	        .size = modules[index].size,
	        .ram = true};
	return true;
}

bool memory_range(unsigned index, struct memory_range *range)
{
	const struct hvm_memory *map = (const void *)start_info->memory_map;

	if (start_info->version < 1 || index >= start_info->memory_map_count)
		return false;
	range->start = map[index].address;
	range->size = map[index].size;
	range->ram = map[index].type == 1;
	return true;
}

void *memory_window(uint64_t guest)
{
	uint64_t page = guest & ~(PAGE_2M_SIZE - 1);

	if (guest < WINDOW_ADDRESS)
		return (void *)guest;
	page_window[0] = page | PAGE_2M;
	__asm__ volatile("invlpg (%0)" : : "r"(WINDOW_ADDRESS) : "memory");
	return (void *)(WINDOW_ADDRESS + (guest - page));
}

/* Of the options virtio_mmio.device=size@base:irq. */
bool virtio_place(unsigned index, uintptr_t *registers, unsigned *irq)
{
	const char *at = command_line;

	while ((at = option_find(at, "virtio_mmio.device"))) {
		const char *text = at;

		while (*text && *text != ' ' && *text != '@')
			text++;
		if (*text != '@')
			continue;
		*registers = number_parse(text + 1, &text);
		if (*text != ':')
			continue;
		*irq = (unsigned)number_parse(text + 1, &text);
		if (index-- == 0)
			return true;
	}
	return false;
}
