/* `mayfly inspect --host`: what this host's KVM offers, what Mayfly will use of it, and
 * what makes creating a VM slow here. */
#pragma once

#include <stdbool.h>

enum { HOST_FACTS = 16, HOST_TEXT = 512 };

struct host {
	int kvm_fd, vm_fd; /* for the architecture to ask; a VM without anything */
	struct {
		const char *name;
		const char *note; /* what follows from it; or NULL */
		char value[HOST_TEXT];
	} facts[HOST_FACTS];
	unsigned count;
};

/* `note` lives as long as the program. */
__attribute__((format(printf, 4, 5))) void host_add(
        struct host *host, const char *name, const char *note, const char *format, ...);

/* Prints it, as text or as one JSON object; the process's exit status. */
int inspect_host(bool json);
