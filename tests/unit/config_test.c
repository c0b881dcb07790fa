#include "vmm/config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vmm/json.h"

static int parse(struct config *config, const char *text)
{
	config_init(config);
	return config_parse(config, "test.json", text, strlen(text));
}

/* Whether `text` is refused, by its form or by its meaning. */
static bool refused(const char *text)
{
	struct config config;
	int error = parse(&config, text);

	if (!error)
		error = config_check(&config);
	config_destroy(&config);
	CU_ASSERT(!error || error == -EINVAL);
	return error != 0;
}

static void file_sets_what_flags_set(void)
{
	struct config config;

	CU_ASSERT_EQUAL(
	        parse(&config,
	                "{\"kernel\":\"k\",\"initrd\":[\"a\",\"b\"],\"cmdline\":"
	                "\"quiet\","
	                "\"arguments\":\"x y\",\"cpus\":2,\"mem\":\"1G\",\"rng\":true,"
	                "\"disk\":[{\"path\":\"a,b\",\"ro\":true,\"id\":\"one\"},\"c,"
	                "ro\"],"
	                "\"net\":[{\"user\":true,\"publish\":[\"8080:80\",\"53:53/"
	                "udp\"]},"
	                "{\"tap\":\"tap0\",\"mac\":\"02:00:00:00:00:01\"}],"
	                "\"console\":\"virtio\",\"on-reboot\":\"restart\",\"grace\":3,"
	                "\"boot\":\"pvh\",\"timeline\":\"t.svg\",\"log-level\":"
	                "\"info\","
	                "\"no-default-args\":true,\"force\":false,\"json\":true}"),
	        0);
	CU_ASSERT_EQUAL(config_check(&config), 0);
	CU_ASSERT_STRING_EQUAL(config.kernel, "k");
	CU_ASSERT_EQUAL(config.initrd_count, 2);
	CU_ASSERT_STRING_EQUAL(config.initrds[1], "b");
	CU_ASSERT_STRING_EQUAL(config.cmdline, "quiet");
	CU_ASSERT_STRING_EQUAL(config.arguments, "x y");
	CU_ASSERT_EQUAL(config.cpus, 2);
	CU_ASSERT_EQUAL(config.memory, 1ull << 30);
	CU_ASSERT_TRUE(config.rng);
	CU_ASSERT_EQUAL(config.disk_count, 2);
	CU_ASSERT_STRING_EQUAL(config.disks[0].path, "a,b");
	CU_ASSERT_STRING_EQUAL(config.disks[0].id, "one");
	CU_ASSERT_TRUE(config.disks[0].readonly);
	CU_ASSERT_STRING_EQUAL(config.disks[1].path, "c");
	CU_ASSERT_TRUE(config.disks[1].readonly);
	CU_ASSERT_EQUAL(config.nic_count, 2);
	CU_ASSERT_EQUAL(config.nics[0].publish_count, 2);
	CU_ASSERT_TRUE(config.nics[0].publish[1].udp);
	CU_ASSERT_STRING_EQUAL(config.nics[1].tap, "tap0");
	CU_ASSERT_TRUE(config.nics[1].has_mac);
	CU_ASSERT_EQUAL(config.console, CONSOLE_VIRTIO);
	CU_ASSERT_TRUE(config.restart);
	CU_ASSERT_EQUAL(config.grace_ns, 3000000000);
	CU_ASSERT_EQUAL(config.boot, BOOT_PVH);
	CU_ASSERT_TRUE(config.timeline);
	CU_ASSERT_STRING_EQUAL(config.timeline_svg, "t.svg");
	CU_ASSERT_EQUAL(config.log_level, 2);
	CU_ASSERT_TRUE(config.no_defaults);
	CU_ASSERT_FALSE(config.force);
	CU_ASSERT_TRUE(config.json);
	config_destroy(&config);
}

static void one_value_stands_for_a_list_of_one(void)
{
	struct config config;

	CU_ASSERT_EQUAL(
	        parse(&config, "{\"image\":\"x\",\"initrd\":\"i\",\"net\":\"user\","
	                       "\"disk\":{\"path\":\"d\"},\"mem\":64}"),
	        0);
	CU_ASSERT_EQUAL(config_check(&config), 0);
	CU_ASSERT_EQUAL(config.initrd_count, 1);
	CU_ASSERT_EQUAL(config.disk_count, 1);
	CU_ASSERT_EQUAL(config.nic_count, 1);
	CU_ASSERT_EQUAL(config.memory, 64ull << 20);
	config_destroy(&config);
}

