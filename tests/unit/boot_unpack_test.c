#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "boot/decode.h"
#include "boot/linux.h"
#include "tests/unit/boot_image.h"

enum {
	SETUP = 5 * 512,
	STUB = 2048,             /* before the payload, and behind the zero page */
	VMLINUX = (9 << 20) + 5, /* more than one block of LZ4's */
	ROOM = SETUP + STUB + VMLINUX + (1 << 16),
	TEXT = 0x1000, /* of the only segment */
};

/* A Linux, as far as its headers; half of it is zeros, and it has bytes behind its segment. */
static void vmlinux_fill(unsigned char *data, unsigned seed)
{
	struct {
		Elf64_Ehdr header;
		Elf64_Phdr load, note;
		Elf64_Nhdr salt;
		char name[8], text[8];
	} start = {
	        .header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1},
	                .e_type = ET_EXEC,
	                .e_machine = EM_X86_64,
	                .e_entry = 0x1000000,
	                .e_phoff = sizeof(Elf64_Ehdr),
	                .e_phentsize = sizeof(Elf64_Phdr),
	                .e_phnum = 2},
	        .load = {.p_type = PT_LOAD,
	                .p_offset = TEXT,
	                .p_vaddr = 0xffffffff81000000,
	                .p_paddr = 0x1000000,
	                .p_filesz = VMLINUX - TEXT - 100,
	                .p_memsz = VMLINUX},
	        .note = {.p_type = PT_NOTE,
	                .p_offset = sizeof(Elf64_Ehdr) + 2 * sizeof(Elf64_Phdr),
	                .p_filesz = sizeof(Elf64_Nhdr) + 16},
	        .salt = {.n_namesz = 6, .n_descsz = 6, .n_type = 0x100},
	        .name = "Linux",
	        .text = "6.1.0",
	};

	memset(data, 0, VMLINUX);
	for (size_t i = TEXT; i < VMLINUX; i++)
		if (!(i / 8192 % 2))
			data[i] = (unsigned char)(i * i >> 7 ^ seed);
	memcpy(data, &start, sizeof(start));
}

static size_t gzip_pack(void *to, size_t room, const void *from, size_t size)
{
	z_stream stream = {.next_in = (void *)from,
	        .avail_in = (unsigned)size,
	        .next_out = to,
	        .avail_out = (unsigned)room};

	CU_ASSERT_EQUAL_FATAL(deflateInit2(&stream, 1, Z_DEFLATED, 31, 8, 0), Z_OK);
	CU_ASSERT_EQUAL_FATAL(deflate(&stream, Z_FINISH), Z_STREAM_END);
	deflateEnd(&stream);
	return stream.total_out;
}

static size_t zstd_pack(void *to, size_t room, const void *from, size_t size)
{
	ZSTD_CCtx *context = ZSTD_createCCtx();
	size_t packed;

	/* As the command does. */
	ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
	packed = ZSTD_compress2(context, to, room, from, size);
	CU_ASSERT_FATAL(!ZSTD_isError(packed));
	ZSTD_freeCCtx(context);
	return packed;
}

static size_t xz64_pack(void *to, size_t room, const void *from, size_t size)
{
	size_t at = 0;

	CU_ASSERT_EQUAL_FATAL(lzma_easy_buffer_encode(0, LZMA_CHECK_CRC64, NULL, from,
	                              size, to, &at, room),
	        LZMA_OK);
	return at;
}

static size_t xz_pack(void *to, size_t room, const void *from, size_t size)
{
	size_t at = 0;

	CU_ASSERT_EQUAL_FATAL(lzma_easy_buffer_encode(0, LZMA_CHECK_CRC32, NULL, from,
	                              size, to, &at, room),
	        LZMA_OK);
	return at;
}

static size_t lzma_pack(void *to, size_t room, const void *from, size_t size)
{
	lzma_stream stream = LZMA_STREAM_INIT;
	lzma_options_lzma options;

	lzma_lzma_preset(&options, 0);
	CU_ASSERT_EQUAL_FATAL(lzma_alone_encoder(&stream, &options), LZMA_OK);
	stream.next_in = from;
	stream.avail_in = size;
	stream.next_out = to;
	stream.avail_out = room;
	CU_ASSERT_EQUAL_FATAL(lzma_code(&stream, LZMA_FINISH), LZMA_STREAM_END);
	lzma_end(&stream);
	return stream.total_out;
}

static size_t lz4_pack(void *to, size_t room, const void *from, size_t size)
{
	char *at = to, *end = at + room;

	memcpy(at, "\x02\x21\x4c\x18", 4);
	at += 4;
	for (size_t done = 0; done < size;) {
		int part = size - done < 8 << 20 ? (int)(size - done) : 8 << 20;
		int packed = LZ4_compress_default(
		        (const char *)from + done, at + 4, part, (int)(end - at - 4));

		CU_ASSERT_FATAL(packed > 0);
		memcpy(at, &packed, 4);
		at += 4 + packed;
		done += (size_t)part;
	}
	return (size_t)(at - (char *)to);
}

