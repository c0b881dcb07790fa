#include "vmm/options.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "vmm/config.h"

enum { COUNT = 2 };

struct thing {
	const char *path;
	bool ro;
	unsigned colour;
	uint64_t size;
	uint8_t mac[6];
	uint64_t ports[COUNT];
	unsigned port_count;
};

static const char *const colours[] = {"red", "blue", NULL};

static const struct option fields[] = {
        {.name = "path",
                .value = "PATH",
                .parse = option_text,
                .first = true,
                .min = 1,
                .expects = "a path",
                OPTION_MEMBER(struct thing, path)},
        {.name = "ro", .parse = option_switch, OPTION_MEMBER(struct thing, ro)},
        {.name = "colour",
                .value = "C",
                .parse = option_choice,
                .choices = colours,
                .expects = "red or blue",
                OPTION_MEMBER(struct thing, colour)},
        {.name = "size",
                .value = "SIZE",
                .parse = option_size,
                .min = 4096,
                .max = 1 << 20,
                .expects = "a size",
                OPTION_MEMBER(struct thing, size)},
        {.name = "port",
                .value = "N",
                .parse = option_number,
                .max = 9,
                .expects = "a digit",
                OPTION_ARRAY(struct thing, ports, port_count, COUNT)},
        {0},
};

/* The things of a struct of their own, as `--thing PATH,...`. */
struct things {
	unsigned before;
	struct thing list[COUNT];
	unsigned count;
};

static const struct option thing_option = {.name = "thing",
        .value = "PATH[,...]",
        .fields = fields,
        .expects = "PATH[,...]",
        OPTION_ARRAY(struct things, list, count, COUNT)};

static int set(struct things *things, const char *text)
{
	static char copies[8][80]; /* texts outlive their target */
	static unsigned next;
	char *copy = copies[next++ % 8];

	strncpy(copy, text, sizeof(copies[0]) - 1);
	return option_set(&thing_option, things, "--thing", copy);
}

static void numbers_are_decimal_digits_and_nothing_else(void)
{
	static const char *const bad[] = {"", " 1", "1 ", "-1", "+1", "0x10", "1.5",
	        "1e3", "12a", "K", "\xd9\xa1"};
	uint64_t value = 7;

	CU_ASSERT_EQUAL(number_parse("18446744073709551615", &value), 0);
	CU_ASSERT_EQUAL(value, UINT64_MAX);
	CU_ASSERT_EQUAL(number_parse("007", &value), 0);
	CU_ASSERT_EQUAL(value, 7);
	CU_ASSERT_EQUAL(number_parse("18446744073709551616", &value), -ERANGE);
	CU_ASSERT_EQUAL(number_parse("99999999999999999999999999", &value), -ERANGE);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_EQUAL(number_parse(bad[i], &value), -EINVAL);
	CU_ASSERT_EQUAL(value, 7);
}

static void sizes_have_units_and_never_wrap(void)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {{"1K", 1024}, {"1k", 1024}, {"512", 512ull << 20}, {"3M", 3 << 20},
	        {"2G", 2ull << 30}, {"16777215T", 16777215ull << 40}, {"0", 0}};
	uint64_t bytes = 5;

	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		CU_ASSERT_EQUAL(size_parse(good[i].text, &bytes), 0);
		CU_ASSERT_EQUAL(bytes, good[i].bytes);
	}
	bytes = 5;
	CU_ASSERT_EQUAL(size_parse("16777216T", &bytes), -ERANGE);
	CU_ASSERT_EQUAL(size_parse("18014398509481984K", &bytes), -ERANGE);
	CU_ASSERT_EQUAL(size_parse("99999999999999999999G", &bytes), -ERANGE);
	CU_ASSERT_EQUAL(size_parse("5X", &bytes), -EINVAL);
	CU_ASSERT_EQUAL(size_parse("5MB", &bytes), -EINVAL);
	CU_ASSERT_EQUAL(size_parse("M", &bytes), -EINVAL);
	CU_ASSERT_EQUAL(size_parse("99999999999999999999X", &bytes), -EINVAL);
	CU_ASSERT_EQUAL(bytes, 5);
}

