#include "guest.h"
#include "hvt.h"

HVT_DEVICES(0);

/* RET, in memory of each kind. */
static const uint8_t constant[] = {0xc3};
static uint8_t variable[] = {0xc3};
static uint8_t zeroed[4096];
static const uint64_t big[1 << 19] = {1}; /* beyond the first 2 MiB, too */

static void write_to(volatile void *place)
{
	*(volatile uint8_t *)place = 0xc3;
}

static void run(void *place)
{
	((void (*)(void))place)();
}

/* do=N: one thing that is allowed (0 to 3) or must fault. */
int main(void)
{
	uint8_t *heap = (uint8_t *)hvt_info->kernel_end;
	uint8_t *last = (uint8_t *)&big[(1 << 19) - 1];

	switch (option_number("do", 0)) {
	case 0:
		write_to(variable);
		write_to(zeroed);
		break;
	case 1:
		write_to(heap);
		write_to((void *)(hvt_info->memory_size / 2));
		break;
	case 2:
		return *(volatile uint8_t *)main == 0 && constant[0] == 0;
	case 3:
		return *last != 0;
	case 4:
		write_to((void *)main);
		break;
	case 5:
		write_to((void *)constant);
		break;
	case 6:
		write_to(last);
		break;
	case 7:
		write_to((void *)hvt_info);
		break;
	case 8:
		write_to((void *)0x2000);
		break;
	case 9:
		return *(volatile uint8_t *)0x2000;
	case 10:
		return *(volatile uint8_t *)(option_number("none", 0) + 8);
	case 11:
		run((void *)constant);
		break;
	case 12:
		run(variable);
		break;
	case 13:
		write_to(zeroed);
		run(zeroed);
		break;
	case 14:
		write_to(heap);
		run(heap);
		break;
	case 15:
		return *(volatile uint8_t *)hvt_info->memory_size;
	}
	print("protect: done\n");
	return 0;
}
