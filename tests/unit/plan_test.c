#include "vmm/plan.h"
#include "vmm/timeline.h"

#include <fcntl.h>

#include "tests/unit/boot_image.h"
#include "vmm/arch.h"

#define MIB      (UINT64_C(1) << 20)
#define NO_PCI   "pci=off initcall_blacklist=pci_arch_init"
#define UNTRACED " initcall_blacklist=ftrace_check_for_weak_functions"
#define FIRST    " virtio_mmio.device=4K@0xd0000000:16"

enum { CMDLINE_SIZE = 255 }; /* what the kernel takes */

/* A plan for a Linux kernel, and what it was made from. */
struct test {
	char path[64];
	int fd;
	struct config config;
	struct plan plan;
};

static void test_begin(struct test *test)
{
	unsigned char kernel[LEAST_BZIMAGE];

	least_bzimage(kernel, CMDLINE_SIZE);
	*test = (struct test){0};
	test->fd = image_file(kernel, sizeof(kernel), test->path);
	config_init(&test->config);
	test->config.image = test->path;
}

static int test_plan(struct test *test)
{
	struct timeline off = {0};

	return plan_create(&test->plan, &test->config, &off);
}

static void test_end(struct test *test)
{
	plan_destroy(&test->plan);
	config_destroy(&test->config);
	close(test->fd);
}

/* The command line for `own` and `more`, which may be NULL, on this console. */
static bool composes(enum config_console console, bool no_defaults, const char *own,
        const char *more, const char *expected)
{
	struct test test;
	bool same;

	test_begin(&test);
	test.config.console = console;
	test.config.no_defaults = no_defaults;
	test.config.cmdline = own;
	test.config.arguments = more;
	CU_ASSERT_EQUAL_FATAL(test_plan(&test), 0);
	same = !strcmp(test.plan.cmdline, expected);
	if (!same)
		fprintf(stderr, "    '%s' is not '%s'\n", test.plan.cmdline, expected);
	test_end(&test);
	return same;
}

static void console_is_added_unless_given(void)
{
	CU_ASSERT(composes(
	        CONSOLE_SERIAL, false, NULL, NULL, "console=ttyS0 " NO_PCI UNTRACED));
	CU_ASSERT(composes(CONSOLE_SERIAL, false, "quiet", "init=/x -- a b",
	        "console=ttyS0 " NO_PCI UNTRACED " quiet init=/x -- a b"));
	CU_ASSERT(composes(CONSOLE_SERIAL, false, "quiet console=tty0", NULL,
	        NO_PCI UNTRACED " quiet console=tty0"));
	CU_ASSERT(composes(CONSOLE_SERIAL, false, "quiet\tconsole=tty0", NULL,
	        NO_PCI UNTRACED " quiet\tconsole=tty0"));
	CU_ASSERT(composes(CONSOLE_SERIAL, false, NULL, "console=ttyS1",
	        NO_PCI UNTRACED " console=ttyS1"));
	CU_ASSERT(composes(CONSOLE_SERIAL, false, "netconsole=x", NULL,
	        "console=ttyS0 " NO_PCI UNTRACED " netconsole=x"));
	/* Behind "--" it is init's. */
	CU_ASSERT(composes(CONSOLE_SERIAL, false, NULL, "-- console=tty0",
	        "console=ttyS0 " NO_PCI UNTRACED " -- console=tty0"));
	CU_ASSERT(
	        composes(CONSOLE_NONE, false, "quiet", NULL, NO_PCI UNTRACED " quiet"));
}

static void virtio_console_is_named_beside_another(void)
{
	static const char added[] = "console=hvc0 " NO_PCI UNTRACED FIRST;
	char expected[240];

	CU_ASSERT(composes(CONSOLE_VIRTIO, false, NULL, NULL, added));
	snprintf(expected, sizeof(expected), "%s console=ttyS0", added);
	CU_ASSERT(composes(CONSOLE_VIRTIO, false, "console=ttyS0", NULL, expected));
	snprintf(expected, sizeof(expected), "%s console=hvc0", strchr(added, ' ') + 1);
	CU_ASSERT(composes(CONSOLE_VIRTIO, false, NULL, "console=hvc0", expected));
}

static void who_traces_functions_gets_all_of_it(void)
{
	CU_ASSERT(composes(CONSOLE_SERIAL, false, NULL, "ftrace=function",
	        "console=ttyS0 " NO_PCI " ftrace=function"));
	CU_ASSERT(composes(CONSOLE_SERIAL, false, "trace_event=sched", NULL,
	        "console=ttyS0 " NO_PCI " trace_event=sched"));
	CU_ASSERT(composes(CONSOLE_SERIAL, false, "panic_on_warn=1", NULL,
	        "console=ttyS0 " NO_PCI " panic_on_warn=1"));
	CU_ASSERT(composes(CONSOLE_SERIAL, false, NULL, "initcall_blacklist=none",
	        "console=ttyS0 " NO_PCI " initcall_blacklist=none"));
}

