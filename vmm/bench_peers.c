#include "vmm/bench_peers.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HTTPD     " httpd -f -p 127.0.0.1:{port} -h "
#define PUBLISHED " run --net user,publish=127.0.0.1:{port}:80 "
#define LINUX     "--kernel {kernel} --initrd {initrd} -- quiet reboot=k"
#define QEMU                                                                    \
	"qemu-system-x86_64 -M microvm,acpi=off,isa-serial=on,rtc=off,pit=off," \
	"pic=off,x-option-roms=off -accel kvm -m 128 -nodefaults "              \
	"-no-user-config -display none -no-reboot -serial stdio "               \
	"-device isa-debug-exit,iobase=0xf4,iosize=4 "                          \
	"-global virtio-mmio.force-legacy=false "
#define BWRAP                                                 \
	"bwrap --ro-bind {rootfs} / --proc /proc --dev /dev " \
	"--unshare-all --die-with-parent "

/*
 * Containers that serve HTTP share the host's network: their own would need a bridge and
 * privileges. Monitors boot the same unikernel as Mayfly; one is missing where it would
 * need a tap interface, or cannot enter a PVH image.
 */
const struct peer peer_table[] = {
        {"process", "{rootfs}/hello", "{busybox}" HTTPD "{rootfs}/www", NULL, 0},
        {"mayfly", "{mayfly} run {hello}", "{mayfly}" PUBLISHED "{http}", NULL, 0},
        {"mayfly-linux", "{mayfly} run " LINUX, "{mayfly}" PUBLISHED LINUX, NULL, 0},
        {"mayfly-hvt", "{mayfly} run {hvt}", NULL, NULL, 0},
        {"bwrap", BWRAP "/hello", BWRAP "--share-net /busybox" HTTPD "/www", NULL, 0},
        {"crun", "crun --root {work}/crun run --bundle {bundle} {id}",
                "crun --root {work}/crun run --bundle {bundle} {id}",
                "crun --root {work}/crun delete --force {id}", 0},
        {"runc", "runc --root {work}/runc run --bundle {bundle} {id}",
                "runc --root {work}/runc run --bundle {bundle} {id}",
                "runc --root {work}/runc delete --force {id}", 0},
        {"podman",
                "podman run --rm --name {id} --network none "
                "--rootfs {rootfs} /hello",
                "podman run --rm --name {id} --network host "
                "--rootfs {rootfs} /busybox" HTTPD "/www",
                "podman rm --force --time 0 {id}", 0},
        {"runsc", "runsc --root {work}/runsc --network none run --bundle {bundle} {id}",
                "runsc --root {work}/runsc --network host run --bundle {bundle} {id}",
                "runsc --root {work}/runsc delete --force {id}", 0},
        {"firecracker", "firecracker --no-api --config-file {work}/firecracker.json",
                NULL, NULL, 0},
        {"cloud-hypervisor",
                "cloud-hypervisor --kernel {hello} --cpus boot=1 --memory size=128M "
                "--serial tty --console off",
                NULL, NULL, 0},
        /* isa-debug-exit ends with 2 N + 1 for the guest's status N. */
        {"qemu", QEMU "-kernel {hello}",
                QEMU "-netdev user,id=n,hostfwd=tcp:127.0.0.1:{port}-:80 "
                     "-device virtio-net-device,netdev=n -kernel {http}",
                NULL, 1},
        {"lkvm",
                "lkvm run --name {id} -c 1 -m 128 -k {kernel} -i {initrd} "
                "-p quiet,reboot=k --console serial",
                NULL, NULL, 0},
        {"solo5-hvt", "solo5-hvt {hvt}", NULL, NULL, 0},
        {0},
};

/* Commands. */

struct writer {
	char *at, *end;
};

static int put(struct writer *writer, const char *text, size_t size)
{
	if (size > (size_t)(writer->end - writer->at))
		return -EINVAL;
	memcpy(writer->at, text, size);
	writer->at += size;
	return 0;
}

static const struct place *place_find(
        const struct place *places, const char *name, size_t size)
{
	for (; places->name; places++)
		if (strlen(places->name) == size &&
		        memcmp(places->name, name, size) == 0)
			return places;
	return NULL;
}

/* The word at *command, filled in, with its NUL. */
static int put_word(struct writer *writer, const char **command,
        const struct place *places, const char **why)
{
	const char *at = *command;
	int error = 0;

	while (*at && *at != ' ' && !error) {
		size_t size = strcspn(at + 1, "{ ") + 1;
		size_t name = *at == '{' ? strcspn(at, "} ") : 0;

		if (name && at[name] == '}') {
			const struct place *place =
			        place_find(places, at + 1, name - 1);

			if (!place) {
				*why = "its command has a {name} that is unknown";
				return -EINVAL;
			}
			if (!place->value) {
				*why = place->missing;
				return -ENOENT;
			}
			error = put(writer, place->value, strlen(place->value));
			size = name + 1;
		} else {
			error = put(writer, at, size);
		}
		at += size;
	}
	*command = at;
	if (!error)
		error = put(writer, "", 1);
	if (error)
		*why = "its command is too long";
	return error;
}

int words_make(struct words *words, const char *command, const struct place *places,
        const char **why)
{
	struct writer writer = {words->text, words->text + sizeof(words->text)};
	unsigned count = 0;

	for (command += strspn(command, " "); *command;
	        command += strspn(command, " ")) {
		char *start = writer.at;
		int error;

		if (count == WORDS_MAX) {
			*why = "its command has too many words";
			return -EINVAL;
		}
		error = put_word(&writer, &command, places, why);
		if (error)
			return error;
		words->argv[count++] = start;
	}
	words->argv[count] = NULL;
	if (!count)
		*why = "its command is empty";
	return count ? 0 : -EINVAL;
}

static bool is_program(const char *path)
{
	struct stat stat_buffer;

	return stat(path, &stat_buffer) == 0 && S_ISREG(stat_buffer.st_mode) &&
	       access(path, X_OK) == 0;
}

int program_find(const char *name, char *path, size_t size)
{
	const char *at = getenv("PATH");

	if (strchr(name, '/'))
		at = "";
	else if (!at)
		at = "/usr/bin:/bin";
	/* An empty piece of the PATH is the working directory: also what a name with a
	 * slash is relative to. */
	for (;;) {
		int length = (int)strcspn(at, ":");
		int written = snprintf(
		        path, size, "%.*s%s%s", length, at, length ? "/" : "", name);

		if (written > 0 && (size_t)written < size && is_program(path))
			return 0;
		if (!at[length])
			return -ENOENT;
		at += length + 1;
	}
}
