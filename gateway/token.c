/* SPDX-License-Identifier: ISC */
#include "gateway/token.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "common/auth/oauth_client.h"
#include "common/base/clock.h"
#include "common/base/co.h"
#include "common/base/log.h"
#include "gateway/fetch.h"
#include "gateway/state.h"

#define SLOTS 1024
#define EXPIRES_S 300 /* where nothing is said (RFC 6749 5.1: "should") */
/* A login that was refused once is asked about again so seldom: a provider may
 * have been wrong. */
#define REFUSED_MS (6 * 3600 * INT64_C(1000))

/* One account. What is in `access`, or why there is none, holds for the record
 * with this print. */
struct entry {
	struct entry *next;
	struct tokens *tokens;
	struct co_mutex asking; /* one waits for the refresh, others for him */
	size_t users;           /* it must not be freed */
	bool gone;
	unsigned char print[STATE_ID];
	struct buf access;
	int64_t until_ms;
	int rc; /* of the refresh: 0, -EACCES (until until_ms), ... */
	struct buf why;
	/* The refresh that runs. */
	bool running;
	struct co_event done;
	struct arena a;
	struct outside o;
	struct buf rotated; /* came, and is not kept yet */
	char address[];
};
struct tokens {
	struct gateway *g;
	struct entry *slots[SLOTS];
	size_t running;
	struct co_event ended;
};

/* --- entries --- */

static struct entry **
slot_of(struct tokens *t, const char *address)
{
	unsigned char id[STATE_ID];

	state_id(slice_str(address), id);
	return &t->slots[get_be32(id) % SLOTS];
}

static struct entry *
entry_find(struct tokens *t, const char *address)
{
	struct entry *e = *slot_of(t, address);

	while (e != NULL && (e->gone || strcmp(e->address, address) != 0))
		e = e->next;
	return e;
}

static struct entry *
entry_get(struct tokens *t, const char *address)
{
	struct entry *e = entry_find(t, address), **slot;
	size_t n = strlen(address) + 1;

	if (e != NULL)
		return e;
	if ((e = calloc(1, sizeof(*e) + n)) == NULL)
		return NULL;
	memcpy(e->address, address, n);
	e->tokens = t;
	e->access = BUF_INIT_MAX(OUTSIDE_SECRET_MAX);
	e->rotated = BUF_INIT_MAX(OUTSIDE_SECRET_MAX);
	e->why = BUF_INIT_MAX(1000);
	slot = slot_of(t, address);
	e->next = *slot;
	*slot = e;
	return e;
}

static void
entry_free(struct entry *e)
{
	struct entry **at = slot_of(e->tokens, e->address);

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	buf_wipe(&e->access);
	buf_wipe(&e->rotated);
	buf_clear(&e->why);
	arena_reset(&e->a);
	free(e);
}

static void
entry_leave(struct entry *e)
{
	if (--e->users == 0 && e->gone)
		entry_free(e);
}

/* Of all that a token depends on. */
static void
print_of(const struct outside *o, unsigned char out[static STATE_ID])
{
	const struct outside_oauth *v = &o->oauth;
	struct buf b = BUF_INIT;

	buf_put_slice(&b, o->sealed);
	buf_printf(&b, "%c%s%c%s%c%s%c%s%c", 0, v->provider, 0, v->client, 0,
	    v->token_url, 0, v->scope, 0);
	buf_put_slice(&b, v->sealed);
	state_id(buf_slice(&b), out);
	buf_clear(&b);
}

/* --- a refresh --- */