typedef size_t pack_function(void *to, size_t room, const void *from, size_t size);

static struct linux_params *header_of(unsigned char *image)
{
	return (struct linux_params *)image;
}

static size_t payload_size(unsigned char *image)
{
	return header_of(image)->payload_length;
}

/* A bzImage of this payload, which says that it unpacks to `stated` bytes: its size. */
static size_t wrap(unsigned char *image, pack_function *pack, const void *data,
        size_t size, uint32_t stated)
{
	unsigned char *payload = image + SETUP + STUB;
	size_t packed, total;

	memset(image, 0, SETUP + STUB);
	packed = pack(payload, ROOM - SETUP - STUB - 20, data, size);
	/* gzip has the size already. */
	if (pack == gzip_pack)
		packed -= 4;
	memcpy(payload + packed, &stated, 4);
	packed += 4;
	total = (STUB + packed + 15) & ~(size_t)15;
	memset(payload + packed, 0, 16);
	*header_of(image) = (struct linux_params){
	        .setup_sects = SETUP / 512 - 1,
	        .syssize = (uint32_t)(total / 16),
	        .boot_flag = LINUX_BOOT_FLAG,
	        .jump = {0xeb, 0x6a},
	        .header = LINUX_MAGIC,
	        .version = 0x20f,
	        .loadflags = LINUX_LOADED_HIGH,
	        .initrd_addr_max = 0x6fffffff,
	        .kernel_alignment = 0x200000,
	        .relocatable_kernel = 1,
	        .xloadflags = LINUX_KERNEL_64,
	        .cmdline_size = 1000,
	        .payload_offset = STUB,
	        .payload_length = (uint32_t)packed,
	        .pref_address = 0x1000000,
	        .init_size = 16 << 20,
	};
	return SETUP + total;
}

static unsigned char image[ROOM], vmlinux[VMLINUX], unpacked[VMLINUX];

static size_t bzimage(pack_function *pack, unsigned seed)
{
	vmlinux_fill(vmlinux, seed);
	return wrap(image, pack, vmlinux, VMLINUX, VMLINUX);
}

/* A cache of its own for each test, and a folder that holds it. */
static void cache_begin(char folder[32])
{
	strcpy(folder, "/tmp/mayfly-unpack-XXXXXX");
	CU_ASSERT_FATAL(mkdtemp(folder) && !chdir(folder));
	setenv("XDG_CACHE_HOME", folder, 1);
}

static void cache_end(const char *folder)
{
	char command[64];

	bool gone = false;

	/* What goes on in the background may still write there. */
	snprintf(command, sizeof(command), "rm -rf %s 2>/dev/null", folder);
	CU_ASSERT(!chdir("/"));
	for (unsigned i = 0; i < 500 && !gone; i++) {
		gone = !system(command);
		if (!gone)
			usleep(10000);
	}
	CU_ASSERT(gone);
}

/* The entries whose names start so. */
static unsigned entries(const char *start)
{
	DIR *list = opendir("mayfly");
	struct dirent *next;
	unsigned count = 0;

	while (list && (next = readdir(list)))
		count += !strncmp(next->d_name, start, strlen(start));
	if (list)
		closedir(list);
	return count;
}

/* Entries appear in the background, and what they were written as goes last. */
static bool entries_become(const char *start, unsigned wanted)
{
	for (unsigned i = 0; i < 500; i++) {
		if (entries(start) == wanted && !entries("new-"))
			return true;
		usleep(10000);
	}
	return false;
}

static void first_entry(const char *start, char path[PATH_MAX])
{
	DIR *list = opendir("mayfly");
	struct dirent *next;

	CU_ASSERT_PTR_NOT_NULL_FATAL(list);
	while ((next = readdir(list)))
		if (!strncmp(next->d_name, start, strlen(start)))
			snprintf(path, PATH_MAX, "mayfly/%s", next->d_name);
	closedir(list);
}

static void kernel_write(const char *name, size_t size)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL_FATAL(write(fd, image, size), (ssize_t)size);
	close(fd);
}

/* For a guest of `memory`: what came out is `vmlinux`; then its inode, else 0. */
static ino_t unpacks_for(const char *name, uint64_t memory)
{
	struct boot_source source;
	struct stat stat = {0};
	bool right;

	CU_ASSERT_FATAL(
	        !boot_open(&source, name, NULL, NULL, 0, PROTOCOL_AUTO, MACHINE_X86));
	boot_unpack(&source, memory);
	memset(unpacked, 0xff, VMLINUX);
	right = source.unpacked && source.format == FORMAT_ELF &&
	        source.kernel_size == VMLINUX &&
	        pread(source.kernel_fd, unpacked, VMLINUX, 0) == VMLINUX &&
	        !memcmp(unpacked, vmlinux, VMLINUX) && !fstat(source.kernel_fd, &stat);
	boot_close(&source);
	return right ? stat.st_ino : 0;
}

static ino_t unpacks(const char *name)
{
	return unpacks_for(name, 0);
}

