/*
 * What a PC has that a microVM has not: two PICs, a PIT and port 0x61 through which its
 * second channel is read, for kernels that measure time by them. All of it is KVM's own
 * (api.rst, KVM_CREATE_IRQCHIP, KVM_CREATE_PIT2), with an IOAPIC of 24 pins: KVM has those
 * together or not at all. Its routing at the start is a PC's: GSIs 0 to 15 are lines of the
 * PICs and pins of the IOAPIC alike.
 *
 * A local APIC whose LINT0 nobody has set up lets the PIC's interrupts through.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/io.h"
#include "vmm/log.h"
#include "vmm/vm.h"
#include "x86/machine.h"

int pc_create(struct vm *vm)
{
	const struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};

	if (ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0) < 0)
		return log_error(
		        -errno, "kvm: no interrupt controllers: %s", strerror(errno));
	vm->arch->pc = true;
	if (ioctl(vm->fd, KVM_CREATE_PIT2, &pit) < 0)
		return log_error(-errno, "kvm: no timer (PIT): %s", strerror(errno));
	return 0;
}

/* It waits for several grace periods of RCU: 14 ms, with 20 us for the rest of an exit. */
void pc_destroy(struct vm *vm)
{
	io_release_later(vm->fd);
}

void pc_set_irq(struct vm *vm, unsigned gsi, bool level)
{
	struct kvm_irq_level line = {.irq = gsi, .level = level};

	ioctl(vm->fd, KVM_IRQ_LINE, &line);
}

bool pc_unmasked(struct vm *vm, unsigned gsi)
{
	struct kvm_irqchip chip = {.chip_id = KVM_IRQCHIP_IOAPIC};

	return ioctl(vm->fd, KVM_GET_IRQCHIP, &chip) == 0 &&
	       gsi < KVM_IOAPIC_NUM_PINS && !chip.chip.ioapic.redirtbl[gsi].fields.mask;
}
