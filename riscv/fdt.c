#include "riscv/fdt.h"

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#include "vmm/log.h"

/* Handles: hart n's interrupt controller has PHANDLE_HART + n. */
enum { PHANDLE_CONTROLLER = 1, PHANDLE_IMSIC, PHANDLE_HART };

enum {
	IRQ_SUPERVISOR_EXTERNAL = 9, /* Privileged ISA, table 19 */
	IRQ_EDGE_RISING = 1,         /* dt-bindings/interrupt-controller/irq.h */
	IRQ_LEVEL_HIGH = 4,
	SERIAL_HZ = 3686400, /* 115200 baud is a whole number of it */
	NODE_MAX = 512,      /* bytes of a small node, with its strings */
	HART_MAX = 2560,     /* of a hart's, with its instruction set twice */
	BASE_MAX = 8192,
};

size_t fdt_size_max(unsigned harts, unsigned virtio_count, size_t cmdline_size)
{
	return BASE_MAX + (size_t)harts * HART_MAX + (size_t)virtio_count * NODE_MAX +
	       cmdline_size;
}

/* libfdt: after an error the others follow; fdt_finish() then tells of it. */
struct tree {
	void *data;
	int error;
};

static void check(struct tree *tree, int error)
{
	if (!tree->error)
		tree->error = error;
}

static void begin(struct tree *tree, const char *name)
{
	check(tree, fdt_begin_node(tree->data, name));
}

static void begin_at(struct tree *tree, const char *name, uint64_t address)
{
	char text[48];

	snprintf(text, sizeof(text), "%s@%llx", name, (unsigned long long)address);
	begin(tree, text);
}

static void end(struct tree *tree)
{
	check(tree, fdt_end_node(tree->data));
}

static void put(struct tree *tree, const char *name, const void *value, size_t size)
{
	check(tree, fdt_property(tree->data, name, value, (int)size));
}

static void put_flag(struct tree *tree, const char *name)
{
	put(tree, name, NULL, 0);
}

static void put_string(struct tree *tree, const char *name, const char *value)
{
	put(tree, name, value, strlen(value) + 1);
}

static void put_u32(struct tree *tree, const char *name, uint32_t value)
{
	check(tree, fdt_property_u32(tree->data, name, value));
}

static void put_u64(struct tree *tree, const char *name, uint64_t value)
{
	check(tree, fdt_property_u64(tree->data, name, value));
}

static void put_range(struct tree *tree, const char *name, struct fdt_range range)
{
	const fdt64_t cells[] = {cpu_to_fdt64(range.guest), cpu_to_fdt64(range.size)};

	put(tree, name, cells, sizeof(cells));
}

/* An APLIC's sources have a trigger each, a PLIC's have not. */
static void put_irq(struct tree *tree, const struct fdt_machine *machine, unsigned irq)
{
	const fdt32_t cells[] = {cpu_to_fdt32(irq), cpu_to_fdt32(IRQ_EDGE_RISING)};

	if (machine->interrupts != FDT_INTERRUPTS_NONE)
		put(tree, "interrupts", cells,
		        machine->interrupts == FDT_INTERRUPTS_AIA ? 8 : 4);
}

static void put_chosen(struct tree *tree, const struct fdt_machine *machine)
{
	char path[48];

	begin(tree, "chosen");
	put_string(tree, "bootargs", machine->cmdline);
	if (machine->serial.size) {
		snprintf(path, sizeof(path), "/soc/serial@%llx",
		        (unsigned long long)machine->serial.guest);
		put_string(tree, "stdout-path", path);
	}
	if (machine->initrd.size) {
		put_u64(tree, "linux,initrd-start", machine->initrd.guest);
		put_u64(tree, "linux,initrd-end",
		        machine->initrd.guest + machine->initrd.size);
	}
	if (machine->seed)
		put(tree, "rng-seed", machine->seed, machine->seed_size);
	end(tree);
}

static void put_memory(struct tree *tree, const struct fdt_machine *machine)
{
	begin_at(tree, "memory", machine->memory.guest);
	put_string(tree, "device_type", "memory");
	put_range(tree, "reg", machine->memory);
	end(tree);
}

static void put_hart(
        struct tree *tree, const struct fdt_machine *machine, unsigned hart)
{
	begin_at(tree, "cpu", hart);
	put_string(tree, "device_type", "cpu");
	put_string(tree, "compatible", "riscv");
	put_u32(tree, "reg", hart);
	put_string(tree, "status", "okay");
	put_string(tree, "mmu-type", machine->mmu);
	put_string(tree, "riscv,isa", machine->isa);
	put_string(tree, "riscv,isa-base", "rv64i");
	put(tree, "riscv,isa-extensions", machine->isa_list, machine->isa_list_size);
	if (machine->cbom_size)
		put_u32(tree, "riscv,cbom-block-size", (uint32_t)machine->cbom_size);
	if (machine->cboz_size)
		put_u32(tree, "riscv,cboz-block-size", (uint32_t)machine->cboz_size);
	begin(tree, "interrupt-controller");
	put_string(tree, "compatible", "riscv,cpu-intc");
	put_flag(tree, "interrupt-controller");
	put_u32(tree, "#interrupt-cells", 1);
	put_u32(tree, "phandle", PHANDLE_HART + hart);
	end(tree);
	end(tree);
}

