#include "vmm/log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static atomic_int level = LOG_WARN;

static const char *const prefixes[] = {"", "warning: ", "", "debug: "};

void log_set_level(enum log_level new_level)
{
	atomic_store_explicit(&level, new_level, memory_order_relaxed);
}

/* One write(2) a line, so that lines of several threads never mix. */
__attribute__((format(printf, 2, 0))) static void put(
        enum log_level line_level, const char *format, va_list arguments)
{
	char line[1024];
	size_t size;

	if ((int)line_level > atomic_load_explicit(&level, memory_order_relaxed))
		return;
	size = snprintf(line, sizeof(line), "mayfly: %s", prefixes[line_level]);
	vsnprintf(line + size, sizeof(line) - size, format, arguments);
	/* What the guest or a file supplied must not steer the terminal. */
	for (char *c = line; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	size = strlen(line);
	if (size > sizeof(line) - 2)
		size = sizeof(line) - 2;
	line[size++] = '\n';
	(void)!write(STDERR_FILENO, line, size);
}

int log_error(int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	put(LOG_ERROR, format, arguments);
	va_end(arguments);
	return error;
}

#define LOG_FUNCTION(name, line_level)              \
	void name(const char *format, ...)          \
	{                                           \
		va_list arguments;                  \
                                                    \
		va_start(arguments, format);        \
		put(line_level, format, arguments); \
		va_end(arguments);                  \
	}

LOG_FUNCTION(log_warn, LOG_WARN)
LOG_FUNCTION(log_info, LOG_INFO)
LOG_FUNCTION(log_debug, LOG_DEBUG)

void log_guest(struct log_counter *counter, const char *format, ...)
{
	va_list arguments;

	if (atomic_fetch_add_explicit(&counter->count, 1, memory_order_relaxed))
		return;
	va_start(arguments, format);
	put(LOG_WARN, format, arguments);
	va_end(arguments);
}
