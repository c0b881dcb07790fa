/*
 * Solo5's hvt ABI, version 2, on x86-64: what a guest gets and what it can call. The page
 * guests/README.md tells how Mayfly implements it.
 *
 *     HVT_GUEST;
 *     HVT_DEVICES(1, {.name = "storage", .kind = HVT_BLOCK});
 *
 * makes an image one of those, with a device that it calls by handle 1.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* In the first argument of the entry. */
struct hvt_boot_info {
	uint64_t memory_size;
	uint64_t kernel_end;
	uint64_t cycle_hz; /* of the time stamp counter */
	const char *cmdline;
	const struct hvt_manifest *manifest;
	uint32_t host_features;
	uint32_t guest_features;
	uint64_t net_ring;
};

enum hvt_kind { HVT_BLOCK = 1, HVT_NET = 2, HVT_RESERVED = 1 << 30 };

struct hvt_device {
	char name[68];
	uint32_t kind;
	union {
		struct {
			uint64_t capacity;
			uint16_t block_size;
		} block;
		struct {
			uint8_t mac[6];
			uint16_t mtu;
		} net;
		uint64_t words[2];
	};
	uint64_t host;
	uint8_t attached;
	uint8_t padding[7];
};

struct hvt_manifest {
	uint32_t version;
	uint32_t count;
	struct hvt_device devices[64]; /* `count` of them; the first is none */
};

/* The notes. Owner and header take 20 bytes, 4 more align the manifest. */
struct hvt_note {
	uint32_t name_size, size, type;
	char name[8];
};

#define HVT_GUEST                                                                      \
	static const struct {                                                          \
		struct hvt_note note;                                                  \
		uint32_t target, version, reserved[2];                                 \
	} hvt_abi_note __attribute__((used, section(".note.hvt.abi"), aligned(4))) = { \
	        {6, 16, 0x31494241, "Solo5"}, 1, 2, {0, 0}}

#define HVT_DEVICES(number, ...)                                                     \
	static const struct {                                                        \
		struct hvt_note note;                                                \
		uint32_t padding, version, count;                                    \
		struct hvt_device devices[(number) + 1];                             \
	} __attribute__((packed)) hvt_manifest_note                                  \
	        __attribute__((used, section(".note.hvt.manifest"), aligned(4))) = { \
	                {6, 12 + 104 * ((number) + 1), 0x3154464d, "Solo5"}, 0, 1,   \
	                (number) + 1, {{.kind = HVT_RESERVED}, __VA_ARGS__}}

enum hvt_call {
	HVT_WALLTIME = 1,
	HVT_PUTS,
	HVT_POLL,
	HVT_BLOCK_WRITE,
	HVT_BLOCK_READ,
	HVT_NET_WRITE,
	HVT_NET_READ,
	HVT_HALT,
};

enum hvt_result { HVT_OK, HVT_AGAIN, HVT_EINVAL, HVT_EUNSPEC };

struct hvt_walltime {
	uint64_t now_ns; /* out */
};

struct hvt_puts {
	const void *data;
	size_t size;
};

struct hvt_poll {
	uint64_t timeout_ns;
	uint64_t ready; /* out: handles, as bits */
	int32_t count;  /* out */
};

struct hvt_block {
	uint64_t handle;
	uint64_t offset;
	void *data;
	size_t size;
	int32_t result; /* out */
};

struct hvt_net {
	uint64_t handle;
	void *data;
	size_t size;    /* of a read: also out */
	int32_t result; /* out */
};

struct hvt_halt {
	const void *cookie; /* NULL, or 512 bytes */
	int32_t status;
};

/* `argument` lies below 4 GiB. */
static inline void hvt_out(unsigned port, uint64_t argument)
{
	__asm__ volatile("outl %0, %w1"
	                 :
	                 : "a"((uint32_t)argument), "d"((uint16_t)port)
	                 : "memory");
}

static inline void hvt_call(enum hvt_call call, void *argument)
{
	hvt_out(0x500 + call, (uint64_t)argument);
}

/* platform.c: what the entry was given. */
extern const struct hvt_boot_info *hvt_info;
