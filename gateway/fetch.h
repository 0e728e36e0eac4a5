/* SPDX-License-Identifier: ISC */
/*
 * One look at one outside account: connect, sign in, take what is new, hand each
 * message to mailbox, and note what was dealt with. Each protocol is a file.
 */
#ifndef PNEU_GATEWAY_FETCH_H
#define PNEU_GATEWAY_FETCH_H

#include "common/auth/outside.h"
#include "common/net/dns.h"
#include "common/net/http_client.h"
#include "common/net/tls.h"
#include "common/smtp/client.h"
#include "gateway/state.h"
#include "gateway/token.h"

/* What fetching needs; made at the start. */
struct gateway {
	struct accounts *accounts;
	struct state *state;
	struct dns *dns;
	struct tls_client *tls;
	struct http_client *http;
	struct http_client *api; /* Gmail; many requests at a time */
	struct tokens *tokens;
	const struct conf *conf; /* as it is now */
	struct smtp_pool *mailbox;
	const char *spool_dir;
	int64_t compare_s; /* gateway.compare */
	bool others_wait;  /* for their turn to fetch */
};

/* The addresses of a server, in the arena, with its port; at least one. Waits. 0,
 * -ENOENT, -ENODATA, -EAGAIN. */
int
gateway_addresses(struct gateway *g, struct arena *a, const struct outside *o,
    const struct outside_server *s, struct net_addr **out, size_t *n);

struct imap_client;

enum fetch_end {
	FETCH_OK,
	FETCH_RETRY, /* try again later */
	FETCH_HOST,  /* the same, and not this account alone: no connection */
	FETCH_LOGIN, /* refused to sign in */
	FETCH_GONE,  /* there is no such outside account any more */
};

/* Messages that were handed to mailbox, and are not safe there yet. */
struct fetch_gather {
	bool on;
	struct smtp_client *c; /* NULL: none was */
	int (*placed)(void *arg, size_t i);
	void *arg;
	size_t n, n_placed; /* since the last flush; of all */
	uint64_t octets;
	int64_t begun_ms;
	int rc;
};

struct fetch {
	struct gateway *g;
	bool probe;     /* only connect and sign in */
	struct arena a; /* of the record and the addresses */
	struct outside o;
	struct buf secret; /* password or access token, NUL-terminated */
	struct net_addr *addrs;
	size_t n_addrs;
	/* results: */
	struct buf why;            /* for people, "" for nothing */
	uint64_t messages, octets; /* put in */
	uint64_t refused;          /* not taken, for good */
	/* Of the last message put in: where it is here; 0: not told. */
	uint32_t put_uidvalidity, put_uid;
	bool put_known; /* it had come from here, and may have other flags */
	struct fetch_gather gather;
	bool told;            /* how far it is */
	int64_t told_ms;      /* when */
	bool more;            /* there is more: look again at once */
	int64_t not_before_s; /* from now; the server wants to rest */
	bool renewed;         /* by fetch_renew */
	bool can_idle; /* fetch_idle may be called, and then fetch_run again */
	struct imap_session *imap; /* kept for that; NULL: none */
};

/*
 * f->g and f->probe are set, the rest is zero, or as a run has left it that can
 * idle: then it goes on with the same connection and the same record. Clear in
 * any case.
 */
enum fetch_end fetch_run(struct fetch *f, const char *address);
/* The first part of it, for those that do something else there: the record, the
 * password, the addresses. f->g is set, the rest is zero. */
enum fetch_end fetch_prepare(struct fetch *f, const char *address);
/* The second, of an IMAP account: a connection that is signed in. */
enum fetch_end fetch_imap_connect(struct fetch *f, struct imap_client **out);
/* Wait until there is something new there, `also` is set, or the time is over. 0,
 * or a negative error of the connection. */
int fetch_idle(struct fetch *f, struct co_event *also, int64_t timeout_ms);
void fetch_clear(struct fetch *f);

