#include "vmm/bench_work.h"

#include <arpa/inet.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <linux/magic.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "vmm/arch.h"
#include "vmm/bench.h"
#include "vmm/json.h"
#include "vmm/log.h"

/* Files of the folder. */

static FILE *create(const struct bench_work *work, const char *name, mode_t mode)
{
	char path[PATH_MAX + 64];
	FILE *file = NULL;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", work->folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd >= 0)
		file = fdopen(fd, "w");
	if (!file)
		log_error(0, "bench: cannot create '%s': %s", path, strerror(errno));
	return file;
}

static int finish(FILE *file)
{
	bool failed = ferror(file);

	if (fclose(file) || failed)
		return log_error(
		        -EIO, "bench: cannot write its files: %s", strerror(errno));
	return 0;
}

static int make_folder(const struct bench_work *work, const char *name)
{
	char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/%s", work->folder, name);
	if (mkdir(path, 0755) < 0)
		return log_error(
		        -errno, "bench: cannot create '%s': %s", path, strerror(errno));
	return 0;
}

/* The smallest process there is: one segment with headers and code (ELF-64, 4 and 5). */
static int write_hello(const struct bench_work *work)
{
	enum { BASE = 0x400000 };
	struct {
		Elf64_Ehdr header;
		Elf64_Phdr segment;
	} elf = {
	        .header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
	                           ELFDATA2LSB, EV_CURRENT},
	                .e_type = ET_EXEC,
	                .e_version = EV_CURRENT,
	                .e_entry = BASE + sizeof(elf),
	                .e_phoff = sizeof(elf.header),
	                .e_ehsize = sizeof(elf.header),
	                .e_phentsize = sizeof(elf.segment),
	                .e_phnum = 1},
	        .segment = {.p_type = PT_LOAD,
	                .p_flags = PF_R | PF_X,
	                .p_vaddr = BASE,
	                .p_align = 4096},
	};
	const void *code;
	unsigned machine;
	size_t size = arch_hello_process(&code, &machine);
	FILE *file = create(work, "rootfs/hello", 0755);

	if (!file)
		return -EIO;
	elf.header.e_machine = (Elf64_Half)machine;
	elf.segment.p_filesz = elf.segment.p_memsz = sizeof(elf) + size;
	fwrite(&elf, sizeof(elf), 1, file);
	fwrite(code, size, 1, file);
	return finish(file);
}

static int write_page(const struct bench_work *work)
{
	FILE *file = create(work, "rootfs/www/index.html", 0644);

	if (!file)
		return -EIO;
	fputs(BENCH_PAGE "\n", file);
	return finish(file);
}

static int copy(const char *from, FILE *to)
{
	FILE *file = fopen(from, "re");
	char buffer[16384];
	size_t size;

	if (!file)
		return -errno;
	while ((size = fread(buffer, 1, sizeof(buffer), file)))
		fwrite(buffer, 1, size, to);
	fclose(file);
	return 0;
}

static int write_busybox(const struct bench_work *work)
{
	FILE *file = create(work, "rootfs/busybox", 0755);
	int error;

	if (!file)
		return -EIO;
	error = copy(work->busybox, file);
	return finish(file) ? -EIO : error;
}

/*
 * What `runc spec` writes, less what a program without libraries can do without: the
 * same namespaces, no new privileges, a read-only root. An ordinary user needs a user
 * namespace in addition.
 */
