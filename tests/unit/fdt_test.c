#include "tests/unit/unit.h"

#include "riscv/fdt.h"

#include <libfdt.h>
#include <string.h>

enum { SIZE = 1 << 20, HARTS_MOST = 300, VIRTIO_MOST = 34 };

static _Alignas(8) char tree[SIZE];
static struct fdt_virtio virtio[VIRTIO_MOST];

static struct fdt_machine machine(void)
{
	return (struct fdt_machine){
	        .memory = {0x80000000, 64 << 20},
	        .initrd = {0x82000000, 4097},
	        .cmdline = "console=ttyS0 quiet",
	        .serial_number = "d19c34f5-7ebc-4fb1-8ee6-23950e6802c3",
	        .harts = 2,
	        .timebase_hz = 10000000,
	        .isa = "rv64imafdc_sstc",
	        .isa_list = "i\0m\0sstc",
	        .isa_list_size = 9,
	        .mmu = "riscv,sv48",
	        .interrupts = FDT_INTERRUPTS_AIA,
	        .sources = 63,
	        .controller = {0xd000000, 0x4000},
	        .imsic = {0x28000000, 0x2000},
	        .ids = 255,
	        .serial = {0x10000000, 8},
	        .serial_irq = 1,
	        .rtc = {0x101100, 0x24},
	        .rtc_irq = 2,
	        .virtio = virtio,
	        .virtio_count = 1,
	};
}

static const void *property(const char *path, const char *name, int *size)
{
	int node = fdt_path_offset(tree, path);

	return node < 0 ? NULL : fdt_getprop(tree, node, name, size);
}

static uint32_t cell(const char *path, const char *name, unsigned index)
{
	int size = 0;
	const fdt32_t *cells = property(path, name, &size);

	CU_ASSERT_FATAL(cells && size >= (int)(4 * (index + 1)));
	return fdt32_to_cpu(cells[index]);
}

static void tree_tells_the_machine(void)
{
	struct fdt_machine given = machine();
	int size = 0;

	virtio[0] = (struct fdt_virtio){{0x10001000, 0x1000}, 3, 0};
	CU_ASSERT_EQUAL_FATAL(fdt_write(&given, tree, sizeof(tree)), 0);
	CU_ASSERT_EQUAL(fdt_check_full(tree, sizeof(tree)), 0);
	CU_ASSERT_STRING_EQUAL(
	        property("/chosen", "bootargs", &size), "console=ttyS0 quiet");
	CU_ASSERT_STRING_EQUAL(
	        property("/chosen", "stdout-path", &size), "/soc/serial@10000000");
	CU_ASSERT_EQUAL(cell("/chosen", "linux,initrd-start", 1), 0x82000000);
	CU_ASSERT_EQUAL(cell("/chosen", "linux,initrd-end", 1), 0x82001001);
	CU_ASSERT_STRING_EQUAL(property("/", "serial-number", &size),
	        "d19c34f5-7ebc-4fb1-8ee6-23950e6802c3");
	CU_ASSERT_EQUAL(cell("/memory@80000000", "reg", 3), 64 << 20);
	CU_ASSERT_EQUAL(cell("/cpus", "timebase-frequency", 0), 10000000);
	CU_ASSERT_STRING_EQUAL(
	        property("/cpus/cpu@1", "mmu-type", &size), "riscv,sv48");
	CU_ASSERT_EQUAL(cell("/soc/virtio@10001000", "interrupts", 0), 3);
	CU_ASSERT_EQUAL(cell("/soc/rtc@101100", "interrupts", 0), 2);
	CU_ASSERT_EQUAL(cell("/soc/aplic@d000000", "riscv,num-sources", 0), 63);
	CU_ASSERT_EQUAL(cell("/soc/imsics@28000000", "riscv,num-ids", 0), 255);
	/* Each hart's own controller, with interrupt 9. */
	CU_ASSERT_EQUAL(cell("/soc/imsics@28000000", "interrupts-extended", 2),
	        cell("/cpus/cpu@1/interrupt-controller", "phandle", 0));
	CU_ASSERT_EQUAL(cell("/soc/imsics@28000000", "interrupts-extended", 3), 9);
	CU_ASSERT_EQUAL(cell("/soc", "interrupt-parent", 0),
	        cell("/soc/aplic@d000000", "phandle", 0));
}

static void plic_has_interrupts_of_one_cell(void)
{
	struct fdt_machine given = machine();
	int size = 0;

	given.interrupts = FDT_INTERRUPTS_PLIC;
	given.controller = (struct fdt_range){0xc000000, 0x202000};
	CU_ASSERT_EQUAL_FATAL(fdt_write(&given, tree, sizeof(tree)), 0);
	CU_ASSERT_EQUAL(cell("/soc/plic@c000000", "#interrupt-cells", 0), 1);
	CU_ASSERT_EQUAL(cell("/soc/serial@10000000", "interrupts", 0), 1);
	CU_ASSERT_PTR_NOT_NULL(property("/soc/serial@10000000", "interrupts", &size));
	CU_ASSERT_EQUAL(size, 4);
	CU_ASSERT_PTR_NULL(property("/soc/aplic@c000000", "reg", &size));
}

