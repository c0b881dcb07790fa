/* The one place where the parts meet: a VM, built in the order of its life. */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "devices/console.h"
#include "devices/disk.h"
#include "devices/nic.h"
#include "devices/pci.h"
#include "devices/virtio.h"
#include "vmm/arch.h"
#include "vmm/log.h"
#include "vmm/loop.h"
#include "vmm/signals.h"
#include "vmm/state.h"
#include "vmm/vm.h"

enum { FILES = 128 }; /* what a VM opens but for its vCPUs, with room to spare */

static struct vm *vm_of(struct device_host *host)
{
	return (struct vm *)((char *)host - offsetof(struct vm, host));
}

static void host_set_irq(struct device_host *host, unsigned gsi, bool level)
{
	arch_set_irq(vm_of(host), gsi, level);
}

static void host_send_msi(struct device_host *host, uint64_t address, uint32_t data)
{
	arch_send_msi(vm_of(host), address, data);
}

static struct bus *bus_of(struct device_host *host, bool port)
{
	return port ? &vm_of(host)->ports : &vm_of(host)->mmio;
}

static int host_map(struct device_host *host, struct device *device, bool port,
        uint64_t base, uint64_t size, unsigned window)
{
	return bus_add(bus_of(host, port), base, size, device, window);
}

static void host_unmap(
        struct device_host *host, struct device *device, bool port, unsigned window)
{
	bus_remove(bus_of(host, port), device, window);
}

static void host_request(
        struct device_host *host, enum device_request request, unsigned status)
{
	static const enum vm_end ends[] = {
	        [REQUEST_POWEROFF] = END_POWEROFF,
	        [REQUEST_RESET] = END_RESET,
	        [REQUEST_PANIC] = END_PANIC,
	        [REQUEST_EXIT] = END_EXIT,
	        [REQUEST_HALT] = END_HALT,
	        [REQUEST_ABORT] = END_ABORT,
	};

	vm_end(vm_of(host), ends[request], status);
}

static void host_mark(struct device_host *host, unsigned mark)
{
	timeline_guest(vm_of(host)->timeline, mark);
}

static void host_wait(struct device_host *host, struct pollfd *fds, unsigned count,
        uint64_t deadline_ns)
{
	struct vm *vm = vm_of(host);

	vm->wait.wanted = true;
	vm->wait.fds = fds;
	vm->wait.count = count;
	vm->wait.deadline_ns = deadline_ns;
}

static void quit(void *context)
{
	vm_end(context, END_QUIT, 0);
}

/* From /etc/group itself: getgrgid() would pull in the name service and its libraries. */
static const struct group *group_of(gid_t id)
{
	FILE *file = fopen("/etc/group", "re");
	const struct group *group = NULL;

	while (file && (group = fgetgrent(file)) && group->gr_gid != id)
		continue;
	if (file)
		fclose(file);
	return group;
}

static int log_no_permission(void)
{
	struct stat status;
	const struct group *group = NULL;

	if (!stat("/dev/kvm", &status) && status.st_gid && status.st_mode & S_IWGRP)
		group = group_of(status.st_gid);
	if (!group)
		return log_error(-EACCES,
		        "kvm: no permission on '/dev/kvm', and no group has it: as "
		        "root, "
		        "chgrp kvm /dev/kvm; chmod 660 /dev/kvm; usermod -aG kvm USER");
	return log_error(-EACCES,
	        "kvm: no permission on '/dev/kvm': join its group '%s' (usermod -aG %s "
	        "USER), then log in again",
	        group->gr_name, group->gr_name);
}

static int open_kvm(struct vm *vm)
{
	vm->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm_fd < 0 && errno == EACCES)
		return log_no_permission();
	if (vm->kvm_fd < 0)
		return log_error(-errno,
		        "kvm: cannot open '/dev/kvm': %s; enable virtualization in the "
		        "firmware and load the module kvm_intel or kvm_amd",
		        strerror(errno));
	if (ioctl(vm->kvm_fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return log_error(-ENOTSUP, "kvm: '/dev/kvm' has another API version");
	do
		vm->fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, 0UL);
	while (vm->fd < 0 && errno == EINTR);
	if (vm->fd < 0)
		return log_error(
		        -errno, "kvm: cannot create a VM: %s", strerror(errno));
	return 0;
}

/*
 * Guest memory may be many times the host's: it costs nothing until it is touched. But
 * KVM and the kernel keep tables of 2 GiB for each TiB of it, and fill them first.
 */
static int check_host_memory(uint64_t size)
{
	enum { OVERCOMMIT = 16 };
	struct sysinfo host;

	if (size <= UINT64_C(4) << 30 || sysinfo(&host) < 0 ||
	        size / OVERCOMMIT <= (uint64_t)host.totalram * host.mem_unit)
		return 0;
	return log_error(-ENOMEM,
	        "--mem: %llu MiB is more than %d times this host's memory: give less",
	        (unsigned long long)(size >> 20), OVERCOMMIT);
}

