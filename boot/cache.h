/*
 * $XDG_CACHE_HOME/mayfly (or ~/.cache/mayfly): files that were worked out of others, so
 * that it is done once. How names are found, and why they cannot lie, stands in cache.c.
 *
 * There may be none that can be used; that is no error, and silent.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CACHE_NAME = 160 };

/* Its directory, made if it is missing; -1: none that is this user's alone. */
int cache_open(void);

/* An entry, to read; -1: there is none that is this user's alone. */
int cache_find(int dir, const char *name);

/*
 * The name for what is made of these bytes, whatever file they come from; `mark` is a number
 * from them.
 */
bool cache_name_content(
        int dir, const void *data, size_t size, uint32_t mark, char name[CACHE_NAME]);
/* False: there is none for bytes of this size and mark. */
bool cache_has_content(int dir, size_t size, uint32_t mark);

/*
 * The name for what is made of this file as it is; `mark` is a number from its content.
 * False if a change of the file might not show in its name.
 */
bool cache_name_file(int fd, uint32_t mark, char name[CACHE_NAME]);

/* A new file, to write and read, not yet found by anyone; -1: none. */
int cache_create(int dir, char temporary[CACHE_NAME]);
void cache_remove(int dir, const char *name);

/* From now on `content` is found as `file` too. */
void cache_link(int dir, const char *content, const char *file);

/*
 * Runs `work`, with these two files and no other open, in a process that takes part in no
 * start: it runs when nothing else does, and nobody waits for it. No other thread may exist.
 */
int cache_background(
        int dir, int fd, void (*work)(int dir, int fd, void *context), void *context);

/*
 * From some time soon the new file is found as `content`, and as `file` unless that is
 * empty: once it is on the disk, which nobody waits for. What is oldest goes. `fd` is of
 * the new file. No other thread may exist.
 */
void cache_publish(
        int dir, int fd, const char *temporary, const char *content, const char *file);
