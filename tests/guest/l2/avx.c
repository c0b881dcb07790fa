/*
 * avx: whether a program keeps its AVX registers while other things run: "kept", "lost", or "absent" where CPUID or XCR0
 * has none. An AVX instruction that faults ends it by SIGILL, without a word.
 */
#include <cpuid.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int has_avx(void)
{
	unsigned eax, ebx, ecx, edx;

	return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_OSXSAVE) &&
	       (ecx & bit_AVX);
}

/* Sleeping between load and store lets the kernel, the idle CPU and the monitor have the registers. */
static int keeps(unsigned char byte)
{
	unsigned char in[32], out[32];

	memset(in, byte, sizeof(in));
	__asm__ volatile("vmovdqu %0, %%ymm15" : : "m"(in) : "xmm15");
	usleep(2000);
	__asm__ volatile("vmovdqu %%ymm15, %0" : "=m"(out));
	return !memcmp(in, out, sizeof(in));
}

int main(void)
{
	int kept = 1;

	if (!has_avx()) {
		puts("absent");
		return 0;
	}
	for (unsigned i = 1; i <= 50; i++)
		kept &= keeps((unsigned char)i);
	puts(kept ? "kept" : "lost");
	return 0;
}
