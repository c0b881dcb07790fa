/*
 * The floor: the fewest KVM calls, in the best order, that run one instruction of a
 * guest. One slot of 64 MiB, a split irqchip, one vCPU; the guest writes a byte to the
 * timer port and that is the end. What any monitor takes more than this is its own cost.
 *
 * With an argument it prints CLOCK_MONOTONIC in ns at that exit, as `mayfly run --json`
 * does for the mark of that name.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

enum { RAM = 64 << 20, CODE = 0x1000, TIMER_PORT = 0xf8 };

int main(int argc, char **argv)
{
	static const unsigned char code[] = {0xe6, TIMER_PORT}; /* out %al, $0xf8 */
	struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args = {24}};
	struct kvm_userspace_memory_region slot = {.memory_size = RAM};
	struct kvm_regs regs = {.rip = CODE, .rflags = 2};
	struct kvm_sregs sregs;
	struct timespec now;
	char *ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE,
	        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm = ioctl(kvm, KVM_CREATE_VM, 0);

	if (ram == MAP_FAILED || vm < 0)
		return 1;
	slot.userspace_addr = (unsigned long)ram;
	for (unsigned i = 0; i < sizeof(code); i++)
		ram[CODE + i] = code[i];
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot) < 0 ||
	        ioctl(vm, KVM_ENABLE_CAP, &split) < 0)
		return 1;
	int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	struct kvm_run *run = mmap(NULL, ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0),
	        PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED || ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0)
		return 1;
	/* 32-bit protected mode without paging, as PVH enters. */
	sregs.cr0 |= 1;
	sregs.cs = (struct kvm_segment){.limit = 0xffffffff,
	        .selector = 8,
	        .type = 0xb,
	        .present = 1,
	        .s = 1,
	        .db = 1,
	        .g = 1};
	sregs.ds = sregs.es = sregs.ss = sregs.fs = sregs.gs =
	        (struct kvm_segment){.limit = 0xffffffff,
	                .selector = 16,
	                .type = 3,
	                .present = 1,
	                .s = 1,
	                .db = 1,
	                .g = 1};
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) < 0 ||
	        ioctl(vcpu, KVM_SET_REGS, &regs) < 0 || ioctl(vcpu, KVM_RUN, 0) < 0)
		return 1;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (run->exit_reason != KVM_EXIT_IO || run->io.port != TIMER_PORT)
		return 1;
	if (argc > 1 && argv[1])
		printf("guest entered %lld\n", now.tv_sec * 1000000000LL + now.tv_nsec);
	return 0;
}