static void no_default_args_means_none(void)
{
	CU_ASSERT(composes(CONSOLE_SERIAL, true, NULL, NULL, ""));
	CU_ASSERT(composes(CONSOLE_VIRTIO, true, "a", "b", "a b"));
}

static void images_own_command_line_gives_way(void)
{
	char folder[] = "/tmp/mayfly-plan-XXXXXX", buffer[2048];
	static const char own[] = "console=ttyS0 page_poison=1";
	struct test test;
	int fd;

	CU_ASSERT_FATAL(mkdtemp(folder) && !chdir(folder));
	test_begin(&test);
	fd = open("x-kernel", O_WRONLY | O_CREAT, 0600);
	CU_ASSERT_EQUAL(pread(test.fd, buffer, sizeof(buffer), 0), sizeof(buffer));
	CU_ASSERT_EQUAL(write(fd, buffer, sizeof(buffer)), sizeof(buffer));
	close(fd);
	fd = open("x-cmdline", O_WRONLY | O_CREAT, 0600);
	CU_ASSERT_EQUAL(write(fd, own, strlen(own)), (ssize_t)strlen(own));
	close(fd);
	test.config.image = "x";
	test.config.arguments = "more";
	CU_ASSERT_EQUAL_FATAL(test_plan(&test), 0);
	CU_ASSERT_STRING_EQUAL(
	        test.plan.cmdline, NO_PCI UNTRACED " console=ttyS0 page_poison=1 more");
	CU_ASSERT_STRING_EQUAL(test.plan.additions, NO_PCI UNTRACED);
	plan_destroy(&test.plan);
	/* Linux's /dev/console is the last. */
	test.config.console = CONSOLE_VIRTIO;
	CU_ASSERT_EQUAL_FATAL(test_plan(&test), 0);
	CU_ASSERT_STRING_EQUAL(test.plan.cmdline,
	        NO_PCI UNTRACED FIRST " console=ttyS0 page_poison=1 console=hvc0 more");
	CU_ASSERT_STRING_EQUAL(
	        test.plan.additions, NO_PCI UNTRACED FIRST " console=hvc0");
	plan_destroy(&test.plan);
	test.config.console = CONSOLE_SERIAL;
	test.config.cmdline = "mine";
	CU_ASSERT_EQUAL_FATAL(test_plan(&test), 0);
	CU_ASSERT_STRING_EQUAL(
	        test.plan.cmdline, "console=ttyS0 " NO_PCI UNTRACED " mine more");
	test_end(&test);
	unlink("x-kernel");
	unlink("x-cmdline");
	CU_ASSERT(!chdir("/") && !rmdir(folder));
}

static void longest_command_line_fits_and_no_more(void)
{
	char text[CMDLINE_SIZE + 2] = {0};
	struct said said;
	struct test test;

	memset(text, 'a', CMDLINE_SIZE);
	CU_ASSERT(composes(CONSOLE_SERIAL, true, text, NULL, text));
	text[CMDLINE_SIZE] = 'a';
	test_begin(&test);
	test.config.no_defaults = true;
	test.config.cmdline = text;
	said_begin(&said);
	CU_ASSERT_EQUAL(test_plan(&test), -E2BIG);
	CU_ASSERT(said_exactly(&said, "--cmdline: 256 characters"));
	test_end(&test);
}

static bool resets(const char *cmdline)
{
	struct test test;
	bool triple_fault;

	test_begin(&test);
	test.config.cmdline = cmdline;
	CU_ASSERT_EQUAL_FATAL(test_plan(&test), 0);
	triple_fault = test.plan.triple_fault_resets;
	test_end(&test);
	return triple_fault;
}

static void reboot_by_triple_fault_is_read_as_linux_does(void)
{
	CU_ASSERT(resets("reboot=t"));
	CU_ASSERT(resets("quiet reboot=t ro"));
	CU_ASSERT(resets("reboot=triple"));
	CU_ASSERT(resets("reboot=t,force"));
	CU_ASSERT(resets("reboot=warm,t"));
	CU_ASSERT(resets("reboot=w,smp0,t,f"));
	CU_ASSERT(resets("reboot=k reboot=t"));
	CU_ASSERT(resets("reboot=t reboot=w"));
	CU_ASSERT(resets("reboot=k,t"));
	CU_ASSERT(resets("reboot=,t"));
	CU_ASSERT(resets("reboot=panic_warm,t"));
	CU_ASSERT_FALSE(resets(NULL));
	CU_ASSERT_FALSE(resets("reboot=k"));
	CU_ASSERT_FALSE(resets("reboot=t,k"));
	CU_ASSERT_FALSE(resets("reboot=t reboot=acpi"));
	CU_ASSERT_FALSE(resets("reboot="));
	CU_ASSERT_FALSE(resets("reboot= t"));
	CU_ASSERT_FALSE(resets("reboot=panic_"));
	CU_ASSERT_FALSE(resets("reboot=warm"));
	CU_ASSERT_FALSE(resets("noreboot=t"));
	CU_ASSERT_FALSE(resets("root=a,t ro"));
	CU_ASSERT_FALSE(resets("-- reboot=t"));
	CU_ASSERT_FALSE(resets("reboot"));
}

