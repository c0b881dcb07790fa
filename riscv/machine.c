/* The RISC-V machine: what vmm/arch.h asks of an architecture. */

#include "riscv/machine.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>

#include "boot/layout.h"
#include "devices/devices.h"
#include "devices/pci.h"
#include "devices/virtio.h"
#include "riscv/fdt.h"
#include "riscv/layout.h"
#include "riscv/plic.h"
#include "vmm/arch.h"
#include "vmm/host.h"
#include "vmm/log.h"
#include "vmm/state.h"
#include "vmm/vm.h"

enum { PAGE = 4096, SERIAL_SIZE = 8, EXIT_SIZE = 4, SEED_SIZE = 64 };

const struct arch_layout arch_layout = {
        .name = "riscv64",
        .machine = MACHINE_RISCV,
        .linux_protocol = PROTOCOL_RISCV,
        .ram_base = LAYOUT_RISCV_RAM,
        .virtio_base = LAYOUT_VIRTIO,
        .virtio_size = LAYOUT_VIRTIO_STRIDE,
        .virtio_gsi = IRQ_VIRTIO,
        .virtio_button = true,
        .pci_ecam = LAYOUT_PCI_ECAM,
        .pci_ecam_size = PCI_ECAM_SIZE,
        .pci_memory = LAYOUT_PCI_MEMORY,
        .pci_memory_size = LAYOUT_PCI_MEMORY_SIZE,
        .pci_ports = PORT_PCI_BARS,
        .pci_ports_size = PORT_PCI_BARS_SIZE,
        .console = "ttyS0",
        .legacy = {"Goldfish clock"},
        .linux_without_pci = "",
        .linux_untraced = "",
};

/* At the end of RAM, where no kernel grows; what is not used of it is never touched. */
static uint64_t fdt_size(const struct plan *plan)
{
	size_t size =
	        fdt_size_max(plan->config->cpus, plan->virtio_count, BOOT_CMDLINE_MAX);

	return (size + PAGE - 1) & ~(uint64_t)(PAGE - 1);
}

void arch_regions(struct plan *plan)
{
	uint64_t size = plan->memory, tree = fdt_size(plan);

	plan->hole = UINT64_MAX;
	if (tree > size / 2)
		tree = size / 2 & ~(uint64_t)(PAGE - 1);
	plan->regions[0] = (struct boot_region){LAYOUT_RISCV_RAM, size - tree, false};
	plan->regions[1] =
	        (struct boot_region){LAYOUT_RISCV_RAM + size - tree, tree, true};
	plan->region_count = 2;
}

bool arch_host_runs(const struct boot_needs *needs)
{
	(void)needs;
	return true;
}

int arch_check_host(const struct plan *plan)
{
	(void)plan;
	return 0;
}

void arch_host(struct host *host)
{
	struct kvm_create_device aia = {
	        .type = KVM_DEV_TYPE_RISCV_AIA, .flags = KVM_CREATE_DEVICE_TEST};
	bool has_aia = !ioctl(host->vm_fd, KVM_CREATE_DEVICE, &aia);
	struct vcpu vcpu = {.fd = ioctl(host->vm_fd, KVM_CREATE_VCPU, 0UL)};
	char text[ISA_TEXT];
	struct isa isa;

	host_add(host, "interrupts",
	        has_aia ? NULL : "slower: each interrupt of a device is an exit or two",
	        has_aia ? "AIA in KVM: APLIC and IMSICs" : "PLIC in Mayfly");
	if (vcpu.fd < 0 || isa_fetch(&isa, &vcpu) < 0)
		return;
	isa_string(&isa, text);
	host_add(host, "isa", NULL, "%s", text);
	host_add(host, "mmu", NULL, "%s", isa_mmu(&isa));
	host_add(
	        host, "timebase", NULL, "%llu Hz", (unsigned long long)isa.timebase_hz);
	close(vcpu.fd);
}

/* The device tree tells it. */
int arch_virtio_argument(char *text, unsigned size, uint64_t base, unsigned gsi)
{
	(void)text;
	(void)size;
	(void)base;
	(void)gsi;
	return 0;
}