/* The guest unpacks it, and a line with `part` says why. */
static bool stays(size_t size, const char *part)
{
	struct boot_source source;
	struct said said;
	bool same;

	kernel_write("bad", size);
	CU_ASSERT_FATAL(
	        !boot_open(&source, "bad", NULL, NULL, 0, PROTOCOL_AUTO, MACHINE_X86));
	said_begin(&said);
	boot_unpack(&source, 0);
	same = !source.unpacked && source.format == FORMAT_BZIMAGE &&
	       source.segment_count == 1 && source.protocol == PROTOCOL_LINUX64 &&
	       source.kernel_size == size;
	boot_close(&source);
	return said_exactly(&said, part) && same && !entries("data-") &&
	       !entries("file-") && !entries("new-");
}

static void every_compression_is_unpacked(void)
{
	static const struct {
		const char *name;
		pack_function *pack;
	} kinds[] = {
	        {"gzip", gzip_pack},
	        {"zstd", zstd_pack},
	        {"xz", xz_pack},
	        {"xz", xz64_pack},
	        {"LZ4", lz4_pack},
	        {"LZMA", lzma_pack},
	};
	char folder[32];

	cache_begin(folder);
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		kernel_write("kernel", bzimage(kinds[i].pack, i));
		CU_ASSERT_STRING_EQUAL(
		        decode_name(image + SETUP + STUB, 16), kinds[i].name);
		CU_ASSERT(unpacks("kernel"));
	}
	CU_ASSERT(entries_become("data-", 6));
	cache_end(folder);
}

/* The check value of CRC-64/XZ. */
static void crc64_is_the_one_of_xz(void)
{
	CU_ASSERT_EQUAL(
	        lzma_crc64((const uint8_t *)"123456789", 9, 0), 0x995dc9bbdf1939fa);
}

static void header_stays_the_bzimages(void)
{
	struct boot_source source;
	struct boot_image result;
	struct linux_params params;
	struct guest guest;
	char folder[32];

	cache_begin(folder);
	kernel_write("kernel", bzimage(lz4_pack, 0));
	CU_ASSERT_FATAL(!boot_open(
	        &source, "kernel", NULL, NULL, 0, PROTOCOL_AUTO, MACHINE_X86));
	boot_unpack(&source, 0);
	CU_ASSERT_FATAL(source.unpacked);
	CU_ASSERT_FATAL(!boot_choose(&source, PROTOCOL_AUTO));
	CU_ASSERT_EQUAL(source.protocol, PROTOCOL_LINUX64);
	CU_ASSERT_EQUAL(source.initrd_max, 0x6fffffff);
	CU_ASSERT_EQUAL(boot_cmdline_max(&source), 1000);
	CU_ASSERT_STRING_EQUAL(source.kind, "Linux bzImage (unpacked)");
	CU_ASSERT_STRING_EQUAL(source.kernel_path, "kernel");
	guest_create(&guest, 32);
	CU_ASSERT_FATAL(!boot_load(&source, &guest.memory, &guest.machine, &result));
	CU_ASSERT_EQUAL(result.entry, 0x1000000);
	CU_ASSERT(!memcmp(memory_at(&guest.memory, 0x1000000, VMLINUX - TEXT - 100),
	        vmlinux + TEXT, VMLINUX - TEXT - 100));
	memory_read(&guest.memory, result.info, &params, sizeof(params));
	CU_ASSERT_EQUAL(params.initrd_addr_max, 0x6fffffff);
	CU_ASSERT_EQUAL(params.version, 0x20f);
	memory_destroy(&guest.memory);
	boot_close(&source);
	cache_end(folder);
}

static void damaged_payloads_stay(void)
{
	static pack_function *const packs[] = {
	        gzip_pack, zstd_pack, xz_pack, lz4_pack, lzma_pack};
	char folder[32];

	cache_begin(folder);
	for (unsigned i = 0; i < sizeof(packs) / sizeof(packs[0]); i++) {
		uint32_t size = VMLINUX;
		size_t total = bzimage(packs[i], 0), half;

		/* Cut in the middle, where the stated size then stands. */
		half = payload_size(image) / 2;
		header_of(image)->payload_length = (uint32_t)half + 4;
		memcpy(image + SETUP + STUB + half, &size, 4);
		CU_ASSERT(stays(total, "cannot be unpacked"));
		total = bzimage(packs[i], 0);
		memset(image + SETUP + STUB + 1000, 0xff, 2000);
		CU_ASSERT(stays(total, "cannot be unpacked"));
	}
	cache_end(folder);
}

