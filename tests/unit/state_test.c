#include "vmm/state.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vmm/config.h"

static void begin(struct config *config, const char *state, bool dry)
{
	config_init(config);
	config->state = state;
	config->dry_run = dry;
	config->nic_count = 1;
	config->disk_count = 3;
	config->disks[0] = (struct disk_config){.path = "new", .create_size = 4096};
	config->disks[1] = (struct disk_config){.path = "d/new", .create_size = 4096};
	config->disks[2] = (struct disk_config){.path = "old"};
}

static void put(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	if (!file || fputs(text, file) < 0 || fclose(file))
		abort();
}

static void what_is_made_once_is_found_again(void)
{
	struct config first, second;

	begin(&first, "state", false);
	CU_ASSERT_EQUAL(state_open(&first), 0);
	CU_ASSERT_TRUE(first.has_uuid);
	CU_ASSERT_TRUE(first.nics[0].has_mac);
	CU_ASSERT_EQUAL(first.nics[0].mac[0], 2);
	CU_ASSERT_STRING_EQUAL(first.disks[0].path, "state/new");
	CU_ASSERT_STRING_EQUAL(first.disks[1].path, "d/new");
	CU_ASSERT_STRING_EQUAL(first.disks[2].path, "old");
	begin(&second, "state", false);
	CU_ASSERT_EQUAL(state_open(&second), 0);
	CU_ASSERT_EQUAL(memcmp(first.uuid, second.uuid, 16), 0);
	CU_ASSERT_EQUAL(memcmp(first.nics[0].mac, second.nics[0].mac, 6), 0);
	config_destroy(&first);
	config_destroy(&second);
}

static void what_is_given_wins(void)
{
	struct config config;

	begin(&config, "state", false);
	config.has_uuid = true;
	config.uuid[0] = 42;
	config.nics[0].has_mac = true;
	config.nics[0].mac[5] = 43;
	CU_ASSERT_EQUAL(state_open(&config), 0);
	CU_ASSERT_EQUAL(config.uuid[0], 42);
	CU_ASSERT_EQUAL(config.nics[0].mac[5], 43);
	config_destroy(&config);
}

static void a_dry_run_makes_nothing(void)
{
	struct config config;

	begin(&config, "dry", true);
	CU_ASSERT_EQUAL(state_open(&config), 0);
	CU_ASSERT_NOT_EQUAL(access("dry", F_OK), 0);
	config_destroy(&config);
}

/* As on a file system that is full. */
static void what_cannot_be_written_is_not_left_behind(void)
{
	struct rlimit limit, none;
	struct config config;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &limit);
	none = (struct rlimit){0, limit.rlim_max};
	setrlimit(RLIMIT_FSIZE, &none);
	begin(&config, "full", false);
	CU_ASSERT_EQUAL(state_open(&config), -EFBIG);
	config_destroy(&config);
	setrlimit(RLIMIT_FSIZE, &limit);
	begin(&config, "full", false);
	CU_ASSERT_EQUAL(state_open(&config), 0);
	config_destroy(&config);
}

static void what_is_damaged_is_named(void)
{
	static const char *const uuids[] = {"", "no", "\n123e4567"};
	struct config config;

	for (unsigned i = 0; i < sizeof(uuids) / sizeof(uuids[0]); i++) {
		put("state/uuid", uuids[i]);
		begin(&config, "state", false);
		CU_ASSERT_EQUAL(state_open(&config), -EINVAL);
		config_destroy(&config);
	}
	unlink("state/uuid");
	put("state/mac-addr", "01:00:00:00:00:01"); /* a group's */
	begin(&config, "state", false);
	CU_ASSERT_EQUAL(state_open(&config), -EINVAL);
	config_destroy(&config);
	put("file", "");
	begin(&config, "file", false);
	CU_ASSERT_NOT_EQUAL(state_open(&config), 0);
	config_destroy(&config);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(what_is_made_once_is_found_again),
	        UNIT(what_is_given_wins),
	        UNIT(a_dry_run_makes_nothing),
	        UNIT(what_cannot_be_written_is_not_left_behind),
	        UNIT(what_is_damaged_is_named),
	        {0},
	};
	char folder[] = "/tmp/mayfly-state-XXXXXX", command[64];
	int status;

	if (!mkdtemp(folder) || chdir(folder))
		return 1;
	status = unit_run("state", tests);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command) ? 1 : status;
}
