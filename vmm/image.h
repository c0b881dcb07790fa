/* IMAGE, as boot/ opens it; through the disk's back end where that alone can read it. */
#pragma once

#include "boot/boot.h"

struct config;

/* What `config` asks for; see boot_open(). */
int image_open(struct boot_source *source, const struct config *config,
        enum boot_protocol protocol);
