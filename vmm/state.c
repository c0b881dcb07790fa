#include "vmm/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/config.h"
#include "vmm/log.h"

enum { TEXT_SIZE = 64 };

int uuid_parse(const char *text, uint8_t uuid[16])
{
	uint8_t bytes[16];

	for (unsigned i = 0; i < 16; i++) {
		unsigned value;
		int used = 0;

		if ((i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-')
			return -EINVAL;
		if (strspn(text, "0123456789abcdefABCDEF") < 2 ||
		        sscanf(text, "%2x%n", &value, &used) != 1 || used != 2)
			return -EINVAL;
		bytes[i] = (uint8_t)value;
		text += 2;
	}
	if (*text)
		return -EINVAL;
	memcpy(uuid, bytes, sizeof(bytes));
	return 0;
}

void uuid_format(const uint8_t uuid[16], char text[UUID_TEXT])
{
	for (unsigned i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*text++ = '-';
		text += sprintf(text, "%02x", uuid[i]);
	}
}

void uuid_make(uint8_t uuid[16])
{
	if (getrandom(uuid, 16, 0) != 16)
		memset(uuid, 0, 16);
	uuid[6] = (uuid[6] & 0x0f) | 0x40;
	uuid[8] = (uuid[8] & 0x3f) | 0x80;
}

/* DIR/name, kept as long as the configuration. */
static char *path_in(struct config *config, const char *name)
{
	size_t size = strlen(config->state) + strlen(name) + 2;
	char *path = config_keep(config, NULL, size);

	if (path)
		snprintf(path, size, "%s/%s", config->state, name);
	return path;
}

/* The first line of a file; -ENOENT, silent, if there is none. */
static int line_read(const char *path, char text[TEXT_SIZE])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size;

	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	size = fd < 0 ? -errno : config_read_full(fd, text, TEXT_SIZE - 1);
	if (fd >= 0)
		close(fd);
	if (size < 0)
		return log_error((int)size, "--state: cannot read '%s': %s", path,
		        strerror((int)-size));
	text[size] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return 0;
}

static int line_write(const struct config *config, const char *path, const char *text)
{
	int fd, error = 0;

	if (config->dry_run)
		return 0;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0 || dprintf(fd, "%s\n", text) < 0)
		error = log_error(-errno, "--state: cannot write '%s': %s", path,
		        strerror(errno));
	if (fd >= 0)
		close(fd);
	if (fd >= 0 && error)
		unlink(path); /* the next run would find it damaged */
	return error;
}

static int uuid_open(struct config *config)
{
	char *path = path_in(config, "uuid");
	char text[TEXT_SIZE];
	int error = path ? line_read(path, text) : -ENOMEM;

	if (!error && uuid_parse(text, config->uuid))
		error = log_error(-EINVAL, "--state: '%s' holds no UUID", path);
	if (error == -ENOENT) {
		uuid_make(config->uuid);
		uuid_format(config->uuid, text);
		error = line_write(config, path, text);
	}
	config->has_uuid = !error;
	return error;
}

/* Of the first interface. */
static int mac_open(struct config *config)
{
	struct nic_config *nic = &config->nics[0];
	char *path = path_in(config, "mac-addr");
	char text[TEXT_SIZE];
	int error = path ? line_read(path, text) : -ENOMEM;
	uint8_t *mac = nic->mac;

	if (!error && mac_parse(text, mac))
		error = log_error(
		        -EINVAL, "--state: '%s' holds no interface's address", path);
	if (error == -ENOENT) {
		if (getrandom(mac, 6, 0) != 6)
			return log_error(-EIO, "--state: no random numbers");
		mac[0] = 0x02; /* IEEE 802: locally administered */
		mac_format(mac, text);
		error = line_write(config, path, text);
	}
	nic->has_mac = !error;
	return error;
}

int state_open(struct config *config)
{
	int error = 0;

	if (!config->dry_run && mkdir(config->state, 0777) < 0 && errno != EEXIST)
		return log_error(-errno, "--state: cannot make '%s': %s", config->state,
		        strerror(errno));
	if (!config->has_uuid)
		error = uuid_open(config);
	if (!error && config->nic_count && !config->nics[0].has_mac)
		error = mac_open(config);
	for (unsigned i = 0; i < config->disk_count && !error; i++) {
		struct disk_config *disk = &config->disks[i];

		if (disk->create_size && !strchr(disk->path, '/')) {
			disk->path = path_in(config, disk->path);
			error = disk->path ? 0 : -ENOMEM;
		}
	}
	return error;
}
