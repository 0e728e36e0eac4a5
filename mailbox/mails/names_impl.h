/* SPDX-License-Identifier: ISC */
/*
 * What the files about names of mailboxes share; nobody else includes it.
 *
 *   names.c            names as rows; one change of them
 *   names_mailboxes.c  making, deleting, renaming, subscribing
 *   names_look.c       finding one, listing all; accounts
 *   names_upkeep.c     deleted ones, the form names are stored in, damage
 */
#ifndef PNEU_MAILBOX_MAILS_NAMES_IMPL_H
#define PNEU_MAILBOX_MAILS_NAMES_IMPL_H

#include "mailbox/mails/arrivals_impl.h"
#include "mailbox/mails/kept_impl.h"

#define KEY_ACCOUNT SLICE_LIT("v")

struct name {
	struct slice name; /* in the arena */
	uint64_t id;
	uint32_t attrs;
	bool was;        /* there is a row of this name, */
	bool was_sealed; /* in this form */
	bool gone;       /* no row of this name any more */
	bool changed;
	bool fresh; /* a new mailbox: its partition is to be made */
};

/* An account and its names, as one change of them sees it. */
struct names {
	struct mails *m;
	struct arena arena;
	struct buf part;
	struct name_sealer sealer;
	bool ids_only;    /* names that cannot be opened are left empty */
	unsigned damaged; /* rows of names */
	struct name *v;
	size_t n, cap;
	uint64_t changes;                      /* of the account's row */
	uint32_t uidvalidity, uidvalidity_was; /* given last */
	bool exists;
	uint64_t destroy;       /* a mailbox that goes with this change, or 0 */
	struct kept_box keep;   /* one whose name goes; id 0: none */
	struct kept_box revive; /* one that has a name again */
	uint64_t unfinished[8]; /* that went with an earlier one */
	size_t n_unfinished;
};

bool name_is_inbox(struct slice name);
/* Is it a name that a mailbox can have? 0 or -EINVAL. */
int name_check(struct slice name);
/* There, and more than a name in the hierarchy. NULL is fine. */
bool name_is_mailbox(const struct name *n);
void names_init(struct names *ns, struct mails *m);
void names_clear(struct names *ns);
/* 0, an account that is not there too (ns->exists), or an error. */
int names_read(struct names *ns, const char *account);
/* NULL: it is not there, or going. */
struct name *names_get(struct names *ns, struct slice name);
struct name *names_append(struct names *ns, struct slice name);
/* A mailbox, or with MAILS_NOSELECT a name only. NULL: no memory. */
struct name *names_make(struct names *ns, struct slice name, uint32_t attrs);
int names_make_parents(struct names *ns, struct slice name, uint32_t attrs);
uint64_t names_new_id(void);
/* Read, change by `fn` (NULL: only make a new account), write; again after a
 * conflict. */
int names_change(struct mails *m, const char *account,
    int (*fn)(struct names *ns, void *arg), void *arg);

/* A name of a caller, and what an attempt of unknown outcome has left. */
struct wanted {
	struct arena arena;
	struct slice name, to;
	unsigned attrs;
	bool subscribed;
	bool kept;   /* it was deleted, and is kept */
	uint64_t id; /* of the mailbox made, deleted or renamed */
};

/* `name` in canonical form. -EINVAL; -EACCES: of mail that is kept. */
int names_wanted(struct wanted *w, struct slice name);
/* The rows of a mailbox whose name is gone, then the note of it. */
int names_destroy(struct mails *m, const char *account, uint64_t id);

#endif