static void put_harts(struct tree *tree, const struct fdt_machine *machine)
{
	begin(tree, "cpus");
	put_u32(tree, "#address-cells", 1);
	put_u32(tree, "#size-cells", 0);
	put_u32(tree, "timebase-frequency", (uint32_t)machine->timebase_hz);
	for (unsigned i = 0; i < machine->harts; i++)
		put_hart(tree, machine, i);
	end(tree);
}

/* The external interrupt of each hart's supervisor mode. */
static void put_hart_interrupts(struct tree *tree, const struct fdt_machine *machine)
{
	void *place = NULL;
	fdt32_t *cells;

	check(tree, fdt_property_placeholder(tree->data, "interrupts-extended",
	                    (int)(machine->harts * 2 * sizeof(*cells)), &place));
	if (tree->error)
		return;
	cells = place;
	for (unsigned i = 0; i < machine->harts; i++) {
		cells[2 * i] = cpu_to_fdt32(PHANDLE_HART + i);
		cells[2 * i + 1] = cpu_to_fdt32(IRQ_SUPERVISOR_EXTERNAL);
	}
}

/* interrupt-controller/riscv,imsics.yaml, riscv,aplic.yaml */
static void put_aia(struct tree *tree, const struct fdt_machine *machine)
{
	begin_at(tree, "imsics", machine->imsic.guest);
	put_string(tree, "compatible", "riscv,imsics");
	put_range(tree, "reg", machine->imsic);
	put_flag(tree, "interrupt-controller");
	put_u32(tree, "#interrupt-cells", 0);
	put_flag(tree, "msi-controller");
	put_u32(tree, "#msi-cells", 0);
	put_u32(tree, "riscv,num-ids", machine->ids);
	put_hart_interrupts(tree, machine);
	put_u32(tree, "phandle", PHANDLE_IMSIC);
	end(tree);
	begin_at(tree, "aplic", machine->controller.guest);
	put_string(tree, "compatible", "riscv,aplic");
	put_range(tree, "reg", machine->controller);
	put_flag(tree, "interrupt-controller");
	put_u32(tree, "#interrupt-cells", 2);
	put_u32(tree, "#address-cells", 0);
	put_u32(tree, "riscv,num-sources", machine->sources);
	put_u32(tree, "msi-parent", PHANDLE_IMSIC);
	put_u32(tree, "phandle", PHANDLE_CONTROLLER);
	end(tree);
}

/* interrupt-controller/sifive,plic-1.0.0.yaml */
static void put_plic(struct tree *tree, const struct fdt_machine *machine)
{
	static const char compatible[] = "sifive,plic-1.0.0\0riscv,plic0";

	begin_at(tree, "plic", machine->controller.guest);
	put(tree, "compatible", compatible, sizeof(compatible));
	put_range(tree, "reg", machine->controller);
	put_flag(tree, "interrupt-controller");
	put_u32(tree, "#interrupt-cells", 1);
	put_u32(tree, "#address-cells", 0);
	put_u32(tree, "riscv,ndev", machine->sources);
	put_hart_interrupts(tree, machine);
	put_u32(tree, "phandle", PHANDLE_CONTROLLER);
	end(tree);
}

static void begin_device(struct tree *tree, const char *name, const char *compatible,
        struct fdt_range registers)
{
	begin_at(tree, name, registers.guest);
	put_string(tree, "compatible", compatible);
	put_range(tree, "reg", registers);
}

static void put_serial(struct tree *tree, const struct fdt_machine *machine)
{
	begin_device(tree, "serial", "ns16550a", machine->serial);
	put_u32(tree, "clock-frequency", SERIAL_HZ);
	put_irq(tree, machine, machine->serial_irq);
	end(tree);
}

