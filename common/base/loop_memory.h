/* SPDX-License-Identifier: ISC */
/* Where libevent's memory comes from. */
#ifndef PNEU_BASE_LOOP_MEMORY_H
#define PNEU_BASE_LOOP_MEMORY_H

/* Before the first call of libevent in the process; again it does nothing. */
void loop_memory_init(void);

#endif
