/* `mayfly inspect IMAGE`: what an image is, before anything is built for it. */
#pragma once

#include <stdbool.h>

/*
 * Prints what was found, as text or as one JSON object; the process's exit status. The
 * backing file of a qcow2 is only read with `backing`.
 */
int inspect_image(const char *image, bool backing, bool json);
