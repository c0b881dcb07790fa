/*
 * The PCI host bridge of a machine with a device tree ("pci-host-ecam-generic"):
 * configuration space in memory, and a window in memory to the ports of PCI.
 */
#include "devices/pci.h"
#include "devices/devices.h"
#include "riscv/layout.h"
#include "riscv/machine.h"
#include "vmm/vm.h"

struct window {
	struct device device;
	struct bus *ports;
};

static void window_read(struct device *device, unsigned window, uint64_t offset,
        void *data, unsigned size)
{
	(void)window;
	bus_read(((struct window *)device)->ports, offset, data, size);
}

static void window_write(struct device *device, unsigned window, uint64_t offset,
        const void *data, unsigned size)
{
	(void)window;
	bus_write(((struct window *)device)->ports, offset, data, size);
}

static const struct device_type window_type = {
        .name = "pci-ports",
        .help = "the ports of PCI, in memory",
        .read = window_read,
        .write = window_write,
};

int pci_host_add(struct vm *vm)
{
	struct window *window;
	int error;

	vm->ports.windows_move = vm->mmio.windows_move = true;
	vm->pci = pci_create(&vm->host);
	error = vm_add_device(vm, vm->pci);
	if (!error)
		error = vm_add_mmio(
		        vm, vm->pci, LAYOUT_PCI_ECAM, PCI_ECAM_SIZE, PCI_WINDOW_ECAM);
	if (error)
		return error;
	window = device_create(sizeof(*window), &window_type, &vm->host);
	error = vm_add_device(vm, (struct device *)window);
	if (error)
		return error;
	window->ports = &vm->ports;
	return vm_add_mmio(
	        vm, &window->device, LAYOUT_PCI_PORTS, LAYOUT_PCI_PORTS_SIZE, 0);
}