static void lying_sizes_stay(void)
{
	static pack_function *const packs[] = {zstd_pack, xz_pack, lz4_pack, lzma_pack};
	char folder[32];

	cache_begin(folder);
	vmlinux_fill(vmlinux, 0);
	for (unsigned i = 0; i < sizeof(packs) / sizeof(packs[0]); i++) {
		CU_ASSERT(stays(wrap(image, packs[i], vmlinux, VMLINUX, VMLINUX - 1),
		        "size that it should"));
		CU_ASSERT(stays(wrap(image, packs[i], vmlinux, VMLINUX, VMLINUX + 1),
		        "cannot be unpacked"));
		/* A bomb: it never gets further than it said. */
		CU_ASSERT(stays(wrap(image, packs[i], vmlinux, VMLINUX, 4096),
		        "size that it should"));
	}
	/* Too much to begin with, and nothing. */
	CU_ASSERT(stays(
	        wrap(image, zstd_pack, vmlinux, VMLINUX, (512u << 20) + 1), NULL));
	CU_ASSERT(stays(wrap(image, zstd_pack, vmlinux, VMLINUX, 0), NULL));
	cache_end(folder);
}

static void lying_headers_stay(void)
{
	char folder[32];
	size_t size;

	cache_begin(folder);
	size = bzimage(lz4_pack, 0);
	header_of(image)->payload_length = 0;
	CU_ASSERT(stays(size, NULL));
	header_of(image)->payload_length = UINT32_MAX;
	CU_ASSERT(stays(size, NULL));
	size = bzimage(lz4_pack, 0);
	header_of(image)->payload_offset = UINT32_MAX;
	CU_ASSERT(stays(size, NULL));
	size = bzimage(lz4_pack, 0);
	header_of(image)->payload_length += 16;
	header_of(image)->payload_offset += 16;
	CU_ASSERT(stays(size, NULL));
	/* An unknown compression is nothing to warn of. */
	size = bzimage(lz4_pack, 0);
	memcpy(image + SETUP + STUB, "BZh9", 4);
	CU_ASSERT(stays(size, NULL));
	cache_end(folder);
}

static void what_is_no_vmlinux_stays(void)
{
	char folder[32];

	cache_begin(folder);
	vmlinux_fill(vmlinux, 0);
	((Elf64_Ehdr *)vmlinux)->e_machine = EM_AARCH64;
	CU_ASSERT(
	        stays(wrap(image, lz4_pack, vmlinux, VMLINUX, VMLINUX), "no vmlinux"));
	memset(vmlinux, 'x', VMLINUX);
	CU_ASSERT(
	        stays(wrap(image, lz4_pack, vmlinux, VMLINUX, VMLINUX), "no vmlinux"));
	cache_end(folder);
}

static void second_run_finds_the_first(void)
{
	char folder[32];
	size_t size = bzimage(lz4_pack, 0);
	ino_t inode;

	cache_begin(folder);
	kernel_write("kernel", size);
	CU_ASSERT(unpacks("kernel"));
	CU_ASSERT(entries_become("data-", 1));
	inode = unpacks("kernel");
	CU_ASSERT(inode && inode == unpacks("kernel"));
	/* Another file of that content is the same kernel. */
	kernel_write("copy", size);
	CU_ASSERT_EQUAL(unpacks("copy"), inode);
	/* The newest of its times do not name it: it may change in the same tick. */
	CU_ASSERT_EQUAL(entries("file-"), 0);
	cache_end(folder);
}

static void changed_kernel_is_unpacked_anew(void)
{
	struct timespec times[2] = {{1000, 1}, {1000, 1}};
	char folder[32];
	size_t size = bzimage(lz4_pack, 1), changed;

	cache_begin(folder);
	kernel_write("kernel", size);
	CU_ASSERT(!utimensat(AT_FDCWD, "kernel", times, 0));
	CU_ASSERT(unpacks("kernel"));
	CU_ASSERT(entries_become("data-", 1));
	sleep(5);
	CU_ASSERT(unpacks("kernel"));
	CU_ASSERT(unpacks("kernel"));
	/* In place, of the same size and mtime, at once. */
	for (unsigned seed = 2; seed < 4; seed++) {
		changed = bzimage(lz4_pack, seed);
		CU_ASSERT_EQUAL_FATAL(changed, size);
		kernel_write("kernel", size);
		CU_ASSERT(!utimensat(AT_FDCWD, "kernel", times, 0));
		CU_ASSERT(unpacks("kernel"));
	}
	CU_ASSERT(entries_become("data-", 3));
	cache_end(folder);
}

static void cache_of_others_is_not_used(void)
{
	size_t size = bzimage(lz4_pack, 0);
	char folder[32];

	cache_begin(folder);
	kernel_write("kernel", size);
	CU_ASSERT(!mkdir("mayfly", 0700) && !chmod("mayfly", 0750));
	CU_ASSERT(unpacks("kernel"));
	CU_ASSERT_EQUAL(entries(""), 2);
	if (geteuid() == 0) {
		CU_ASSERT(!chmod("mayfly", 0700) && !chown("mayfly", 65534, 65534));
		CU_ASSERT(unpacks("kernel"));
		CU_ASSERT_EQUAL(entries(""), 2);
	}
	CU_ASSERT(!rename("mayfly", "elsewhere"));
	CU_ASSERT(
	        !chmod("elsewhere", 0700) && !chown("elsewhere", geteuid(), getegid()));
	CU_ASSERT(!symlink("elsewhere", "mayfly"));
	CU_ASSERT(unpacks("kernel"));
	CU_ASSERT_EQUAL(entries(""), 2);
	CU_ASSERT(!unlink("mayfly") && !chmod(folder, 0777));
	CU_ASSERT(unpacks("kernel"));
	CU_ASSERT(access("mayfly", F_OK) < 0);
	setenv("XDG_CACHE_HOME", "relative", 1);
	setenv("HOME", "/nonexistent", 1);
	CU_ASSERT(unpacks("kernel"));
	cache_end(folder);
}

