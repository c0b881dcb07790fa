/* The folder with what the candidates run, and what their commands may name. */
#pragma once

#include <limits.h>
#include <stdint.h>

#include "vmm/bench_peers.h"

struct bench_config;

enum { WORK_PLACES = 13, WORK_SLOTS = 32 };

struct bench_work {
	char folder[PATH_MAX]; /* "": there is none */
	char initrd[PATH_MAX];
	char mayfly[PATH_MAX], hello[PATH_MAX], http[PATH_MAX], busybox[PATH_MAX];
	char rootfs[PATH_MAX];
	/* Of 127.0.0.1, where nobody listened; 0 without the task http. */
	uint16_t ports[WORK_SLOTS];
	/* Of one slot. */
	char bundle[PATH_MAX], port_text[8], id[40];
	struct place places[WORK_PLACES];
};

/* -Exxx (logged), with nothing left behind. */
int work_create(struct bench_work *work, const struct bench_config *config);
/* What {id}, {port} and {bundle} are from now on: a slot, of as many as may be parallel,
 * tells apart what runs at the same time. */
void work_set_slot(struct bench_work *work, unsigned slot);
void work_destroy(struct bench_work *work);

/* The path that --with gives to `name`, or NULL. */
const char *work_with(const struct bench_config *config, const char *name);
