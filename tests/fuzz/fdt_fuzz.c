/* A device tree of any machine: the numbers, then the command line, are the input. */
#include <libfdt.h>
#include <stdlib.h>
#include <string.h>

#include "riscv/fdt.h"

enum { VIRTIO = 34, HARTS = 64, NUMBERS = 8 };

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct fdt_virtio virtio[VIRTIO];
	struct fdt_machine machine = {.isa = "rv64i",
	        .isa_list = "i",
	        .isa_list_size = 2,
	        .mmu = "riscv,sv39",
	        .virtio = virtio};
	uint64_t numbers[NUMBERS];
	size_t room;
	char *cmdline;
	void *tree;

	if (size < sizeof(numbers))
		return 0;
	memcpy(numbers, data, sizeof(numbers));
	cmdline = strndup((const char *)data + sizeof(numbers), size - sizeof(numbers));
	machine.cmdline = cmdline;
	machine.memory = (struct fdt_range){numbers[0], numbers[1]};
	machine.initrd = (struct fdt_range){numbers[2], numbers[3]};
	machine.harts = numbers[4] % HARTS;
	machine.virtio_count = numbers[4] >> 32 & 31;
	machine.interrupts = (enum fdt_interrupts)(numbers[4] >> 48 & 1) + 1;
	machine.serial = (struct fdt_range){numbers[5], numbers[5] & 8};
	machine.controller = machine.imsic = (struct fdt_range){numbers[6], 4096};
	machine.pvpanic = (struct fdt_range){numbers[7], numbers[7] & 2};
	machine.pci_ecam = (struct fdt_range){numbers[7], numbers[5] >> 32};
	machine.pci_memory = machine.pci_ports = machine.memory;
	machine.rtc = (struct fdt_range){numbers[7], numbers[7] & 4};
	for (unsigned i = 0; i < machine.virtio_count; i++)
		virtio[i] = (struct fdt_virtio){
		        {numbers[6] + i, 4096}, i, numbers[5] >> 32 ? i : 0};
	room = fdt_size_max(machine.harts, machine.virtio_count, strlen(cmdline) + 1);
	tree = malloc(room);
	if (fdt_write(&machine, tree, room) < 0 || fdt_check_full(tree, room))
		__builtin_trap();
	free(tree);
	free(cmdline);
	return 0;
}
