#include "riscv/isa.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "riscv/machine.h"
#include "vmm/log.h"

/*
 * In the order of Linux's Documentation/devicetree/bindings/riscv/extensions.yaml for the
 * single letters (Unprivileged ISA, 27.11), then by name. What a newer KVM has beyond
 * these is not told, and so not used.
 */
static const struct {
	const char *name;
	unsigned number;
} extensions[] = {
        {"i", KVM_RISCV_ISA_EXT_I},
        {"m", KVM_RISCV_ISA_EXT_M},
        {"a", KVM_RISCV_ISA_EXT_A},
        {"f", KVM_RISCV_ISA_EXT_F},
        {"d", KVM_RISCV_ISA_EXT_D},
        {"c", KVM_RISCV_ISA_EXT_C},
        {"v", KVM_RISCV_ISA_EXT_V},
        {"h", KVM_RISCV_ISA_EXT_H},
        {"smstateen", KVM_RISCV_ISA_EXT_SMSTATEEN},
        {"ssaia", KVM_RISCV_ISA_EXT_SSAIA},
        {"sscofpmf", KVM_RISCV_ISA_EXT_SSCOFPMF},
        {"sstc", KVM_RISCV_ISA_EXT_SSTC},
        {"svinval", KVM_RISCV_ISA_EXT_SVINVAL},
        {"svnapot", KVM_RISCV_ISA_EXT_SVNAPOT},
        {"svpbmt", KVM_RISCV_ISA_EXT_SVPBMT},
        {"zacas", KVM_RISCV_ISA_EXT_ZACAS},
        {"zawrs", KVM_RISCV_ISA_EXT_ZAWRS},
        {"zba", KVM_RISCV_ISA_EXT_ZBA},
        {"zbb", KVM_RISCV_ISA_EXT_ZBB},
        {"zbc", KVM_RISCV_ISA_EXT_ZBC},
        {"zbkb", KVM_RISCV_ISA_EXT_ZBKB},
        {"zbkc", KVM_RISCV_ISA_EXT_ZBKC},
        {"zbkx", KVM_RISCV_ISA_EXT_ZBKX},
        {"zbs", KVM_RISCV_ISA_EXT_ZBS},
        {"zca", KVM_RISCV_ISA_EXT_ZCA},
        {"zcb", KVM_RISCV_ISA_EXT_ZCB},
        {"zcd", KVM_RISCV_ISA_EXT_ZCD},
        {"zcf", KVM_RISCV_ISA_EXT_ZCF},
        {"zcmop", KVM_RISCV_ISA_EXT_ZCMOP},
        {"zfa", KVM_RISCV_ISA_EXT_ZFA},
        {"zfh", KVM_RISCV_ISA_EXT_ZFH},
        {"zfhmin", KVM_RISCV_ISA_EXT_ZFHMIN},
        {"zicbom", KVM_RISCV_ISA_EXT_ZICBOM},
        {"zicboz", KVM_RISCV_ISA_EXT_ZICBOZ},
        {"zicntr", KVM_RISCV_ISA_EXT_ZICNTR},
        {"zicond", KVM_RISCV_ISA_EXT_ZICOND},
        {"zicsr", KVM_RISCV_ISA_EXT_ZICSR},
        {"zifencei", KVM_RISCV_ISA_EXT_ZIFENCEI},
        {"zihintntl", KVM_RISCV_ISA_EXT_ZIHINTNTL},
        {"zihintpause", KVM_RISCV_ISA_EXT_ZIHINTPAUSE},
        {"zihpm", KVM_RISCV_ISA_EXT_ZIHPM},
        {"zimop", KVM_RISCV_ISA_EXT_ZIMOP},
        {"zknd", KVM_RISCV_ISA_EXT_ZKND},
        {"zkne", KVM_RISCV_ISA_EXT_ZKNE},
        {"zknh", KVM_RISCV_ISA_EXT_ZKNH},
        {"zkr", KVM_RISCV_ISA_EXT_ZKR},
        {"zksed", KVM_RISCV_ISA_EXT_ZKSED},
        {"zksh", KVM_RISCV_ISA_EXT_ZKSH},
        {"zkt", KVM_RISCV_ISA_EXT_ZKT},
        {"ztso", KVM_RISCV_ISA_EXT_ZTSO},
        {"zvbb", KVM_RISCV_ISA_EXT_ZVBB},
        {"zvbc", KVM_RISCV_ISA_EXT_ZVBC},
        {"zvfh", KVM_RISCV_ISA_EXT_ZVFH},
        {"zvfhmin", KVM_RISCV_ISA_EXT_ZVFHMIN},
        {"zvkb", KVM_RISCV_ISA_EXT_ZVKB},
        {"zvkg", KVM_RISCV_ISA_EXT_ZVKG},
        {"zvkned", KVM_RISCV_ISA_EXT_ZVKNED},
        {"zvknha", KVM_RISCV_ISA_EXT_ZVKNHA},
        {"zvknhb", KVM_RISCV_ISA_EXT_ZVKNHB},
        {"zvksed", KVM_RISCV_ISA_EXT_ZVKSED},
        {"zvksh", KVM_RISCV_ISA_EXT_ZVKSH},
        {"zvkt", KVM_RISCV_ISA_EXT_ZVKT},
};
enum { EXTENSIONS = sizeof(extensions) / sizeof(extensions[0]) };