static void damaged_entries_are_replaced(void)
{
	struct boot_source source;
	char folder[32], path[PATH_MAX];
	struct said said;

	cache_begin(folder);
	kernel_write("kernel", bzimage(lz4_pack, 0));
	CU_ASSERT(unpacks("kernel"));
	CU_ASSERT(entries_become("data-", 1));
	first_entry("data-", path);
	/* What others may write is not even looked at. */
	CU_ASSERT(!chmod(path, 0622) && !truncate(path, 4096));
	CU_ASSERT(unpacks("kernel"));
	CU_ASSERT(!chmod(path, 0600));
	CU_ASSERT_FATAL(!boot_open(
	        &source, "kernel", NULL, NULL, 0, PROTOCOL_AUTO, MACHINE_X86));
	said_begin(&said);
	boot_unpack(&source, 0);
	CU_ASSERT(said_exactly(&said, "no vmlinux in it"));
	CU_ASSERT_EQUAL(source.format, FORMAT_BZIMAGE);
	boot_close(&source);
	CU_ASSERT(unpacks("kernel"));
	CU_ASSERT(entries_become("data-", 1));
	CU_ASSERT(unpacks("kernel"));
	cache_end(folder);
}

static void many_at_once_agree(void)
{
	enum { RUNS = 6 };
	pid_t pids[RUNS];
	char folder[32];
	int status;

	cache_begin(folder);
	kernel_write("kernel", bzimage(lz4_pack, 0));
	for (unsigned i = 0; i < RUNS; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(unpacks("kernel") == 0);
	}
	for (unsigned i = 0; i < RUNS; i++)
		CU_ASSERT(waitpid(pids[i], &status, 0) == pids[i] && status == 0);
	CU_ASSERT(entries_become("data-", 1));
	CU_ASSERT_EQUAL(entries("key"), 1);
	CU_ASSERT(unpacks("kernel"));
	cache_end(folder);
}

enum { ENOUGH = 256 << 20 };

static void guest_unpacks_lz4_once(void)
{
	char folder[32];
	ino_t inode;

	cache_begin(folder);
	kernel_write("kernel", bzimage(lz4_pack, 0));
	CU_ASSERT(!unpacks_for("kernel", ENOUGH));
	CU_ASSERT(entries_become("data-", 1));
	inode = unpacks_for("kernel", ENOUGH);
	CU_ASSERT(inode && inode == unpacks("kernel"));
	cache_end(folder);
}

/* Both files' names are by then of times that last. */
static void known_content_is_found_in_a_new_file(void)
{
	char folder[32];
	size_t size = bzimage(lz4_pack, 0);
	ino_t inode;

	cache_begin(folder);
	kernel_write("kernel", size);
	kernel_write("copy", size);
	CU_ASSERT(!unpacks_for("kernel", ENOUGH));
	CU_ASSERT(entries_become("data-", 1));
	sleep(5);
	inode = unpacks_for("copy", ENOUGH);
	CU_ASSERT(inode && inode == unpacks_for("kernel", ENOUGH));
	CU_ASSERT_EQUAL(entries("file-"), 2);
	cache_end(folder);
}

/* Its bzImage lies at 16 MiB and takes as much; an eighth is for initrds. */
static void guest_without_room_does_not(void)
{
	const uint64_t least = (32ull << 20) / 7 * 8 + 8;
	char folder[32];

	cache_begin(folder);
	kernel_write("kernel", bzimage(lz4_pack, 0));
	CU_ASSERT(unpacks_for("kernel", least - 16));
	CU_ASSERT(entries_become("data-", 1));
	kernel_write("kernel", bzimage(lz4_pack, 1));
	CU_ASSERT(!unpacks_for("kernel", least));
	CU_ASSERT(entries_become("data-", 2));
	cache_end(folder);
}

static void guest_does_not_unpack_what_takes_long(void)
{
	char folder[32];

	cache_begin(folder);
	kernel_write("kernel", bzimage(gzip_pack, 0));
	CU_ASSERT(unpacks_for("kernel", ENOUGH));
	kernel_write("kernel", bzimage(zstd_pack, 1));
	CU_ASSERT(unpacks_for("kernel", ENOUGH));
	CU_ASSERT(entries_become("data-", 2));
	cache_end(folder);
}

