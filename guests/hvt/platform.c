/* Below main(), as guests/guest.h has it: the entry, the console and the way out. */
#include "guest.h"
#include "hvt.h"

HVT_GUEST;

const struct hvt_boot_info *hvt_info;
const char *command_line;

static char line[128];
static unsigned used;

static void flush(void)
{
	struct hvt_puts puts = {line, used};

	hvt_call(HVT_PUTS, &puts);
	used = 0;
}

void console_put(char c)
{
	line[used++] = c;
	if (c == '\n' || used == sizeof(line))
		flush();
}

void guest_exit(unsigned status)
{
	struct hvt_halt halt = {NULL, (int32_t)status};

	if (used)
		flush();
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
