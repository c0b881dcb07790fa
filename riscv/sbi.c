/*
 * SBI calls that KVM hands on (RISC-V Supervisor Binary Interface Specification 2.0):
 * the debug console (chapter 12) and the legacy console (5.2, 5.3). Everything else KVM
 * answers itself, or ends the VM with (system reset: vcpu.c).
 */

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/random.h>

#include "devices/console.h"
#include "riscv/machine.h"
#include "vmm/arch.h"
#include "vmm/log.h"
#include "vmm/vm.h"

enum {
	SBI_LEGACY_PUTCHAR = 1,
	SBI_LEGACY_GETCHAR = 2,
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

static struct sbi_answer console_put(
        struct vm *vm, uint64_t size, uint64_t low, uint64_t high)
{
	char bytes[DBCN_BYTES];

	if (size > sizeof(bytes))
		size = sizeof(bytes);
	if (high || (size && memory_read(&vm->memory, low, bytes, size) < 0))
		return (struct sbi_answer){SBI_INVALID_PARAM, 0};
	put(vm, bytes, size);
	return (struct sbi_answer){SBI_SUCCESS, size};
}

/* Input comes by the serial port alone: here it is always empty, which is no error. */
static struct sbi_answer debug_console(
        struct vm *vm, uint64_t function, const unsigned long *arguments)
{
	char byte = (char)arguments[0];

	switch (function) {
	case DBCN_WRITE:
		return console_put(vm, arguments[0], arguments[1], arguments[2]);
	case DBCN_READ:
		return (struct sbi_answer){SBI_SUCCESS, 0};
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
	char byte = (char)call->args[0];

	switch (call->extension_id) {
	case SBI_LEGACY_PUTCHAR:
		put(vcpu->vm, &byte, 1);
		answer.error = SBI_SUCCESS;
		break;
	case SBI_LEGACY_GETCHAR:
		answer.error = -1; /* no input; it is the whole answer */
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
