/* SPDX-License-Identifier: ISC */
#include "mailbox/mails/room.h"

#include <fcntl.h>
#include <limits.h>
#include <openssl/hmac.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/auth/shared_table.h"
#include "common/base/clock.h"
#include "common/base/log.h"

#define SETS 1024
#define WAYS 4
#define PATIENCE_MS 10000
/* A domain that was counted and is full is not counted again at once: that
 * reads the header of each of its mailboxes. */
#define FULL_MS 1000
#define COUNTS_MAX 10

struct holder {
	_Atomic uint64_t id;    /* 0: free */
	_Atomic uint64_t valid; /* id again: the numbers below are good */
	_Atomic uint64_t octets, messages;
	_Atomic int64_t full_until; /* wall clock, ms; domains only */
};
struct table {
	struct shared_table shared;
	_Atomic uint64_t used; /* holders ever made */
	struct holder holders[SETS][WAYS];
};
static const char magic[8] = "pneurm1";

/* A lock of this process: many deliveries share one of the file. */
struct hold {
	struct hold *next;
	uint64_t id;
	unsigned shared;
	bool exclusive;
};

struct rooms {
	struct table *table;
	struct hold *holds;
	int fd; /* for locks; -1: this process is alone */
};

/* --- the table --- */

static void
rooms_share(struct rooms *r, const char *dir)
{
	struct shared_table *t;
	char path[PATH_MAX];
	int rc = shared_table_map(dir, "room", magic, sizeof(struct table), &t);

	if (rc == 0) {
		shared_table_unmap(&r->table->shared, sizeof(struct table));
		r->table = (struct table *)t;
		snprintf(path, sizeof(path), "%s/room", dir);
		r->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	}
	if (r->fd == -1)
		log_warning("quota",
		    "dir=%s error=\"%s\" counted by each "
		    "process alone",
		    dir, strerror(rc == 0 ? errno : -rc));
}

struct rooms *
rooms_new(const char *dir)
{
	struct rooms *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->fd = -1;
	r->table = (struct table *)shared_table_private(sizeof(struct table));
	if (r->table == NULL)
		rooms_free(&r);
	else if (dir != NULL)
		rooms_share(r, dir);
	return r;
}

void
rooms_free(struct rooms **out)
{
	struct rooms *r = *out;

	*out = NULL;
	if (r == NULL)
		return;
	if (r->table != NULL)
		shared_table_unmap(&r->table->shared, sizeof(struct table));
	while (r->holds != NULL) {
		struct hold *h = r->holds;

		r->holds = h->next;
		free(h);
	}
	if (r->fd != -1)
		close(r->fd);
	free(r);
}

/* Keyed, so that nobody can make two holders alike; never 0. */
static uint64_t
id_of(const struct rooms *r, const char *name)
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	uint64_t id = 0;

	if (HMAC(EVP_sha256(), r->table->shared.key, SHARED_TABLE_KEY,
		(const unsigned char *)name, strlen(name), mac, NULL) != NULL)
		id = get_be64(mac);
	return id == 0 ? 1 : id;
}

static struct holder *
find(const struct rooms *r, uint64_t id)
{
	struct holder *set = r->table->holders[id % SETS];

	for (size_t i = 0; i < WAYS; i++)
		if (atomic_load(&set[i].id) == id)
			return &set[i];
	return NULL;
}

/*
 * Where none is free, any of the set goes: who has it in hand notices, because
 * its numbers are good for its id only, and its lock is by the id. At worst a
 * number is too great, and is counted anew.
 */
static struct holder *
find_or_make(struct rooms *r, uint64_t id)
{
	struct holder *h = find(r, id), *set = r->table->holders[id % SETS];
	uint64_t old;

	if (h != NULL)
		return h;
	h = &set[(size_t)clock_mono_ms() % WAYS];
	for (size_t i = 0; i < WAYS; i++)
		if (atomic_load(&set[i].id) == 0) {
			h = &set[i];
			break;
		}
	old = atomic_load(&h->id);
	if (!atomic_compare_exchange_strong(&h->id, &old, id))
		return find(r, id);
	atomic_fetch_add(&r->table->used, 1);
	atomic_store(&h->full_until, 0);
	return h;
}

static bool
is_valid(const struct holder *h, uint64_t id)
{
	return h != NULL && atomic_load(&h->id) == id &&
	    atomic_load(&h->valid) == id;
}

/* --- locks --- */

static int
file_lock(const struct rooms *r, uint64_t id, short type)
{
	struct flock l = { .l_type = type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)(id >> 2), /* fits, and hardly ever equal */
		.l_len = 1 };

	return r->fd == -1 || fcntl(r->fd, F_OFD_SETLK, &l) == 0 ? 0 : -errno;
}

