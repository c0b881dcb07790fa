/*
 * For the tests of what is unpacked: a kernel, what packs it in each way, a bzImage of that,
 * and a cache of the test's own.
 */
#pragma once

#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

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
static inline void vmlinux_fill(unsigned char *data, unsigned seed)
{
	struct {
		Elf64_Ehdr header;
		Elf64_Phdr load, note;
		Elf64_Nhdr salt;
		char name[8], text[8];
	} start = {
	        .header = elf64_header(0x1000000, 2),
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

static inline size_t gzip_pack(void *to, size_t room, const void *from, size_t size)
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

static inline size_t zstd_pack(void *to, size_t room, const void *from, size_t size)
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

static inline size_t xz_pack(void *to, size_t room, const void *from, size_t size)
{
	size_t at = 0;

	CU_ASSERT_EQUAL_FATAL(lzma_easy_buffer_encode(0, LZMA_CHECK_CRC32, NULL, from,
	                              size, to, &at, room),
	        LZMA_OK);
	return at;
}

static inline size_t lz4_pack(void *to, size_t room, const void *from, size_t size)
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

static inline struct linux_params *header_of(unsigned char *image)
{
	return (struct linux_params *)image;
}

/* A bzImage of this payload, which says that it unpacks to `stated` bytes: its size. */
static inline size_t wrap(unsigned char *image, pack_function *pack, const void *data,
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

static inline size_t bzimage(pack_function *pack, unsigned seed)
{
	vmlinux_fill(vmlinux, seed);
	return wrap(image, pack, vmlinux, VMLINUX, VMLINUX);
}

/* A cache of its own for each test, and a folder that holds it. */
static inline void cache_begin(char folder[32])
{
	strcpy(folder, "/tmp/mayfly-unpack-XXXXXX");
	CU_ASSERT_FATAL(mkdtemp(folder) && !chdir(folder));
	setenv("XDG_CACHE_HOME", folder, 1);
}

static inline void cache_end(const char *folder)
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
static inline unsigned entries(const char *start)
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
static inline bool entries_become(const char *start, unsigned wanted)
{
	for (unsigned i = 0; i < 500; i++) {
		if (entries(start) == wanted && !entries("new-"))
			return true;
		usleep(10000);
	}
	return false;
}

static inline void kernel_write(const char *name, size_t size)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL_FATAL(write(fd, image, size), (ssize_t)size);
	close(fd);
}

/* For a guest of `memory`: what came out is `vmlinux`; then its inode, else 0. */
static inline ino_t unpacks_for(const char *name, uint64_t memory)
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

static inline ino_t unpacks(const char *name)
{
	return unpacks_for(name, 0);
}