static void background_keeps_only_what_is_sound(void)
{
	enum { RUNS = 4 };
	char folder[32];
	size_t size = bzimage(lz4_pack, 0);

	cache_begin(folder);
	memset(image + SETUP + STUB + 1000, 0xff, 2000);
	kernel_write("bad", size);
	for (unsigned i = 0; i < RUNS; i++)
		CU_ASSERT(!unpacks_for("bad", ENOUGH));
	size = bzimage(lz4_pack, 0);
	kernel_write("kernel", size);
	for (unsigned i = 0; i < RUNS; i++)
		unpacks_for("kernel", ENOUGH);
	CU_ASSERT(entries_become("data-", 1));
	CU_ASSERT(unpacks_for("kernel", ENOUGH));
	cache_end(folder);
}

static void without_a_cache_the_guest_unpacks(void)
{
	char folder[32];

	cache_begin(folder);
	kernel_write("kernel", bzimage(lz4_pack, 0));
	setenv("XDG_CACHE_HOME", "relative", 1);
	setenv("HOME", "/nonexistent", 1);
	CU_ASSERT(!unpacks_for("kernel", ENOUGH));
	cache_end(folder);
}

/* As on a host before Linux 5.9: no close_range(). */
static int deny_close_range(void)
{
	struct sock_filter code[] = {
	        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
	        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
	        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void older_hosts_keep_it_too(void)
{
	char folder[32];
	int status;
	pid_t pid;

	cache_begin(folder);
	kernel_write("kernel", bzimage(lz4_pack, 0));
	pid = fork();
	if (pid == 0)
		_exit(deny_close_range() || !unpacks("kernel"));
	CU_ASSERT(waitpid(pid, &status, 0) == pid && status == 0);
	CU_ASSERT(entries_become("data-", 1));
	cache_end(folder);
}

static void oldest_entries_go(void)
{
	char folder[32], name[32];

	cache_begin(folder);
	CU_ASSERT(!mkdir("mayfly", 0700));
	for (unsigned i = 0; i < 40; i++) {
		struct timespec times[2] = {{1000 + i, 1}, {1000 + i, 1}};
		int fd;

		snprintf(name, sizeof(name),
		        i < 20 ? "mayfly/data-%02u" : "mayfly/new-%02u", i);
		fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		CU_ASSERT_FATAL(fd >= 0 && !futimens(fd, times));
		close(fd);
	}
	kernel_write("kernel", bzimage(lz4_pack, 0));
	CU_ASSERT(unpacks("kernel"));
	CU_ASSERT(entries_become("data-", 16));
	CU_ASSERT(access("mayfly/data-19", F_OK) == 0);
	CU_ASSERT(access("mayfly/data-05", F_OK) == 0);
	CU_ASSERT(access("mayfly/data-04", F_OK) < 0);
	cache_end(folder);
}

/* An initrd of `size` bytes in `data`, offered to a guest with `memory`: what it is then. */
static size_t initrd_becomes(const void *data, size_t size, uint64_t memory,
        bool linux_kernel, bool now, void *to, size_t room)
{
	struct boot_source source = {.needs.linux_kernel = linux_kernel,
	        .initrd_count = 1,
	        .initrd_paths = {"initrd"},
	        .initrd_sizes = {size}};
	ssize_t got;

	source.initrd_fds[0] = memfd_create("initrd", MFD_CLOEXEC);
	CU_ASSERT_FATAL(source.initrd_fds[0] >= 0);
	CU_ASSERT_EQUAL_FATAL(write(source.initrd_fds[0], data, size), (ssize_t)size);
	boot_unpack_initrds(&source, memory, now);
	CU_ASSERT_EQUAL(source.initrd_offsets[0], 0);
	CU_ASSERT_FATAL(source.initrd_sizes[0] <= room);
	got = pread(source.initrd_fds[0], to, room, 0);
	CU_ASSERT_EQUAL(got, (ssize_t)source.initrd_sizes[0]);
	close(source.initrd_fds[0]);
	return (size_t)got;
}

/* Archives of two kinds, zeros between them, and one that is not compressed behind. */
static size_t initrd_pack(unsigned char *to, size_t room)
{
	static const char plain[] = "070701 and what follows\0\0\0";
	size_t at = gzip_pack(to, room, "first", 5);

	memset(to + at, 0, 3);
	at += 3;
	at += gzip_pack(to + at, room - at, vmlinux, 8192);
	at += zstd_pack(to + at, room - at, "third one", 9);
	at += xz_pack(to + at, room - at, "fourth", 6);
	memcpy(to + at, plain, sizeof(plain));
	return at + sizeof(plain);
}

static const char *initrd_part(const char **at, const char *end, size_t size)
{
	const char *part;

	while (*at < end && !**at)
		++*at;
	part = *at;
	CU_ASSERT_FATAL((size_t)(end - part) >= size);
	*at += size;
	return part;
}

static void initrd_archives_are_unpacked(void)
{
	char folder[32];
	unsigned char packed[16384];
	char plain[16384];
	const char *at = plain, *start = plain, *end;
	size_t size;

	memset(vmlinux, 'x', 8192);
	cache_begin(folder);
	size = initrd_pack(packed, sizeof(packed));
	for (unsigned run = 0; run < 2; run++) {
		const char *part;

		at = plain;
		end = plain + initrd_becomes(packed, size, 1 << 20, true, true, plain,
		                      sizeof(plain));
		CU_ASSERT(!memcmp(initrd_part(&at, end, 5), "first", 5));
		part = initrd_part(&at, end, 8192);
		CU_ASSERT(!memcmp(part, vmlinux, 8192) && !((part - start) % 4));
		part = initrd_part(&at, end, 9);
		CU_ASSERT(!memcmp(part, "third one", 9) && !((part - start) % 4));
		part = initrd_part(&at, end, 6);
		CU_ASSERT(!memcmp(part, "fourth", 6) && !((part - start) % 4));
		part = initrd_part(&at, end, 6);
		CU_ASSERT(!memcmp(part, "070701", 6) && !((part - start) % 4));
		CU_ASSERT(entries_become("data-", 1));
	}
	cache_end(folder);
}

static void initrds_that_are_left_alone(void)
{
	char folder[32];
	unsigned char packed[16384], after[16384];
	size_t size;

	memset(vmlinux, 'x', 8192);
	cache_begin(folder);
	size = gzip_pack(packed, sizeof(packed), vmlinux, 8192);
	/* It would not fit, the guest is no Linux, it is damaged, it is plain. */
	CU_ASSERT_EQUAL(
	        initrd_becomes(packed, size, 65535, true, true, after, sizeof(after)),
	        size);
	CU_ASSERT_EQUAL(initrd_becomes(packed, size, 1 << 20, false, true, after,
	                        sizeof(after)),
	        size);
	packed[size - 8] ^= 1;
	CU_ASSERT_EQUAL(
	        initrd_becomes(packed, size, 1 << 20, true, true, after, sizeof(after)),
	        size);
	CU_ASSERT(!memcmp(packed, after, size));
	size = lz4_pack(packed, sizeof(packed), vmlinux, 8192);
	CU_ASSERT_EQUAL(
	        initrd_becomes(packed, size, 1 << 20, true, true, after, sizeof(after)),
	        size);
	memcpy(packed, "070701", 6);
	CU_ASSERT_EQUAL(
	        initrd_becomes(packed, size, 1 << 20, true, true, after, sizeof(after)),
	        size);
	/* A bomb: the last archive says little, the first is more than is allowed. */
	memset(vmlinux, 0, VMLINUX);
	size = zstd_pack(packed, sizeof(packed), vmlinux, VMLINUX);
	size += gzip_pack(packed + size, sizeof(packed) - size, "x", 1);
	CU_ASSERT_EQUAL(
	        initrd_becomes(packed, size, 1 << 20, true, true, after, sizeof(after)),
	        size);
	CU_ASSERT(entries_become("data-", 0));
	cache_end(folder);
}

static void initrd_of_the_first_run_is_kept_for_the_second(void)
{
	char folder[32];
	unsigned char packed[16384], after[16384];
	size_t size, first, second;

	memset(vmlinux, 'x', 8192);
	cache_begin(folder);
	size = gzip_pack(packed, sizeof(packed), vmlinux, 8192);
	first = initrd_becomes(
	        packed, size, 1 << 20, true, false, after, sizeof(after));
	CU_ASSERT(first == size && !memcmp(packed, after, size));
	CU_ASSERT(entries_become("data-", 1));
	second = initrd_becomes(
	        packed, size, 1 << 20, true, false, after, sizeof(after));
	CU_ASSERT(second >= 8192 && !memcmp(vmlinux, after, 8192));
	cache_end(folder);
}

/* What the kernel of "kernel", opened for `machine`, starts with; NULL: it is refused. */
static const unsigned char *opened(enum boot_machine machine, size_t *size)
{
	struct boot_source source;
	ssize_t got;

	if (boot_open(&source, "kernel", NULL, NULL, 0, PROTOCOL_AUTO, machine))
		return NULL;
	CU_ASSERT_PTR_NOT_NULL(strstr(source.kind, "Linux"));
	got = pread(source.kernel_fd, unpacked, VMLINUX, (off_t)source.kernel_offset);
	*size = source.kernel_size;
	CU_ASSERT(got > 0);
	boot_close(&source);
	return unpacked;
}

static void compressed_kernels_are_unpacked(void)
{
	static pack_function *const packs[] = {gzip_pack, zstd_pack, xz_pack};
	const unsigned char *kernel;
	char folder[32];
	size_t size;

	cache_begin(folder);
	for (unsigned i = 0; i < 2 * sizeof(packs) / sizeof(packs[0]); i++) {
		vmlinux_fill(vmlinux, i / 2);
		kernel_write("kernel", packs[i / 2](image, ROOM, vmlinux, VMLINUX));
		kernel = opened(MACHINE_X86, &size);
		CU_ASSERT_PTR_NOT_NULL_FATAL(kernel);
		/* Zeros may follow. */
		CU_ASSERT(size >= VMLINUX && size < VMLINUX + 16);
		CU_ASSERT(!memcmp(kernel, vmlinux, VMLINUX));
		CU_ASSERT(entries_become("data-", i / 2 + 1));
	}
	cache_end(folder);
}

/* Linux's RISC-V Image, as far as its header. */
static void image_fill(void)
{
	memset(vmlinux, 7, VMLINUX);
	memset(vmlinux, 0, 64);
	memcpy(vmlinux, "MZ", 2);
	memcpy(vmlinux + 56, "RSC\5", 4);
}

static void compressed_image_is_riscvs(void)
{
	const unsigned char *kernel;
	struct said said;
	char folder[32];
	size_t size;

	cache_begin(folder);
	image_fill();
	kernel_write("kernel", gzip_pack(image, ROOM, vmlinux, VMLINUX));
	kernel = opened(MACHINE_RISCV, &size);
	CU_ASSERT_PTR_NOT_NULL_FATAL(kernel);
	CU_ASSERT(!memcmp(kernel, vmlinux, VMLINUX));
	said_begin(&said);
	CU_ASSERT_PTR_NULL(opened(MACHINE_X86, &size));
	CU_ASSERT(said_exactly(
	        &said, "is a riscv64 kernel, this Mayfly runs x86-64 guests"));
	memcpy(vmlinux + 56, "ARM\x64", 4);
	kernel_write("kernel", gzip_pack(image, ROOM, vmlinux, VMLINUX));
	said_begin(&said);
	CU_ASSERT_PTR_NULL(opened(MACHINE_RISCV, &size));
	CU_ASSERT(said_exactly(
	        &said, "is an aarch64 kernel, this Mayfly runs riscv64 guests"));
	cache_end(folder);
}

static void efi_zboot_image_is_unpacked(void)
{
	enum { AT = 4096 };
	const unsigned char *kernel;
	uint32_t place[2] = {AT, 0};
	char folder[32];
	size_t size;

	cache_begin(folder);
	image_fill();
	memset(image, 0, AT);
	place[1] = (uint32_t)zstd_pack(image + AT, ROOM - AT, vmlinux, VMLINUX);
	memcpy(image, "MZ\0\0zimg", 8);
	memcpy(image + 8, place, sizeof(place));
	memset(image + AT + place[1], 0xff, 512);
	kernel_write("kernel", AT + place[1] + 512);
	kernel = opened(MACHINE_RISCV, &size);
	CU_ASSERT_PTR_NOT_NULL_FATAL(kernel);
	CU_ASSERT(!memcmp(kernel, vmlinux, VMLINUX));
	place[1] = UINT32_MAX;
	memcpy(image + 8, place, sizeof(place));
	kernel_write("kernel", AT + 512);
	CU_ASSERT_PTR_NULL(opened(MACHINE_RISCV, &size));
	cache_end(folder);
}

static void compressed_files_without_a_kernel_are_refused(void)
{
	struct said said;
	char folder[32];
	size_t size;

	cache_begin(folder);
	memset(vmlinux, 'x', 8192);
	size = gzip_pack(image, ROOM, vmlinux, 8192);
	kernel_write("kernel", size);
	said_begin(&said);
	CU_ASSERT_PTR_NULL(opened(MACHINE_X86, &size));
	CU_ASSERT(said_exactly(&said, "gzip-compressed"));
	/* Damaged. */
	vmlinux_fill(vmlinux, 1);
	size = gzip_pack(image, ROOM, vmlinux, VMLINUX);
	image[size - 8] ^= 1;
	kernel_write("kernel", size);
	said_begin(&said);
	CU_ASSERT_PTR_NULL(opened(MACHINE_X86, &size));
	CU_ASSERT(said_exactly(&said, "gzip-compressed"));
	CU_ASSERT(entries_become("data-", 0));
	cache_end(folder);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(every_compression_is_unpacked),
	        UNIT(crc64_is_the_one_of_xz),
	        UNIT(header_stays_the_bzimages),
	        UNIT(damaged_payloads_stay),
	        UNIT(lying_sizes_stay),
	        UNIT(lying_headers_stay),
	        UNIT(what_is_no_vmlinux_stays),
	        UNIT(second_run_finds_the_first),
	        UNIT(changed_kernel_is_unpacked_anew),
	        UNIT(cache_of_others_is_not_used),
	        UNIT(damaged_entries_are_replaced),
	        UNIT(many_at_once_agree),
	        UNIT(guest_unpacks_lz4_once),
	        UNIT(known_content_is_found_in_a_new_file),
	        UNIT(guest_without_room_does_not),
	        UNIT(guest_does_not_unpack_what_takes_long),
	        UNIT(background_keeps_only_what_is_sound),
	        UNIT(without_a_cache_the_guest_unpacks),
	        UNIT(older_hosts_keep_it_too),
	        UNIT(oldest_entries_go),
	        UNIT(initrd_archives_are_unpacked),
	        UNIT(initrds_that_are_left_alone),
	        UNIT(initrd_of_the_first_run_is_kept_for_the_second),
	        UNIT(compressed_kernels_are_unpacked),
	        UNIT(compressed_image_is_riscvs),
	        UNIT(efi_zboot_image_is_unpacked),
	        UNIT(compressed_files_without_a_kernel_are_refused),
	        {0},
	};

	return unit_run("boot_unpack", tests);
}