static struct hold *
hold_of(struct rooms *r, uint64_t id)
{
	struct hold *h = r->holds;

	while (h != NULL && h->id != id)
		h = h->next;
	if (h == NULL && (h = calloc(1, sizeof(*h))) != NULL) {
		h->id = id;
		h->next = r->holds;
		r->holds = h;
	}
	return h;
}

static void
unlock(struct rooms *r, uint64_t id)
{
	struct hold **at = &r->holds, *h;

	while (*at != NULL && (*at)->id != id)
		at = &(*at)->next;
	if ((h = *at) == NULL)
		return;
	if (h->shared > 0)
		h->shared--;
	h->exclusive = false;
	if (h->shared > 0)
		return;
	(void)file_lock(r, id, F_UNLCK);
	*at = h->next;
	free(h);
}

/* -EAGAIN: somebody has it. */
static int
lock_try(struct rooms *r, uint64_t id, bool exclusive)
{
	struct hold *h = hold_of(r, id);
	int rc = 0;

	if (h == NULL)
		return -ENOMEM;
	if (h->exclusive || (exclusive && h->shared > 0))
		return -EAGAIN;
	if (h->shared == 0)
		rc = file_lock(r, id, exclusive ? F_WRLCK : F_RDLCK);
	if (rc == 0 && exclusive)
		h->exclusive = true;
	else if (rc == 0)
		h->shared++;
	else
		unlock(r, id);
	return rc == -EACCES ? -EAGAIN : rc;
}

static int
lock(struct rooms *r, uint64_t id, bool exclusive)
{
	int64_t end = clock_mono_ms() + PATIENCE_MS;
	int rc;

	while ((rc = lock_try(r, id, exclusive)) == -EAGAIN &&
	    clock_mono_ms() < end)
		if ((rc = co_sleep(1)) != 0)
			return rc;
	return rc;
}

/* --- the truth --- */

struct in_domain {
	const char *name;
	uint64_t octets, messages;
};

static int
domain_usage(
    struct mails *m, const char *domain, uint64_t *octets, uint64_t *messages)
{
	struct arena a = ARENA_INIT_MAX((size_t)64 << 20);
	const char **accounts, *at;
	uint64_t o, n;
	size_t k;
	int rc = mails_accounts(m, &a, &accounts, &k);

	for (size_t i = 0; i < k && rc == 0; i++) {
		at = strrchr(accounts[i], '@');
		if (at == NULL || strcmp(at, domain) != 0)
			continue;
		if ((rc = usage_read(m, accounts[i], &o, &n)) == 0) {
			*octets += o;
			*messages += n;
		}
		(void)co_yield ();
	}
	arena_reset(&a);
	return rc;
}

/* Of "x@example.org", or of all that is "@example.org". */
static int
count_anew(struct mails *m, const char *name, uint64_t id)
{
	struct rooms *r = m->rooms;
	struct holder *h;
	uint64_t octets = 0, messages = 0;
	int rc = lock(r, id, true);

	if (rc != 0)
		return rc;
	rc = *name == '@' ? domain_usage(m, name, &octets, &messages)
			  : usage_read(m, name, &octets, &messages);
	if (rc == 0 && (h = find_or_make(r, id)) != NULL) {
		atomic_store(&h->octets, octets);
		atomic_store(&h->messages, messages);
		atomic_store(&h->valid, id);
	}
	unlock(r, id);
	return rc;
}

/* --- taking --- */

struct claim {
	const char *name;
	uint64_t id;
	uint64_t max_octets, max_messages; /* 0: any */
	unsigned counts;                   /* made by us, for this */
};

static bool
add(_Atomic uint64_t *to, uint64_t n, uint64_t max)
{
	uint64_t old = atomic_load(to);

	do
		if (max > 0 && (n > max || old > max - n))
			return false;
	while (!atomic_compare_exchange_weak(to, &old, old + n));
	return true;
}

static void
subtract(_Atomic uint64_t *from, uint64_t n)
{
	uint64_t old = atomic_load(from);

	while (!atomic_compare_exchange_weak(from, &old, old > n ? old - n : 0))
		;
}

static bool
take(struct holder *h, const struct claim *c, const struct room *r)
{
	if (!is_valid(h, c->id) || !add(&h->octets, r->octets, c->max_octets))
		return false;
	if (add(&h->messages, r->messages, c->max_messages))
		return true;
	subtract(&h->octets, r->octets);
	return false;
}

/* It does not fit by the number: count, unless that was just done. */
static int
claim_refused(struct mails *m, struct claim *c, const struct room *out)
{
	struct holder *h = find(m->rooms, c->id);
	bool domain = *c->name == '@';

	if ((c->max_octets > 0 && out->octets > c->max_octets) ||
	    (c->max_messages > 0 && out->messages > c->max_messages))
		return -EDQUOT;
	/* Counted for us and still too much: so it is. Others may have taken
	 * what there was in between; then it is full as well. */
	if (c->counts > 0 && is_valid(h, c->id)) {
		if (domain)
			atomic_store(&h->full_until, clock_wall_ms() + FULL_MS);
		return -EDQUOT;
	}
	if (domain && is_valid(h, c->id) &&
	    clock_wall_ms() < atomic_load(&h->full_until))
		return -EDQUOT;
	return ++c->counts > COUNTS_MAX ? -EAGAIN
					: count_anew(m, c->name, c->id);
}

