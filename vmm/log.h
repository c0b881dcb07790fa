/*
 * Messages for the person who runs Mayfly, on stderr, one line each.
 *
 * "device: what happened, 'the value'", no full stop. Who can explain an error logs it
 * and returns it; who only passes it on is silent. The level is the one setting of the
 * program that is not in an object: a signal handler and every thread need it.
 */
#pragma once

#include <stdarg.h>
#include <stdatomic.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level);

/*
 * A place that a guest can reach as often as it likes: its first line is printed, later
 * ones are only counted. One static-sized counter per object and kind of message.
 */
struct log_counter {
	atomic_ulong count;
};

/* Each returns `error`, so that `return log_error(-errno, ...)` reads as one step. */
__attribute__((format(printf, 2, 3))) int log_error(int error, const char *format, ...);
__attribute__((format(printf, 1, 2))) void log_warn(const char *format, ...);
__attribute__((format(printf, 1, 2))) void log_info(const char *format, ...);
__attribute__((format(printf, 1, 2))) void log_debug(const char *format, ...);
__attribute__((format(printf, 2, 3))) void log_guest(
        struct log_counter *counter, const char *format, ...);
