/*
 * SBI calls that KVM hands on (RISC-V Supervisor Binary Interface Specification 2.0):
 * the debug console (chapter 12), the legacy console (5.2, 5.3), and whether there are
 * extensions that KVM knows nothing of (4.4). Everything else KVM answers itself, or ends the
 * VM with (system reset: vcpu.c).
 */

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/random.h>

#include "devices/console.h"
#include "devices/devices.h"
#include "riscv/machine.h"
#include "vmm/arch.h"
#include "vmm/log.h"
#include "vmm/vm.h"

enum {
	SBI_LEGACY_PUTCHAR = 1,
	SBI_LEGACY_GETCHAR = 2,
	SBI_BASE = 0x10,
	BASE_PROBE = 3,
	SBI_DBCN = 0x4442434e,
	DBCN_WRITE = 0,
	DBCN_READ = 1,
	DBCN_WRITE_BYTE = 2,
	DBCN_BYTES =
	        256, /* of one call: more would keep the hart from its interrupts */
};

enum { SBI_SUCCESS = 0, SBI_NOT_SUPPORTED = -2, SBI_INVALID_PARAM = -3 };

/* Chapter 10; Linux's own reboots say "no reason". */
enum { SRST_SYSTEM_FAILURE = 1 };

/* Zkr (Cryptography Extensions, scalar, 4.1): 16 fresh bits below a status. */
enum { CSR_SEED = 0x015 };
static const uint64_t seed_es16 = UINT64_C(2) << 30;

struct sbi_answer {
	long error;
	unsigned long value;
};

/*
 * KVM leaves the debug console off until it is asked for, and has none before 6.8. Where
 * virtio is the console it would take its number, hvc0.
 */
int sbi_enable(struct vcpu *vcpu)
{
	int error;

	if (vcpu->vm->plan->config->console != CONSOLE_SERIAL)
		return 0;
	error = register_set(vcpu, KVM_REG_RISCV_SBI_EXT, KVM_RISCV_SBI_EXT_DBCN, 1);
	return error == -ENOENT || error == -EINVAL ? 0 : error;
}

static void put(struct vm *vm, const void *data, size_t size)
{
	if (vm->console)
		console_write(vm->console, data, size);
}

static size_t take(struct vm *vm, void *data, size_t size)
{
	struct device *serial = vm->arch->serial;

	return serial ? serial_receive(serial, data, size) : 0;
}

/* 12.1, 12.2: a number of bytes, and in two words where they lie: all of it is to be RAM. */
static struct sbi_answer console_move(
        struct vm *vm, uint64_t function, const unsigned long *arguments)
{
	uint64_t size = arguments[0] < DBCN_BYTES ? arguments[0] : DBCN_BYTES;
	char *buffer = arguments[2]
	                       ? NULL
	                       : memory_at(&vm->memory, arguments[1], arguments[0]);
	char bytes[DBCN_BYTES];

	if (!size)
		return (struct sbi_answer){SBI_SUCCESS, 0};
	if (!buffer)
		return (struct sbi_answer){SBI_INVALID_PARAM, 0};
	if (function == DBCN_READ)
		return (struct sbi_answer){SBI_SUCCESS, take(vm, buffer, size)};
	memcpy(bytes, buffer, size);
	put(vm, bytes, size);
	return (struct sbi_answer){SBI_SUCCESS, size};
}

static struct sbi_answer debug_console(
        struct vm *vm, uint64_t function, const unsigned long *arguments)
{
	char byte = (char)arguments[0];

	switch (function) {
	case DBCN_WRITE:
	case DBCN_READ:
		return console_move(vm, function, arguments);
	case DBCN_WRITE_BYTE:
		put(vm, &byte, 1);
		return (struct sbi_answer){SBI_SUCCESS, 0};
	}
	return (struct sbi_answer){SBI_NOT_SUPPORTED, 0};
}

static void sbi_call(struct vcpu *vcpu)
{
	__typeof__(vcpu->run->riscv_sbi) *call = &vcpu->run->riscv_sbi;
	struct sbi_answer answer = {SBI_NOT_SUPPORTED, 0};
	unsigned char byte = (unsigned char)call->args[0];

	switch (call->extension_id) {
	case SBI_LEGACY_PUTCHAR:
		put(vcpu->vm, &byte, 1);
		answer.error = SBI_SUCCESS;
		break;
	case SBI_LEGACY_GETCHAR:
		/* The byte, or -1, is the whole answer. */
		answer.error = take(vcpu->vm, &byte, 1) ? byte : -1;
		break;
	case SBI_BASE:
		/* KVM asks about experimental and vendors' extensions: there are none. */
		if (call->function_id == BASE_PROBE)
			answer.error = SBI_SUCCESS;
		break;
	case SBI_DBCN:
		answer = debug_console(vcpu->vm, call->function_id, call->args);
		break;
	}
	call->ret[0] = (unsigned long)answer.error;
	call->ret[1] = answer.value;
}

static bool csr_access(struct vcpu *vcpu)
{
	uint16_t entropy;

	if (vcpu->run->riscv_csr.csr_num != CSR_SEED)
		return false;
	if (getrandom(&entropy, sizeof(entropy), GRND_NONBLOCK) != sizeof(entropy))
		vcpu->run->riscv_csr.ret_value = 0; /* BIST: ask again */
	else
		vcpu->run->riscv_csr.ret_value = seed_es16 | entropy;
	return true;
}

bool sbi_exit(struct vcpu *vcpu, const struct kvm_run *run)
{
	switch (run->exit_reason) {
	case KVM_EXIT_RISCV_SBI:
		sbi_call(vcpu);
		return true;
	case KVM_EXIT_RISCV_CSR:
		return csr_access(vcpu);
	case KVM_EXIT_SYSTEM_EVENT:
		/* Its reason comes along since 5.19. */
		if (!run->system_event.ndata ||
		        run->system_event.data[0] != SRST_SYSTEM_FAILURE)
			return false;
		log_error(0, "the guest ended with a system failure (SBI SRST)");
		arch_dump(vcpu);
		vm_end(vcpu->vm, END_CRASH, 0);
		return true;
	}
	return false;
}
