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

#include "boot/layout.h"
#include "vmm/io.h"
#include "vmm/log.h"
#include "vmm/memory.h"
#include "vmm/vm.h"
#include "x86/machine.h"

/*
 * As a PC's firmware leaves it, which a kernel of Multiboot may rely on: channel 0 interrupts
 * 18.2 times a second, and a new count needs no new mode (8254 data sheet: mode 2, both
 * bytes). Solo5's virtio target only writes counts.
 */
static int set_firmware_timer(struct vm *vm)
{
	enum { BOTH_BYTES = 3, RATE = 2, COUNT_MAX = 0x10000 };
	struct kvm_pit_state2 state;

	if (ioctl(vm->fd, KVM_GET_PIT2, &state) < 0)
		return -errno;
	state.channels[0].mode = RATE;
	state.channels[0].rw_mode = BOTH_BYTES;
	state.channels[0].read_state = state.channels[0].write_state = BOTH_BYTES;
	state.channels[0].count = COUNT_MAX;
	state.channels[0].gate = 1;
	return ioctl(vm->fd, KVM_SET_PIT2, &state) < 0 ? -errno : 0;
}

int pc_create(struct vm *vm)
{
	const struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
	enum boot_protocol protocol = vm->plan->source.protocol;
	int error = 0;

	if (ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0) < 0)
		return log_error(
		        -errno, "kvm: no interrupt controllers: %s", strerror(errno));
	vm->arch->pc = true;
	if (ioctl(vm->fd, KVM_CREATE_PIT2, &pit) < 0)
		error = -errno;
	else if (protocol == PROTOCOL_MULTIBOOT || protocol == PROTOCOL_MULTIBOOT2)
		error = set_firmware_timer(vm);
	if (error)
		log_error(error, "kvm: no timer (PIT): %s", strerror(-error));
	return error;
}

/*
 * What a BIOS leaves in its data area and kernels without Multiboot's memory size go by: the
 * segment of the extended data area, and the KiB below it. Xen takes nothing else for it.
 */
int pc_describe(struct memory *memory)
{
	const uint16_t segment = LAYOUT_RAM_LOW_END >> 4,
	               kib = LAYOUT_RAM_LOW_END >> 10;
	int error = memory_write(memory, LAYOUT_BIOS_EBDA, &segment, sizeof(segment));

	return error ? error
	             : memory_write(memory, LAYOUT_BIOS_MEMORY, &kib, sizeof(kib));
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
