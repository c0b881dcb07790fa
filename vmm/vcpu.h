/*
 * One virtual CPU: its KVM fd, its run page and the thread that runs it.
 *
 * vCPU 0 runs on the thread that calls vm_run(), the others on threads of their own.
 * A vCPU is taken out of KVM_RUN by a signal together with immediate_exit, which closes
 * the gap between looking at the VM's state and entering the guest.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kvm_run;
struct vm;

struct vcpu {
	struct vm *vm;
	unsigned index;
	int fd;
	struct kvm_run *run;
	size_t run_size;
	pthread_t thread;
	bool threaded; /* `thread` exists and must be joined */
};

/* Creates vCPU `index` of `vm`; arch_vcpu_init() completes it. Logs. */
int vcpu_create(struct vcpu *vcpu, struct vm *vm, unsigned index);
void vcpu_destroy(struct vcpu *vcpu); /* takes a half-made or zeroed one */

/* Runs until the VM stops. */
void vcpu_run(struct vcpu *vcpu);
int vcpu_start(struct vcpu *vcpu); /* vcpu_run() on a thread of its own */
/* Once the VM is stopping. */
void vcpu_join(struct vcpu *vcpu);

/* Makes KVM_RUN return soon, from any thread. */
void vcpu_kick(struct vcpu *vcpu);
