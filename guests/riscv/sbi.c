/*
 * Calls of the RISC-V Supervisor Binary Interface (2.0) that come out of KVM: the debug
 * console with good and bad buffers by default; "read=yes" reads a line from it, and
 * "seed=yes" the CSR of random numbers;
 * "reset=shutdown", "reboot" or "failure" asks for that. 1: something answered wrongly.
 */
#include "guest.h"
#include "mayfly.h"
#include "riscv/platform.h"

MAYFLY_NEEDS(MAYFLY_NEEDS_INPUT);

#define DBCN            0x4442434e
#define DBCN_WRITE      0
#define DBCN_READ       1
#define DBCN_WRITE_BYTE 2

#define SRST          0x53525354
#define SRST_SHUTDOWN 0
#define SRST_REBOOT   1
#define SRST_FAILURE  1

#define SUCCESS        0
#define NOT_SUPPORTED  (-2)
#define INVALID_PARAM  (-3)
#define BASE           0x10
#define BASE_HAS       3
#define LEGACY_PUTCHAR 1
#define EXPERIMENTAL   0x08000000
#define VENDOR         0x09000000

#define CSR_SEED "0x015"

struct answer {
	long error;
	uint64_t value;
};

static unsigned failures;

static struct answer sbi(uint64_t extension, uint64_t function, uint64_t first,
        uint64_t second, uint64_t third)
{
	register uint64_t a0 __asm__("a0") = first;
	register uint64_t a1 __asm__("a1") = second;
	register uint64_t a2 __asm__("a2") = third;
	register uint64_t a6 __asm__("a6") = function;
	register uint64_t a7 __asm__("a7") = extension;

	__asm__ volatile("ecall"
	                 : "+r"(a0), "+r"(a1)
	                 : "r"(a2), "r"(a6), "r"(a7)
	                 : "memory");
	return (struct answer){(long)a0, a1};
}

static void expect(const char *what, struct answer answer, long error, uint64_t value)
{
	if (answer.error == error && (error || answer.value == value))
		return;
	print("sbi: %s: error %ld, value %lu\n", what, answer.error, answer.value);
	failures++;
}

static struct answer put(uint64_t address, uint64_t high, uint64_t size)
{
	return sbi(DBCN, DBCN_WRITE, size, address, high);
}

/* As long as it takes: a call may take less than all of it. */
static bool put_all(const char *text, uint64_t size)
{
	while (size) {
		struct answer answer = put((uintptr_t)text, 0, size);

		if (answer.error || !answer.value || answer.value > size)
			return false;
		text += answer.value;
		size -= answer.value;
	}
	return true;
}

static void console(void)
{
	static const char hello[] = "sbi: by the debug console\n";
	static char line[1001], byte;
	uint64_t end = platform.memory + platform.memory_size;

	for (unsigned i = 0; i < sizeof(line) - 1; i++)
		line[i] = '.';
	line[sizeof(line) - 1] = '\n';
	expect("write", put((uintptr_t)hello, 0, sizeof(hello) - 1), SUCCESS,
	        sizeof(hello) - 1);
	if (!put_all(line, sizeof(line)))
		expect("long write", (struct answer){1, 0}, SUCCESS, 0);
	expect("byte", sbi(DBCN, DBCN_WRITE_BYTE, '\n', 0, 0), SUCCESS, 0);
	expect("read", sbi(DBCN, DBCN_READ, 1, (uintptr_t)&byte, 0), SUCCESS, 0);
	expect("nothing", put((uintptr_t)hello, 0, 0), SUCCESS, 0);
	expect("no RAM", put(0, 0, 1), INVALID_PARAM, 0);
	expect("a device", put(MAYFLY_COM1_ADDRESS, 0, 1), INVALID_PARAM, 0);
	expect("past the end of RAM", put(end - 4, 0, 8), INVALID_PARAM, 0);
	expect("behind RAM", put(end, 0, 1), INVALID_PARAM, 0);
	expect("around the end", put(UINT64_MAX - 3, 0, 8), INVALID_PARAM, 0);
	expect("above 64 bits", put((uintptr_t)hello, 1, 4), INVALID_PARAM, 0);
	expect("far past the end of RAM", put((uintptr_t)hello, 0, UINT64_C(1) << 40),
	        INVALID_PARAM, 0);
	expect("read, nothing", sbi(DBCN, DBCN_READ, 0, 0, 0), SUCCESS, 0);
	expect("read to no RAM", sbi(DBCN, DBCN_READ, 1, 0, 0), INVALID_PARAM, 0);
	expect("read past the end of RAM", sbi(DBCN, DBCN_READ, 8, end - 4, 0),
	        INVALID_PARAM, 0);
	expect("read above 64 bits", sbi(DBCN, DBCN_READ, 1, (uintptr_t)&byte, 1),
	        INVALID_PARAM, 0);
	expect("no such function", sbi(DBCN, 77, 0, 0, 0), NOT_SUPPORTED, 0);
}

/* One byte a call at first, then what there is. */
static void heard(void)
{
	static char line[64];
	uint64_t size = 0;

	while (size < sizeof(line) && !(size && line[size - 1] == '\n')) {
		struct answer answer = sbi(DBCN, DBCN_READ,
		        size < 3 ? 1 : sizeof(line) - size, (uintptr_t)line + size, 0);

		if (answer.error || answer.value > sizeof(line) - size) {
			expect("read a line", answer, SUCCESS, 0);
			return;
		}
		size += answer.value;
	}
	print("sbi: heard ");
	put_all(line, size);
}

/* KVM leaves these to the monitor. */
static void extensions(void)
{
	expect("experimental extension", sbi(BASE, BASE_HAS, EXPERIMENTAL, 0, 0),
	        SUCCESS, 0);
	expect("vendor's extension", sbi(BASE, BASE_HAS, VENDOR, 0, 0), SUCCESS, 0);
	expect("call of a vendor's", sbi(VENDOR, 0, 0, 0, 0), NOT_SUPPORTED, 0);
	expect("unknown extension", sbi(0x12345678, 0, 0, 0, 0), NOT_SUPPORTED, 0);
}

/* Where KVM has it; there is no input, then. */
static void legacy(void)
{
	if (!sbi(BASE, BASE_HAS, LEGACY_PUTCHAR, 0, 0).value)
		print("sbi: no legacy console\n");
	else
		sbi(LEGACY_PUTCHAR, 0, '\n', 0, 0);
}

/* Zkr (Cryptography Extensions, scalar, 4.1): 2 in the upper bits with 16 fresh ones. */
static void seed(void)
{
	uint64_t value, all = 0, tries = 1000;

	for (unsigned words = 0; words < 8 && tries; tries--) {
		__asm__ volatile("csrrw %0, " CSR_SEED ", zero" : "=r"(value));
		if (value >> 30 != 2)
			continue;
		all |= value & 0xffff;
		words++;
	}
	print("sbi: seed %s\n", tries && all ? "gives bits" : "gives nothing");
	failures += !tries || !all;
}

static void reset(const char *how)
{
	bool failure = option_is(how, "failure");

	print("sbi: asks for a reset\n");
	sbi(SRST, 0, option_is(how, "reboot") ? SRST_REBOOT : SRST_SHUTDOWN,
	        failure ? SRST_FAILURE : 0, 0);
	print("sbi: no reset\n");
	failures++;
}

int main(void)
{
	const char *how = option_find(command_line, "reset");

	if (how)
		reset(how);
	else if (option_find(command_line, "seed"))
		seed();
	else if (option_find(command_line, "read"))
		heard();
	else
		console(), extensions(), legacy();
	return failures != 0;
}