static void durations_have_units(void)
{
	uint64_t ns = 5;

	CU_ASSERT_EQUAL(duration_parse("500ms", &ns), 0);
	CU_ASSERT_EQUAL(ns, 500000000);
	CU_ASSERT_EQUAL(duration_parse("2", &ns), 0);
	CU_ASSERT_EQUAL(ns, 2000000000);
	CU_ASSERT_EQUAL(duration_parse("1h", &ns), 0);
	CU_ASSERT_EQUAL(ns, 3600000000000);
	CU_ASSERT_EQUAL(duration_parse("18446744074s", &ns), -ERANGE);
	CU_ASSERT_EQUAL(duration_parse("1d", &ns), -EINVAL);
	CU_ASSERT_EQUAL(duration_parse("s", &ns), -EINVAL);
}

static void mac_is_an_interfaces_six_pairs_of_hex_digits(void)
{
	static const char *const bad[] = {"", "02", "02:00:5e:10:00",
	        "02:00:5e:10:00:01:", "02:00:5e:10:00:1", "02-00-5e-10-00-01",
	        "0g:00:5e:10:00:01", "02:00:5e:10:00:011", "020:0:5e:10:00:01",
	        "01:00:5e:10:00:01", "00:00:00:00:00:00"};
	uint8_t mac[6] = {9};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_EQUAL(mac_parse(bad[i], mac), -EINVAL);
	CU_ASSERT_EQUAL(mac[0], 9);
	CU_ASSERT_EQUAL(mac_parse("02:00:5E:1f:Ab:01", mac), 0);
	CU_ASSERT_EQUAL(memcmp(mac, "\x02\x00\x5e\x1f\xab\x01", 6), 0);
}

static void publish_binds_the_loopback_unless_told(void)
{
	struct publish_config publish = {0};

	CU_ASSERT_EQUAL(publish_parse("8080:80", &publish), 0);
	CU_ASSERT_EQUAL(publish.address, 0x7f000001);
	CU_ASSERT_EQUAL(publish.host, 8080);
	CU_ASSERT_EQUAL(publish.guest, 80);
	CU_ASSERT_FALSE(publish.udp);
	CU_ASSERT_EQUAL(publish_parse("0.0.0.0:53:5353/udp", &publish), 0);
	CU_ASSERT_EQUAL(publish.address, 0);
	CU_ASSERT_EQUAL(publish.host, 53);
	CU_ASSERT_TRUE(publish.udp);
	CU_ASSERT_EQUAL(publish_parse("192.168.7.255:65535:65535/tcp", &publish), 0);
	CU_ASSERT_EQUAL(publish.address, 0xc0a807ff);
	CU_ASSERT_FALSE(publish.udp);
}

static void publish_refuses_what_is_no_port(void)
{
	static const char *const bad[] = {"", "80", "80:", ":80", "80:80:80", "0:80",
	        "80:0", "65536:80", "80:65536", "256.0.0.1:80:80", "1.2.3:80:80",
	        "1.2.3.4.5:80:80", "80:80/sctp", "80:80/", "80:80 ", "[::1]:80:80",
	        "1.2.3.4:80", "99999999999999999999:80", "a:b"};
	struct publish_config publish = {.host = 7};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_NOT_EQUAL(publish_parse(bad[i], &publish), 0);
	CU_ASSERT_EQUAL(publish.host, 7);
}

