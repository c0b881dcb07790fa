/*
 * The first byte chooses: a --config file, or a command line whose words end with NUL.
 * What was taken must satisfy what config_check() promises to the rest of the program.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/cli.h"
#include "vmm/config.h"

enum { WORDS = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int parse_words(char *text, size_t size, struct config *config)
{
	char *words[WORDS];
	unsigned count = 0;

	for (size_t at = 0; at < size && count < WORDS - 1; at += strlen(text + at) + 1)
		/* Files are read by the other half. */
		if (strncmp(text + at, "--config", 8) != 0)
			words[count++] = text + at;
	words[count] = NULL;
	return cli_parse(words, config);
}

static void check(const struct config *config)
{
	assert(!config->image != !config->kernel);
	assert(config->cpus >= 1 && config->cpus <= CONFIG_CPUS);
	assert(!config->memory || config->memory >= 1 << 20);
	assert(config->memory <= UINT64_C(64) << 40 && config->memory % 4096 == 0);
	assert(config->initrd_count <= CONFIG_INITRDS);
	assert(config->disk_count <= CONFIG_DISKS && config->nic_count <= CONFIG_NICS);
	assert(config->console <= CONSOLE_NONE && config->boot <= BOOT_LINUX);
	for (unsigned i = 0; i < config->initrd_count; i++)
		assert(*config->initrds[i]);
	for (unsigned i = 0; i < config->disk_count; i++) {
		const struct disk_config *disk = &config->disks[i];

		assert(*disk->path && (!disk->id || strlen(disk->id) <= CONFIG_ID));
	}
	for (unsigned i = 0; i < config->nic_count; i++) {
		const struct nic_config *nic = &config->nics[i];

		assert(nic->publish_count <= CONFIG_PUBLISH);
		assert(!nic->tap || (strlen(nic->tap) < 16 && !nic->publish_count));
		for (unsigned j = 0; j < nic->publish_count; j++)
			assert(nic->publish[j].host && nic->publish[j].guest);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config config;
	char *text;
	int error;

	if (!size)
		return 0;
	text = malloc(size);
	if (!text)
		return 0;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	config_init(&config);
	if (data[0] & 1) {
		error = config_parse(&config, "fuzz.json", text, size - 1);
		if (!error)
			error = config_check(&config);
	} else {
		error = parse_words(text, size, &config);
	}
	if (!error)
		check(&config);
	config_destroy(&config);
	free(text);
	return 0;
}