static int write_bundle(struct bench_work *work, unsigned slot, bool http)
{
	char name[32];
	FILE *file = NULL;

	work_set_slot(work, slot);
	snprintf(name, sizeof(name), "bundle-%u", slot);
	if (!make_folder(work, name)) {
		snprintf(name, sizeof(name), "bundle-%u/config.json", slot);
		file = create(work, name, 0644);
	}
	if (!file)
		return -EIO;
	fputs("{\"ociVersion\":\"1.0.0\",\"process\":{\"user\":{\"uid\":0,\"gid\":0},"
	      "\"cwd\":\"/\",\"env\":[\"PATH=/\"],\"noNewPrivileges\":true,\"args\":[",
	        file);
	if (http)
		fprintf(file,
		        "\"/busybox\",\"httpd\",\"-f\",\"-p\",\"127.0.0.1:%s\","
		        "\"-h\",\"/www\"",
		        work->port_text);
	else
		fputs("\"/hello\"", file);
	fputs("]},\"root\":{\"readonly\":true,\"path\":", file);
	json_put_string(file, work->rootfs);
	fputs("},\"hostname\":\"bench\",\"mounts\":["
	      "{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},"
	      "{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\","
	      "\"options\":[\"nosuid\",\"mode=755\",\"size=65536k\"]}],"
	      "\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"ipc\"},"
	      "{\"type\":\"uts\"},{\"type\":\"mount\"}",
	        file);
	if (!http)
		fputs(",{\"type\":\"network\"}", file);
	if (geteuid() != 0)
		fputs(",{\"type\":\"user\"}", file);
	fputs("]", file);
	if (geteuid() != 0)
		fprintf(file,
		        ",\"uidMappings\":[{\"containerID\":0,\"hostID\":%u,\"size\":1}"
		        "],\"gidMappings\":[{\"containerID\":0,\"hostID\":%u,"
		        "\"size\":1}]",
		        geteuid(), getegid());
	fputs("}}\n", file);
	return finish(file);
}

static int write_firecracker(const struct bench_work *work)
{
	FILE *file = create(work, "firecracker.json", 0644);

	if (!file)
		return -EIO;
	fputs("{\"boot-source\":{\"kernel_image_path\":", file);
	json_put_string(file, work->hello);
	fputs(",\"boot_args\":\"\"},\"drives\":[],"
	      "\"machine-config\":{\"vcpu_count\":1,\"mem_size_mib\":128}}\n",
	        file);
	return finish(file);
}

/* One file of a cpio archive (Linux, driver-api/early-userspace/buffer-format.rst). */
static void put_cpio(FILE *to, const char *name, unsigned mode, size_t size)
{
	/* No hard links, so the inode number may be anything that differs. */
	const unsigned fields[13] = {(unsigned)ftell(to) + 1, mode, 0, 0, 1, 0,
	        (unsigned)size, 0, 0, 0, 0, (unsigned)strlen(name) + 1, 0};

	fputs("070701", to);
	for (unsigned i = 0; i < 13; i++)
		fprintf(to, "%08X", fields[i]);
	fwrite(name, strlen(name) + 1, 1, to);
	while (ftell(to) % 4)
		putc(0, to);
}

static void put_cpio_text(FILE *to, const char *name, unsigned mode, const char *text)
{
	put_cpio(to, name, mode, strlen(text));
	fputs(text, to);
	while (ftell(to) % 4)
		putc(0, to);
}

/* The task for a Linux guest: busybox does it. The address is what a user-mode network
 * publishes to. */
static int write_initrd(const struct bench_work *work, bool http)
{
	FILE *file = create(work, "initrd", 0644);
	struct stat busybox;
	int error;

	if (!file)
		return -EIO;
	put_cpio_text(file, "init", S_IFREG | 0755,
	        http ? "#!/busybox sh\n"
	               "/busybox ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up\n"
	               "exec /busybox httpd -f -p 80 -h /www\n"
	             : "#!/busybox sh\n"
	               "/busybox echo '" BENCH_LINE "'\n"
	               "/busybox reboot -f\n");
	put_cpio(file, "www", S_IFDIR | 0755, 0);
	put_cpio_text(file, "www/index.html", S_IFREG | 0644, BENCH_PAGE "\n");
	error = stat(work->busybox, &busybox) < 0 ? -errno : 0;
	if (!error) {
		put_cpio(file, "busybox", S_IFREG | 0755, (size_t)busybox.st_size);
		error = copy(work->busybox, file);
		while (ftell(file) % 4)
			putc(0, file);
	}
	put_cpio_text(file, "TRAILER!!!", 0, "");
	return finish(file) ? -EIO : error;
}

/* What is found. */

const char *work_with(const struct bench_config *config, const char *name)
{
	size_t size = strlen(name);

	for (unsigned i = 0; i < config->with_count; i++)
		if (strncmp(config->with[i], name, size) == 0 &&
		        config->with[i][size] == '=')
			return config->with[i] + size + 1;
	return NULL;
}

