/* Model-specific registers that firmware would have set before it starts a kernel. */
#pragma once

/* On every vCPU, after its CPUID. -Exxx (logged); what KVM refuses is left as it is. */
int msr_set_boot(int vcpu_fd);