/* KVM api.rst, KVM_SET_USER_MEMORY_REGION. Set before there is an interrupt controller:
 * afterwards each waits for a grace period. */
static int add_memory(struct vm *vm)
{
	const struct plan *plan = vm->plan;
	int error = check_host_memory(plan->memory);

	if (!error)
		error = memory_create(&vm->memory, plan->memory, arch_layout.ram_base,
		        plan->hole, arch_layout.hole_end);

	for (unsigned i = 0; !error && i < vm->memory.count; i++) {
		const struct memory_range *range = &vm->memory.ranges[i];
		struct kvm_userspace_memory_region region = {
		        .slot = i,
		        .guest_phys_addr = range->guest,
		        .memory_size = range->size,
		        .userspace_addr = (uintptr_t)range->host,
		};

		if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
			error = log_error(-errno,
			        "--mem: KVM cannot take %llu MiB of memory: %s",
			        (unsigned long long)(range->size >> 20),
			        strerror(errno));
	}
	return error;
}

/* First of all: a user-mode network gets ready while the rest is built. */
static int open_nics(struct vm *vm)
{
	const struct config *config = vm->plan->config;

	for (unsigned i = 0; i < config->nic_count; i++) {
		vm->nics[i] = nic_open(&config->nics[i]);
		if (!vm->nics[i])
			return -EIO;
	}
	return 0;
}

/* --data, or what --data-file holds. */
static struct disk *open_data(const struct plan *plan)
{
	const struct config *config = plan->config;
	char uuid[UUID_TEXT];
	struct disk *disk = NULL;
	ssize_t size = -1;
	char *data;
	int fd;

	uuid_format(plan->uuid, uuid);
	if (config->data)
		return disk_data_create(config->data, strlen(config->data), uuid);
	fd = open(config->data_file, O_RDONLY | O_CLOEXEC);
	data = malloc(DISK_DATA_MAX + 1);
	if (fd >= 0 && data)
		size = config_read_full(fd, data, DISK_DATA_MAX + 1);
	if (size < 0)
		log_error(-EIO, "--data-file: cannot read '%s'", config->data_file);
	else if (size > DISK_DATA_MAX)
		log_error(-EFBIG, "--data-file: '%s' is larger than %d MiB",
		        config->data_file, DISK_DATA_MAX >> 20);
	else
		disk = disk_data_create(data, (size_t)size, uuid);
	free(data);
	if (fd >= 0)
		close(fd);
	return disk;
}

static struct virtio *create_virtio(struct vm *vm, const struct plan_virtio *virtio)
{
	const struct disk_config *disk_config;
	struct disk *disk;
	struct nic *nic;

	switch (virtio->kind) {
	case PLAN_DISK:
		disk_config = plan_disk(vm->plan, virtio->index);
		disk = disk_open(disk_config);
		return disk ? virtio_blk_create(&vm->host, disk, disk_config->id)
		            : NULL;
	case PLAN_DATA:
		disk = open_data(vm->plan);
		return disk ? virtio_blk_create(&vm->host, disk, "cidata") : NULL;
	case PLAN_NIC:
		nic = vm->nics[virtio->index];
		vm->nics[virtio->index] = NULL;
		return virtio_net_create(&vm->host, nic);
	case PLAN_RNG:
		return virtio_rng_create(&vm->host);
	case PLAN_CONSOLE:
		return virtio_console_create(&vm->host, vm->console);
	case PLAN_BUTTON:
		vm->button = virtio_input_create(&vm->host);
		return vm->button;
	}
	return NULL;
}

static_assert((int)PLAN_PCI_MEMORY == (int)VIRTIO_PCI_MEMORY, "as planned");
static_assert((int)PLAN_PCI_PORTS == (int)VIRTIO_PCI_PORTS, "as planned");

static int add_virtio_pci(
        struct vm *vm, struct virtio *virtio, const struct plan_virtio *place)
{
	const uint32_t bases[PCI_BARS] = {place->ports, place->base};
	struct pci_function *function =
	        virtio ? virtio_pci_create(&vm->host, virtio, place->gsi) : NULL;
	int error = vm_add_device(vm, function ? function->device : NULL);

	return error ? error : pci_add(vm->pci, place->slot, function, bases);
}

static int add_virtio_mmio(
        struct vm *vm, struct virtio *virtio, const struct plan_virtio *place)
{
	struct device *device =
	        virtio ? virtio_mmio_create(&vm->host, virtio, place->gsi) : NULL;
	int error = vm_add_device(vm, device);

	return error ? error : vm_add_mmio(vm, device, place->base, place->size, 0);
}

