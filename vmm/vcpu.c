#include "vmm/vcpu.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/arch.h"
#include "vmm/log.h"
#include "vmm/signals.h"
#include "vmm/vm.h"

int vcpu_create(struct vcpu *vcpu, struct vm *vm, unsigned index)
{
	*vcpu = (struct vcpu){.vm = vm, .index = index, .run = MAP_FAILED};
	vcpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)index);
	if (vcpu->fd < 0)
		return log_error(-errno, "--cpus: KVM cannot create CPU %u: %s%s",
		        index, strerror(errno),
		        errno == EMFILE ? "; raise 'ulimit -n' or give less" : "");
	vcpu->run_size = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	vcpu->run = mmap(
	        NULL, vcpu->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED)
		return log_error(
		        -errno, "kvm: cannot map CPU %u: %s", index, strerror(errno));
	return arch_vcpu_init(vcpu);
}

void vcpu_destroy(struct vcpu *vcpu)
{
	if (!vcpu->vm)
		return;
	if (vcpu->run != MAP_FAILED)
		munmap(vcpu->run, vcpu->run_size);
	if (vcpu->fd >= 0)
		close(vcpu->fd);
	vcpu->vm = NULL;
}

static void port_io(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	char *data = (char *)run + run->io.data_offset;

	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size)
		if (run->io.direction == KVM_EXIT_IO_OUT)
			bus_write(&vcpu->vm->ports, run->io.port, data, run->io.size);
		else
			bus_read(&vcpu->vm->ports, run->io.port, data, run->io.size);
}

/* Sleeps if the access just made has to wait; whether it is then to be made again. */
static bool access_again(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;

	if (!vm->wait.wanted)
		return false;
	vm->wait.wanted = false;
	signals_poll(vm->wait.fds, vm->wait.count, vm->wait.deadline_ns,
	        &vcpu->run->immediate_exit);
	if (vcpu->run->immediate_exit) {
		__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
		vm_interrupted(vm);
	}
	return !atomic_load(&vm->stopping);
}

static void memory_io(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	if (run->mmio.is_write)
		bus_write(&vcpu->vm->mmio, run->mmio.phys_addr, run->mmio.data,
		        run->mmio.len);
	else
		bus_read(&vcpu->vm->mmio, run->mmio.phys_addr, run->mmio.data,
		        run->mmio.len);
}

static void crash(struct vcpu *vcpu, const char *what, const char *meaning)
{
	log_error(0, "CPU %u: %s: %s", vcpu->index, what, meaning);
	arch_dump(vcpu);
	vm_end(vcpu->vm, END_CRASH, 0);
}

static void handle_exit(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct vm *vm = vcpu->vm;
	char what[64];

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		do
			port_io(vcpu);
		while (access_again(vcpu));
		return;
	case KVM_EXIT_MMIO:
		return memory_io(vcpu);
	case KVM_EXIT_SHUTDOWN:
		if (vm->plan->triple_fault_resets)
			return vm_end(vm, END_RESET, 0);
		return crash(vcpu, "triple fault",
		        "an exception could not be delivered; usually a jump through a "
		        "bad pointer or no stack, before an IDT was loaded");
	case KVM_EXIT_INTERNAL_ERROR:
		snprintf(what, sizeof(what), "KVM internal error, suberror %u",
		        run->internal.suberror);
		return crash(vcpu, what,
		        "usually an instruction that this KVM cannot emulate, or a "
		        "jump to where no memory is");
	case KVM_EXIT_FAIL_ENTRY:
		snprintf(what, sizeof(what), "entry failed, hardware reason %#llx",
		        (unsigned long long)
		                run->fail_entry.hardware_entry_failure_reason);
		return crash(vcpu, what, "the CPU refuses this register state");
	case KVM_EXIT_SYSTEM_EVENT:
		if (arch_exit(vcpu, run))
			return;
		switch (run->system_event.type) {
		case KVM_SYSTEM_EVENT_SHUTDOWN:
			return vm_end(vm, END_POWEROFF, 0);
		case KVM_SYSTEM_EVENT_RESET:
			return vm_end(vm, END_RESET, 0);
		}
		break;
	case KVM_EXIT_INTR:
		return;
	}
	if (arch_exit(vcpu, run))
		return;
	snprintf(what, sizeof(what), "unknown exit %u of KVM_RUN", run->exit_reason);
	crash(vcpu, what, "this Mayfly does not know it");
}

void vcpu_run(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	struct kvm_run *run = vcpu->run;

	while (!atomic_load(&vm->stopping)) {
		if (ioctl(vcpu->fd, KVM_RUN, 0) == 0) {
			handle_exit(vcpu);
			continue;
		}
		switch (errno) {
		case EINTR:
			/*
			 * Before `stopping` is looked at again, in the one order of
			 * both that all threads see: vm_end() sets it, then kicks.
			 */
			__atomic_store_n(&run->immediate_exit, 0, __ATOMIC_SEQ_CST);
			/*
			 * It may be that we were stopped meanwhile, by Ctrl-A z or
			 * SIGSTOP: the guest's watchdogs must not take that for a hang.
			 * Without a KVM clock it fails, and there is nobody to tell.
			 */
			ioctl(vcpu->fd, KVM_KVMCLOCK_CTRL, 0);
			if (!vcpu->index)
				vm_interrupted(vm);
			break;
		case EAGAIN: /* a CPU that the guest has not started yet */
			break;
		case EFAULT:
			log_error(-EFAULT,
			        "CPU %u: the host could not supply guest memory: out "
			        "of memory, or a file of the image was cut short",
			        vcpu->index);
			arch_dump(vcpu);
			vm_end(vm, END_ERROR, 0);
			break;
		case EOPNOTSUPP:
			if (!arch_trap(vcpu))
				crash(vcpu, "KVM cannot go on",
				        "usually a jump to where no memory is, or an "
				        "unusual instruction for a device");
			break;
		default:
			log_error(-errno, "CPU %u: KVM_RUN failed: %s", vcpu->index,
			        strerror(errno));
			vm_end(vm, END_ERROR, 0);
		}
	}
}

static void *run_thread(void *vcpu)
{
	vcpu_run(vcpu);
	return NULL;
}

int vcpu_start(struct vcpu *vcpu)
{
	sigset_t old;
	int error;

	signals_block(&old);
	error = pthread_create(&vcpu->thread, NULL, run_thread, vcpu);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (error)
		return log_error(-error, "--cpus: no thread for CPU %u: %s",
		        vcpu->index, strerror(error));
	vcpu->threaded = true;
	return 0;
}

void vcpu_join(struct vcpu *vcpu)
{
	if (!vcpu->threaded)
		return;
	vcpu_kick(vcpu);
	pthread_join(vcpu->thread, NULL);
	vcpu->threaded = false;
}

void vcpu_kick(struct vcpu *vcpu)
{
	/* First the flag: a signal that comes before KVM_RUN would be lost without it. */
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	pthread_kill(vcpu->thread, SIGUSR1);
}