static int fail(struct entry *e, int rc, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static int
fail(struct entry *e, int rc, const char *fmt, ...)
{
	va_list ap;

	buf_reset(&e->why);
	va_start(ap, fmt);
	buf_vprintf(&e->why, fmt, ap);
	va_end(ap);
	return rc;
}

/* The newest of this login: the record's, or what came in its place. */
static int
refresh_token(struct entry *e, struct buf *out)
{
	struct gateway *g = e->tokens->g;
	unsigned char base[STATE_ID];
	struct buf sealed = BUF_INIT;
	int rc;

	if (e->rotated.n > 0)
		return buf_put_slice(out, buf_slice(&e->rotated)) ? 0 : -ENOMEM;
	state_id(e->o.sealed, base);
	rc = state_token_get(g->state, e->address, base, &sealed);
	if (rc == 0)
		rc = outside_token_open(
		    g->accounts, &e->o, buf_slice(&sealed), out);
	else if (rc == -ENOENT)
		rc = outside_secret(g->accounts, &e->o, out);
	buf_clear(&sealed);
	if (rc == -ENOENT)
		return fail(e, -EACCES,
		    "nobody has logged in yet: pneu outside login %s",
		    e->address);
	return rc == 0 ? 0
		       : fail(e, rc == -EBADMSG ? -EACCES : -EAGAIN,
			     "the token cannot be unsealed: %s",
			     rc == -EBADMSG ? "it was sealed with another key"
					    : strerror(-rc));
}

/* Before the one that it comes in place of is no more. */
static int
keep(struct entry *e)
{
	struct gateway *g = e->tokens->g;
	unsigned char base[STATE_ID];
	struct buf err = BUF_INIT_MAX(800);
	struct slice sealed;
	int rc;

	if (e->rotated.n == 0)
		return 0;
	state_id(e->o.sealed, base);
	rc = outside_token_seal(
	    g->accounts, &e->a, &e->o, buf_slice(&e->rotated), &sealed, &err);
	if (rc == 0)
		rc = state_token_put(g->state, e->address, base, sealed);
	buf_clear(&err);
	if (rc == 0)
		buf_wipe(&e->rotated);
	else
		log_error("refresh token is not kept",
		    "outside=%s error=\"%s\"", log_qs(e->address),
		    strerror(-rc));
	return rc == 0
	    ? 0
	    : fail(e, -EAGAIN, "a new refresh token cannot be kept: %s",
		  strerror(-rc));
}

static int
judge(struct entry *e, int rc, const struct oauth_app *app,
    const struct oauth_answer *answer)
{
	const char *host = strstr(app->token_url, "://");
	struct slice rest = slice_str(host != NULL ? host + 3 : ""), name;
	const char *colon = *answer->description != '\0' ? ": " : "";

	name = slice_split(&rest, '/');
	if (rc == -EACCES)
		return fail(e, rc,
		    "the user must log in again: pneu outside login %s "
		    "(%.*s says %s%s%s)",
		    e->address, (int)name.n, name.p, answer->error, colon,
		    answer->description);
	if (rc == -EINVAL)
		return fail(e, rc, "%.*s does not take our client (%s%s%s)",
		    (int)name.n, name.p, answer->error, colon,
		    answer->description);
	return fail(e, -EAGAIN, "no token of %.*s: %s%s%s", (int)name.n, name.p,
	    answer->error, *answer->error != '\0' ? colon : "",
	    answer->description);
}

/* A tenth of its life before it ends, at most five minutes. */
static int64_t
until_ms(int64_t expires_s)
{
	int64_t s = expires_s > 0 ? expires_s : EXPIRES_S, early = s / 10;

	return clock_mono_ms() + (s - (early < 300 ? early : 300)) * 1000;
}

static int
take(struct entry *e, struct slice refresh, const struct oauth_answer *answer)
{
	if (*answer->refresh != '\0' &&
	    !slice_eq_str(refresh, answer->refresh)) {
		buf_wipe(&e->rotated);
		if (!buf_put_str(&e->rotated, answer->refresh))
			return fail(e, -EAGAIN, "out of memory");
	}
	buf_wipe(&e->access);
	if (!buf_put_str(&e->access, answer->access))
		return fail(e, -EAGAIN, "out of memory");
	e->until_ms = until_ms(answer->expires_s);
	return keep(e);
}

static int
ask(struct entry *e)
{
	struct gateway *g = e->tokens->g;
	struct buf refresh = BUF_INIT_MAX(OUTSIDE_SECRET_MAX);
	struct buf err = BUF_INIT_MAX(800);
	struct oauth_answer answer;
	struct oauth_app app;
	int rc = oauth_app_of(g->accounts, g->conf, &e->a, &e->o, &app, &err);

	if (rc != 0)
		rc = fail(e, rc == -ENOMEM ? -EAGAIN : -EINVAL, "%s",
		    err.n > 0 ? buf_str(&err) : strerror(-rc));
	else if ((rc = refresh_token(e, &refresh)) == 0) {
		rc = oauth_client_refresh(
		    g->http, &app, buf_slice(&refresh), &e->a, &answer);
		rc = rc == 0 ? take(e, buf_slice(&refresh), &answer)
			     : judge(e, rc, &app, &answer);
		oauth_answer_wipe(&answer);
	}
	oauth_app_clear(&app);
	buf_wipe(&refresh);
	buf_clear(&err);
	return rc;
}

/* As it stands now; a login since then makes what we had of no use. */
static int
read_record(struct entry *e)
{
	unsigned char print[STATE_ID];
	int rc = outside_get(
	    e->tokens->g->accounts, &e->a, slice_str(e->address), &e->o);

	if (rc != 0)
		return fail(e, -EAGAIN, "accounts: %s", strerror(-rc));
	print_of(&e->o, print);
	if (memcmp(e->print, print, STATE_ID) != 0)
		buf_wipe(&e->rotated);
	memcpy(e->print, print, STATE_ID);
	if ((rc = state_claim(e->tokens->g->state, e->address, e->o.id)) != 0)
		return fail(e, -EAGAIN, "our state: %s", strerror(-rc));
	return e->o.sign_in == OUTSIDE_OAUTH
	    ? 0
	    : fail(e, -EAGAIN, "it signs in by password now");
}

/* Not in the coroutine of who asked: that may be cancelled, and then a new
 * refresh token would be lost with it. */
static void
refresh_main(void *arg)
{
	struct entry *e = arg;
	struct tokens *t = e->tokens;

	co_log_context("outside=%s", log_qs(e->address));
	e->a = ARENA_INIT_MAX((size_t)1 << 20);
	e->until_ms = 0;
	if ((e->rc = read_record(e)) == 0)
		e->rc = ask(e);
	if (e->rc == -EACCES)
		e->until_ms = clock_mono_ms() + REFUSED_MS;
	if (e->rc != 0)
		log_warning(
		    "no token", "reason=\"%s\"", log_q(buf_slice(&e->why)));
	arena_reset(&e->a);
	e->running = false;
	co_event_set(&e->done);
	entry_leave(e);
	t->running--;
	co_event_set(&t->ended);
}

static int
begin(struct entry *e)
{
	e->done.set = false;
	e->running = true;
	e->users++;
	e->tokens->running++;
	if (co_spawn(refresh_main, e) != NULL)
		return 0;
	e->running = false;
	e->users--;
	e->tokens->running--;
	return -ENOMEM;
}

/* --- for all who want one --- */

/* Is what is known of it all there is to say? */
static bool
is_known(const struct entry *e, const unsigned char *print, const char *refused)
{
	if (memcmp(e->print, print, STATE_ID) != 0 ||
	    clock_mono_ms() >= e->until_ms)
		return false;
	if (e->rc == -EACCES)
		return true;
	return e->rc == 0 &&
	    (refused == NULL || !slice_eq_str(buf_slice(&e->access), refused));
}

/* With the lock; one refresh, unless it is known already. */
static int
find_out(struct entry *e, const struct outside *o, const char *refused)
{
	unsigned char print[STATE_ID];
	int rc = 0;

	print_of(o, print);
	/* One that somebody began who has gone. */
	while (e->running && rc == 0)
		rc = co_event_wait(&e->done, -1);
	if (rc != 0 || is_known(e, print, refused))
		return rc;
	if (begin(e) != 0) {
		e->rc = fail(e, -EAGAIN, "out of memory");
		return 0;
	}
	while (e->running && rc == 0)
		rc = co_event_wait(&e->done, -1);
	return rc;
}

int
token_get(struct tokens *t, const struct outside *o, const char *refused,
    struct buf *out, struct buf *why)
{
	struct entry *e;
	int rc;

	if (t == NULL) {
		buf_put_str(why, "only the running gateway asks for tokens");
		return -EAGAIN;
	}
	if ((e = entry_get(t, o->address)) == NULL)
		return -EAGAIN;
	e->users++;
	if ((rc = co_mutex_lock(&e->asking, -1)) == 0) {
		if ((rc = find_out(e, o, refused)) == 0 && (rc = e->rc) == 0)
			rc = buf_put_slice(out, buf_slice(&e->access))
			    ? 0
			    : -EAGAIN;
		else if (rc != -ECANCELED)
			buf_put_slice(why, buf_slice(&e->why));
		co_mutex_unlock(&e->asking);
	}
	entry_leave(e);
	return rc;
}

void
token_forget(struct tokens *t, const char *address)
{
	struct entry *e = entry_find(t, address);

	if (e == NULL)
		return;
	e->gone = true;
	e->users++;
	entry_leave(e);
}

/* --- from start to end --- */

int
tokens_new(struct tokens **out, struct gateway *g)
{
	struct tokens *t = calloc(1, sizeof(*t));

	*out = t;
	if (t == NULL)
		return -ENOMEM;
	t->g = g;
	return 0;
}

void
tokens_free(struct tokens **out)
{
	struct tokens *t = *out;

	if (t == NULL)
		return;
	while (t->running > 0) {
		t->ended.set = false;
		if (co_event_wait(&t->ended, -1) == -ECANCELED)
			return; /* what runs uses it */
	}
	*out = NULL;
	for (size_t i = 0; i < SLOTS; i++)
		while (t->slots[i] != NULL)
			entry_free(t->slots[i]);
	free(t);
}