/* KVM api.rst, KVM_INTERRUPT: of a vCPU that may be running meanwhile. */
static void set_external(void *context, unsigned hart, bool pending)
{
	const struct vm *vm = context;
	struct kvm_interrupt interrupt = {
	        .irq = pending ? KVM_INTERRUPT_SET : KVM_INTERRUPT_UNSET};

	ioctl(vm->vcpus[hart].fd, KVM_INTERRUPT, &interrupt);
}

static int add_plic(struct vm *vm)
{
	const struct plic_output output = {set_external, vm};
	unsigned harts = vm->plan->config->cpus;
	int error;

	if (harts > PLIC_HARTS)
		return log_error(-E2BIG,
		        "--cpus: this host's KVM has no AIA, and without one a guest "
		        "has at most %d CPUs",
		        PLIC_HARTS);
	vm->arch->plic = plic_create(&vm->host, &output, harts);
	error = vm_add_device(vm, vm->arch->plic);
	return error ? error
	             : vm_add_mmio(
	                       vm, vm->arch->plic, LAYOUT_PLIC, plic_size(harts), 0);
}

int arch_vm_create(struct vm *vm)
{
	int error;

	vm->arch = calloc(1, sizeof(*vm->arch));
	if (!vm->arch)
		return log_error(-ENOMEM, "out of memory");
	vm->arch->aia_fd = -1;
	if (!vm->plan->needs.irqchip)
		return 0;
	error = aia_create(vm);
	return error == -ENODEV ? add_plic(vm) : error;
}

void arch_vm_destroy(struct vm *vm)
{
	if (vm->arch)
		aia_destroy(vm);
	free(vm->arch);
}

static int add_mmio(struct vm *vm, struct device *device, uint64_t base, uint64_t size)
{
	int error = vm_add_device(vm, device);

	return error ? error : vm_add_mmio(vm, device, base, size, 0);
}

int arch_add_platform(struct vm *vm)
{
	struct device *exit_device = exit_create(&vm->host);
	int error = add_mmio(vm, exit_device, LAYOUT_EXIT, EXIT_SIZE);

	if (!error)
		error = vm_add_mmio(vm, exit_device, LAYOUT_MARK, 1, 1);
	if (!error)
		error = add_mmio(vm, pvpanic_create(&vm->host), LAYOUT_PVPANIC, 1);
	if (!error && vm->plan->needs.legacy)
		error = add_mmio(vm, goldfish_rtc_create(&vm->host), LAYOUT_RTC,
		        GOLDFISH_RTC_SIZE);
	if (!error && vm->plan->config->console == CONSOLE_SERIAL) {
		vm->arch->serial = serial_create(&vm->host, vm->console, IRQ_COM1);
		error = add_mmio(vm, vm->arch->serial, LAYOUT_COM1, SERIAL_SIZE);
	}
	if (!error && vm->plan->config->transport == TRANSPORT_PCI)
		error = pci_host_add(vm);
	return error;
}

void arch_send_msi(struct vm *vm, uint64_t address, uint32_t data)
{
	aia_send_msi(vm, address, data);
}

void arch_set_irq(struct vm *vm, unsigned gsi, bool level)
{
	if (vm->arch->plic)
		plic_set_line(vm->arch->plic, gsi, level);
	else if (vm->arch->aia_fd >= 0)
		aia_set_irq(vm, gsi, level);
}

bool arch_power_button(struct vm *vm)
{
	return vm->button && virtio_input_press(vm->button);
}

int arch_tables(struct vm *vm, struct boot_machine_info *machine)
{
	machine->fdt = vm->plan->regions[1].guest;
	return vm->arch->aia_fd < 0 ? 0 : aia_start(vm);
}

int arch_vcpu_init(struct vcpu *vcpu)
{
	struct arch_vm *arch = vcpu->vm->arch;
	int error = 0;

	if (!arch->isa_known)
		error = isa_fetch(&arch->isa, vcpu);
	arch->isa_known = !error;
	return error ? error : sbi_enable(vcpu);
}

