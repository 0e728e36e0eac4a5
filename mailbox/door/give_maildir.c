/* SPDX-License-Identifier: ISC */
/*
 * A Maildir++ as Dovecot has it, wherever it goes. Names of messages:
 *
 *   1700000000.M00000012H0123456789ab.pneu,S=1234:2,FSa
 *
 * The time never goes back within a mailbox, so that what reads it in the
 * order of names, as Dovecot does, has the messages in ours. The date of
 * receipt is the file's time. H is of the octets: a name stands for a content,
 * and what is there under its name need not be written again.
 *
 * The first 26 keywords have letters, in dovecot-keywords; of any more,
 * courierimapkeywords/:list tells.
 */
#include <errno.h>
#include <stdlib.h>

#include "mailbox/door/give.h"
#include "mailbox/door/maildir.h"

#define OURS ".pneu,S="

struct giver {
	const struct outlet *o;
	void *arg;
	struct buf folder, name, text;
	struct buf courier; /* lines of messages */
	const struct give_mailbox *box;
	const char *letters[MAILDIR_LETTERS];
	const char *others[MAILS_KEYWORDS_MAX]; /* keywords without one */
	size_t n_letters, n_others;
	int64_t time;
	bool plain; /* the message goes out with LF */
	struct lf_maker lf;
};

bool
give_maildir_is_ours(struct slice name)
{
	return slice_find_slice(name, SLICE_LIT(OURS)) > 0;
}

/* --- mailboxes --- */

static bool
is_forwarded(const char *keyword)
{
	return slice_eq_str_nocase(slice_str(keyword), "$Forwarded");
}

static int
put_letters(struct giver *g)
{
	buf_reset(&g->text);
	g->n_letters = g->n_others = 0;
	for (size_t i = 0; i < g->box->n_keywords; i++) {
		const char *k = g->box->keywords[i];

		if (is_forwarded(k))
			continue; /* letter P */
		if (g->n_letters == MAILDIR_LETTERS) {
			g->others[g->n_others++] = k;
			continue;
		}
		buf_printf(&g->text, "%zu %s\n", g->n_letters, k);
		g->letters[g->n_letters++] = k;
	}
	return g->text.failed ? -ENOMEM : 0;
}

static int
on_mailbox(void *arg, const struct give_mailbox *b)
{
	struct giver *g = arg;
	int rc;

	g->box = b;
	g->time = 0;
	buf_reset(&g->courier);
	buf_reset(&g->folder);
	if (strcmp(b->name, "INBOX") != 0) {
		buf_put_char(&g->folder, '.');
		if (!maildir_folder_encode(&g->folder, slice_str(b->name)))
			return -EBADMSG;
	}
	if ((rc = g->o->folder(g->arg, buf_str(&g->folder))) != 0 ||
	    (rc = put_letters(g)) != 0 || g->text.n == 0)
		return rc;
	return g->o->file(g->arg, buf_str(&g->folder), "dovecot-keywords",
	    buf_slice(&g->text));
}

static int
on_mailbox_end(void *arg)
{
	struct giver *g = arg;
	int rc = 0;

	if (g->courier.n > 0) {
		buf_reset(&g->text);
		for (size_t i = 0; i < g->n_others; i++)
			buf_printf(&g->text, "%s\n", g->others[i]);
		buf_put_char(&g->text, '\n');
		buf_put_slice(&g->text, buf_slice(&g->courier));
		rc = g->text.failed
		    ? -ENOMEM
		    : g->o->file(g->arg, buf_str(&g->folder),
			  "courierimapkeywords/:list", buf_slice(&g->text));
	}
	return rc == 0 ? g->o->folder_end(g->arg, buf_str(&g->folder)) : rc;
}

/* --- messages --- */

/* Index of a name in a list, or -1. */
static int
index_of(const char *const *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (slice_eq_str_nocase(slice_str(name), list[i]))
			return (int)i;
	return -1;
}

static void
put_keywords(struct giver *g, const struct door_meta *meta, struct slice base)
{
	uint32_t letters = 0;
	bool passed = false, begun = false;

	for (size_t i = 0; i < meta->n_keywords; i++) {
		const char *k = meta->keywords[i];
		int letter = index_of(g->letters, g->n_letters, k);
		int other = index_of(g->others, g->n_others, k);

		passed |= is_forwarded(k);
		letters |= letter >= 0 ? 1u << letter : 0;
		if (other < 0)
			continue;
		if (!begun)
			buf_put_slice(&g->courier, base);
		buf_printf(&g->courier, "%c%d", begun ? ' ' : ':', other);
		begun = true;
	}
	if (begun)
		buf_put_char(&g->courier, '\n');
	maildir_put_info(&g->name, meta->flags, passed, letters);
}

static int
on_begin(void *arg, const struct give_message *m)
{
	struct giver *g = arg;
	uint64_t size;
	size_t base;
	int64_t date = m->meta.internaldate;

	g->plain = line_census_is_plain(&m->census);
	g->lf = (struct lf_maker){ 0 };
	size = g->plain ? line_census_lf_octets(&m->census) : m->census.octets;
	if (date > g->time)
		g->time = date;
	buf_reset(&g->name);
	buf_printf(&g->name, "%lld.M%08uH", (long long)g->time, m->number);
	for (size_t i = 0; i < 6; i++)
		buf_printf(&g->name, "%02x", m->digest[i]);
	buf_printf(&g->name, OURS "%llu", (unsigned long long)size);
	base = g->name.n;
	if (g->name.failed)
		return -ENOMEM;
	/* The slice stands while the name grows: it is copied first. */
	buf_reset(&g->text);
	buf_put(&g->text, g->name.p, base);
	put_keywords(g, &m->meta, buf_slice(&g->text));
	if (g->name.failed || g->courier.failed)
		return -ENOMEM;
	return g->o->begin(
	    g->arg, buf_str(&g->folder), buf_str(&g->name), size, date);
}

static int
on_put(void *arg, struct slice octets)
{
	struct giver *g = arg;

	if (!g->plain)
		return g->o->put(g->arg, octets);
	buf_reset(&g->text);
	if (!lf_make(&g->lf, octets, &g->text))
		return -ENOMEM;
	return g->o->put(g->arg, buf_slice(&g->text));
}

static int
on_end(void *arg)
{
	struct giver *g = arg;
	int rc;

	buf_reset(&g->text);
	lf_make_end(&g->lf, &g->text);
	if (g->text.n > 0 && (rc = g->o->put(g->arg, buf_slice(&g->text))) != 0)
		return rc;
	return g->o->end(g->arg);
}

static int
on_finish(void *arg, const char *const *subscribed, size_t n)
{
	struct giver *g = arg;
	int rc;

	buf_reset(&g->text);
	for (size_t i = 0; i < n; i++) {
		maildir_folder_encode(&g->text, slice_str(subscribed[i]));
		buf_put_char(&g->text, '\n');
	}
	if (g->text.failed)
		return -ENOMEM;
	rc = g->o->file(g->arg, "", "subscriptions", buf_slice(&g->text));
	return rc == 0 ? g->o->finish(g->arg) : rc;
}

int
give_maildir_to(const struct give_conf *conf, const struct outlet *o, void *arg)
{
	static const struct give_format format = { on_mailbox, on_begin, on_put,
		on_end, on_mailbox_end, on_finish };
	struct giver g = { .o = o, .arg = arg };
	int rc = give(conf, &format, &g);

	buf_clear(&g.folder);
	buf_clear(&g.name);
	buf_clear(&g.text);
	buf_clear(&g.courier);
	return rc;
}
