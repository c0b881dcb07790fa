/* A PLIC's registers and lines, as a guest and its devices reach them: 7 bytes each. */
#include <stddef.h>
#include <string.h>

#include "riscv/plic.h"

enum { HARTS = 3, STEP = 7 };

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

/* The PLIC tells of changes only. */
static void set(void *context, unsigned hart, bool pending)
{
	bool *lines = context;

	if (hart >= HARTS || lines[hart] == pending)
		__builtin_trap();
	lines[hart] = pending;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct device_host host = {0};
	bool lines[HARTS] = {false};
	const struct plic_output output = {set, lines};
	struct device *plic = plic_create(&host, &output, HARTS);

	for (; plic && size >= STEP; data += STEP, size -= STEP) {
		uint32_t value = 0, offset = 0;

		memcpy(&offset, data + 1, 3);
		memcpy(&value, data + 4, 3);
		/* Mostly where there is something. */
		if (data[0] & 0x80)
			offset = (offset & 0x3000) + (offset & 0xfc) +
			         (data[0] & 0x40 ? 0x200000 : 0);
		if (data[0] & 1)
			plic_set_line(plic, value & 0xff, data[0] & 2);
		else if (data[0] & 4)
			plic->type->write(plic, 0, offset, &value, 4);
		else
			plic->type->read(plic, 0, offset, &value, 4);
	}
	device_destroy(plic);
	return 0;
}
