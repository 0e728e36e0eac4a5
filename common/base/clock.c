/* SPDX-License-Identifier: ISC */
#include "common/base/clock.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

static int64_t
clock_us(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t
clock_mono_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

int64_t
clock_mono_ms(void)
{
	return clock_mono_us() / 1000;
}

int64_t
clock_wall_us(void)
{
	return clock_us(CLOCK_REALTIME);
}

int64_t
clock_wall_ms(void)
{
	return clock_wall_us() / 1000;
}

int64_t
clock_wall_s(void)
{
	return clock_wall_ms() / 1000;
}

void
random_octets(void *out, uint32_t n)
{
	char *p = out;

	while (n > 0) {
		ssize_t r = getrandom(p, n > 256 ? 256 : n, 0);

		if (r <= 0)
			abort();
		p += r;
		n -= (uint32_t)r;
	}
}

uint32_t
random_below(uint32_t n)
{
	uint64_t r;

	/* 64 bits over 32: the bias is below one in four thousand million. */
	random_octets(&r, sizeof(r));
	return (uint32_t)(r % n);
}

/* Chance for ids, asked from the kernel for 64 of them at once. */
static _Thread_local uint64_t chances[64];
static _Thread_local size_t chances_left;

/* After fork a child must not give out what its parent does. */
static void
chances_forget(void)
{
	chances_left = 0;
}

static uint64_t
next_chance(void)
{
	static _Thread_local bool watching;

	if (!watching)
		pthread_atfork(NULL, NULL, chances_forget);
	watching = true;
	if (chances_left == 0) {
		random_octets(chances, sizeof(chances));
		chances_left = sizeof(chances) / sizeof(*chances);
	}
	return chances[--chances_left];
}

/* Crockford's base 32: n characters of the low bits. */
static void
base32(uint64_t v, char *out, int n)
{
	static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

	for (int i = n - 1; i >= 0; i--, v >>= 5)
		out[i] = alphabet[v & 31];
	out[n] = '\0';
}

void
id_time(int64_t wall_ms, char out[static ID_TIME_LEN + 1])
{
	base32((uint64_t)wall_ms, out, ID_TIME_LEN);
}

void
id_new(char out[static ID_LEN + 1])
{
	id_time(clock_wall_ms(), out);
	base32(next_chance(), out + ID_TIME_LEN, ID_LEN - ID_TIME_LEN);
}