/* Of each device its pin A: IEEE 1275's PCI binding, 2.2.1 and 4.1.1. */
static void put_pci_interrupts(struct tree *tree, const struct fdt_machine *machine)
{
	const fdt32_t mask[] = {cpu_to_fdt32(0xf800), 0, 0, cpu_to_fdt32(7)};
	fdt32_t map[FDT_PCI_SLOTS * 7];
	unsigned at = 0;

	for (unsigned i = 0; i < machine->virtio_count; i++) {
		const struct fdt_virtio *virtio = &machine->virtio[i];

		if (!virtio->slot || virtio->slot >= FDT_PCI_SLOTS)
			continue;
		map[at++] = cpu_to_fdt32(virtio->slot << 11);
		map[at++] = 0;
		map[at++] = 0;
		map[at++] = cpu_to_fdt32(1);
		map[at++] = cpu_to_fdt32(PHANDLE_CONTROLLER);
		map[at++] = cpu_to_fdt32(virtio->irq);
		if (machine->interrupts == FDT_INTERRUPTS_AIA)
			map[at++] = cpu_to_fdt32(IRQ_LEVEL_HIGH);
	}
	put_u32(tree, "#interrupt-cells", 1);
	put(tree, "interrupt-map-mask", mask, sizeof(mask));
	put(tree, "interrupt-map", map, at * sizeof(*map));
	if (machine->interrupts == FDT_INTERRUPTS_AIA)
		put_u32(tree, "msi-parent", PHANDLE_IMSIC);
}

/* pci/host-generic-pci.yaml */
static void put_pci(struct tree *tree, const struct fdt_machine *machine)
{
	enum { PORTS = 1 << 24, MEMORY = 2 << 24 };
	const struct fdt_range *ports = &machine->pci_ports,
	                       *memory = &machine->pci_memory;
	const fdt32_t buses[] = {0, 0},
	              ranges[] = {cpu_to_fdt32(PORTS), 0, 0, 0,
	                      cpu_to_fdt32((uint32_t)ports->guest), 0,
	                      cpu_to_fdt32((uint32_t)ports->size), cpu_to_fdt32(MEMORY),
	                      0, cpu_to_fdt32((uint32_t)memory->guest), 0,
	                      cpu_to_fdt32((uint32_t)memory->guest), 0,
	                      cpu_to_fdt32((uint32_t)memory->size)};

	begin_device(tree, "pci", "pci-host-ecam-generic", machine->pci_ecam);
	put_string(tree, "device_type", "pci");
	put_u32(tree, "#address-cells", 3);
	put_u32(tree, "#size-cells", 2);
	put(tree, "bus-range", buses, sizeof(buses));
	put(tree, "ranges", ranges, sizeof(ranges));
	put_flag(tree, "dma-coherent");
	put_pci_interrupts(tree, machine);
	end(tree);
}

static void put_devices(struct tree *tree, const struct fdt_machine *machine)
{
	begin(tree, "soc");
	put_string(tree, "compatible", "simple-bus");
	put_u32(tree, "#address-cells", 2);
	put_u32(tree, "#size-cells", 2);
	put_flag(tree, "ranges");
	if (machine->interrupts != FDT_INTERRUPTS_NONE)
		put_u32(tree, "interrupt-parent", PHANDLE_CONTROLLER);
	if (machine->interrupts == FDT_INTERRUPTS_AIA)
		put_aia(tree, machine);
	if (machine->interrupts == FDT_INTERRUPTS_PLIC)
		put_plic(tree, machine);
	if (machine->serial.size)
		put_serial(tree, machine);
	if (machine->pvpanic.size) {
		begin_device(tree, "pvpanic", "qemu,pvpanic-mmio", machine->pvpanic);
		end(tree);
	}
	if (machine->rtc.size) {
		begin_device(tree, "rtc", "google,goldfish-rtc", machine->rtc);
		put_irq(tree, machine, machine->rtc_irq);
		end(tree);
	}
	if (machine->pci_ecam.size)
		put_pci(tree, machine);
	for (unsigned i = 0; i < machine->virtio_count; i++) {
		if (machine->virtio[i].slot)
			continue;
		begin_device(
		        tree, "virtio", "virtio,mmio", machine->virtio[i].registers);
		put_irq(tree, machine, machine->virtio[i].irq);
		end(tree);
	}
	end(tree);
}

int fdt_write(const struct fdt_machine *machine, void *data, size_t size)
{
	struct tree tree = {.data = data};

	check(&tree, fdt_create(data, (int)size));
	check(&tree, fdt_finish_reservemap(data));
	begin(&tree, "");
	put_string(&tree, "compatible", "linux,dummy-virt");
	put_string(&tree, "model", "Mayfly");
	if (machine->serial_number)
		put_string(&tree, "serial-number", machine->serial_number);
	put_u32(&tree, "#address-cells", 2);
	put_u32(&tree, "#size-cells", 2);
	put_chosen(&tree, machine);
	put_memory(&tree, machine);
	put_harts(&tree, machine);
	put_devices(&tree, machine);
	end(&tree);
	check(&tree, fdt_finish(data));
	if (tree.error)
		return log_error(-ENOSPC, "device tree: %s", fdt_strerror(tree.error));
	return 0;
}