static void devices_have_an_order_and_a_place(void)
{
	static const enum plan_kind kinds[] = {
	        PLAN_DISK, PLAN_DISK, PLAN_NIC, PLAN_RNG, PLAN_CONSOLE};
	struct test test;

	test_begin(&test);
	test.config.disk_count = 2;
	test.config.disks[0].path = "a";
	test.config.disks[1].path = "b";
	test.config.nic_count = 1;
	test.config.rng = true;
	test.config.console = CONSOLE_VIRTIO;
	CU_ASSERT_EQUAL_FATAL(test_plan(&test), 0);
	CU_ASSERT_EQUAL_FATAL(test.plan.virtio_count, 5);
	for (unsigned i = 0; i < 5; i++) {
		const struct plan_virtio *virtio = &test.plan.virtio[i];

		CU_ASSERT_EQUAL(virtio->kind, kinds[i]);
		CU_ASSERT_EQUAL(virtio->index, i == 1);
		CU_ASSERT_EQUAL(virtio->base,
		        arch_layout.virtio_base + i * arch_layout.virtio_size);
		CU_ASSERT_EQUAL(virtio->gsi, arch_layout.virtio_gsi + i);
	}
	test_end(&test);
}

static void pci_devices_have_a_slot_and_linux_looks_for_them(void)
{
	struct test test;

	test_begin(&test);
	test.config.transport = TRANSPORT_PCI;
	test.config.nic_count = 1;
	test.config.rng = true;
	CU_ASSERT_EQUAL_FATAL(test_plan(&test), 0);
	CU_ASSERT_EQUAL_FATAL(test.plan.virtio_count, 2);
	for (unsigned i = 0; i < 2; i++) {
		const struct plan_virtio *virtio = &test.plan.virtio[i];

		CU_ASSERT_EQUAL(virtio->slot, 1 + i);
		CU_ASSERT_EQUAL(
		        virtio->base, arch_layout.pci_memory + i * virtio->size);
		CU_ASSERT_EQUAL(
		        virtio->ports, arch_layout.pci_ports + i * PLAN_PCI_PORTS);
		CU_ASSERT_EQUAL(virtio->gsi, arch_layout.virtio_gsi + i);
	}
	CU_ASSERT_PTR_NULL(strstr(test.plan.cmdline, "pci"));
	CU_ASSERT_PTR_NULL(strstr(test.plan.cmdline, "virtio_mmio"));
	test_end(&test);
}

/* For a Linux without ACPI; with no room for them, one with ACPI does without. */
static void linux_is_told_of_devices_if_there_is_room(void)
{
	static const char added[] = NO_PCI UNTRACED FIRST;
	char arguments[CMDLINE_SIZE + 1];
	struct test test;

	memset(arguments, 'a', sizeof(arguments));
	for (unsigned over = 0; over < 2; over++) {
		arguments[CMDLINE_SIZE - strlen(added) - 3 + over] = '\0';
		test_begin(&test);
		test.config.rng = true;
		test.config.console = CONSOLE_NONE;
		test.config.cmdline = "b";
		test.config.arguments = arguments;
		CU_ASSERT_EQUAL(test_plan(&test), 0);
		CU_ASSERT_EQUAL(!strstr(test.plan.cmdline, FIRST), over);
		CU_ASSERT_PTR_NOT_NULL(strstr(test.plan.cmdline, arguments));
		arguments[CMDLINE_SIZE - strlen(added) - 3 + over] = 'a';
		test_end(&test);
	}
}

