/*
 * The machine of Solo5's hvt ABI, version 2: hypercalls, page tables, registers.
 *
 * Guest-physical memory below 1 MiB, which the guest cannot write:
 *
 *     0x1000 GDT   0x2000 PML4   0x3000 PDPT   0x4000 four PDs   0x8000 PT of 0 to 2 MiB
 *     0x10000 boot info, manifest (boot/hvt.c)   0x20000 command line   0x30000 more PTs
 *
 * The map is the identity. Below 0x10000 nothing is present. Each page of a segment has that
 * segment's rights, all other memory is data: no page is both writable and executable. A
 * page table stands for those 2 MiB in which rights change, a large page for the rest.
 */
#include <assert.h>
#include <elf.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/user.h>

#include "boot/layout.h"
#include "devices/disk.h"
#include "devices/hvt.h"
#include "devices/nic.h"
#include "vmm/arch.h"
#include "vmm/log.h"
#include "vmm/vm.h"
#include "x86/machine.h"

enum {
	HVT_GDT = 0x1000,
	HVT_PML4 = 0x2000,
	HVT_PDPT = 0x3000,
	HVT_PDS = 0x4000,
	HVT_PT = 0x8000,
	HVT_PRESENT = 0x10000,
	HVT_MORE_PTS = LAYOUT_CMDLINE_END,
};

enum { SECTOR = 512, PAGE = 0x1000, LARGE_SIZE = 2 << 20, ENTRIES = 512 };

/* Intel SDM volume 3, 4.5. */
enum { PTE_PRESENT = 1 << 0, PTE_WRITE = 1 << 1, PTE_LARGE = 1 << 7 };
static const uint64_t PTE_NO_EXECUTE = UINT64_C(1) << 63;

/* Devices. */

static int attach(struct vm *vm, const struct plan_attachment *attachment,
        struct boot_device *device)
{
	const struct config *config = vm->plan->config;
	const struct disk_config *disk_config = &config->disks[attachment->index];
	unsigned handle = attachment->device + 1;
	struct disk *disk;
	struct nic *nic;
	int error;

	if (device->kind == DEVICE_NIC) {
		nic = vm->nics[attachment->index];
		vm->nics[attachment->index] = NULL;
		error = hvt_attach_nic(vm->arch->hvt, handle, nic);
		if (error)
			return error;
		memcpy(device->mac, nic->mac, sizeof(device->mac));
		device->mtu = (uint16_t)nic_mtu(nic);
		return 0;
	}
	disk = disk_open(disk_config);
	if (!disk)
		return -EIO;
	device->capacity = disk_info(disk)->size;
	device->block_size =
	        (uint16_t)(disk_config->block_size ? disk_config->block_size : SECTOR);
	error = hvt_attach_disk(vm->arch->hvt, handle, disk, device->block_size);
	if (!error && device->capacity % device->block_size)
		error = log_error(-EINVAL,
		        "--disk: the size of '%s' is not a multiple of block-size=%u",
		        disk_config->path, device->block_size);
	return error;
}

/* What the guest's own page tables keep it from writing. */
static void protect(struct vm *vm)
{
	const struct boot_source *source = &vm->plan->source;

	hvt_protect(vm->arch->hvt, 0, LAYOUT_KERNEL_MIN);
	for (unsigned i = 0; i < source->segment_count; i++)
		if (!(source->segments[i].flags & PF_W))
			hvt_protect(vm->arch->hvt, source->segments[i].guest,
			        source->segments[i].size);
}

int hvt_add(struct vm *vm)
{
	const struct plan *plan = vm->plan;
	struct arch_vm *arch = vm->arch;
	int error;

	arch->hvt = hvt_create(&vm->host, vm->console);
	error = vm_add_device(vm, arch->hvt);
	if (!error)
		error = vm_add_ports(vm, arch->hvt, HVT_PORT, HVT_PORTS, 0);
	if (error)
		return error;
	protect(vm);
	arch->hvt_devices =
	        calloc(plan->source.device_count + 1, sizeof(*arch->hvt_devices));
	if (!arch->hvt_devices)
		return log_error(-ENOMEM, "out of memory");
	memcpy(arch->hvt_devices, plan->source.devices,
	        plan->source.device_count * sizeof(*arch->hvt_devices));
	for (unsigned i = 0; !error && i < plan->attachment_count; i++)
		error = attach(vm, &plan->attachments[i],
		        &arch->hvt_devices[plan->attachments[i].device]);
	return error;
}

int hvt_describe(struct vm *vm, struct boot_machine_info *machine)
{
	const struct arch_vm *arch = vm->arch;

	if (!arch->tsc_khz)
		return log_error(-ENOTSUP,
		        "kvm: this host's time stamp counter has no known frequency, "
		        "which Solo5 unikernels need");
	machine->cycle_hz = (uint64_t)arch->tsc_khz * 1000;
	machine->devices = arch->hvt_devices;
	return 0;
}

/* Memory. */

static uint64_t page_down(uint64_t guest)
{
	return guest & ~(uint64_t)(PAGE - 1);
}

static uint64_t page_up(uint64_t guest)
{
	return page_down(guest + PAGE - 1);
}

