/* SPDX-License-Identifier: ISC */
/* What the files of the gateway's database share. */
#ifndef PNEU_GATEWAY_STATE_IMPL_H
#define PNEU_GATEWAY_STATE_IMPL_H

#include "common/base/co.h"
#include "gateway/state.h"

struct state {
	struct store *store;
	struct co_mutex claiming;
};

/* "p<address>" */
int state_part(const char *address, struct buf *out);
/* One batch, again while others write too: what is put depends on nothing. */
int state_commit(struct state *s, struct store_batch *b);
int state_row_put(
    struct state *s, const char *address, struct slice key, struct slice val);
/* 0, -ENOENT. */
int state_row_get(
    struct state *s, const char *address, struct slice key, struct buf *val);

#endif
