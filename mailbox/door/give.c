/* SPDX-License-Identifier: ISC */
/*
 * Each message is read twice: once to know what it looks like and whether it
 * is whole, once to give it. A small one stays in memory in between.
 */
#include "mailbox/door/give.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/log.h"

#define WHOLE_MAX ((size_t)256 << 10)
#define ARENA_MAX ((size_t)8 << 20)

struct giving {
	const struct give_conf *conf;
	const struct give_format *f;
	void *arg;
	struct arena a;   /* of the account */
	struct arena box; /* of the mailbox */
	struct door_digest *digest;
	struct give_message msg;
};

int
give_write(int fd, struct slice octets)
{
	while (octets.n > 0) {
		ssize_t n = write(fd, octets.p, octets.n);

		if (n == -1 && errno != EINTR)
			return -errno;
		if (n > 0)
			octets = slice_from(octets, (size_t)n);
	}
	return 0;
}

static bool
passes_over(int rc)
{
	return rc == -EBADMSG || rc == -ENAMETOOLONG;
}

/* --- one message --- */

/* Through all of its octets, to `put` where there is one. */
static int
read_through(struct giving *g, struct give_message *m,
    int (*put)(void *arg, struct slice octets), void *arg)
{
	uint64_t at = 0;
	size_t got = 1;
	int rc = 0;

	(void)g;
	while (rc == 0 && got > 0) {
		rc = mails_read(m->v, m->seq, at, m->chunk, DOOR_CHUNK, &got);
		if (rc == 0 && got > 0)
			rc = put(arg, slice(m->chunk, got));
		at += got;
	}
	return rc;
}

static int
look(void *arg, struct slice octets)
{
	struct giving *g = arg;

	line_census_feed(&g->msg.census, octets);
	door_digest_put(g->digest, octets);
	if (g->msg.census.octets <= WHOLE_MAX)
		buf_put_slice(&g->msg.whole, octets);
	return 0;
}

static int
give_octets(struct giving *g, struct give_message *m)
{
	if (m->census.octets <= WHOLE_MAX && !m->whole.failed)
		return m->whole.n == 0
		    ? 0
		    : g->f->put(g->arg, buf_slice(&m->whole));
	return read_through(g, m, g->f->put, g->arg);
}

static void
meta_of(struct giving *g, const struct mails_row *row, struct arena *a)
{
	struct give_message *m = &g->msg;

	m->meta = (struct door_meta){ .flags = row->flags.system,
		.internaldate = row->internaldate };
	for (unsigned i = 0; i < MAILS_KEYWORDS_MAX; i++)
		if (row->flags.keywords >> i & 1)
			(void)door_keyword_add(&m->meta, a,
			    slice_str(mails_view_keyword(m->v, i)));
	door_keywords_sort(&m->meta);
	m->uid = row->uid;
}

static int
write_message(struct giving *g)
{
	struct door_report *r = g->conf->report;
	struct give_message *m = &g->msg;
	int rc = 1;

	if (!r->dry_run)
		rc = g->f->begin(g->arg, m);
	if (rc == 0) {
		r->known++;
		return 0;
	}
	if (rc == 1 && !r->dry_run && (rc = give_octets(g, m)) == 0)
		rc = g->f->end(g->arg);
	if (rc >= 0) {
		r->messages++;
		r->octets += m->census.octets;
	}
	return rc < 0 ? rc : 0;
}

static int
give_message(struct giving *g, uint32_t seq)
{
	struct arena a = ARENA_INIT_MAX((size_t)32 << 10);
	struct give_message *m = &g->msg;
	struct mails_row row;
	int rc = mails_row(m->v, seq, &row);

	m->seq = seq;
	m->census = (struct line_census){ 0 };
	buf_reset(&m->whole);
	if (rc == 0)
		rc = read_through(g, m, look, g);
	door_digest_end(g->digest, m->digest);
	if (rc == -ENOENT)
		goto end; /* expunged meanwhile */
	if (rc == 0) {
		m->number++;
		meta_of(g, &row, &a);
		rc = write_message(g);
	} else if (rc == -EIO) {
		rc = -EBADMSG;
	}
	if (passes_over(rc)) {
		door_warn(g->conf->report, "%s, UID %u: %s; passed over",
		    log_q(slice_str(mails_view_name(m->v))),
		    mails_view_uid(m->v, seq),
		    rc == -EBADMSG ? "damaged" : strerror(-rc));
		g->conf->report->failed++;
	}
end:
	arena_reset(&a);
	door_report_tick(g->conf->report);
	return rc == -ENOENT || passes_over(rc) ? 0 : rc;
}

