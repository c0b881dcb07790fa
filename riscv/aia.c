/*
 * RISC-V's Advanced Interrupt Architecture in KVM: one APLIC, which turns wires into
 * messages, and an IMSIC for each hart (virt/kvm/devices/vm, KVM_DEV_TYPE_RISCV_AIA, in
 * arch/riscv/kvm/aia_device.c). Where the CPU has guest interrupt files, KVM uses them.
 *
 * Interrupts are raised here, so an irqfd would only be another way to say so. Measured in
 * the nested bed's virtual time: the two KVM_IRQ_LINE of an edge take 13 us, an irqfd of a
 * wire 44, as it goes through a kernel thread; KVM_SIGNAL_MSI takes 9, an irqfd with a route
 * of its own 4, but to set that route 400 and more, whenever a guest changes a message.
 */

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "riscv/layout.h"
#include "riscv/machine.h"
#include "vmm/log.h"
#include "vmm/vm.h"

static int attribute(
        int fd, unsigned long request, uint32_t group, uint64_t number, void *value)
{
	struct kvm_device_attr attr = {
	        .group = group, .attr = number, .addr = (uintptr_t)value};

	return ioctl(fd, request, &attr) < 0 ? -errno : 0;
}

static int get_config(int fd, uint64_t number, uint32_t *value)
{
	return attribute(
	        fd, KVM_GET_DEVICE_ATTR, KVM_DEV_RISCV_AIA_GRP_CONFIG, number, value);
}

static int set_config(int fd, uint64_t number, uint32_t value)
{
	return attribute(
	        fd, KVM_SET_DEVICE_ATTR, KVM_DEV_RISCV_AIA_GRP_CONFIG, number, &value);
}

static int set_address(int fd, uint64_t number, uint64_t address)
{
	return attribute(
	        fd, KVM_SET_DEVICE_ATTR, KVM_DEV_RISCV_AIA_GRP_ADDR, number, &address);
}

int aia_create(struct vm *vm)
{
	struct kvm_create_device device = {.type = KVM_DEV_TYPE_RISCV_AIA};
	uint32_t ids = 0;
	int error;

	if (ioctl(vm->fd, KVM_CREATE_DEVICE, &device) < 0)
		return -ENODEV;
	vm->arch->aia_fd = (int)device.fd;
	error = get_config(vm->arch->aia_fd, KVM_DEV_RISCV_AIA_CONFIG_IDS, &ids);
	if (!error)
		error = set_config(
		        vm->arch->aia_fd, KVM_DEV_RISCV_AIA_CONFIG_SRCS, IRQ_SOURCES);
	vm->arch->aia_ids = ids;
	return error ? log_error(error, "kvm: cannot set up the AIA: %s",
	                       strerror(-error))
	             : 0;
}

/* The harts' pages stand side by side, so the hart's number is the address's low bits. */
static uint32_t hart_bits(unsigned harts)
{
	uint32_t bits = 0;

	while (UINT32_C(1) << bits < harts)
		bits++;
	return bits;
}

int aia_start(struct vm *vm)
{
	int fd = vm->arch->aia_fd, error;

	error = set_config(
	        fd, KVM_DEV_RISCV_AIA_CONFIG_HART_BITS, hart_bits(vm->vcpu_count));
	if (!error)
		error = set_address(fd, KVM_DEV_RISCV_AIA_ADDR_APLIC, LAYOUT_APLIC);
	for (uint64_t i = 0; i < vm->vcpu_count && !error; i++)
		error = set_address(fd, KVM_DEV_RISCV_AIA_ADDR_IMSIC(i),
		        LAYOUT_IMSIC + i * KVM_DEV_RISCV_IMSIC_SIZE);
	if (!error)
		error = attribute(fd, KVM_SET_DEVICE_ATTR, KVM_DEV_RISCV_AIA_GRP_CTRL,
		        KVM_DEV_RISCV_AIA_CTRL_INIT, NULL);
	return error ? log_error(
	                       error, "kvm: cannot start the AIA: %s", strerror(-error))
	             : 0;
}

void aia_destroy(struct vm *vm)
{
	if (vm->arch->aia_fd >= 0)
		close(vm->arch->aia_fd);
}

void aia_send_msi(struct vm *vm, uint64_t address, uint32_t data)
{
	const uint64_t size = (uint64_t)vm->vcpu_count * KVM_DEV_RISCV_IMSIC_SIZE;
	struct kvm_msi msi = {.address_lo = (uint32_t)address, .data = data};

	if (vm->arch->aia_fd >= 0 && address - LAYOUT_IMSIC < size)
		ioctl(vm->fd, KVM_SIGNAL_MSI, &msi);
}

void aia_set_irq(struct vm *vm, unsigned irq, bool level)
{
	struct kvm_irq_level line = {.irq = irq, .level = level};

	ioctl(vm->fd, KVM_IRQ_LINE, &line);
}
