#include "x86/msr.h"

#include "vmm/log.h"

#include <assert.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>

/*
 * Intel SDM volume 3, 12.11.2.1: MTRRs enabled, write-back where none says otherwise.
 * Without them Linux takes all of memory for uncacheable.
 */
enum { MSR_MTRR_DEF_TYPE = 0x2ff, MTRR_ENABLED_WRITE_BACK = 1 << 11 | 6 };

/* Volume 4, table 2-2. Without fast strings Linux gives up ERMS; the other bits that KVM
 * sets say what its PMU lacks. */
enum { MSR_MISC_ENABLE = 0x1a0, MISC_ENABLE_FAST_STRING = 1 << 0 };

/* A struct kvm_msrs of one; its own array has no size. */
struct msrs {
	uint32_t count;
	uint32_t padding;
	struct kvm_msr_entry entry;
};

static_assert(offsetof(struct msrs, entry) == offsetof(struct kvm_msrs, entries),
        "struct msrs is handed to KVM as struct kvm_msrs");

/* 1, 0 if this KVM does not know the register, or -Exxx (logged). */
static int access_msr(
        int vcpu_fd, unsigned long request, uint32_t index, uint64_t *value)
{
	struct msrs msrs = {.count = 1, .entry = {.index = index, .data = *value}};
	int done = ioctl(vcpu_fd, request, &msrs);

	if (done < 0)
		return log_error(
		        -errno, "msr: no access to %#x: %s", index, strerror(errno));
	*value = msrs.entry.data;
	return done;
}

int msr_set_boot(int vcpu_fd)
{
	uint64_t mtrr = MTRR_ENABLED_WRITE_BACK, misc = 0;
	int result = access_msr(vcpu_fd, KVM_SET_MSRS, MSR_MTRR_DEF_TYPE, &mtrr);

	if (result >= 0)
		result = access_msr(vcpu_fd, KVM_GET_MSRS, MSR_MISC_ENABLE, &misc);
	if (result > 0) {
		misc |= MISC_ENABLE_FAST_STRING;
		result = access_msr(vcpu_fd, KVM_SET_MSRS, MSR_MISC_ENABLE, &misc);
	}
	return result < 0 ? result : 0;
}