/* What an entry of a table says of the page at `guest`, but for its address. */
static uint64_t page_rights(const struct boot_source *source, uint64_t guest)
{
	if (guest < HVT_PRESENT)
		return 0;
	if (guest < LAYOUT_KERNEL_MIN)
		return PTE_PRESENT | PTE_NO_EXECUTE;
	for (unsigned i = 0; i < source->segment_count; i++) {
		const struct boot_segment *segment = &source->segments[i];

		if (guest >= page_down(segment->guest) &&
		        guest < page_up(segment->guest + segment->size))
			return PTE_PRESENT | (segment->flags & PF_W ? PTE_WRITE : 0) |
			       (segment->flags & PF_X ? 0 : PTE_NO_EXECUTE);
	}
	return PTE_PRESENT | PTE_WRITE | PTE_NO_EXECUTE;
}

/* Whether rights change inside of the 2 MiB at `guest`. */
static bool is_mixed(const struct boot_source *source, uint64_t guest)
{
	if (guest < LAYOUT_KERNEL_MIN)
		return true;
	for (unsigned i = 0; i < source->segment_count; i++) {
		const struct boot_segment *segment = &source->segments[i];
		uint64_t start = page_down(segment->guest) - guest;
		uint64_t end = page_up(segment->guest + segment->size) - guest;

		if ((start && start < LARGE_SIZE) || (end && end < LARGE_SIZE))
			return true;
	}
	return false;
}

static int write_page_table(struct memory *memory, const struct boot_source *source,
        uint64_t at, uint64_t guest)
{
	uint64_t *table = memory_at(memory, at, PAGE), rights;

	if (!table)
		return -EFAULT;
	for (unsigned i = 0; i < ENTRIES; i++, guest += PAGE) {
		rights = page_rights(source, guest);
		if (rights)
			table[i] = guest | rights;
	}
	return 0;
}

/* RAM was zero: only what is present is written. */
static int write_page_tables(struct memory *memory, const struct boot_source *source)
{
	const uint64_t inner = PTE_PRESENT | PTE_WRITE;
	uint64_t *pml4 = memory_at(memory, HVT_PML4, PAGE);
	uint64_t *pdpt = memory_at(memory, HVT_PDPT, PAGE);
	uint64_t *pds = memory_at(memory, HVT_PDS, 4 * PAGE);
	uint64_t more = HVT_MORE_PTS;
	int error = 0;

	pml4[0] = HVT_PDPT | inner;
	for (unsigned i = 0; i < 4; i++)
		pdpt[i] = (HVT_PDS + i * PAGE) | inner;
	for (uint64_t guest = 0; !error && guest < memory->size; guest += LARGE_SIZE) {
		uint64_t *entry = &pds[guest / LARGE_SIZE], table = HVT_PT;

		if (!is_mixed(source, guest)) {
			*entry = guest | page_rights(source, guest) | PTE_LARGE;
			continue;
		}
		if (guest) {
			table = more;
			more += PAGE;
		}
		*entry = table | inner;
		error = write_page_table(memory, source, table, guest);
	}
	return error;
}

/* Two tables for each segment at most. */
static_assert(HVT_MORE_PTS + 2 * BOOT_SEGMENTS * PAGE <= LAYOUT_KERNEL_MIN,
        "there is room for all page tables");

/* Registers. */

static void hvt_mode(struct kvm_sregs *sregs)
{
	sregs->gdt = (struct kvm_dtable){.base = HVT_GDT, .limit = 3 * 8 - 1};
	sregs->cr3 = HVT_PML4;
	sregs->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
	sregs->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	sregs->efer = EFER_LME | EFER_LMA | EFER_NXE;
}

int vcpu_enter_hvt(struct vcpu *vcpu, const struct boot_image *image)
{
	struct kvm_segment code = flat_segment(0x8, SEGMENT_CODE);
	struct kvm_segment data = flat_segment(0x10, SEGMENT_DATA);
	struct memory *memory = &vcpu->vm->memory;
	uint64_t gdt[3] = {0};
	int error;

	code.db = 0;
	code.l = 1;
	gdt[1] = segment_descriptor(&code);
	gdt[2] = segment_descriptor(&data);
	error = memory_write(memory, HVT_GDT, gdt, sizeof(gdt));
	if (!error)
		error = write_page_tables(memory, &vcpu->vm->plan->source);
	if (error)
		return log_error(-ENOMEM, "--mem: too little for the page tables");
	return vcpu_enter(vcpu, code, data, hvt_mode,
	        &(struct kvm_regs){
	                .rip = image->entry,
	                .rdi = image->info,
	                .rsp = memory->size - 8,
	                .rflags = RFLAGS_FIXED,
	        });
}

/*
 * Solo5's HALT may name a "cookie"; of a guest that aborts for an exception it is the
 * frame that the handler found (hvt_abi.h, hvt_cpu_x86_64.h).
 */
void hvt_registers(const struct device *hvt, struct user_regs_struct *registers)
{
	struct {
		uint64_t cr2, error, rip, cs, rflags, rsp, ss;
	} frame;
	const void *cookie = hvt_cookie(hvt);

	if (!cookie)
		return;
	memcpy(&frame, cookie, sizeof(frame));
	registers->rip = frame.rip;
	registers->cs = frame.cs;
	registers->eflags = frame.rflags;
	registers->rsp = frame.rsp;
	registers->ss = frame.ss;
}