/* In an empty root there is no dynamic loader. */
static bool is_static(const char *path)
{
	FILE *file = fopen(path, "re");
	Elf64_Ehdr header;
	Elf64_Phdr segment;
	bool found = file && fread(&header, sizeof(header), 1, file) == 1 &&
	             memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 &&
	             header.e_phentsize == sizeof(segment) &&
	             fseek(file, (long)header.e_phoff, SEEK_SET) == 0;

	for (unsigned i = 0; found && i < header.e_phnum; i++)
		found = fread(&segment, sizeof(segment), 1, file) == 1 &&
		        segment.p_type != PT_INTERP;
	if (file)
		fclose(file);
	return found;
}

/* `given`, or `name` in the folder guests/ beside this program, or where `make install` puts
 * it; false: there is none. */
static bool guest_find(const struct bench_work *work, const char *given,
        const char *name, char path[PATH_MAX])
{
	static const char *const folders[] = {"guests", "../lib/mayfly/guests"};
	const char *slash = strrchr(work->mayfly, '/');

	if (given)
		return realpath(given, path) != NULL;
	for (unsigned i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		int size = snprintf(path, PATH_MAX, "%.*s%s/%s",
		        slash ? (int)(slash - work->mayfly + 1) : 0, work->mayfly,
		        folders[i], name);

		if (size < PATH_MAX && access(path, R_OK) == 0)
			return true;
	}
	return false;
}

/* A port of 127.0.0.1 where nobody listens, held by *fd until that is closed. */
static uint16_t port_find(int *fd)
{
	struct sockaddr_in address = {
	        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);

	*fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*fd < 0 || bind(*fd, (struct sockaddr *)&address, size) < 0 ||
	        getsockname(*fd, (struct sockaddr *)&address, &size) < 0)
		address.sin_port = 0;
	return ntohs(address.sin_port);
}

