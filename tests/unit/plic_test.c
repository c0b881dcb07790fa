#include "tests/unit/unit.h"

#include "riscv/plic.h"

#include <string.h>

enum { HARTS = 2, ENABLE = 0x2000, CONTEXT = 0x200000, CLAIM = 4 };

struct fake {
	struct device_host host;
	struct device *plic;
	bool pending[HARTS];
	unsigned changes;
};

static void set(void *context, unsigned hart, bool pending)
{
	struct fake *fake = context;

	CU_ASSERT_NOT_EQUAL(fake->pending[hart], pending);
	fake->pending[hart] = pending;
	fake->changes++;
}

static uint32_t get(struct fake *fake, uint64_t offset)
{
	uint32_t value = 0xffffffff;

	fake->plic->type->read(fake->plic, 0, offset, &value, sizeof(value));
	return value;
}

static void put(struct fake *fake, uint64_t offset, uint32_t value)
{
	fake->plic->type->write(fake->plic, 0, offset, &value, sizeof(value));
}

/* Sources 1 and 40 are enabled for hart 0, with priorities 1 and 2. */
static void create(struct fake *fake)
{
	const struct plic_output output = {set, fake};

	*fake = (struct fake){0};
	fake->plic = plic_create(&fake->host, &output, HARTS);
	CU_ASSERT_FATAL(fake->plic != NULL);
	put(fake, 4 * 1, 1);
	put(fake, 4 * 40, 2);
	put(fake, ENABLE, 1 << 1);
	put(fake, ENABLE + 4, 1 << (40 - 32));
}

static void pulse(struct fake *fake, unsigned source)
{
	plic_set_line(fake->plic, source, true);
	plic_set_line(fake->plic, source, false);
}

static void edge_is_pending_until_claimed(void)
{
	struct fake fake;

	create(&fake);
	pulse(&fake, 1);
	CU_ASSERT_TRUE(fake.pending[0]);
	CU_ASSERT_FALSE(fake.pending[1]);
	CU_ASSERT_EQUAL(get(&fake, 0x1000), 1 << 1);
	CU_ASSERT_EQUAL(get(&fake, CONTEXT + CLAIM), 1);
	CU_ASSERT_FALSE(fake.pending[0]);
	CU_ASSERT_EQUAL(get(&fake, CONTEXT + CLAIM), 0);
	device_destroy(fake.plic);
}

static void line_that_stays_up_comes_again(void)
{
	struct fake fake;

	create(&fake);
	plic_set_line(fake.plic, 1, true);
	CU_ASSERT_EQUAL(get(&fake, CONTEXT + CLAIM), 1);
	CU_ASSERT_FALSE(fake.pending[0]);
	put(&fake, CONTEXT + CLAIM, 1);
	CU_ASSERT_TRUE(fake.pending[0]);
	CU_ASSERT_EQUAL(get(&fake, CONTEXT + CLAIM), 1);
	plic_set_line(fake.plic, 1, false);
	put(&fake, CONTEXT + CLAIM, 1);
	CU_ASSERT_FALSE(fake.pending[0]);
	/* What was not claimed is not completed. */
	plic_set_line(fake.plic, 1, true);
	CU_ASSERT_EQUAL(get(&fake, CONTEXT + CLAIM), 1);
	put(&fake, CONTEXT + CLAIM, 40);
	CU_ASSERT_FALSE(fake.pending[0]);
	device_destroy(fake.plic);
}

static void edge_while_claimed_comes_after_completion(void)
{
	struct fake fake;

	create(&fake);
	pulse(&fake, 1);
	CU_ASSERT_EQUAL(get(&fake, CONTEXT + CLAIM), 1);
	pulse(&fake, 1);
	CU_ASSERT_FALSE(fake.pending[0]);
	put(&fake, CONTEXT + CLAIM, 40); /* another's completion does not open it */
	CU_ASSERT_FALSE(fake.pending[0]);
	put(&fake, CONTEXT + CLAIM, 1);
	CU_ASSERT_TRUE(fake.pending[0]);
	CU_ASSERT_EQUAL(get(&fake, CONTEXT + CLAIM), 1);
	device_destroy(fake.plic);
}

static void higher_priority_is_claimed_first(void)
{
	struct fake fake;

	create(&fake);
	pulse(&fake, 1);
	pulse(&fake, 40);
	CU_ASSERT_EQUAL(get(&fake, CONTEXT + CLAIM), 40);
	CU_ASSERT_EQUAL(get(&fake, CONTEXT + CLAIM), 1);
	device_destroy(fake.plic);
}

static void threshold_masks(void)
{
	struct fake fake;

	create(&fake);
	put(&fake, CONTEXT, 1);
	pulse(&fake, 1);
	CU_ASSERT_FALSE(fake.pending[0]);
	pulse(&fake, 40);
	CU_ASSERT_TRUE(fake.pending[0]);
	put(&fake, CONTEXT, PLIC_PRIORITY_MAX);
	CU_ASSERT_FALSE(fake.pending[0]);
	put(&fake, CONTEXT, 0);
	CU_ASSERT_TRUE(fake.pending[0]);
	device_destroy(fake.plic);
}

static void priority_0_never_interrupts(void)
{
	struct fake fake;

	create(&fake);
	put(&fake, 4 * 1, 0);
	pulse(&fake, 1);
	CU_ASSERT_FALSE(fake.pending[0]);
	CU_ASSERT_EQUAL(get(&fake, CONTEXT + CLAIM), 0);
	put(&fake, 4 * 1, 1);
	CU_ASSERT_TRUE(fake.pending[0]);
	device_destroy(fake.plic);
}

static void what_is_not_there_reads_as_0(void)
{
	struct fake fake;

	create(&fake);
	put(&fake, 0, 7); /* source 0 */
	put(&fake, ENABLE + 0x80 * HARTS, 0xffffffff);
	put(&fake, CONTEXT + 0x1000 * HARTS, 1);
	CU_ASSERT_EQUAL(get(&fake, 0), 0);
	CU_ASSERT_EQUAL(get(&fake, 4 * PLIC_SOURCES), 0);
	CU_ASSERT_EQUAL(get(&fake, ENABLE + 8), 0);
	CU_ASSERT_EQUAL(get(&fake, ENABLE + 0x80 * HARTS), 0);
	CU_ASSERT_EQUAL(get(&fake, CONTEXT + 0x1000 * HARTS), 0);
	CU_ASSERT_EQUAL(get(&fake, CONTEXT + 8), 0);
	plic_set_line(fake.plic, 0, true);
	plic_set_line(fake.plic, PLIC_SOURCES, true);
	CU_ASSERT_EQUAL(fake.changes, 0);
	device_destroy(fake.plic);
}

int main(void)
{
	static const struct unit_test tests[] = {
	        UNIT(edge_is_pending_until_claimed),
	        UNIT(line_that_stays_up_comes_again),
	        UNIT(edge_while_claimed_comes_after_completion),
	        UNIT(higher_priority_is_claimed_first),
	        UNIT(threshold_masks),
	        UNIT(priority_0_never_interrupts),
	        UNIT(what_is_not_there_reads_as_0),
	        {0},
	};
	return unit_run("plic", tests);
}
