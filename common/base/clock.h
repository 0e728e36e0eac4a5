/* SPDX-License-Identifier: ISC */
/* Time, and the ids made from it. */
#ifndef PNEU_BASE_CLOCK_H
#define PNEU_BASE_CLOCK_H

#include <stdint.h>

/* Since some start that does not jump; for deadlines. */
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);
/* Wall clock since 1970 in UTC. */
int64_t clock_wall_s(void);
int64_t clock_wall_ms(void);
int64_t clock_wall_us(void);

/*
 * A trace id: 10 characters of time (milliseconds, so that ids sort) and 8 of
 * chance, in Crockford's base 32 (no I, L, O, U). One per message, from the
 * first hop to the last.
 */
#define ID_LEN 18
void id_new(char out[static ID_LEN + 1]);
/* The first characters of the ids made at that time. */
#define ID_TIME_LEN 10
void id_time(int64_t wall_ms, char out[static ID_TIME_LEN + 1]);

/* Octets that nobody can guess; never fails (aborts without a kernel RNG). */
void random_octets(void *out, uint32_t n);
/* Uniform in 0 .. n-1, for jitter; n > 0. */
uint32_t random_below(uint32_t n);

#endif
