#include "riscv/plic.h"

#include <assert.h>
#include <string.h>

/* Chapter 3, Memory Map. */
enum {
	PRIORITY = 0x0,
	PENDING = 0x1000,
	ENABLE = 0x2000,
	ENABLE_STRIDE = 0x80,
	CONTEXT = 0x200000,
	CONTEXT_STRIDE = 0x1000,
	THRESHOLD = 0,
	CLAIM = 4,
	WORDS = PLIC_SOURCES / 32,
};

/* Bit n of a set is source n. */
struct plic_state {
	uint64_t level;   /* as the lines are */
	uint64_t pending; /* came, and not yet claimed */
	uint64_t claimed; /* not yet completed: its gateway is shut */
	uint8_t priority[PLIC_SOURCES];
	struct plic_context {
		uint64_t enabled;
		uint32_t threshold;
		uint32_t output;
	} contexts[PLIC_HARTS];
};

struct plic {
	struct device device;
	struct plic_output output;
	unsigned harts;
	struct plic_state state;
};

uint64_t plic_size(unsigned harts)
{
	return CONTEXT + (uint64_t)harts * CONTEXT_STRIDE;
}

/* 5: of those enabled, the highest priority, then the lowest number; 0: none. */
static unsigned best(const struct plic_state *state, const struct plic_context *context)
{
	uint64_t ready = state->pending & ~state->claimed & context->enabled;
	unsigned found = 0;

	for (; ready; ready &= ready - 1) {
		unsigned source = (unsigned)__builtin_ctzll(ready);

		if (state->priority[source] > state->priority[found])
			found = source;
	}
	return found;
}

/* To be called after each change. */
static void update(struct plic *plic)
{
	struct plic_state *state = &plic->state;

	for (unsigned hart = 0; hart < plic->harts; hart++) {
		struct plic_context *context = &state->contexts[hart];
		unsigned source = best(state, context);
		bool output = source && state->priority[source] > context->threshold;

		if (output != context->output)
			plic->output.set(plic->output.context, hart, output);
		context->output = output;
	}
}

static uint32_t claim(struct plic_state *state, const struct plic_context *context)
{
	unsigned source = best(state, context);
	uint64_t bit = source ? UINT64_C(1) << source : 0;

	state->pending &= ~bit;
	state->claimed |= bit;
	return source;
}

/*
 * 9: of a source that this context has not enabled, it is ignored. A line that is still up is
 * another interrupt: one of PCI's, for the others are only pulsed.
 */
static void complete(
        struct plic_state *state, const struct plic_context *context, uint32_t source)
{
	uint64_t bit = source < PLIC_SOURCES ? UINT64_C(1) << source : 0;

	bit &= context->enabled & state->claimed;
	state->claimed &= ~bit;
	state->pending |= bit & state->level;
}

static uint32_t set_word(uint64_t set, uint64_t word)
{
	return word < WORDS ? (uint32_t)(set >> 32 * word) : 0;
}

/* The context that `offset` of an area belongs to, with the offset in its part; NULL. */
static struct plic_context *context_at(
        struct plic *plic, uint64_t stride, uint64_t *offset)
{
	uint64_t hart = *offset / stride;

	*offset %= stride;
	return hart < plic->harts ? &plic->state.contexts[hart] : NULL;
}

static uint32_t register_read(struct plic *plic, uint64_t offset)
{
	struct plic_state *state = &plic->state;
	struct plic_context *context;

	if (offset < PENDING)
		return offset / 4 < PLIC_SOURCES ? state->priority[offset / 4] : 0;
	if (offset < ENABLE)
		return set_word(state->pending, (offset - PENDING) / 4);
	if (offset < CONTEXT) {
		offset -= ENABLE;
		context = context_at(plic, ENABLE_STRIDE, &offset);
		return context ? set_word(context->enabled, offset / 4) : 0;
	}
	offset -= CONTEXT;
	context = context_at(plic, CONTEXT_STRIDE, &offset);
	if (context && offset == THRESHOLD)
		return context->threshold;
	return context && offset == CLAIM ? claim(state, context) : 0;
}

static void register_write(struct plic *plic, uint64_t offset, uint32_t value)
{
	struct plic_state *state = &plic->state;
	struct plic_context *context;

	if (offset < PENDING) {
		if (offset && offset / 4 < PLIC_SOURCES)
			state->priority[offset / 4] = value & PLIC_PRIORITY_MAX;
	} else if (offset >= ENABLE && offset < CONTEXT) {
		offset -= ENABLE;
		context = context_at(plic, ENABLE_STRIDE, &offset);
		if (context && offset / 4 < WORDS) {
			unsigned shift = 32 * (unsigned)(offset / 4);

			context->enabled &= ~(UINT64_C(0xffffffff) << shift);
			/* Source 0 does not exist. */
			context->enabled |= (uint64_t)value << shift & ~UINT64_C(1);
		}
	} else if (offset >= CONTEXT) {
		offset -= CONTEXT;
		context = context_at(plic, CONTEXT_STRIDE, &offset);
		if (context && offset == THRESHOLD)
			context->threshold = value & PLIC_PRIORITY_MAX;
		else if (context && offset == CLAIM)
			complete(state, context, value);
	}
}

/* Registers are words, and nothing else reaches them. */
static void plic_read(struct device *device, unsigned window, uint64_t offset,
        void *data, unsigned size)
{
	struct plic *plic = (struct plic *)device;
	uint32_t value;

	(void)window;
	if (size != 4 || offset % 4)
		return;
	value = register_read(plic, offset);
	memcpy(data, &value, sizeof(value));
	update(plic);
}

static void plic_write(struct device *device, unsigned window, uint64_t offset,
        const void *data, unsigned size)
{
	struct plic *plic = (struct plic *)device;
	uint32_t value;

	(void)window;
	if (size != 4 || offset % 4)
		return;
	memcpy(&value, data, sizeof(value));
	register_write(plic, offset, value);
	update(plic);
}

void plic_set_line(struct device *device, unsigned source, bool level)
{
	struct plic *plic = (struct plic *)device;
	uint64_t bit;

	if (!source || source >= PLIC_SOURCES)
		return;
	bit = UINT64_C(1) << source;
	pthread_mutex_lock(&device->lock);
	if (level && !(plic->state.level & bit)) {
		plic->state.pending |= bit;
		update(plic);
	}
	plic->state.level = level ? plic->state.level | bit : plic->state.level & ~bit;
	pthread_mutex_unlock(&device->lock);
}

static const struct device_type plic_type = {
        .name = "plic",
        .help = "interrupt controller, where KVM has none",
        .read = plic_read,
        .write = plic_write,
        .state_offset = offsetof(struct plic, state),
        .state_size = sizeof(struct plic_state),
        .state_version = 1,
};

struct device *plic_create(
        struct device_host *host, const struct plic_output *output, unsigned harts)
{
	struct plic *plic = device_create(sizeof(*plic), &plic_type, host);

	assert(harts <= PLIC_HARTS);
	if (!plic)
		return NULL;
	plic->output = *output;
	plic->harts = harts;
	return &plic->device;
}
