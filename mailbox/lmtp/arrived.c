/* SPDX-License-Identifier: ISC */
#include "mailbox/lmtp/arrived.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/mail/transfer.h"
#include "mailbox/api/api_messages.h"
#include "mailbox/mails/arrivals.h"

#define WAIT_MS 60000
#define MANY 50
/* Mailboxes of which one need not be told, unless one asks for it. */
#define NOT_NEW_MAIL (MAILS_SENT | MAILS_DRAFTS | MAILS_JUNK | MAILS_TRASH)
#define ANSWER_MAX ((size_t)60 << 10) /* of base64: a reply takes 64 KiB */

/* The reply's text, for as long as the session: a command has no arena. */
struct answer {
	struct buf text;
};

static struct buf *
answer_new(struct smtp_session *s)
{
	struct answer *a = smtp_session_data(s);

	if (a == NULL && (a = calloc(1, sizeof(*a))) != NULL) {
		a->text = BUF_INIT_MAX(ANSWER_MAX);
		smtp_session_set_data(s, a);
	}
	if (a != NULL)
		buf_reset(&a->text);
	return a == NULL ? NULL : &a->text;
}

void
arrived_end(struct smtp_session *s)
{
	struct answer *a = smtp_session_data(s);

	smtp_session_set_data(s, NULL);
	if (a != NULL)
		buf_clear(&a->text);
	free(a);
}

static int
answer_text(struct smtp_reply *reply, const struct buf *text)
{
	if (text->failed)
		return -ENOMEM;
	*reply = (struct smtp_reply){
		.code = 250, .enhanced = "2.0.0", .text = buf_slice(text)
	};
	return 0;
}

static int
answer_json(struct smtp_session *s, struct smtp_reply *reply, json_t *j)
{
	char *dump = j == NULL ? NULL : json_dumps(j, JSON_COMPACT);
	struct buf *text = answer_new(s);
	int rc = -ENOMEM;

	json_decref(j);
	if (dump != NULL && text != NULL &&
	    base64_encode(text, slice_str(dump)))
		rc = answer_text(reply, text);
	free(dump);
	return rc;
}

/* --- XARRIVED --- */

static void
on_note(void *arg)
{
	co_event_set(arg);
}

/* 0: there may be something; -ETIMEDOUT; or the session is to end. */
static int
wait_for_news(struct smtp_session *s, struct co_event *news, int64_t until_ms)
{
	int64_t left = until_ms - clock_mono_ms();
	int rc = left <= 0 ? -ETIMEDOUT
			   : conn_wait_input(smtp_session_conn(s), news, left);

	/* Another command before the answer, or the end: no more waiting. */
	return rc == 1 ? -ETIMEDOUT : rc == 2 ? 0 : rc;
}

static int
find_arrived(struct mails *m, struct smtp_session *s, const char *after,
    struct arena *a, const char **account)
{
	struct co_event news = { 0 };
	struct store_watch w = { .fn = on_note, .arg = &news };
	int64_t until_ms = clock_mono_ms() + WAIT_MS;
	int rc;

	mails_arrived_watch(m, &w);
	do {
		news.set = false;
		rc = mails_arrived(m, a, after, account);
		if (rc != -ENOENT || *after != '\0')
			break;
		rc = wait_for_news(s, &news, until_ms);
	} while (rc == 0);
	mails_arrived_unwatch(m, &w);
	return rc == -ETIMEDOUT ? -ENOENT : rc;
}

/* "<x>" without the brackets, in the arena; NULL: it is none. */
static const char *
name_of(struct arena *a, struct slice word)
{
	if (word.n < 2 || word.p[0] != '<' || word.p[word.n - 1] != '>')
		return NULL;
	return arena_strdup(a, slice_from(slice_head(word, word.n - 1), 1));
}

