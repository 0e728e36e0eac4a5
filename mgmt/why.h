/* SPDX-License-Identifier: ISC */
/*
 * pneu why inside: what is asked for, the records of all rings that answer it,
 * and the words they are told in.
 */
#ifndef PNEU_MGMT_WHY_H
#define PNEU_MGMT_WHY_H

#include <jansson.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/trace.h"

/* --- the question (why_query.c) --- */

enum why_what {
	WHY_ALL,
	WHY_ID,      /* of a message, a connection, a queue entry */
	WHY_ADDRESS, /* or a Message-ID, which looks the same; "@domain" */
	WHY_NETWORK, /* an IP address, or more of them */
	WHY_WORD,    /* whatever holds it */
};

struct why_query {
	enum why_what what;
	struct slice text; /* in the arena, without what is around it */
	int64_t since_us;  /* nothing older; 0: all */
};

/* "[ref ID]", "<a@b>", "192.0.2.0/24" ...; NULL asks for all. -ENOMEM. */
int why_query_parse(
    struct why_query *q, struct arena *a, const char *text);
bool why_query_matches(
    const struct why_query *q, const struct trace_record *r);
/* "90s", "15m", "2h", "3d", "1w" before now; or "2026-11-28",
 * "2026-11-28 12:30", "2026-11-28T12:30:00Z" in UTC. 0 or -EINVAL. */
int why_since_parse(const char *text, int64_t now_us, int64_t *out_us);

/* --- the rings (why_rings.c) --- */

#define WHY_RINGS_MAX 32

struct why_rings {
	const char *dir;
	struct {
		char name[64]; /* of the file */
		uint64_t inode;
		struct trace_ring ring;
	} v[WHY_RINGS_MAX];
	size_t n;
	int rc; /* of a ring that could not be read; 0: none */
};

/* All of the folder. 0 with n rings, or -errno. */
int why_rings_open(struct why_rings *rings, const char *dir);
/* Look again: for new ones, and for those that were made anew. */
int why_rings_look(struct why_rings *rings);
void why_rings_close(struct why_rings *rings);
/* From when on no ring lacks anything; 0: there is nothing in them. */
int64_t why_rings_from_us(struct why_rings *rings);

/* --- the records (why_collect.c) --- */

struct why_record {
	struct trace_record r;
	const char *program;
	size_t journey; /* records of the same have the same */
};

struct why_found {
	struct arena arena; /* of the records */
	struct why_record *v;
	size_t n, cap;
	size_t n_left; /* journeys that answer, too, and are older */
	bool cut;      /* there is more than fits into memory */
};
/*
 * The last `limit` (0: all) journeys with a record that answers: a journey is
 * a message with the reports about it, or a connection without any message.
 * Sorted by journey, the oldest first, then by time. 0 or -ENOMEM.
 */
int why_collect(struct why_rings *rings, const struct why_query *q,
    size_t limit, struct why_found *out);
void why_found_clear(struct why_found *f);
/* What a record is of: its message, else its connection. */
struct slice why_key(const struct trace_record *r);
/* A copy, in the arena. False: out of memory. */
bool why_record_copy(struct arena *a, const struct trace_record *r,
    const char *program, struct why_record *out);

/* --- as it happens (why_follow.c) --- */

/* Print what answers from now on, a line (or, with json, an object) each, and
 * all that came before of the same message. Until it is killed. */
int why_follow(const char *dir, const struct why_query *q, bool json);

/* --- words (why_words.c) --- */

/* "refused the recipient <x@y>: 550 5.1.1 no such recipient (blocked address
 * x@y)", without time and program. */
void why_words(const struct why_record *r, struct buf *out);
/* The same as data; docs/trace.md has the names. */
json_t *why_json(const struct why_record *r);
/* About n records of one journey: who to whom, and what became of it
 * (why_headline.c). */
void why_headline(const struct why_record *r, size_t n, struct buf *out);
/* Of what it is: the first message's, else the connection's. */
struct slice why_journey_key(const struct why_record *r, size_t n);
/* Text from outside: what does not print is a question mark. */
void why_text(struct slice s, struct buf *out);
/* "1.2 ms" */
void why_duration(int64_t us, struct buf *out);
/* "12:30:00.123", in UTC; `date` puts "2026-11-28 " before it. */
void why_time(int64_t us, bool date, struct buf *out);

#endif
