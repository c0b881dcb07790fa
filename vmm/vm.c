#include "vmm/vm.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>

#include "vmm/arch.h"
#include "vmm/log.h"
#include "vmm/loop.h"
#include "vmm/signals.h"

int vm_add_device(struct vm *vm, struct device *device)
{
	if (!device)
		return -ENOMEM;
	if (vm->device_count == VM_DEVICES) {
		device_destroy(device);
		return log_error(-ENOSPC, "more than %d devices", VM_DEVICES);
	}
	vm->devices[vm->device_count++] = device;
	return 0;
}

static int added(
        int error, const struct device *device, const char *space, uint64_t base)
{
	if (error)
		log_error(error, "%s: cannot be placed at %s %#llx: %s",
		        device->type->name, space, (unsigned long long)base,
		        strerror(-error));
	return error;
}

int vm_add_ports(struct vm *vm, struct device *device, uint64_t base, uint64_t size,
        unsigned window)
{
	return added(
	        bus_add(&vm->ports, base, size, device, window), device, "port", base);
}

int vm_add_mmio(struct vm *vm, struct device *device, uint64_t base, uint64_t size,
        unsigned window)
{
	return added(bus_add(&vm->mmio, base, size, device, window), device, "address",
	        base);
}

void vm_end(struct vm *vm, enum vm_end end, unsigned status)
{
	pthread_mutex_lock(&vm->lock);
	bool first = vm->result.end == END_NONE;
	if (first) {
		vm->result = (struct vm_result){end, status};
		vm->ender = pthread_self();
	}
	pthread_mutex_unlock(&vm->lock);
	if (!first)
		return;
	atomic_store(&vm->stopping, true);
	/* vCPU 0 then ends the others: vm_run(). */
	vcpu_kick(&vm->vcpus[0]);
}

static void grace_over(void *context)
{
	struct vm *vm = context;

	vm_end(vm, END_SIGNAL, vm->signal);
}

void vm_interrupted(struct vm *vm)
{
	int signal = signals_take();

	if (!signal || atomic_load(&vm->stopping))
		return;
	if (vm->signal || !arch_power_button(vm))
		return vm_end(vm, END_SIGNAL, signal);
	vm->signal = signal;
	log_info("signal %d: power button pressed, %llu ms of grace", signal,
	        (unsigned long long)vm->plan->config->grace_ns / 1000000);
	struct loop_timer *timer = loop_timer_create(vm->loop, grace_over, vm, NULL);
	if (!timer)
		return vm_end(vm, END_SIGNAL, signal);
	loop_timer_set(timer, loop_now_ns() + vm->plan->config->grace_ns);
}

struct vm_result vm_run(struct vm *vm)
{
	vm->vcpus[0].thread = pthread_self();
	signals_start(&vm->vcpus[0].run->immediate_exit, &vm->memory);
	if (loop_start(vm->loop) < 0)
		vm_end(vm, END_ERROR, 0);
	for (unsigned i = 1; i < vm->vcpu_count; i++)
		if (vcpu_start(&vm->vcpus[i]) < 0) {
			vm_end(vm, END_ERROR, 0);
			break;
		}
	timeline_mark(vm->timeline, "threads");
	vcpu_run(&vm->vcpus[0]);
	for (unsigned i = 1; i < vm->vcpu_count; i++)
		vcpu_join(&vm->vcpus[i]);
	loop_stop(vm->loop);
	/* What was asked to end does not start again by rebooting. */
	if (vm->signal && vm->result.end == END_RESET)
		vm->result = (struct vm_result){END_SIGNAL, vm->signal};
	return vm->result;
}
