/* `mayfly inspect IMAGE`: what an image is, before anything is built for it. */
#pragma once

#include <stdbool.h>

/* Prints what was found, as text or as one JSON object; the process's exit status. */
int inspect_image(const char *image, bool json);