static void describe_interrupts(const struct vm *vm, struct fdt_machine *machine)
{
	machine->sources = IRQ_SOURCES;
	if (vm->arch->plic) {
		machine->interrupts = FDT_INTERRUPTS_PLIC;
		machine->controller =
		        (struct fdt_range){LAYOUT_PLIC, plic_size(vm->vcpu_count)};
	} else if (vm->arch->aia_fd >= 0) {
		machine->interrupts = FDT_INTERRUPTS_AIA;
		machine->controller =
		        (struct fdt_range){LAYOUT_APLIC, KVM_DEV_RISCV_APLIC_SIZE};
		machine->imsic = (struct fdt_range){LAYOUT_IMSIC,
		        (uint64_t)vm->vcpu_count * KVM_DEV_RISCV_IMSIC_SIZE};
		machine->ids = vm->arch->aia_ids;
	}
}

static int write_fdt(struct vm *vm)
{
	const struct plan *plan = vm->plan;
	const struct isa *isa = &vm->arch->isa;
	const struct boot_region *place = &plan->regions[1];
	struct fdt_virtio virtio[PLAN_VIRTIO];
	char isa_text[ISA_TEXT], isa_texts[ISA_TEXT], seed[SEED_SIZE], uuid[UUID_TEXT];
	struct fdt_machine machine = {
	        .memory = {LAYOUT_RISCV_RAM, plan->memory},
	        .initrd = {vm->image.initrd, vm->image.initrd_size},
	        .cmdline = plan->cmdline,
	        .serial_number = plan->needs.linux_kernel || plan->config->has_uuid
	                                 ? uuid
	                                 : NULL,
	        .harts = vm->vcpu_count,
	        .timebase_hz = isa->timebase_hz,
	        .isa = isa_text,
	        .isa_list = isa_texts,
	        .isa_list_size = isa_list(isa, isa_texts),
	        .mmu = isa_mmu(isa),
	        .cbom_size = isa->cbom_size,
	        .cboz_size = isa->cboz_size,
	        .serial_irq = IRQ_COM1,
	        .pvpanic = {LAYOUT_PVPANIC, 2},
	        .rtc_irq = IRQ_RTC,
	        .virtio = virtio,
	        .virtio_count = plan->virtio_count,
	};
	size_t size = fdt_size_max(
	        vm->vcpu_count, plan->virtio_count, strlen(plan->cmdline) + 1);

	uuid_format(plan->uuid, uuid);
	isa_string(isa, isa_text);
	describe_interrupts(vm, &machine);
	if (plan->config->console == CONSOLE_SERIAL)
		machine.serial = (struct fdt_range){LAYOUT_COM1, SERIAL_SIZE};
	if (vm->pci) {
		machine.pci_ecam = (struct fdt_range){LAYOUT_PCI_ECAM, PCI_ECAM_SIZE};
		machine.pci_memory =
		        (struct fdt_range){LAYOUT_PCI_MEMORY, LAYOUT_PCI_MEMORY_SIZE};
		machine.pci_ports =
		        (struct fdt_range){LAYOUT_PCI_PORTS, LAYOUT_PCI_PORTS_SIZE};
	}
	if (plan->needs.legacy)
		machine.rtc = (struct fdt_range){LAYOUT_RTC, GOLDFISH_RTC_SIZE};
	for (unsigned i = 0; i < plan->virtio_count; i++)
		virtio[i] = (struct fdt_virtio){
		        {plan->virtio[i].base, plan->virtio[i].size},
		        plan->virtio[i].gsi, plan->virtio[i].slot};
	if (getrandom(seed, sizeof(seed), GRND_NONBLOCK) == sizeof(seed)) {
		machine.seed = seed;
		machine.seed_size = sizeof(seed);
	}
	if (size > place->size)
		size = place->size;
	return fdt_write(&machine, memory_at(&vm->memory, place->guest, size), size);
}

int arch_boot(struct vm *vm)
{
	int error = write_fdt(vm);

	return error ? error
	             : vcpu_enter(&vm->vcpus[0], vm->image.entry, vm->image.info);
}

bool arch_exit(struct vcpu *vcpu, const struct kvm_run *run)
{
	return sbi_exit(vcpu, run);
}