/* --- one mailbox --- */

static int
string_cmp(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int
keywords_of(struct giving *g, struct mails_view *v, struct give_mailbox *b)
{
	const char **names =
	    arena_array(&g->box, MAILS_KEYWORDS_MAX + 1, sizeof(*names));
	uint64_t bits = 0;

	if (names == NULL)
		return -ENOMEM;
	for (uint32_t i = 1; i <= mails_view_count(v); i++)
		bits |= mails_view_flags(v, i).keywords;
	for (unsigned i = 0; i < MAILS_KEYWORDS_MAX; i++)
		if (bits >> i & 1 && mails_view_keyword(v, i) != NULL)
			names[b->n_keywords++] = mails_view_keyword(v, i);
	qsort(names, b->n_keywords, sizeof(*names), string_cmp);
	b->keywords = names;
	return 0;
}

static int
give_messages(struct giving *g, struct mails_view *v)
{
	int rc = 0;

	g->msg.v = v;
	g->msg.number = 0;
	for (uint32_t i = 1; i <= mails_view_count(v) && rc == 0; i++)
		rc = give_message(g, i);
	return rc;
}

static int
give_mailbox(struct giving *g, const char *name)
{
	struct give_mailbox b = { .name = name };
	struct door_report *r = g->conf->report;
	struct mails_view *v;
	int rc = mails_view_examine(
	    g->conf->m, g->conf->account, slice_str(name), &v);

	if (rc != 0)
		return rc == -ENOENT ? 0 : rc; /* deleted meanwhile */
	mails_view_unlock(v, g->conf->key);
	door_report_mailbox(r, slice_str(name));
	rc = keywords_of(g, v, &b);
	if (rc == 0 && !r->dry_run)
		rc = g->f->mailbox(g->arg, &b);
	if (rc == 0)
		rc = give_messages(g, v);
	if (rc == 0 && !r->dry_run)
		rc = g->f->mailbox_end(g->arg);
	if (passes_over(rc)) {
		door_warn(r, "%s: %s; passed over", log_q(slice_str(name)),
		    strerror(-rc));
		r->failed++;
		rc = 0;
	}
	mails_view_close(&v);
	arena_reset(&g->box);
	return rc;
}

/* --- all --- */

static bool
is_wanted(const struct give_conf *c, const char *name)
{
	return (c->only == NULL || door_is_listed(c->only, slice_str(name))) &&
	    !door_is_listed(c->not, slice_str(name));
}

static int
give_all(struct giving *g)
{
	struct mails_info *infos;
	const char **subscribed;
	size_t n, n_subscribed = 0;
	int rc = mails_list(g->conf->m, g->conf->account, &g->a, &infos, &n);

	if (rc != 0)
		return rc;
	if ((subscribed = arena_array(&g->a, n + 1, sizeof(*subscribed))) ==
	    NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n && rc == 0; i++) {
		if (!is_wanted(g->conf, infos[i].name))
			continue;
		if (infos[i].attrs & MAILS_SUBSCRIBED)
			subscribed[n_subscribed++] = infos[i].name;
		if (infos[i].id != 0 && !(infos[i].attrs & MAILS_NOSELECT))
			rc = give_mailbox(g, infos[i].name);
	}
	if (rc == 0 && !g->conf->report->dry_run)
		rc = g->f->finish(g->arg, subscribed, n_subscribed);
	return rc;
}

int
give(const struct give_conf *conf, const struct give_format *f, void *arg)
{
	struct giving g = { .conf = conf,
		.f = f,
		.arg = arg,
		.a = ARENA_INIT_MAX(ARENA_MAX),
		.box = ARENA_INIT_MAX(ARENA_MAX) };
	int rc = door_digest_new(&g.digest);

	g.msg.whole.max = WHOLE_MAX;
	if (rc == 0 && (g.msg.chunk = malloc(DOOR_CHUNK)) == NULL)
		rc = -ENOMEM;
	if (rc == 0)
		rc = give_all(&g);
	door_digest_free(&g.digest);
	buf_clear(&g.msg.whole);
	free(g.msg.chunk);
	arena_reset(&g.a);
	arena_reset(&g.box);
	return rc;
}
