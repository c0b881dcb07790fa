#include "vmm/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/arch.h"
#include "vmm/core.h"
#include "vmm/log.h"
#include "vmm/plan.h"
#include "vmm/vm.h"

enum { STATUS_ERROR = 1, STATUS_CRASH = 3, STATUS_SIGNAL = 128 };

static const char *const end_names[] = {
        [END_NONE] = "none",
        [END_POWEROFF] = "poweroff",
        [END_RESET] = "reboot",
        [END_EXIT] = "exit-port",
        [END_HALT] = "halt",
        [END_ABORT] = "abort",
        [END_PANIC] = "panic",
        [END_CRASH] = "crash",
        [END_QUIT] = "quit",
        [END_SIGNAL] = "signal",
        [END_ERROR] = "error",
};

static int exit_status(struct vm_result result)
{
	switch (result.end) {
	case END_EXIT:
	case END_HALT:
	case END_ABORT:
		return result.status & 0xff;
	case END_PANIC:
	case END_CRASH:
		return STATUS_CRASH;
	case END_SIGNAL:
		return STATUS_SIGNAL + result.status;
	case END_NONE:
	case END_ERROR:
		return STATUS_ERROR;
	default:
		return 0;
	}
}

/* The vCPU that wrote to pvpanic. */
static struct vcpu *panicked(struct vm *vm)
{
	unsigned i = vm->vcpu_count - 1;

	while (i && !pthread_equal(vm->vcpus[i].thread, vm->ender))
		i--;
	return &vm->vcpus[i];
}

static struct vm_result run_once(
        const struct plan *plan, struct timeline *timeline, struct core *core)
{
	struct vm_result result = {END_ERROR, 0};
	struct vm vm;

	if (vm_build(&vm, plan, timeline) < 0)
		return result;
	result = vm_run(&vm);
	if (result.end == END_PANIC) {
		log_error(0, "the guest's kernel panicked (pvpanic)");
		arch_dump(panicked(&vm));
	}
	if (result.end == END_PANIC || result.end == END_CRASH ||
	        result.end == END_ABORT)
		core_write(core, &vm);
	timeline_mark(timeline, "run to the end");
	vm_destroy(&vm);
	return result;
}

static void report(const struct config *config, const struct timeline *timeline,
        struct vm_result result)
{
	if (config->timeline && !config->json)
		timeline_draw(timeline, stderr);
	if (config->timeline_svg)
		timeline_svg(timeline, config->timeline_svg);
	if (config->json) {
		fprintf(stderr, "{\"status\":%d,\"source\":\"%s\",\"timeline\":",
		        exit_status(result), end_names[result.end]);
		timeline_json(timeline, stderr);
		fputs("}\n", stderr);
	}
}

/* The picture comes last; that it cannot be written is said before a guest has run. */
static int check_svg(const char *path)
{
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666) : -1;

	if (path && fd < 0)
		return log_error(-errno, "--timeline: cannot write '%s': %s", path,
		        strerror(errno));
	if (path)
		close(fd);
	return 0;
}

int run_vm(const struct config *config)
{
	struct timeline timeline = {0};
	struct vm_result result = {END_ERROR, 0};
	struct core core;
	struct plan plan;

	if (check_svg(config->timeline_svg) < 0 || core_open(&core, config->core) < 0)
		return STATUS_ERROR;
	if (config->timeline || config->json)
		timeline_start(&timeline);
	timeline_mark(&timeline, "start, options");
	if (plan_create(&plan, config, &timeline) == 0 && arch_check_host(&plan) == 0) {
		timeline_mark(&timeline, "plan");
		do
			result = run_once(&plan, &timeline, &core);
		while (result.end == END_RESET && config->restart);
	}
	plan_destroy(&plan);
	core_close(&core);
	report(config, &timeline, result);
	return exit_status(result);
}

int run_dry(const struct config *config)
{
	struct plan plan;
	struct timeline off = {0};
	int error = plan_create(&plan, config, &off);

	if (!error && config->json)
		plan_print_json(&plan);
	else if (!error)
		plan_print(&plan);
	plan_destroy(&plan);
	return error ? STATUS_ERROR : 0;
}
