/*
 * What Debian's static libraries, which were compiled for glibc with _FORTIFY_SOURCE, ask of
 * it and musl does not have: the functions that also know the size of what they write to.
 * As in glibc, it is the end of the program when that does not suffice (Linux Standard Base
 * 5.0, Core, 13.5 and 14.4, has their shapes). Part of the monitor linked with musl only.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int __fprintf_chk(FILE *stream, int flag, const char *format, ...);
int __vfprintf_chk(FILE *stream, int flag, const char *format, va_list arguments);
int __snprintf_chk(
        char *to, size_t size, int flag, size_t room, const char *format, ...);
int __vsnprintf_chk(char *to, size_t size, int flag, size_t room, const char *format,
        va_list arguments);
void *__memcpy_chk(void *to, const void *from, size_t size, size_t room);
char *__stpcpy_chk(char *to, const char *from, size_t room);
char *__strcat_chk(char *to, const char *from, size_t room);
char *__strcpy_chk(char *to, const char *from, size_t room);
char *__strncpy_chk(char *to, const char *from, size_t size, size_t room);
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int fcntl64(int fd, int command, void *argument);

static void check(size_t size, size_t room)
{
	if (size > room)
		abort();
}

int __vfprintf_chk(FILE *stream, int flag, const char *format, va_list arguments)
{
	(void)flag;
	return vfprintf(stream, format, arguments);
}

int __fprintf_chk(FILE *stream, int flag, const char *format, ...)
{
	va_list arguments;
	int result;

	va_start(arguments, format);
	result = __vfprintf_chk(stream, flag, format, arguments);
	va_end(arguments);
	return result;
}

int __vsnprintf_chk(char *to, size_t size, int flag, size_t room, const char *format,
        va_list arguments)
{
	(void)flag;
	check(size, room);
	return vsnprintf(to, size, format, arguments);
}

int __snprintf_chk(
        char *to, size_t size, int flag, size_t room, const char *format, ...)
{
	va_list arguments;
	int result;

	va_start(arguments, format);
	result = __vsnprintf_chk(to, size, flag, room, format, arguments);
	va_end(arguments);
	return result;
}

void *__memcpy_chk(void *to, const void *from, size_t size, size_t room)
{
	check(size, room);
	return memcpy(to, from, size);
}

/* Returns the copy's end. */
static char *copy(char *to, const char *from, size_t room)
{
	size_t length = strlen(from);

	check(length + 1, room);
	return (char *)memcpy(to, from, length + 1) + length;
}

char *__stpcpy_chk(char *to, const char *from, size_t room)
{
	return copy(to, from, room);
}

char *__strcpy_chk(char *to, const char *from, size_t room)
{
	copy(to, from, room);
	return to;
}

char *__strcat_chk(char *to, const char *from, size_t room)
{
	size_t length = strlen(to);

	check(length, room);
	copy(to + length, from, room - length);
	return to;
}

char *__strncpy_chk(char *to, const char *from, size_t size, size_t room)
{
	check(size, room);
	return strncpy(to, from, size);
}

int __open_2(const char *path, int flags)
{
	return open(path, flags);
}

int __open64_2(const char *path, int flags)
{
	return open(path, flags);
}

int fcntl64(int fd, int command, void *argument)
{
	return fcntl(fd, command, argument);
}
