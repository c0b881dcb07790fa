/* The x86 machine: what vmm/arch.h asks of an architecture. */

#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "boot/layout.h"
#include "devices/devices.h"
#include "devices/pci.h"
#include "vmm/arch.h"
#include "vmm/host.h"
#include "vmm/log.h"
#include "vmm/vm.h"
#include "x86/acpi.h"
#include "x86/cpuid.h"
#include "x86/ioapic.h"
#include "x86/layout.h"
#include "x86/machine.h"
#include "x86/mptable.h"
#include "x86/msr.h"
#include "x86/power.h"
#include "x86/smbios.h"

/* Of an MSI's data (Intel SDM vol. 3, 11.11.2). */
enum { MSI_LEVEL = 1 << 15 };

/* What a PC leaves free: first of the PIC's, then of the rest of KVM's IOAPIC. */
static const unsigned char pic_gsis[] = {
        5, 10, 11, 7, 6, 12, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};

const struct arch_layout arch_layout = {
        .name = "x86-64",
        .machine = MACHINE_X86,
        .linux_protocol = PROTOCOL_LINUX64,
        .hole_end = LAYOUT_RAM_HOLE_END,
        .virtio_base = LAYOUT_VIRTIO,
        .virtio_size = LAYOUT_VIRTIO_STRIDE,
        .virtio_gsi = GSI_VIRTIO,
        .pic_gsis = pic_gsis,
        .pic_gsi_count = sizeof(pic_gsis),
        .pci_ecam = LAYOUT_PCI_ECAM,
        .pci_ecam_size = LAYOUT_PCI_ECAM_SIZE,
        .pci_memory = LAYOUT_PCI_MEMORY,
        .pci_memory_size = LAYOUT_PCI_MEMORY_SIZE,
        .pci_ports = PORT_PCI_BARS,
        .pci_ports_size = PORT_PCI_BARS_SIZE,
        .unpacks_faster = true,
        .console = "ttyS0",
        .legacy = {"CMOS clock, i8042", "PIC, PIT, port 0x61, CMOS clock, i8042"},
        /* Nothing is to be probed for, and that nothing was found is no error. */
        .linux_without_pci = "pci=off initcall_blacklist=pci_arch_init",
        /*
         * Since Linux 5.19 kernel/trace/ftrace.c looks up the names of some 40000 functions at
         * boot, to mark the few that were overridden: a sixth of the boot. Without that,
         * available_filter_functions has the same lines, and one warning comes when it is read.
         */
        .linux_untraced = "initcall_blacklist=ftrace_check_for_weak_functions",
};

void arch_regions(struct plan *plan)
{
	uint64_t size = plan->memory;
	uint64_t low = size < LAYOUT_RAM_HOLE ? size : LAYOUT_RAM_HOLE;
	struct boot_region *region = plan->regions;

	plan->hole = LAYOUT_RAM_HOLE;
	if (plan->source.protocol == PROTOCOL_HVT) {
		plan->hole = LAYOUT_RAM_HOLE_END;
		*region++ = (struct boot_region){0, LAYOUT_KERNEL_MIN, true};
		*region++ = (struct boot_region){
		        LAYOUT_KERNEL_MIN, size - LAYOUT_KERNEL_MIN, false};
		plan->region_count = 2;
		return;
	}
	*region++ = (struct boot_region){
	        0, low < LAYOUT_RAM_LOW_END ? low : LAYOUT_RAM_LOW_END, false};
	*region++ =
	        (struct boot_region){LAYOUT_ACPI, LAYOUT_ACPI_END - LAYOUT_ACPI, true};
	if (low > LAYOUT_KERNEL_MIN)
		*region++ = (struct boot_region){
		        LAYOUT_KERNEL_MIN, low - LAYOUT_KERNEL_MIN, false};
	if (size > low)
		*region++ =
		        (struct boot_region){LAYOUT_RAM_HOLE_END, size - low, false};
	plan->region_count = region - plan->regions;
}

/*
 * PVM runs guest ring 0 in KVM's instruction emulator, which knows too little for a kernel
 * and fails late: a stock Linux spins for a minute.
 */
bool arch_host_runs(const struct boot_needs *needs)
{
	return !needs->linux_kernel || access("/sys/module/kvm_pvm", F_OK) < 0;
}

int arch_check_host(const struct plan *plan)
{
	if (plan->config->force || arch_host_runs(&plan->needs))
		return 0;
	return log_error(-ENOTSUP, "kvm: this host's KVM (kvm_pvm) emulates kernel "
	                           "mode and cannot run Linux; "
	                           "use a host with VMX or SVM, or --force to try");
}