static int add_virtio(struct vm *vm)
{
	for (unsigned i = 0; i < vm->plan->virtio_count; i++) {
		const struct plan_virtio *place = &vm->plan->virtio[i];
		struct virtio *virtio = create_virtio(vm, place);
		int error = place->slot ? add_virtio_pci(vm, virtio, place)
		                        : add_virtio_mmio(vm, virtio, place);

		if (error)
			return error;
	}
	return 0;
}

/* Each is an open file, and shells start programs with 1024 of them although more may be. */
static void make_room_for_vcpus(unsigned count)
{
	struct rlimit files;
	rlim_t wanted = count + FILES;

	if (count == 1 || getrlimit(RLIMIT_NOFILE, &files) < 0 ||
	        files.rlim_cur >= wanted)
		return;
	files.rlim_cur = files.rlim_max < wanted ? files.rlim_max : wanted;
	setrlimit(RLIMIT_NOFILE, &files);
}

static int add_vcpus(struct vm *vm)
{
	unsigned count = vm->plan->config->cpus;
	int most =
	        count > 1 ? ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS) : 1;

	if (most > 0 && count > (unsigned)most)
		return log_error(-EINVAL,
		        "--cpus: %u is more than the %d of this host's KVM", count,
		        most);
	vm->vcpus = calloc(count, sizeof(*vm->vcpus));
	if (!vm->vcpus)
		return log_error(-ENOMEM, "out of memory");
	make_room_for_vcpus(count);
	for (; vm->vcpu_count < count; vm->vcpu_count++) {
		int error = vcpu_create(&vm->vcpus[vm->vcpu_count], vm, vm->vcpu_count);

		if (error)
			return error;
	}
	return 0;
}

static int load_image(struct vm *vm)
{
	struct boot_machine_info machine = {
	        .regions = vm->plan->regions,
	        .region_count = vm->plan->region_count,
	        .cmdline = vm->plan->cmdline,
	};
	int error = arch_tables(vm, &machine);

	if (!error)
		error = boot_load(&vm->plan->source, &vm->memory, &machine, &vm->image);
	return error ? error : arch_boot(vm);
}

static int add_console(struct vm *vm)
{
	if (vm->plan->config->console == CONSOLE_NONE)
		return 0;
	vm->console = console_create(vm->loop, vm->plan->needs.console_input, quit, vm);
	return vm->console ? 0 : -ENOMEM;
}

int vm_build(struct vm *vm, const struct plan *plan, struct timeline *timeline)
{
	static const struct {
		int (*run)(struct vm *vm);
		const char *phase;
	} steps[] = {
	        {open_nics, "network"},
	        {open_kvm, "kvm"},
	        {add_memory, "memory"},
	        {arch_vm_create, "interrupts"},
	        {add_console, "console"},
	        {arch_add_platform, "platform"},
	        {add_vcpus, "vcpus"},
	        {add_virtio, "virtio"},
	        {load_image, "load"},
	};
	int error;

	*vm = (struct vm){
	        .host = {.memory = &vm->memory,
	                .set_irq = host_set_irq,
	                .send_msi = host_send_msi,
	                .map = host_map,
	                .unmap = host_unmap,
	                .request = host_request,
	                .mark = host_mark,
	                .wait = host_wait},
	        .plan = plan,
	        .timeline = timeline,
	        .kvm_fd = -1,
	        .fd = -1,
	};
	pthread_mutex_init(&vm->lock, NULL);
	signals_install();
	vm->loop = vm->host.loop = loop_create();
	if (!vm->loop)
		return log_error(-ENOMEM, "out of memory");
	for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		error = steps[i].run(vm);
		if (error) {
			vm_destroy(vm);
			return error;
		}
		timeline_mark(timeline, steps[i].phase);
	}
	return 0;
}

void vm_destroy(struct vm *vm)
{
	if (vm->loop)
		loop_stop(vm->loop);
	while (vm->device_count)
		device_destroy(vm->devices[--vm->device_count]);
	for (unsigned i = 0; i < CONFIG_NICS; i++)
		nic_close(vm->nics[i]);
	console_destroy(vm->console);
	loop_destroy(vm->loop);
	/* Up to here guest memory was looked at, and vCPU 0's page is there. */
	signals_stop();
	/* The one that failed, too: the array was zeroed. */
	for (unsigned i = 0; vm->vcpus && i < vm->plan->config->cpus; i++)
		vcpu_destroy(&vm->vcpus[i]);
	free(vm->vcpus);
	arch_vm_destroy(vm);
	if (vm->fd >= 0)
		close(vm->fd);
	if (vm->kvm_fd >= 0)
		close(vm->kvm_fd);
	memory_destroy(&vm->memory);
	pthread_mutex_destroy(&vm->lock);
}
