/* Writing JSON (RFC 8259) to a stream: what needs care, which is strings. */
#pragma once

#include <stdio.h>

/* `text` in quotes, or null if it is NULL. What is no UTF-8 becomes U+FFFD. */
void json_put_string(FILE *file, const char *text);