static void pci_has_its_windows_and_interrupts(void)
{
	struct fdt_machine given = machine();
	int size = 0;

	virtio[0] = (struct fdt_virtio){{0x40000000, 0x2000}, 3, 1};
	given.pci_ecam = (struct fdt_range){0x30000000, 0x100000};
	given.pci_memory = (struct fdt_range){0x40000000, 0x10000000};
	given.pci_ports = (struct fdt_range){0x3000000, 0x10000};
	CU_ASSERT_EQUAL_FATAL(fdt_write(&given, tree, sizeof(tree)), 0);
	CU_ASSERT_EQUAL(fdt_check_full(tree, sizeof(tree)), 0);
	CU_ASSERT_EQUAL(cell("/soc/pci@30000000", "reg", 3), 0x100000);
	/* Ports 0 at 0x3000000, then memory where it is. */
	CU_ASSERT_EQUAL(cell("/soc/pci@30000000", "ranges", 0), 0x1000000);
	CU_ASSERT_EQUAL(cell("/soc/pci@30000000", "ranges", 4), 0x3000000);
	CU_ASSERT_EQUAL(cell("/soc/pci@30000000", "ranges", 7), 0x2000000);
	CU_ASSERT_EQUAL(cell("/soc/pci@30000000", "ranges", 9), 0x40000000);
	CU_ASSERT_EQUAL(cell("/soc/pci@30000000", "ranges", 11), 0x40000000);
	CU_ASSERT_EQUAL(cell("/soc/pci@30000000", "ranges", 13), 0x10000000);
	/* Slot 1, pin A: source 3, level-triggered. */
	CU_ASSERT_EQUAL(cell("/soc/pci@30000000", "interrupt-map", 0), 1 << 11);
	CU_ASSERT_EQUAL(cell("/soc/pci@30000000", "interrupt-map", 3), 1);
	CU_ASSERT_EQUAL(cell("/soc/pci@30000000", "interrupt-map", 5), 3);
	CU_ASSERT_EQUAL(cell("/soc/pci@30000000", "interrupt-map", 6), 4);
	CU_ASSERT_EQUAL(cell("/soc/pci@30000000", "msi-parent", 0),
	        cell("/soc/imsics@28000000", "phandle", 0));
	CU_ASSERT(fdt_path_offset(tree, "/soc/virtio@40000000") < 0);

	given.interrupts = FDT_INTERRUPTS_PLIC;
	CU_ASSERT_EQUAL_FATAL(fdt_write(&given, tree, sizeof(tree)), 0);
	CU_ASSERT_PTR_NOT_NULL(property("/soc/pci@30000000", "interrupt-map", &size));
	CU_ASSERT_EQUAL(size, 6 * 4);
	CU_ASSERT_PTR_NULL(property("/soc/pci@30000000", "msi-parent", &size));
}

static void machine_without_interrupts_has_no_controller(void)
{
	struct fdt_machine given = machine();
	int size = 0;

	given.interrupts = FDT_INTERRUPTS_NONE;
	given.virtio_count = 0;
	given.initrd.size = 0;
	CU_ASSERT_EQUAL_FATAL(fdt_write(&given, tree, sizeof(tree)), 0);
	CU_ASSERT_PTR_NULL(property("/soc", "interrupt-parent", &size));
	CU_ASSERT_PTR_NULL(property("/soc/serial@10000000", "interrupts", &size));
	CU_ASSERT_PTR_NULL(property("/chosen", "linux,initrd-start", &size));
}

static void largest_machine_fits_its_own_size(void)
{
	static char isa[1024], isa_list[1024], cmdline[4096];
	struct fdt_machine given = machine();
	size_t size;

	memset(isa, 'z', sizeof(isa) - 1);
	memset(isa_list, 'z', sizeof(isa_list) - 1);
	memset(cmdline, 'c', sizeof(cmdline) - 1);
	given.isa = isa;
	given.isa_list = isa_list;
	given.isa_list_size = sizeof(isa_list);
	given.cmdline = cmdline;
	given.seed = isa;
	given.seed_size = 64;
	given.cbom_size = given.cboz_size = 64;
	given.pvpanic = (struct fdt_range){0x101000, 2};
	given.pci_ecam = given.pci_memory = given.pci_ports = given.pvpanic;
	given.harts = HARTS_MOST;
	given.virtio_count = VIRTIO_MOST;
	for (unsigned i = 0; i < VIRTIO_MOST; i++)
		virtio[i] = (struct fdt_virtio){
		        {0x10001000 + i * 0x1000, 0x1000}, i, i % 32};
	size = fdt_size_max(HARTS_MOST, VIRTIO_MOST, sizeof(cmdline));
	CU_ASSERT_FATAL(size <= sizeof(tree));
	CU_ASSERT_EQUAL(fdt_write(&given, tree, size), 0);
	CU_ASSERT_EQUAL(fdt_check_full(tree, size), 0);
}

static void too_small_a_place_is_an_error(void)
{
	struct fdt_machine given = machine();

	for (size_t size = 0; size < 1024; size += 64)
		CU_ASSERT_NOT_EQUAL(fdt_write(&given, tree, size), 0);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(tree_tells_the_machine),
	        UNIT(plic_has_interrupts_of_one_cell),
	        UNIT(pci_has_its_windows_and_interrupts),
	        UNIT(machine_without_interrupts_has_no_controller),
	        UNIT(largest_machine_fits_its_own_size),
	        UNIT(too_small_a_place_is_an_error),
	        {0},
	};
	return unit_run("fdt", tests);
}
