/* SPDX-License-Identifier: ISC */
/*
 * How many octets the process holds for those it talks to: all buffers (buf),
 * arenas, and what connections have read. One connection's have limits of their
 * own; this is about thousands that go to theirs at once.
 *
 * From half of the limit on, messages in transit go to files at once; at the
 * limit no connection and no message is taken, and an arena gets no larger than
 * a small one. Structures, TLS and the maps of databases are not counted.
 */
#ifndef PNEU_BASE_MEMORY_H
#define PNEU_BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* 0: none, which is how a process begins. */
void memory_set_limit(size_t octets);
/* From any thread. */
void memory_take(size_t octets);
void memory_give(size_t octets);
size_t memory_used(void);
bool memory_is_short(void);
bool memory_is_full(void);

#endif
