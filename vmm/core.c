#include "vmm/core.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/procfs.h>
#include <unistd.h>

#include "vmm/arch.h"
#include "vmm/log.h"
#include "vmm/vm.h"

enum { PAGE = 4096, BATCH = 512 };

/* Linux, Documentation/admin-guide/mm/pagemap.rst: swapped, or present. */
static const uint64_t page_exists = UINT64_C(3) << 62;

/* NT_PRSTATUS as Linux writes it: the owner "CORE" takes 8 bytes. */
struct status {
	Elf64_Nhdr note;
	char owner[8];
	prstatus_t data;
} __attribute__((packed, aligned(4)));

int core_open(struct core *core, const char *path)
{
	*core = (struct core){.path = path, .fd = -1};
	if (!path)
		return 0;
	core->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	core->created = core->fd >= 0;
	if (core->fd < 0 && errno == EEXIST)
		core->fd = open(path, O_WRONLY | O_CLOEXEC);
	if (core->fd < 0)
		return log_error(
		        -errno, "--core: cannot write '%s': %s", path, strerror(errno));
	return 0;
}

void core_close(struct core *core)
{
	if (core->fd < 0)
		return;
	close(core->fd);
	if (core->created)
		unlink(core->path);
}

static int put(const struct core *core, const void *data, size_t size, uint64_t offset)
{
	while (size) {
		ssize_t done = pwrite(core->fd, data, size, (off_t)offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done ? -errno : -EIO;
		data = (const char *)data + done;
		size -= (size_t)done;
		offset += (uint64_t)done;
	}
	return 0;
}

static int put_status(const struct core *core, struct vcpu *vcpu, uint64_t offset)
{
	struct status status = {
	        .note = {.n_namesz = sizeof("CORE"),
	                .n_descsz = sizeof(status.data),
	                .n_type = NT_PRSTATUS},
	        .owner = "CORE",
	};
	prstatus_t data = {.pr_pid = (pid_t)vcpu->index + 1};
	int error = arch_core_registers(vcpu, &data.pr_reg);

	if (error)
		return error;
	status.data = data;
	return put(core, &status, sizeof(status), offset);
}

/* The image may be mapped from its file, and then is there without having been touched. */
static bool is_image(const struct boot_image *image, uint64_t guest)
{
	return guest + PAGE > image->kernel_start && guest < image->kernel_end;
}

static bool is_zero(const char *page)
{
	return !page[0] && !memcmp(page, page + 1, PAGE - 1);
}

static int put_range(const struct core *core, const struct vm *vm,
        const struct memory_range *range, int pagemap, uint64_t offset)
{
	const uint64_t pages = range->size / PAGE;
	const uint64_t first = (uintptr_t)range->host / PAGE;
	uint64_t map[BATCH];
	int error = 0;

	for (uint64_t at = 0; at < pages && !error; at += BATCH) {
		uint64_t count = pages - at < BATCH ? pages - at : BATCH;

		/* Without the map, all pages are looked at. */
		if (pread(pagemap, map, count * sizeof(*map),
		            (off_t)((first + at) * sizeof(*map))) !=
		        (ssize_t)(count * sizeof(*map)))
			memset(map, 0xff, sizeof(map));
		for (uint64_t i = 0; i < count && !error; i++) {
			uint64_t place = (at + i) * PAGE;
			const char *page = (const char *)range->host + place;

			if (!(map[i] & page_exists) &&
			        !is_image(&vm->image, range->guest + place))
				continue;
			if (!is_zero(page))
				error = put(core, page, PAGE, offset + place);
		}
	}
	return error;
}

static int put_memory(const struct core *core, const struct vm *vm, uint64_t offset)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), error = 0;

	for (unsigned i = 0; i < vm->memory.count && !error; i++) {
		error = put_range(core, vm, &vm->memory.ranges[i], pagemap, offset);
		offset += vm->memory.ranges[i].size;
	}
	if (!error && ftruncate(core->fd, (off_t)offset) < 0)
		error = -errno;
	if (pagemap >= 0)
		close(pagemap);
	return error;
}

static int put_all(const struct core *core, struct vm *vm)
{
	struct {
		Elf64_Ehdr header;
		Elf64_Phdr segments[1 + MEMORY_RANGES];
	} elf = {
	        .header =
	                {
	                        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3,
	                                ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
	                        .e_type = ET_CORE,
	                        .e_machine = arch_layout.machine,
	                        .e_version = EV_CURRENT,
	                        .e_phoff = sizeof(Elf64_Ehdr),
	                        .e_ehsize = sizeof(Elf64_Ehdr),
	                        .e_phentsize = sizeof(Elf64_Phdr),
	                        .e_phnum = (Elf64_Half)(1 + vm->memory.count),
	                },
	        .segments[0] =
	                {
	                        .p_type = PT_NOTE,
	                        .p_offset = sizeof(elf),
	                        .p_filesz = vm->vcpu_count * sizeof(struct status),
	                        .p_align = 4,
	                },
	};
	const uint64_t notes = sizeof(elf);
	const uint64_t memory =
	        (notes + elf.segments[0].p_filesz + PAGE - 1) & -(uint64_t)PAGE;
	uint64_t offset = memory;
	int error = 0;

	for (unsigned i = 0; i < vm->memory.count; i++) {
		const struct memory_range *range = &vm->memory.ranges[i];

		elf.segments[1 + i] = (Elf64_Phdr){
		        .p_type = PT_LOAD,
		        .p_flags = PF_R | PF_W | PF_X,
		        .p_offset = offset,
		        .p_vaddr = range->guest,
		        .p_paddr = range->guest,
		        .p_filesz = range->size,
		        .p_memsz = range->size,
		        .p_align = PAGE,
		};
		offset += range->size;
	}
	/* Whatever stood there before: holes must be zero. */
	if (ftruncate(core->fd, 0) < 0)
		return -errno;
	error = put(core, &elf, sizeof(elf), 0);
	for (unsigned i = 0; i < vm->vcpu_count && !error; i++)
		error = put_status(
		        core, &vm->vcpus[i], notes + i * sizeof(struct status));
	return error ? error : put_memory(core, vm, memory);
}

void core_write(struct core *core, struct vm *vm)
{
	int error;

	if (core->fd < 0)
		return;
	error = put_all(core, vm);
	core->created = false;
	if (error)
		log_error(error, "--core: '%s' is incomplete: %s", core->path,
		        strerror(-error));
	else
		log_warn("--core: the guest's memory and registers are in '%s'",
		        core->path);
}