/* All that can be asked for has a place; a command line has room for what is in it. */
static void as_many_devices_as_there_may_be(void)
{
	char arguments[CMDLINE_SIZE + 1];
	struct said said;
	struct test test;

	test_begin(&test);
	test.config.disk_count = PLAN_DISKS;
	for (unsigned i = 0; i < PLAN_DISKS; i++)
		test.config.disks[i].path = "a";
	test.config.nic_count = CONFIG_NICS;
	test.config.data = "a";
	test.config.rng = true;
	test.config.console = CONSOLE_VIRTIO;
	CU_ASSERT_EQUAL(test_plan(&test), 0);
	CU_ASSERT_EQUAL(
	        test.plan.virtio_count, PLAN_VIRTIO - !arch_layout.virtio_button);
	plan_destroy(&test.plan);
	memset(arguments, 'a', sizeof(arguments));
	arguments[CMDLINE_SIZE - strlen("console=hvc0 " NO_PCI UNTRACED " ")] = '\0';
	test.config.arguments = arguments;
	CU_ASSERT_EQUAL(test_plan(&test), 0);
	plan_destroy(&test.plan);
	strcat(arguments, "a");
	said_begin(&said);
	CU_ASSERT_EQUAL(test_plan(&test), -E2BIG);
	CU_ASSERT(said_exactly(&said, "of which Mayfly added"));
	test_end(&test);
}

/* A Multiboot kernel: lines that a PIC has come first, and there are no more than 16. */
static void pc_has_lines_for_16_devices(void)
{
	static const uint32_t header[] = {0x1badb002, 0x10000, -0x1badb002 - 0x10000,
	        0x100000, 0x100000, 0, 0, 0x100000};
	struct said said;
	struct test test;

	test_begin(&test);
	close(test.fd);
	test.fd = image_file(header, sizeof(header), test.path);
	test.config.disk_count = 16;
	for (unsigned i = 0; i < 16; i++)
		test.config.disks[i].path = "a";
	test.config.arguments = "a";
	CU_ASSERT_EQUAL_FATAL(test_plan(&test), 0);
	CU_ASSERT(test.plan.needs.pc && test.plan.needs.irqchip);
	CU_ASSERT_EQUAL(test.plan.virtio[0].gsi, 5);
	CU_ASSERT_EQUAL(test.plan.virtio[15].gsi, 23);
	for (unsigned i = 0; i < 16; i++)
		for (unsigned j = 0; j < i; j++)
			CU_ASSERT(test.plan.virtio[i].gsi != test.plan.virtio[j].gsi);
	/* The image's name, then what was added for it; the user's come last. */
	CU_ASSERT(!strncmp(test.plan.cmdline, strrchr(test.path, '/') + 1,
	        strlen(strrchr(test.path, '/')) - 1));
	CU_ASSERT(!strncmp(
	        test.plan.cmdline + strlen(test.plan.cmdline) - 5, ":23 a", 5));
	plan_destroy(&test.plan);
	test.config.rng = true;
	said_begin(&said);
	CU_ASSERT_EQUAL(test_plan(&test), -EINVAL);
	CU_ASSERT(said_exactly(&said, "at most 16 devices"));
	test_end(&test);
}

static void memory_is_the_images_default_or_as_asked_in_whole_pages(void)
{
	static const struct {
		uint64_t asked, given;
	} cases[] = {
	        {0, 1024 * MIB},
	        {64 * MIB, 64 * MIB},
	        {64 * MIB + 1, 64 * MIB + 4096},
	        {6144 * MIB, 6144 * MIB},
	};
	struct test test;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t ram = 0, end = 0;

		test_begin(&test);
		test.config.memory = cases[i].asked;
		CU_ASSERT_EQUAL_FATAL(test_plan(&test), 0);
		CU_ASSERT_EQUAL(test.plan.memory, cases[i].given);
		CU_ASSERT_EQUAL(test.plan.memory_default, !cases[i].asked);
		for (unsigned j = 0; j < test.plan.region_count; j++) {
			const struct boot_region *region = &test.plan.regions[j];

			CU_ASSERT(region->guest >= end);
			end = region->guest + region->size;
			ram += region->reserved ? 0 : region->size;
		}
		/* Less the first MiB's upper half, or so. */
		CU_ASSERT(ram <= cases[i].given && ram > cases[i].given - MIB);
		test_end(&test);
	}
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(console_is_added_unless_given),
	        UNIT(virtio_console_is_named_beside_another),
	        UNIT(who_traces_functions_gets_all_of_it),
	        UNIT(no_default_args_means_none),
	        UNIT(images_own_command_line_gives_way),
	        UNIT(longest_command_line_fits_and_no_more),
	        UNIT(reboot_by_triple_fault_is_read_as_linux_does),
	        UNIT(devices_have_an_order_and_a_place),
	        UNIT(pci_devices_have_a_slot_and_linux_looks_for_them),
	        UNIT(linux_is_told_of_devices_if_there_is_room),
	        UNIT(as_many_devices_as_there_may_be),
	        UNIT(pc_has_lines_for_16_devices),
	        UNIT(memory_is_the_images_default_or_as_asked_in_whole_pages),
	        {0},
	};
	return unit_run("plan", tests);
}
