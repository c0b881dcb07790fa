#include "vmm/host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "vmm/arch.h"
#include "vmm/json.h"
#include "vmm/log.h"
#include "vmm/loop.h"
#include "vmm/text.h"

enum { NOTE_COLUMN = 18 };

void host_add(
        struct host *host, const char *name, const char *note, const char *format, ...)
{
	va_list values;

	if (host->count == HOST_FACTS)
		return;
	host->facts[host->count].name = name;
	host->facts[host->count].note = note;
	va_start(values, format);
	vsnprintf(host->facts[host->count++].value, HOST_TEXT, format, values);
	va_end(values);
}

/* The first word of a file, or false. */
static bool read_word(const char *path, char word[32])
{
	FILE *file = fopen(path, "re");
	bool found = file && fscanf(file, "%31s", word) == 1;

	if (file)
		fclose(file);
	return found;
}

static int create_vm(struct host *host)
{
	uint64_t start = loop_now_ns();

	host->vm_fd = ioctl(host->kvm_fd, KVM_CREATE_VM, 0UL);
	if (host->vm_fd < 0)
		return log_error(
		        -errno, "kvm: cannot create a VM: %s", strerror(errno));
	host_add(host, "vm_creation", NULL, "%llu us",
	        (unsigned long long)(loop_now_ns() - start) / 1000);
	return 0;
}

/*
 * Linux, Documentation/admin-guide/kernel-parameters.txt, kvm.nx_huge_pages: unless it is
 * "never", KVM starts a thread with each VM, which then joins the caller's cgroups; that
 * waits for a grace period of RCU, but where cgroups are mounted with favordynmods.
 */
static void add_huge_pages(struct host *host)
{
	char word[32];

	if (!read_word("/sys/module/kvm/parameters/nx_huge_pages", word))
		return;
	host_add(host, "nx_huge_pages",
	        strcmp(word, "never") != 0
	                ? "a thread is started with each VM, which may take "
	                  "milliseconds: where no guest is hostile or the CPU has no "
	                  "such erratum, "
	                  "load kvm with nx_huge_pages=never"
	                : NULL,
	        "%s", word);
}

static void add_cgroups(struct host *host)
{
	struct statfs status;
	bool unified = !statfs("/sys/fs/cgroup", &status) &&
	               status.f_type == CGROUP2_SUPER_MAGIC;

	host_add(host, "cgroups",
	        unified ? "if VMs are slow to create: mount -o remount,favordynmods "
	                  "/sys/fs/cgroup"
	                : NULL,
	        unified ? "v2" : "v1 or none");
}

static int gather(struct host *host)
{
	int error;

	host->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (host->kvm_fd < 0)
		return log_error(
		        -errno, "kvm: cannot open '/dev/kvm': %s", strerror(errno));
	host_add(host, "architecture", NULL, "%s", arch_layout.name);
	host_add(host, "kvm_api", NULL, "%d",
	        ioctl(host->kvm_fd, KVM_GET_API_VERSION, 0));
	error = create_vm(host);
	if (error)
		return error;
	host_add(host, "cpus_max", NULL, "%d",
	        ioctl(host->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS));
	arch_host(host);
	add_huge_pages(host);
	add_cgroups(host);
	return 0;
}

static void print_json(const struct host *host)
{
	for (unsigned i = 0; i < host->count; i++) {
		printf("%s\"%s\":{\"value\":", i ? "," : "{", host->facts[i].name);
		json_put_string(stdout, host->facts[i].value);
		fputs(",\"note\":", stdout);
		json_put_string(stdout, host->facts[i].note);
		putchar('}');
	}
	puts("}");
}

int inspect_host(bool json)
{
	struct host host = {.kvm_fd = -1, .vm_fd = -1};
	int error = gather(&host);

	if (!error && json)
		print_json(&host);
	for (unsigned i = 0; i < host.count && !error && !json; i++) {
		printf("%-15s %s\n", host.facts[i].name, host.facts[i].value);
		if (host.facts[i].note)
			text_print_wrapped(host.facts[i].note, NOTE_COLUMN, 0);
	}
	if (host.vm_fd >= 0)
		close(host.vm_fd);
	if (host.kvm_fd >= 0)
		close(host.kvm_fd);
	return error ? 1 : 0;
}