static int
arrived(struct mails *m, struct smtp_session *s, struct arena *a,
    struct slice args, struct smtp_reply *reply)
{
	const char *after = name_of(a, args), *account;
	struct buf *text;
	int rc;

	if (after == NULL) {
		*reply = SMTP_REPLY(501, "5.5.4", "XARRIVED <after>, please");
		return 0;
	}
	rc = find_arrived(m, s, after, a, &account);
	if (rc == -ENOENT) {
		*reply = SMTP_REPLY(252, "2.0.0", "nothing");
		return 0;
	}
	if (rc == -ECANCELED) {
		*reply = SMTP_REPLY(451, "4.3.2", "shutting down");
		return 0;
	}
	if (rc == 0 && (text = answer_new(s)) == NULL)
		rc = -ENOMEM;
	if (rc == 0) {
		buf_printf(text, "<%s>", account);
		rc = answer_text(reply, text);
	}
	return rc;
}

/* --- XARRIVALS --- */

static bool
number_of(struct slice text, uint64_t max, uint64_t *out)
{
	return slice_u64(text, max, out) == 0;
}

/* "<mailbox>:<modseq>,..." */
static int
done_with(struct mails *m, const char *account, struct slice list)
{
	uint64_t mailbox, modseq;
	int rc = 0;

	while (list.n > 0 && rc == 0) {
		struct slice one = slice_split(&list, ',');

		if (!number_of(slice_split(&one, ':'), UINT64_MAX, &mailbox) ||
		    !number_of(one, INT64_MAX, &modseq))
			return -EINVAL;
		rc = mails_arrivals_done(m, account, mailbox, modseq);
		if (rc == -ENOENT)
			rc = 0; /* the mailbox went meanwhile */
	}
	return rc;
}

static json_t *
id_json(uint64_t id)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)id);
	return json_string(text);
}

static json_t *
arrivals_json(const struct mails_arrival *v, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list,
		    json_pack("{s:o, s:b, s:I, s:I, s:I, s:I, s:I, s:I, "
			      "s:b}",
			"mailbox", id_json(v[i].mailbox), "quiet",
			(int)((v[i].attrs & NOT_NEW_MAIL) != 0), "uidvalidity",
			(json_int_t)v[i].uidvalidity, "uid",
			(json_int_t)v[i].uid, "modseq", (json_int_t)v[i].modseq,
			"size", (json_int_t)v[i].size, "date",
			(json_int_t)v[i].internaldate, "arrived",
			(json_int_t)v[i].savedate, "gone", (int)v[i].gone));
	return list;
}

static int
arrivals(struct mails *m, struct smtp_session *s, struct arena *a,
    struct slice args, struct smtp_reply *reply)
{
	const char *account = name_of(a, slice_split(&args, ' '));
	struct mails_arrival *v;
	size_t n;
	int rc = account == NULL ? -EINVAL : done_with(m, account, args);

	if (rc == 0)
		rc = mails_arrivals(m, account, a, MANY, &v, &n);
	if (rc == 0)
		return answer_json(s, reply, arrivals_json(v, n));
	if (rc == -EINVAL) {
		*reply = SMTP_REPLY(501, "5.5.4",
		    "XARRIVALS <account> mailbox:modseq,..., please");
		return 0;
	}
	return rc;
}

/* --- XARRIVAL --- */

#define WORDS_MAX 1000 /* octets of a subject or an address */

/* A member that is a string, cut between characters. */
static void
cut(json_t *o, const char *name)
{
	const json_t *v = json_object_get(o, name);
	size_t n = json_string_length(v);
	const char *p = json_string_value(v);

	if (p == NULL || n <= WORDS_MAX)
		return;
	for (n = WORDS_MAX; n > 0 && ((unsigned char)p[n] & 0xc0) == 0x80;)
		n--;
	json_object_set_new(o, name, json_stringn(p, n));
}

/* So that whatever a message says of itself fits in a reply: from whom it is,
 * not to whom. */