static int
claim_take(struct mails *m, struct claim *c, struct room *out, int i, bool wait)
{
	int rc = wait ? lock(m->rooms, c->id, false)
		      : lock_try(m->rooms, c->id, false);

	if (rc != 0)
		return rc;
	if (take(find(m->rooms, c->id), c, out)) {
		out->id[i] = c->id;
		return 0;
	}
	unlock(m->rooms, c->id);
	return -EAGAIN;
}

/* The account and its domain, where they have a quota. */
static size_t
claims_of(struct mails *m, const char *account, const struct mails_quota *q,
    struct claim c[static 2])
{
	const char *domain = strrchr(account, '@');
	size_t n = 0;

	if (q == NULL)
		return 0;
	if (q->octets > 0 || q->messages > 0)
		c[n++] = (struct claim){ account, id_of(m->rooms, account),
			q->octets, q->messages, 0 };
	if (domain != NULL && (q->domain_octets > 0 || q->domain_messages > 0))
		c[n++] = (struct claim){ domain, id_of(m->rooms, domain),
			q->domain_octets, q->domain_messages, 0 };
	return n;
}

int
room_take(struct mails *m, const char *account, const struct mails_quota *q,
    uint64_t octets, uint64_t messages, struct room *out)
{
	struct claim c[2];
	size_t n = claims_of(m, account, q, c), i = 0;
	int rc = 0;

	*out = (struct room){ .octets = octets, .messages = messages };
	while (i < n && rc == 0) {
		if ((rc = claim_take(m, &c[i], out, (int)i, true)) == 0) {
			i++;
		} else if (rc == -EAGAIN) {
			/* Counting waits for others: with empty hands. */
			room_end(m, account, out, false);
			rc = claim_refused(m, &c[i], out);
			i = 0;
		}
	}
	if (rc != 0)
		room_end(m, account, out, false);
	return rc;
}

int
room_try(struct mails *m, const char *account, const struct mails_quota *q,
    uint64_t octets, uint64_t messages, struct room *out)
{
	struct claim c[2];
	size_t n = claims_of(m, account, q, c), i = 0;
	int rc = 0;

	*out = (struct room){ .octets = octets, .messages = messages };
	while (i < n && (rc = claim_take(m, &c[i], out, (int)i, false)) == 0)
		i++;
	if (rc != 0)
		room_end(m, account, out, false);
	return rc;
}

static void
give_back(struct rooms *rooms, uint64_t id, const struct room *r)
{
	struct holder *h = find(rooms, id);

	if (!is_valid(h, id))
		return;
	subtract(&h->octets, r->octets);
	subtract(&h->messages, r->messages);
}

/* Mail came in that is not in the holder's number. */
static void
forget(struct rooms *rooms, const char *name, const struct room *r)
{
	uint64_t id = id_of(rooms, name);
	struct holder *h;

	if (id == r->id[0] || id == r->id[1] || (h = find(rooms, id)) == NULL)
		return;
	atomic_compare_exchange_strong(&h->valid, &id, 0);
}

void
room_end(struct mails *m, const char *account, struct room *r, bool used)
{
	const char *domain = strrchr(account, '@');

	if (used && r->messages > 0 &&
	    atomic_load(&m->rooms->table->used) > 0) {
		forget(m->rooms, account, r);
		if (domain != NULL)
			forget(m->rooms, domain, r);
	}
	for (int i = 0; i < 2; i++) {
		if (r->id[i] == 0)
			continue;
		if (!used)
			give_back(m->rooms, r->id[i], r);
		unlock(m->rooms, r->id[i]);
		r->id[i] = 0;
	}
}

int
room_hold(struct mails *m, const char *account, struct room *out)
{
	const char *names[2] = { account, strrchr(account, '@') };
	int rc = 0;

	*out = (struct room){ 0 };
	if (atomic_load(&m->rooms->table->used) == 0)
		return 0;
	for (int i = 0; i < 2 && names[i] != NULL && rc == 0; i++) {
		uint64_t id = id_of(m->rooms, names[i]);

		if (find(m->rooms, id) == NULL)
			continue;
		if ((rc = lock(m->rooms, id, false)) == 0)
			out->id[i] = id;
	}
	if (rc != 0)
		room_end(m, account, out, true);
	return rc;
}

int
mails_room(struct mails *m, const char *account, const struct mails_quota *q,
    uint64_t octets)
{
	struct room r;
	int rc = room_take(m, account, q, octets, 1, &r);

	room_end(m, account, &r, false);
	return mails_error(rc);
}