/* All are held until the last is found, or two could be the same. */
static void find_ports(struct bench_work *work, unsigned count)
{
	int fds[WORK_SLOTS];

	for (unsigned i = 0; i < count; i++)
		work->ports[i] = port_find(&fds[i]);
	for (unsigned i = 0; i < count; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/*
 * crun refuses a host with cgroup version 1 and a version 2 mount beside it. In a mount
 * namespace of our own, which all candidates share, that mount is gone; so no candidate
 * pays for a namespace that it did not ask for. Without privileges crun says itself why
 * it cannot run.
 */
static void leave_hybrid_cgroups(void)
{
	static const char groups[] = "/sys/fs/cgroup",
	                  unified[] = "/sys/fs/cgroup/unified";
	struct statfs found;

	if (statfs(unified, &found) < 0 || found.f_type != CGROUP2_SUPER_MAGIC ||
	        unshare(CLONE_NEWNS) < 0)
		return;
	/* Nothing of this, nor of what candidates mount, is for the host to see; in a chroot,
	 * / is no mount. */
	mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	if (mount(NULL, groups, NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	        umount2(unified, MNT_DETACH) < 0)
		log_info("bench: cannot unmount %s here: %s", unified, strerror(errno));
}

/* The table that commands are filled in from. */
static void set_places(struct bench_work *work, const struct bench_config *config,
        bool hello, bool http, bool busybox)
{
	static const char no_busybox[] =
	        "needs a static busybox (Debian: busybox-static)";
	bool web = config->task == TASK_HTTP;
	const struct place places[] = {
	        {"work", work->folder, NULL},
	        {"id", work->id, NULL},
	        {"port", web ? work->port_text : NULL, "{port} is for the task http"},
	        {"bundle", !web || busybox ? work->bundle : NULL, no_busybox},
	        {"rootfs", !web || busybox ? work->rootfs : NULL, no_busybox},
	        {"busybox", busybox ? work->busybox : NULL, no_busybox},
	        {"initrd", busybox ? work->initrd : NULL, no_busybox},
	        {"mayfly", work->mayfly, NULL},
	        {"hello", hello ? work->hello : NULL,
	                "no guests/hello beside mayfly: make guests, or --hello FILE"},
	        {"http", http ? work->http : NULL,
	                "no guests/http beside mayfly: make guests, or --http FILE"},
	        {"kernel", config->kernel, "needs --kernel FILE"},
	        {"hvt", config->hvt, "needs --hvt IMAGE"},
	        {0},
	};

	_Static_assert(sizeof(places) <= sizeof(work->places), "room for all places");
	memcpy(work->places, places, sizeof(places));
}

int work_create(struct bench_work *work, const struct bench_config *config)
{
	static const char *const folders[] = {
	        "rootfs", "rootfs/proc", "rootfs/dev", "rootfs/www"};
	const char *top = getenv("TMPDIR"), *with = work_with(config, "busybox");
	bool web = config->task == TASK_HTTP, busybox, hello, http;
	int error = 0;
	ssize_t size;

	*work = (struct bench_work){0};
	size = readlink("/proc/self/exe", work->mayfly, sizeof(work->mayfly) - 1);
	work->mayfly[size > 0 ? size : 0] = '\0';
	hello = guest_find(work, config->hello, "hello", work->hello);
	http = guest_find(work, config->http, "http", work->http);
	busybox = program_find(with ? with : "busybox", work->busybox,
	                  sizeof(work->busybox)) == 0 &&
	          is_static(work->busybox);
	if (web)
		find_ports(work, config->parallel);
	leave_hybrid_cgroups();
	snprintf(work->folder, sizeof(work->folder) - 64, "%s/mayfly-bench-XXXXXX",
	        top && *top ? top : "/tmp");
	if (!mkdtemp(work->folder)) {
		error = log_error(-errno, "bench: cannot create '%s': %s", work->folder,
		        strerror(errno));
		work->folder[0] = '\0';
		return error;
	}
	snprintf(work->initrd, sizeof(work->initrd), "%.4000s/initrd", work->folder);
	snprintf(work->rootfs, sizeof(work->rootfs), "%.4000s/rootfs", work->folder);
	for (unsigned i = 0; !error && i < sizeof(folders) / sizeof(folders[0]); i++)
		error = make_folder(work, folders[i]);
	if (!error)
		error = write_hello(work);
	if (!error)
		error = write_page(work);
	for (unsigned i = config->parallel; i-- && !error;)
		error = write_bundle(work, i, web);
	if (!error)
		error = write_firecracker(work);
	if (!error && busybox)
		error = write_busybox(work);
	if (!error && busybox)
		error = write_initrd(work, web);
	set_places(work, config, hello, http, busybox);
	if (error)
		work_destroy(work);
	return error;
}

void work_set_slot(struct bench_work *work, unsigned slot)
{
	snprintf(work->id, sizeof(work->id), "mayfly-bench-%d-%u", getpid(), slot);
	snprintf(work->port_text, sizeof(work->port_text), "%u", work->ports[slot]);
	snprintf(work->bundle, sizeof(work->bundle), "%.4000s/bundle-%u", work->folder,
	        slot);
}

static int remove_one(
        const char *path, const struct stat *stat_buffer, int type, struct FTW *walk)
{
	(void)stat_buffer, (void)type, (void)walk;
	remove(path);
	return 0;
}

/* A container that is ended while it is made leaves its control groups, which its runtime
 * does not know of yet. They are named after the container. */
static void remove_control_groups(void)
{
	static const char *const places[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/*"};

	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		char pattern[64];
		glob_t found;

		snprintf(pattern, sizeof(pattern), "%s/mayfly-bench-%d-*", places[i],
		        getpid());
		if (glob(pattern, GLOB_NOSORT, NULL, &found) == 0)
			for (size_t j = 0; j < found.gl_pathc; j++)
				rmdir(found.gl_pathv[j]);
		globfree(&found);
	}
}

void work_destroy(struct bench_work *work)
{
	/* FTW_MOUNT: what a candidate left mounted there is not ours to empty. */
	if (work->folder[0]) {
		nftw(work->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
		remove_control_groups();
	}
	work->folder[0] = '\0';
}
