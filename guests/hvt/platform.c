/* Below main(), as guests/guest.h has it: the entry, the console and the way out. */
#include "guest.h"
#include "hvt.h"

HVT_GUEST;

const struct hvt_boot_info *hvt_info;
const char *command_line;

void console_write(const char *text, size_t size)
{
	struct hvt_puts puts = {text, size};

	hvt_call(HVT_PUTS, &puts);
}

void guest_exit(unsigned status)
{
	struct hvt_halt halt = {NULL, (int32_t)status};

	hvt_call(HVT_HALT, &halt);
	for (;;)
		__asm__ volatile("pause");
}

__attribute__((noreturn)) void _start(const struct hvt_boot_info *info);

void _start(const struct hvt_boot_info *info)
{
	hvt_info = info;
	command_line = info->cmdline;
	guest_exit((unsigned)main());
}