void arch_host(struct host *host)
{
	bool split = ioctl(host->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_SPLIT_IRQCHIP) > 0;
	bool emulated = !access("/sys/module/kvm_pvm", F_OK);

	host_add(host, "interrupts",
	        split ? NULL
	              : "Mayfly needs KVM_CAP_SPLIT_IRQCHIP: take a newer kernel",
	        split ? "local APICs in KVM, IOAPIC in Mayfly" : "none that is usable");
	host_add(host, "tsc_deadline", NULL, "%s",
	        ioctl(host->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0
	                ? "yes"
	                : "no");
	host_add(host, "kernel_mode",
	        emulated ? "unikernels run, Linux does not: use a host with VMX or SVM"
	                 : NULL,
	        emulated ? "emulated (kvm_pvm)" : "run by the CPU");
}

int arch_virtio_argument(char *text, unsigned size, uint64_t base, unsigned gsi)
{
	return snprintf(text, size, "virtio_mmio.device=4K@%#llx:%u",
	        (unsigned long long)base, gsi);
}

static void send_msi(void *context, uint64_t address, uint32_t data)
{
	const struct vm *vm = context;
	struct kvm_msi msi = {
	        .address_lo = (uint32_t)address,
	        .address_hi = address >> 32,
	        .data = data,
	};

	ioctl(vm->fd, KVM_SIGNAL_MSI, &msi);
}

/*
 * Intel SDM volume 3, 11.11.1: a message that is an interrupt goes to this MiB. A device
 * that is told to write elsewhere would write to memory; ours does not.
 */
void arch_send_msi(struct vm *vm, uint64_t address, uint32_t data)
{
	if ((address & 0xfff00000) == LAYOUT_LAPIC)
		send_msi(vm, address, data);
}

/*
 * KVM api.rst, KVM_CAP_SPLIT_IRQCHIP: KVM finds in its routing which vectors are level-
 * triggered, so that their EOI comes back to us. Only such pins are put there: setting
 * the routing waits for a grace period, and all else is sent by send_msi().
 */
static void route_level(
        void *context, unsigned gsi, bool enabled, uint64_t address, uint32_t data)
{
	const struct vm *vm = context;
	struct arch_vm *arch = vm->arch;
	/* An array of unknown size ends the structure. */
	_Alignas(struct kvm_irq_routing) char
	        buffer[sizeof(struct kvm_irq_routing) + sizeof(arch->routes)] = {0};
	struct kvm_irq_routing *routing = (struct kvm_irq_routing *)buffer;
	unsigned at = 0;

	while (at < arch->route_count && arch->routes[at].gsi != gsi)
		at++;
	if (enabled && data & MSI_LEVEL)
		arch->routes[at] = (struct kvm_irq_routing_entry){
		        .gsi = gsi,
		        .type = KVM_IRQ_ROUTING_MSI,
		        .u.msi = {.address_lo = (uint32_t)address,
		                .address_hi = address >> 32,
		                .data = data},
		};
	else if (at < arch->route_count)
		arch->routes[at] = arch->routes[--arch->route_count];
	else
		return;
	if (enabled && data & MSI_LEVEL && at == arch->route_count)
		arch->route_count++;
	routing->nr = arch->route_count;
	memcpy(routing->entries, arch->routes, sizeof(arch->routes));
	ioctl(vm->fd, KVM_SET_GSI_ROUTING, routing);
}

/* As many as a PC has, or what the last of the devices needs. */
static unsigned ioapic_pins(const struct plan *plan)
{
	unsigned pins = GSI_COUNT_PC;

	for (unsigned i = 0; i < plan->virtio_count; i++)
		if (plan->virtio[i].gsi >= pins)
			pins = plan->virtio[i].gsi + 1;
	return pins;
}

static int add_ioapic(struct vm *vm)
{
	const struct ioapic_output output = {send_msi, route_level, vm};
	int error;

	vm->arch->ioapic = ioapic_create(&vm->host, &output, ioapic_pins(vm->plan));
	error = vm_add_device(vm, vm->arch->ioapic);
	return error ? error
	             : vm_add_mmio(vm, vm->arch->ioapic, LAYOUT_IOAPIC,
	                       LAYOUT_IOAPIC_SIZE, 0);
}

/*
 * KVM api.rst, KVM_CAP_X2APIC_API: destinations of MSIs have 32 bits, and 255 is a CPU, no
 * broadcast. Goes with what cpuid_fetch() says of more than 255 CPUs.
 */
static int add_x2apic(struct vm *vm)
{
	struct kvm_enable_cap wide = {
	        .cap = KVM_CAP_X2APIC_API,
	        .args = {KVM_X2APIC_API_USE_32BIT_IDS |
	                 KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK},
	};

	if (vm->plan->config->cpus <= 255 || !ioctl(vm->fd, KVM_ENABLE_CAP, &wide))
		return 0;
	return log_error(-errno,
	        "--cpus: no more than 255, as this host's KVM has no x2APIC ids: %s",
	        strerror(errno));
}

/*
 * KVM api.rst, KVM_SET_TSS_ADDR: an Intel CPU that cannot run real mode itself ("unrestricted
 * guest") does so in a virtual-8086 task. Real mode is where further CPUs start, and where a
 * PC's kernel may go.
 */
static void add_real_mode(struct vm *vm)
{
	if (vm->plan->config->cpus > 1 || vm->plan->needs.pc)
		ioctl(vm->fd, KVM_SET_TSS_ADDR, (unsigned long)LAYOUT_REAL_MODE_TSS);
}

/*
 * KVM api.rst, KVM_CAP_SPLIT_IRQCHIP: local APICs in the kernel, the IOAPIC here. A full
 * in-kernel irqchip also has PIC and PIT, which costs 14 ms when the VM is closed: pc.c has
 * it for those guests that need them. A guest that needs no interrupts gets the local APIC
 * all the same: a vCPU without one takes 0.2 ms more to create and to destroy, as KVM then
 * patches its own code. Only RAM where the local APIC would be (hvt) rules it out.
 */
int arch_vm_create(struct vm *vm)
{
	struct kvm_enable_cap split = {
	        .cap = KVM_CAP_SPLIT_IRQCHIP, .args = {GSI_COUNT}};
	int error;

	vm->arch = calloc(1, sizeof(*vm->arch));
	if (!vm->arch)
		return log_error(-ENOMEM, "out of memory");
	add_real_mode(vm);
	if (vm->plan->needs.pc)
		return pc_create(vm);
	if (vm->memory.ranges[0].size > LAYOUT_LAPIC)
		return 0;
	if (ioctl(vm->fd, KVM_ENABLE_CAP, &split) < 0)
		return log_error(-errno, "kvm: no split interrupt controller: %s",
		        strerror(errno));
	error = add_x2apic(vm);
	return error || !vm->plan->needs.irqchip ? error : add_ioapic(vm);
}

void arch_vm_destroy(struct vm *vm)
{
	if (!vm->arch)
		return;
	if (vm->arch->pc)
		pc_destroy(vm);
	free(vm->arch->hvt_devices);
	free(vm->arch->cpuid);
	free(vm->arch);
}

static int add_ports(struct vm *vm, struct device *device, uint64_t base, uint64_t size)
{
	int error = vm_add_device(vm, device);

	return error ? error : vm_add_ports(vm, device, base, size, 0);
}

/* By which a guest ends, well or not. */
static int add_exits(struct vm *vm)
{
	struct device *device = exit_create(&vm->host);
	int error = add_ports(vm, device, PORT_EXIT, 4);

	if (!error)
		error = vm_add_ports(vm, device, PORT_MARK, 1, 1);
	if (!error && vm->plan->needs.pc) {
		error = vm_add_ports(vm, device, PORT_QEMU_EXIT, 2, 2);
		if (!error)
			error = vm_add_ports(vm, device, PORT_QEMU_PM1_CONTROL, 2, 3);
	}
	return error ? error
	             : add_ports(vm, pvpanic_create(&vm->host), PORT_PVPANIC, 1);
}

static int add_serial(struct vm *vm)
{
	struct device *serial = serial_create(&vm->host, vm->console, GSI_COM1);
	int error = add_ports(vm, serial, PORT_COM1, 8);

	return error ? error
	             : add_ports(vm, text_create(&vm->host, vm->console), PORT_TEXT, 4);
}

static int add_legacy(struct vm *vm)
{
	struct device *i8042 = i8042_create(&vm->host);
	int error = add_ports(vm, i8042, PORT_I8042_DATA, 1);

	if (!error)
		error = vm_add_ports(vm, i8042, PORT_I8042_COMMAND, 1, 1);
	return error ? error : add_ports(vm, rtc_create(&vm->host), PORT_RTC, 2);
}

static int add_pci(struct vm *vm)
{
	int error;

	vm->ports.windows_move = vm->mmio.windows_move = true;
	vm->pci = pci_create(&vm->host);
	error = vm_add_device(vm, vm->pci);
	if (!error)
		error = vm_add_ports(
		        vm, vm->pci, PORT_PCI, PCI_PORTS_SIZE, PCI_WINDOW_PORTS);
	return error ? error
	             : vm_add_mmio(vm, vm->pci, LAYOUT_PCI_ECAM, LAYOUT_PCI_ECAM_SIZE,
	                       PCI_WINDOW_ECAM);
}

int arch_add_platform(struct vm *vm)
{
	const struct plan *plan = vm->plan;
	int error;

	if (plan->source.protocol == PROTOCOL_HVT)
		return hvt_add(vm);
	error = add_exits(vm);
	if (!error && plan->config->console == CONSOLE_SERIAL)
		error = add_serial(vm);
	if (!error && plan->needs.legacy)
		error = add_legacy(vm);
	if (!error && plan->config->transport == TRANSPORT_PCI)
		error = add_pci(vm);
	if (!error && plan->needs.acpi) {
		vm->arch->power = power_create(&vm->host);
		error = add_ports(vm, vm->arch->power, PORT_POWER, POWER_SIZE);
	}
	return error;
}

void arch_set_irq(struct vm *vm, unsigned gsi, bool level)
{
	if (vm->arch->pc)
		pc_set_irq(vm, gsi, level);
	else if (vm->arch->ioapic)
		ioapic_set_line(vm->arch->ioapic, gsi, level);
}

bool arch_power_button(struct vm *vm)
{
	struct arch_vm *arch = vm->arch;
	bool listens = arch->pc
	                       ? pc_unmasked(vm, GSI_GED)
	                       : arch->ioapic && ioapic_unmasked(arch->ioapic, GSI_GED);

	if (!arch->power || !listens)
		return false;
	power_button_press(arch->power);
	return true;
}

int arch_tables(struct vm *vm, struct boot_machine_info *info)
{
	const struct plan *plan = vm->plan;
	struct acpi_virtio virtio[PLAN_VIRTIO];
	struct acpi_machine machine = {
	        .cpus = plan->config->cpus,
	        .virtio = virtio,
	        .virtio_count = plan->virtio_count,
	        .serial = plan->config->console == CONSOLE_SERIAL,
	        .legacy = plan->needs.legacy,
	        .pic = plan->needs.pc,
	        .pci = vm->pci != NULL,
	};
	int error = 0;

	if (plan->source.protocol == PROTOCOL_HVT)
		return hvt_describe(vm, info);
	if (plan->needs.pc)
		error = pc_describe(&vm->memory);
	if (error || !plan->needs.acpi)
		return error;
	for (unsigned i = 0; i < plan->virtio_count; i++)
		virtio[i] = (struct acpi_virtio){
		        plan->virtio[i].base + LAYOUT_VIRTIO_VIEW, LAYOUT_VIRTIO_VIEW,
		        plan->virtio[i].gsi, plan->virtio[i].slot};
	error = smbios_write(&vm->memory, plan->uuid);
	if (!error)
		error = mptable_write(&vm->memory, &machine, ioapic_pins(plan));
	return error ? error : acpi_write(&vm->memory, &machine, &info->acpi_rsdp);
}

static int fetch_cpuid(struct vm *vm, int vcpu_fd)
{
	struct arch_vm *arch = vm->arch;
	int khz = ioctl(vcpu_fd, KVM_GET_TSC_KHZ, 0);

	if (khz > 0)
		arch->tsc_khz = khz;
	arch->cpuid = malloc(sizeof(*arch->cpuid));
	if (!arch->cpuid)
		return log_error(-ENOMEM, "out of memory");
	return cpuid_fetch(arch->cpuid, vm->kvm_fd, vm->plan->config->cpus,
	        arch->tsc_khz, vm->plan->needs.irqchip);
}

int arch_vcpu_init(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	struct arch_vm *arch = vm->arch;
	bool hvt = vm->plan->source.protocol == PROTOCOL_HVT;
	int error = 0;

	if (!vm->plan->needs.cpuid)
		return 0;
	if (!arch->cpuid)
		error = fetch_cpuid(vm, vcpu->fd);
	if (!error)
		error = cpuid_set(arch->cpuid, vcpu->fd, vcpu->index);
	return error || hvt ? error : msr_set_boot(vcpu->fd);
}

int arch_boot(struct vm *vm)
{
	struct vcpu *vcpu = &vm->vcpus[0];

	switch (vm->image.protocol) {
	case PROTOCOL_PVH:
	case PROTOCOL_MULTIBOOT:
	case PROTOCOL_MULTIBOOT2:
		return vcpu_enter_protected(vcpu, &vm->image);
	case PROTOCOL_LINUX32:
		return vcpu_enter_linux32(vcpu, &vm->image);
	case PROTOCOL_LINUX64:
		return vcpu_enter_linux64(vcpu, &vm->image);
	case PROTOCOL_HVT:
		return vcpu_enter_hvt(vcpu, &vm->image);
	case PROTOCOL_RISCV:
	case PROTOCOL_AUTO:
		break;
	}
	return -EINVAL;
}

bool arch_exit(struct vcpu *vcpu, const struct kvm_run *run)
{
	if (run->exit_reason != KVM_EXIT_IOAPIC_EOI || !vcpu->vm->arch->ioapic)
		return false;
	ioapic_eoi(vcpu->vm->arch->ioapic, run->eoi.vector);
	return true;
}

bool arch_trap(struct vcpu *vcpu)
{
	(void)vcpu;
	return false;
}
