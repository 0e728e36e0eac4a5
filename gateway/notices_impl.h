/* SPDX-License-Identifier: ISC */
/* What the files of notices share: notices.c who is to be told and when,
 * notices_run.c telling one, notices_ask.c questions. */
#ifndef PNEU_GATEWAY_NOTICES_IMPL_H
#define PNEU_GATEWAY_NOTICES_IMPL_H

#include "gateway/notice_mailbox.h"
#include "gateway/notice_send.h"
#include "gateway/notices.h"

struct event;

struct notices_conf {
	struct backoff_conf retry;
	int64_t give_up_s, keep_s;
};

/* An account that has subscriptions. */
struct watched {
	struct watched *next;
	struct subscriber *subscribers;
	int64_t purged_ms;
	char account[];
};

struct subscriber {
	struct subscriber *next; /* of the same account */
	struct watched *w;
	struct notices *all;
	struct event *timer;  /* of the next attempt */
	struct co *co;        /* while it is sent something */
	struct co_mutex lock; /* its status, while that is read and written */
	uint64_t version;     /* of its record */
	bool kick;            /* look once more */
	bool force;           /* and do not wait for the time of the retry */
	bool listed, gone;
	unsigned users; /* questions that wait for the lock, or have it */
	char id[NOTICE_ID_LEN + 1];
};

struct notices {
	struct gateway *g;
	struct store *store;
	struct notices_conf conf;
	struct notice_sender sender;
	char *contact;
	struct smtp_pool *mailbox;
	struct smtp_client_conf client; /* of the connection that waits */
	struct net_addr mailbox_addr;
	struct co_semaphore sending;
	struct watched **table;
	size_t n_table, n_watched;
	uint64_t generation;
	struct co *arriving, *looking; /* the two that run all the time */
	struct co_mutex looked;
	size_t alive; /* coroutines of subscribers */
	bool stopping;
	struct co_event ended;
};

/* NULL: nobody is to be told of its mail. */
struct watched *watched_find(const struct notices *s, struct slice account);
struct subscriber *subscriber_find(const struct watched *w, const char *id);
/* Somebody may be sent something now. */
void subscriber_kick(struct subscriber *u, bool force);
/* It may be forgotten, if it has gone and nobody uses it. */
void subscriber_settle(struct subscriber *u);
/* What is new in the directory. 0; -EAGAIN or another error: it is not known
 * who is to be told of what. */
int notices_look(struct notices *s);

/* The status, as it is or as it begins. */
int subscriber_status(struct notices *s, struct arena *a,
    const struct notice *n, struct notice_status *out);
/*
 * Send what there is, as far as it goes. Milliseconds until it is to be tried
 * again; -1: there is nothing more.
 */
int64_t subscriber_run(struct subscriber *u);

#endif
