/* `mayfly run`: from a configuration to an exit status. */
#pragma once

struct config;

/* The process's exit status, as the manual lists them. */
int run_vm(const struct config *config);
/* --dry-run: prints what would be built; needs no KVM. */
int run_dry(const struct config *config);