/* --- for the protocols --- */

/* Messages of one run: then others have their turn, if any wait. */
#define FETCH_BATCH 1000
#define FETCH_BATCHES 100 /* so often, if none do */
bool fetch_had_its_turn(const struct fetch *f);
/* So many are left to be fetched, as far as is known: told now and then to who
 * looks at how it stands. */
void fetch_progress(struct fetch *f, uint64_t left);

/* End with a reason; returns `end`. */
enum fetch_end fetch_fail(struct fetch *f, enum fetch_end end, const char *fmt,
    ...) __attribute__((format(printf, 3, 4)));
/* The same for what gateway_addresses returned. */
enum fetch_end fetch_fail_name(struct fetch *f, int rc);
/* What an error of a connection means, for people; static but for others. */
const char *fetch_words(int rc);
/* Stars in place of the secret (may be NULL), which a bad server may have said
 * after us, as it is and as SASL sends it. */
void fetch_conceal(struct buf *text, const char *user, const char *secret);
/* The same for what opening a connection returned, with what was said. */
enum fetch_end fetch_fail_open(struct fetch *f, int rc, const char *said);
/*
 * The server has refused to sign us in. FETCH_OK: f->secret is another access
 * token, try once more; else what to end with, told. `end` where there are no
 * tokens, or it is the second time.
 */
enum fetch_end fetch_renew(struct fetch *f, enum fetch_end end);
/*
 * Connect and sign in, by one of the server's addresses after the other, with
 * another access token where the first one is refused. `open` returns 0, or what
 * fetch_fail_open knows, with what the server said.
 */
typedef int (*fetch_open_fn)(
    void *arg, const struct net_addr *to, struct buf *said);
enum fetch_end fetch_connect(struct fetch *f, fetch_open_fn open, void *arg);
/* While a connection is used. */
enum fetch_end fetch_fail_broken(struct fetch *f, int rc, const char *said);

/* A message, where it stands there, and what is known of it. */
struct fetch_message {
	struct spool *body;
	uint64_t source;
	uint32_t uidvalidity, uid;
	int64_t internaldate; /* INT64_MIN: not known */
	const char *use;      /* "Sent" of \Sent, or NULL */
	struct slice flags;   /* each followed by a space */
	struct slice mailbox; /* UTF-8 */
	uint32_t here;        /* its UIDVALIDITY; 0: not known */
};
/* Half a SHA-256 of `head` and the body: 0, or an error of the spool. */
int fetch_octets_id(
    struct slice head, struct spool *body, unsigned char out[static STATE_ID]);
/* To mailbox, durable when it returns 0. 1: it is not to be had here, for good
 * (told in the log, counted). Negative: stop; why is in f->why. Waits.
 * FETCH_GATHERED, where messages are gathered: what became of it is told
 * later. */
#define FETCH_GATHERED 2
int fetch_deposit(struct fetch *f, const struct fetch_message *m);
/*
 * From here on messages are gathered, and made durable together: then
 * placed(arg, i) is called for the i-th that was, with its place in
 * f->put_uidvalidity and f->put_uid; what it returns but 0 ends it.
 * fetch_gather_end: 0, or what went wrong: -EAGAIN is mailbox's refusal of some,
 * after which they are best taken one at a time. fetch_gather_tick is called now
 * and then, so that nothing waits long.
 */
void fetch_gather_begin(
    struct fetch *f, int (*placed)(void *arg, size_t i), void *arg);
int fetch_gather_tick(struct fetch *f);
int fetch_gather_end(struct fetch *f);

enum fetch_end fetch_pop3(struct fetch *f);
enum fetch_end fetch_imap(struct fetch *f);
enum fetch_end fetch_gmail(struct fetch *f);
int
imap_session_idle(struct fetch *f, struct co_event *also, int64_t timeout_ms);
void imap_session_free(struct imap_session **s);

#endif