static void file_of_wrong_form_is_refused(void)
{
	static const char *const bad[] = {
	        "",
	        "[",
	        "[]",
	        "7",
	        "{\"image\":\"x\"} x",
	        "{\"image\":\"x\",\"image\":\"y\"}",
	        "{\"image\":\"x\",\"disk\":[{\"path\":\"a\",\"path\":\"b\"}]}",
	        "{\"image\":\"a\\u0000b\"}",
	        "{\"image\":\"\xff\"}",
	        "{\"image\":\"x\",\"cpsu\":2}",
	        "{\"image\":\"x\",\"disk\":[{\"path\":\"a\",\"readonly\":true}]}",
	        "{\"image\":\"x\",\"config\":\"y\"}",
	        "{\"image\":\"x\",\"help\":true}",
	        "{\"image\":5}",
	        "{\"image\":\"x\",\"cpus\":\"many\"}",
	        "{\"image\":\"x\",\"cpus\":2.5}",
	        "{\"image\":\"x\",\"cpus\":null}",
	        "{\"image\":\"x\",\"cpus\":true}",
	        "{\"image\":\"x\",\"cpus\":[2]}",
	        "{\"image\":\"x\",\"cpus\":{}}",
	        "{\"image\":\"x\",\"cpus\":-1}",
	        "{\"image\":\"x\",\"mem\":-9223372036854775808}",
	        "{\"image\":\"x\",\"rng\":1}",
	        "{\"image\":\"x\",\"rng\":\"yes\"}",
	        "{\"image\":\"x\",\"disk\":5}",
	        "{\"image\":\"x\",\"disk\":[[\"a\"]]}",
	        "{\"image\":\"x\",\"disk\":[{\"path\":5}]}",
	        "{\"image\":\"x\",\"disk\":[{\"path\":\"\"}]}",
	        "{\"image\":\"x\",\"disk\":[{\"path\":\"a\",\"ro\":{}}]}",
	        "{\"image\":\"x\",\"disk\":[{}]}",
	        "{\"image\":\"x\",\"net\":[{}]}",
	        "{\"image\":\"x\",\"net\":[{\"user\":true,\"publish\":8080}]}",
	        "{\"image\":\"x\",\"cmdline\":5}",
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_TRUE(refused(bad[i]));
}

/* One more than the name of a device in a Solo5 manifest can have. */
#define LONG_ID "12345678901234567890123456789012345678901234567890123456789012345678"

static void conflicts_are_refused(void)
{
	static const char *const bad[] = {
	        "{}",
	        "{\"image\":\"x\",\"kernel\":\"y\"}",
	        "{\"image\":\"x\",\"cpus\":0}",
	        "{\"image\":\"x\",\"cpus\":10000}",
	        "{\"image\":\"x\",\"mem\":0}",
	        "{\"image\":\"x\",\"mem\":\"1023K\"}",
	        "{\"image\":\"x\",\"mem\":\"65T\"}",
	        "{\"image\":\"x\",\"mem\":\"16777216T\"}",
	        "{\"image\":\"x\",\"disk\":[\"a,id=n\",\"b,id=n\"]}",
	        "{\"image\":\"x\",\"disk\":[\"a\",\"a,ro\"]}",
	        "{\"image\":\"x\",\"disk\":[\"a,id=" LONG_ID "\"]}",
	        "{\"image\":\"x\",\"net\":[\"user,tap=t\"]}",
	        "{\"image\":\"x\",\"net\":[\"tap=a/b\"]}",
	        "{\"image\":\"x\",\"net\":[\"tap=sixteen-letters-\"]}",
	        "{\"image\":\"x\",\"net\":[\"tap=t\",\"tap=t\"]}",
	        "{\"image\":\"x\",\"net\":[\"tap=t,publish=1:1\"]}",
	        "{\"image\":\"x\",\"net\":[\"user,id=n\",\"tap=t,id=n\"]}",
	        "{\"image\":\"x\",\"net\":[\"user,mac=01:00:00:00:00:00\"]}",
	        "{\"image\":\"x\",\"net\":[\"user,mac=00:00:00:00:00:00\"]}",
	        "{\"image\":\"x\",\"net\":[\"user,mac=02:00:00:00:00:00\","
	        "\"tap=t,mac=02:00:00:00:00:00\"]}",
	        "{\"image\":\"x\",\"net\":[\"user,publish=80:80\",\"user,publish=80:"
	        "81\"]}",
	        "{\"image\":\"x\",\"net\":[\"user,publish=80:80,publish=0.0.0.0:80:"
	        "81\"]}",
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_TRUE(refused(bad[i]));
}

static void what_only_looks_like_a_conflict_is_taken(void)
{
	static const char *const good[] = {
	        "{\"image\":\"x\",\"disk\":[\"a,ro\",\"a,ro\"]}",
	        "{\"image\":\"x\",\"disk\":[\"a,id=12345678901234567890\"]}",
	        "{\"image\":\"x\",\"mem\":\"1M\",\"cpus\":4096}",
	        "{\"image\":\"x\",\"mem\":\"64T\"}",
	        "{\"image\":\"x\",\"net\":[\"user\",\"user\"]}",
	        "{\"image\":\"x\",\"net\":[\"tap=fifteen-letters\"]}",
	        "{\"image\":\"x\",\"net\":[\"user,publish=80:80,publish=80:80/udp\"]}",
	        "{\"image\":\"x\",\"net\":[\"user,publish=127.0.0.2:80:80,publish=80:"
	        "80\"]}",
	};

	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		CU_ASSERT_FALSE(refused(good[i]));
}

static void memory_is_rounded_up_to_a_page(void)
{
	struct config config;

	CU_ASSERT_EQUAL(parse(&config, "{\"image\":\"x\",\"mem\":\"1025K\"}"), 0);
	CU_ASSERT_EQUAL(config.memory, 1028 << 10);
	config_destroy(&config);
}

static void command_line_has_a_limit(void)
{
	static char text[CONFIG_CMDLINE + 2];
	struct config config;

	config_init(&config);
	config.image = "x";
	memset(text, 'a', CONFIG_CMDLINE);
	config.cmdline = text;
	CU_ASSERT_EQUAL(config_check(&config), 0);
	text[CONFIG_CMDLINE] = 'a';
	CU_ASSERT_EQUAL(config_check(&config), -EINVAL);
	text[CONFIG_CMDLINE - 1] = '\0';
	config.arguments = "";
	CU_ASSERT_EQUAL(config_check(&config), 0);
	config.arguments = "a";
	CU_ASSERT_EQUAL(config_check(&config), -EINVAL);
}

static void unreadable_file_is_the_hosts_error(void)
{
	struct config config;

	config_init(&config);
	CU_ASSERT_EQUAL(config_read(&config, "/nonexistent.json"), -ENOENT);
	CU_ASSERT_EQUAL(config_read(&config, "/"), -EISDIR);
	CU_ASSERT_EQUAL(config_read(&config, "/dev/null"), -EINVAL);
	CU_ASSERT_EQUAL(config_read(&config, "/dev/zero"), -EINVAL);
	config_destroy(&config);
}

static void json_strings_are_escaped(void)
{
	static const struct {
		const char *text, *json;
	} cases[] = {
	        {"plain", "\"plain\""},
	        {"a\"b\\c\n\x01\x7f", "\"a\\\"b\\\\c\\u000a\\u0001\\u007f\""},
	        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\xa6\x8b",
	                "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\xa6\x8b\""},
	        {"\xff", "\"\\ufffd\""},
	        {"\xc0\x80", "\"\\ufffd\\ufffd\""},            /* overlong NUL */
	        {"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""}, /* a surrogate */
	        {"\xf0\x9f\xa6", "\"\\ufffd\\ufffd\\ufffd\""}, /* cut short */
	        {NULL, "null"},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[64] = "";
		FILE *file = fmemopen(text, sizeof(text), "w");

		json_put_string(file, cases[i].text);
		fclose(file);
		CU_ASSERT_STRING_EQUAL(text, cases[i].json);
	}
}

static void disks_are_as_they_say(void)
{
	struct config config;

	CU_ASSERT_EQUAL(
	        parse(&config,
	                "{\"kernel\":\"k\",\"ephemeral\":true,\"disk\":["
	                "{\"path\":\"a\",\"format\":\"qcow2\",\"size\":\"2G\"},"
	                "\"b,persist,backing\",{\"path\":\"c\",\"size\":\"3\"}]}"),
	        0);
	CU_ASSERT_EQUAL(config_finish(&config), 0);
	CU_ASSERT_EQUAL(config_check(&config), 0);
	CU_ASSERT_EQUAL(config.disks[0].format, DISK_QCOW2);
	CU_ASSERT_EQUAL(config.disks[0].create_size, UINT64_C(2) << 30);
	CU_ASSERT_TRUE(config.disks[0].ephemeral);
	CU_ASSERT_FALSE(config.disks[1].ephemeral);
	CU_ASSERT_TRUE(config.disks[1].backing);
	CU_ASSERT_EQUAL(config.disks[1].format, DISK_BY_NAME);
	CU_ASSERT_EQUAL(config.disks[2].create_size, 3 << 20);
	config_destroy(&config);
	CU_ASSERT_TRUE(refused("{\"kernel\":\"k\",\"disk\":\"a,format=vdi\"}"));
	CU_ASSERT_TRUE(refused("{\"kernel\":\"k\",\"disk\":\"a,size=65T\"}"));
	CU_ASSERT_TRUE(refused("{\"kernel\":\"k\",\"disk\":\"a,ephemeral,persist\"}"));
	CU_ASSERT_TRUE(
	        refused("{\"kernel\":\"k\",\"ephemeral\":true,\"persist\":true}"));
	CU_ASSERT_TRUE(
	        refused("{\"kernel\":\"k\",\"data\":\"a\",\"data-file\":\"b\"}"));
	CU_ASSERT_TRUE(refused("{\"kernel\":\"k\",\"uuid\":\"1234\"}"));
}

static void published_ports_find_a_user_network(void)
{
	struct config config;

	CU_ASSERT_EQUAL(
	        parse(&config, "{\"kernel\":\"k\",\"publish\":[\"80:80\",\"81:81\"]}"),
	        0);
	CU_ASSERT_EQUAL(config_finish(&config), 0);
	CU_ASSERT_EQUAL(config_check(&config), 0);
	CU_ASSERT_EQUAL(config.nic_count, 1);
	CU_ASSERT_TRUE(config.nics[0].user);
	CU_ASSERT_EQUAL(config.nics[0].publish_count, 2);
	config_destroy(&config);
	/* The first of its kind, and not a port that it has. */
	CU_ASSERT_EQUAL(
	        parse(&config, "{\"kernel\":\"k\",\"publish\":\"80:80\",\"net\":["
	                       "{\"tap\":\"t\"},\"user,publish=80:90\"]}"),
	        0);
	CU_ASSERT_EQUAL(config_finish(&config), 0);
	CU_ASSERT_EQUAL(config.nic_count, 2);
	CU_ASSERT_EQUAL(config.nics[1].publish_count, 2);
	CU_ASSERT_EQUAL(config_check(&config), -EINVAL);
	config_destroy(&config);
}

static void user_networks_are_numbered(void)
{
	struct config config;

	CU_ASSERT_EQUAL(
	        parse(&config, "{\"kernel\":\"k\",\"publish\":\"80:80\",\"net\":["
	                       "\"user\",{\"tap\":\"t\"},\"user\"]}"),
	        0);
	CU_ASSERT_EQUAL(config_finish(&config), 0);
	CU_ASSERT_EQUAL(config.nics[0].user_index, 0);
	CU_ASSERT_EQUAL(config.nics[2].user_index, 1);
	config_destroy(&config);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(file_sets_what_flags_set),
	        UNIT(one_value_stands_for_a_list_of_one),
	        UNIT(file_of_wrong_form_is_refused),
	        UNIT(conflicts_are_refused),
	        UNIT(what_only_looks_like_a_conflict_is_taken),
	        UNIT(memory_is_rounded_up_to_a_page),
	        UNIT(disks_are_as_they_say),
	        UNIT(published_ports_find_a_user_network),
	        UNIT(user_networks_are_numbered),
	        UNIT(command_line_has_a_limit),
	        UNIT(unreadable_file_is_the_hosts_error),
	        UNIT(json_strings_are_escaped),
	        {0},
	};

	return unit_run("config", tests);
}