static void list_fills_its_struct(void)
{
	struct things things = {.before = 1};

	CU_ASSERT_EQUAL(set(&things, "a=b,ro,colour=blue,size=8K,port=1,port=2"), 0);
	CU_ASSERT_EQUAL(set(&things, "second,ro=off"), 0);
	CU_ASSERT_EQUAL(things.count, 2);
	CU_ASSERT_STRING_EQUAL(things.list[0].path, "a=b");
	CU_ASSERT_TRUE(things.list[0].ro);
	CU_ASSERT_EQUAL(things.list[0].colour, 1);
	CU_ASSERT_EQUAL(things.list[0].size, 8192);
	CU_ASSERT_EQUAL(things.list[0].port_count, 2);
	CU_ASSERT_EQUAL(things.list[0].ports[1], 2);
	CU_ASSERT_STRING_EQUAL(things.list[1].path, "second");
	CU_ASSERT_FALSE(things.list[1].ro);
	CU_ASSERT_EQUAL(things.before, 1);
}

static void doubled_comma_is_part_of_a_name(void)
{
	struct things things = {0};

	CU_ASSERT_EQUAL(set(&things, "a,,b,,,ro"), 0);
	CU_ASSERT_STRING_EQUAL(things.list[0].path, "a,b,");
	CU_ASSERT_TRUE(things.list[0].ro);
}

static void bad_item_leaves_the_array_as_it_was(void)
{
	static const char *const bad[] = {"", ",ro", "a,", "a,r", "a,ro=maybe",
	        "a,colour", "a,colour=green", "a,size=1K", "a,size=2M", "a,ro,ro",
	        "a,path=b", "a,port=1,port=2,port=3", "a,port=10", "a,=", "a,size="};
	struct things things = {0};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_EQUAL(set(&things, bad[i]), -EINVAL);
	CU_ASSERT_EQUAL(things.count, 0);
}

static void array_takes_its_limit_and_no_more(void)
{
	struct things things = {0};

	CU_ASSERT_EQUAL(set(&things, "a"), 0);
	CU_ASSERT_EQUAL(set(&things, "b"), 0);
	CU_ASSERT_EQUAL(set(&things, "c"), -EINVAL);
	CU_ASSERT_EQUAL(things.count, 2);
	option_clear(&thing_option, &things);
	CU_ASSERT_EQUAL(set(&things, "d"), 0);
	CU_ASSERT_STRING_EQUAL(things.list[0].path, "d");
}

static const char *near(const char *name)
{
	return option_nearest(config_options, name, strlen(name));
}

static void nearest_name_is_found_and_nonsense_is_not(void)
{
	CU_ASSERT_STRING_EQUAL(near("cups"), "cpus");
	CU_ASSERT_STRING_EQUAL(near("cpu"), "cpus");
	CU_ASSERT_STRING_EQUAL(near("memm"), "mem");
	CU_ASSERT_STRING_EQUAL(near("memory"), "mem");
	CU_ASSERT_STRING_EQUAL(near("time"), "timeline");
	CU_ASSERT_STRING_EQUAL(near("dryrun"), "dry-run");
	CU_ASSERT_PTR_NULL(near("xyzzy"));
	CU_ASSERT_PTR_NULL(near(""));
	CU_ASSERT_PTR_NULL(near("a-name-that-is-longer-than-any-option-could-ever-be"));
	CU_ASSERT_EQUAL(option_distance("", 0, "abc"), 3);
	CU_ASSERT_EQUAL(option_distance("abc", 3, ""), 3);
	CU_ASSERT_EQUAL(option_distance("kitten", 6, "sitting"), 3);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(numbers_are_decimal_digits_and_nothing_else),
	        UNIT(sizes_have_units_and_never_wrap),
	        UNIT(durations_have_units),
	        UNIT(mac_is_an_interfaces_six_pairs_of_hex_digits),
	        UNIT(publish_binds_the_loopback_unless_told),
	        UNIT(publish_refuses_what_is_no_port),
	        UNIT(list_fills_its_struct),
	        UNIT(doubled_comma_is_part_of_a_name),
	        UNIT(bad_item_leaves_the_array_as_it_was),
	        UNIT(array_takes_its_limit_and_no_more),
	        UNIT(nearest_name_is_found_and_nonsense_is_not),
	        {0},
	};

	return unit_run("options", tests);
}
