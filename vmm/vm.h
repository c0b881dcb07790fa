/*
 * The virtual machine: everything that one guest consists of, and how it ends.
 *
 * vm_build() (build.c) makes it from a plan, in the order of life; vm_run() runs it to
 * its end on the calling thread; vm_destroy() takes whatever a failed build left.
 */
#pragma once

#include <stdatomic.h>

#include "vmm/bus.h"
#include "vmm/device.h"
#include "vmm/memory.h"
#include "vmm/plan.h"
#include "vmm/timeline.h"
#include "vmm/vcpu.h"

struct console;
struct nic;
struct arch_vm;

enum { VM_DEVICES = 48 };

/* Why a VM is over; the first reason counts. */
enum vm_end {
	END_NONE,
	END_POWEROFF,
	END_RESET,
	END_EXIT,   /* the guest's exit port */
	END_HALT,   /* hvt: the guest is done */
	END_ABORT,  /* hvt: the guest gave up */
	END_PANIC,  /* pvpanic */
	END_CRASH,  /* triple fault, KVM internal error */
	END_QUIT,   /* Ctrl-A x */
	END_SIGNAL, /* SIGINT, SIGTERM, ... */
	END_ERROR,  /* the host's fault */
};

struct vm_result {
	enum vm_end end;
	unsigned status; /* EXIT, HALT, ABORT: the guest's; SIGNAL: its number */
};

struct vm {
	struct device_host host; /* what the devices see of it */
	const struct plan *plan;
	struct timeline *timeline;
	int kvm_fd;
	int fd;
	struct memory memory;
	struct bus ports;
	struct bus mmio;
	struct device *pci;    /* the root; NULL: there is none */
	struct virtio *button; /* of power; NULL: none, or it is the architecture's */
	struct loop *loop;
	struct console *console;
	struct nic *nics[CONFIG_NICS]; /* opened, until their devices take them over */
	struct device *devices[VM_DEVICES]; /* in the order of creation */
	unsigned device_count;
	struct vcpu *vcpus;
	unsigned vcpu_count;
	struct boot_image image;
	struct arch_vm *arch; /* the architecture's own part */
	/* What vCPU 0's access waits for; its thread only. */
	struct {
		bool wanted;
		struct pollfd *fds;
		unsigned count;
		uint64_t deadline_ns;
	} wait;

	pthread_mutex_t lock; /* of `result` and `ender` */
	struct vm_result result;
	pthread_t ender;      /* the thread that decided it */
	int signal;           /* that pressed the power button; vCPU 0's thread only */
	atomic_bool stopping; /* vCPUs leave their loops */
};

/* build.c: a paused VM, or -Exxx (logged) with nothing left. */
int vm_build(struct vm *vm, const struct plan *plan, struct timeline *timeline);
void vm_destroy(struct vm *vm);

/* Runs the VM to its end. */
struct vm_result vm_run(struct vm *vm);

/* vCPU 0 came out of KVM_RUN for a signal. */
void vm_interrupted(struct vm *vm);

/* Ends the VM, from any thread; only the first call decides the result. */
void vm_end(struct vm *vm, enum vm_end end, unsigned status);

/* Takes over `device` (NULL: -ENOMEM), which vm_destroy() then destroys. */
int vm_add_device(struct vm *vm, struct device *device);
/* Its windows, with a message on failure. */
int vm_add_ports(struct vm *vm, struct device *device, uint64_t base, uint64_t size,
        unsigned window);
int vm_add_mmio(struct vm *vm, struct device *device, uint64_t base, uint64_t size,
        unsigned window);