static void
make_short(json_t *o)
{
	static const char *const not_told[] = { "to", "cc", "bcc", "reply_to",
		"in_reply_to" };
	json_t *from = json_object_get(o, "from");

	for (size_t i = 0; i < sizeof(not_told) / sizeof(not_told[0]); i++)
		json_object_del(o, not_told[i]);
	while (json_array_size(from) > 1)
		json_array_remove(from, json_array_size(from) - 1);
	cut(json_array_get(from, 0), "name");
	cut(json_array_get(from, 0), "address");
	cut(o, "subject");
	cut(o, "message_id");
}

static int
describe(struct mails_view *v, struct arena *a, json_t **out)
{
	struct mails_row row;
	int rc = api_summary_json(v, 1, a, out);

	if (rc == 0)
		make_short(*out);
	if (rc != -ENOKEY)
		return rc;
	if ((rc = mails_row(v, 1, &row)) == 0)
		*out = json_pack("{s:b, s:I, s:o}", "sealed", 1, "size",
		    (json_int_t)row.size, "received",
		    api_time(row.internaldate));
	return rc == 0 && *out == NULL ? -ENOMEM : rc;
}

/* NULL: there is no such mailbox, or it cannot be said. */
static const char *
name_find(
    struct mails *m, const char *account, struct arena *a, uint64_t mailbox)
{
	struct mails_info *v;
	size_t n;

	if (mails_list(m, account, a, &v, &n) != 0)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (v[i].id == mailbox)
			return v[i].name;
	return NULL;
}

static int
arrival(struct mails *m, struct smtp_session *s, struct arena *a,
    struct slice args, struct smtp_reply *reply)
{
	const char *account = name_of(a, slice_split(&args, ' '));
	struct slice id = slice_split(&args, ' ');
	struct mails_view *v = NULL;
	const char *name;
	uint64_t mailbox, uid;
	json_t *j = NULL;
	int rc;

	if (account == NULL || !number_of(id, UINT64_MAX, &mailbox) ||
	    !number_of(args, UINT32_MAX - 1, &uid)) {
		*reply = SMTP_REPLY(
		    501, "5.5.4", "XARRIVAL <account> mailbox uid, please");
		return 0;
	}
	name = name_find(m, account, a, mailbox);
	rc = mails_arrival_open(m, account, mailbox, (uint32_t)uid, &v);
	if (rc == 0)
		rc = describe(v, a, &j);
	mails_view_close(&v);
	if (rc == -ENOENT && name != NULL) {
		j = json_pack("{s:b}", "gone", 1);
		rc = j == NULL ? -ENOMEM : 0;
	}
	if (rc == -ENOENT) {
		*reply = SMTP_REPLY(550, "5.1.0", "it is gone");
		return 0;
	}
	if (rc != 0)
		return rc;
	if (name != NULL)
		json_object_set_new(
		    j, "mailbox_name", api_text(slice_str(name)));
	return answer_json(s, reply, j);
}

int
arrived_command(struct mails *m, struct smtp_session *s, struct slice verb,
    struct slice args, struct smtp_reply *reply)
{
	static const struct {
		const char *verb;
		int (*run)(struct mails *m, struct smtp_session *s,
		    struct arena *a, struct slice args,
		    struct smtp_reply *reply);
	} verbs[] = { { "XARRIVED", arrived }, { "XARRIVALS", arrivals },
		{ "XARRIVAL", arrival } };
	struct arena a = ARENA_INIT_MAX((size_t)16 << 20);
	size_t i = 0, n = sizeof(verbs) / sizeof(verbs[0]);
	int rc;

	while (i < n && !slice_eq_str_nocase(verb, verbs[i].verb))
		i++;
	if (i == n)
		return -ENOSYS;
	/* It may wait for input, and then verb and args are no more. */
	rc = verbs[i].run(m, s, &a, args, reply);
	arena_reset(&a);
	return rc;
}
