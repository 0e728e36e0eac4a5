/* SPDX-License-Identifier: ISC */
#include "common/base/memory.h"

#include <stdatomic.h>

static atomic_size_t used, limit;

void
memory_set_limit(size_t octets)
{
	atomic_store_explicit(&limit, octets, memory_order_relaxed);
}

void
memory_take(size_t octets)
{
	atomic_fetch_add_explicit(&used, octets, memory_order_relaxed);
}

void
memory_give(size_t octets)
{
	atomic_fetch_sub_explicit(&used, octets, memory_order_relaxed);
}

size_t
memory_used(void)
{
	return atomic_load_explicit(&used, memory_order_relaxed);
}

static bool
is_over(size_t part)
{
	size_t max = atomic_load_explicit(&limit, memory_order_relaxed);

	return max > 0 && memory_used() >= max / part;
}

bool
memory_is_short(void)
{
	return is_over(2);
}

bool
memory_is_full(void)
{
	return is_over(1);
}