static bool has(const struct isa *isa, unsigned number)
{
	return isa->extensions[number / 64] >> number % 64 & 1;
}

/* KVM before 6.6 has no sets, and is asked for each. */
static int extensions_fetch(struct isa *isa, const struct vcpu *vcpu)
{
	uint64_t value;
	int error = 0;

	for (unsigned i = 0; i <= (KVM_RISCV_ISA_EXT_MAX - 1) / 64 && !error; i++)
		error = register_get(vcpu,
		        KVM_REG_RISCV_ISA_EXT | KVM_REG_RISCV_ISA_MULTI_EN, i,
		        &isa->extensions[i]);
	if (!error)
		return 0;
	memset(isa->extensions, 0, sizeof(isa->extensions));
	for (unsigned i = 0; i < EXTENSIONS; i++) {
		unsigned number = extensions[i].number;

		if (!register_get(vcpu, KVM_REG_RISCV_ISA_EXT, number, &value) && value)
			isa->extensions[number / 64] |= UINT64_C(1) << number % 64;
	}
	return has(isa, KVM_RISCV_ISA_EXT_I) ? 0 : error;
}

int isa_fetch(struct isa *isa, const struct vcpu *vcpu)
{
	int error;

	*isa = (struct isa){0};
	error = extensions_fetch(isa, vcpu);
	if (!error)
		error = register_get(vcpu, KVM_REG_RISCV_TIMER,
		        KVM_REG_RISCV_TIMER_REG(frequency), &isa->timebase_hz);
	if (error)
		return log_error(error, "kvm: cannot read what a CPU is able to do: %s",
		        strerror(-error));
	/* These may be missing, from KVM or from the CPU. */
	register_get(vcpu, KVM_REG_RISCV_CONFIG, KVM_REG_RISCV_CONFIG_REG(satp_mode),
	        &isa->satp_mode);
	if (has(isa, KVM_RISCV_ISA_EXT_ZICBOM))
		register_get(vcpu, KVM_REG_RISCV_CONFIG,
		        KVM_REG_RISCV_CONFIG_REG(zicbom_block_size), &isa->cbom_size);
	if (has(isa, KVM_RISCV_ISA_EXT_ZICBOZ))
		register_get(vcpu, KVM_REG_RISCV_CONFIG,
		        KVM_REG_RISCV_CONFIG_REG(zicboz_block_size), &isa->cboz_size);
	return 0;
}

void isa_string(const struct isa *isa, char text[ISA_TEXT])
{
	size_t size = 4;

	memcpy(text, "rv64", size + 1);
	for (unsigned i = 0; i < EXTENSIONS; i++)
		if (has(isa, extensions[i].number))
			size += (size_t)snprintf(text + size, ISA_TEXT - size, "%s%s",
			        extensions[i].name[1] ? "_" : "", extensions[i].name);
}

size_t isa_list(const struct isa *isa, char text[ISA_TEXT])
{
	size_t size = 0;

	for (unsigned i = 0; i < EXTENSIONS; i++)
		if (has(isa, extensions[i].number))
			size += (size_t)snprintf(text + size, ISA_TEXT - size, "%s",
			                extensions[i].name) +
			        1;
	return size;
}

const char *isa_mmu(const struct isa *isa)
{
	switch (isa->satp_mode) {
	case 10:
		return "riscv,sv57";
	case 9:
		return "riscv,sv48";
	default:
		return "riscv,sv39";
	}
}
