/*
 * One start of one program, watched from outside: when it was started, when its line or
 * its answer came, when it had ended, and whether both were right. Several may be under
 * way; a trial is looked after by trial_step() whenever one of its fds is ready or its
 * time has come.
 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { TRIAL_CALLS = 16, TRIAL_FDS = 2 + TRIAL_CALLS, TRIAL_WHY = 320 };

struct trial_wanted {
	char *const *argv; /* argv[0] is a path */
	const char *line;  /* its output, or its answer, holds this; NULL: anything */
	const char *stamp; /* NULL, or: the number behind this text in what it writes is
	                     * the time (CLOCK_MONOTONIC, ns) of its line */
	int status;        /* what it ends with */
	uint16_t port;     /* 0, or: it serves HTTP on 127.0.0.1, and is ended then */
	bool memory;       /* with a port: measure what all our descendants take then */
	uint64_t within_ns; /* it is ended after that, and has failed */
};

struct trial {
	const struct trial_wanted *wanted;    /* NULL: none is under way */
	uint64_t start_ns, first_ns, exit_ns; /* CLOCK_MONOTONIC; 0: has not happened */
	uint64_t pss, private;                /* bytes, if wanted */
	char why[TRIAL_WHY];                  /* what was wrong; "": nothing */

	pid_t pid;
	int pidfd, out, err;
	int status; /* as waitpid() has it */
	char output[4096];
	size_t output_size;

	struct call {
		int fd; /* -1: none */
		bool asked;
		size_t size;
		char answer[512];
	} calls[TRIAL_CALLS]; /* a ring: the oldest makes room */
	unsigned next_call;
	uint64_t call_ns; /* when the next one is made */
};

/* `wanted` lives as long as the trial. A program that cannot be started is a trial that
 * is over, with its `why`. */
void trial_start(struct trial *trial, const struct trial_wanted *wanted);
/* Its fds to wait for, -1 where there is none, and until when. */
uint64_t trial_watch(const struct trial *trial, struct pollfd fds[TRIAL_FDS]);
/* Looks at what happened; true if the trial is over. */
bool trial_step(struct trial *trial);
/* Ends what still runs of it, and judges. */
void trial_finish(struct trial *trial);

/* Kills and reaps all descendants of this process. It must be their subreaper. */
void trial_kill_rest(void);
