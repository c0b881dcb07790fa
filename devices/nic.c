#include "devices/nic.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "vmm/config.h"
#include "vmm/log.h"

struct nic *nic_open(const struct nic_config *config)
{
	struct nic *nic = config->tap ? nic_tap_open(config) : nic_user_open(config);

	if (!nic)
		return NULL;
	if (config->has_mac) {
		memcpy(nic->mac, config->mac, sizeof(nic->mac));
	} else {
		/* IEEE 802, 8.2: bit 1 of the first byte marks a locally made address. */
		nic->mac[0] = 0x02;
		if (getrandom(nic->mac + 1, 5, 0) != 5) {
			log_error(-EIO, "--net: no random bytes for a MAC; give mac=");
			nic_close(nic);
			return NULL;
		}
	}
	return nic;
}

void nic_close(struct nic *nic)
{
	if (nic)
		nic->type->close(nic);
}

int nic_start(struct nic *nic, struct loop *loop, pthread_mutex_t *lock,
        void (*ready)(void *context, short events), void *context)
{
	nic->loop = loop;
	nic->lock = lock;
	nic->ready = ready;
	nic->context = context;
	return nic->type->start ? nic->type->start(nic) : 0;
}

unsigned nic_mtu(struct nic *nic)
{
	enum { ETHERNET_MTU = 1500 };

	return nic->type->mtu ? nic->type->mtu(nic) : ETHERNET_MTU;
}
