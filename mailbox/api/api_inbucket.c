/* SPDX-License-Identifier: ISC */
/*
 * The REST API v1 of Inbucket (github.com/inbucket/inbucket), for programs that
 * test by it what they send: with mailbox.test_inbox only, for there is no
 * sign-in. A mailbox there is the INBOX of an account here; a message's id is
 * its UID. Of names that are no account the mailbox is empty.
 */
#include "mailbox/api/api_inbucket.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/md5.h>

#include "common/mail/date.h"
#include "common/net/http_form.h"
#include "mailbox/api/api_messages.h"

#define LIST_MAX 1000
#define MD5_OCTETS_MAX ((size_t)16 << 20)

/* --- the mailbox --- */

/* 0 with c->account and the view; -ENOENT: there is no such account. */
static int
open_named(struct api_call *c, struct mails_view **v)
{
	int rc = accounts_account_name(
	    c->env->accounts, c->a, c->param[0], &c->account);

	return rc == 0 ? api_open(c, "INBOX", v) : rc;
}

static int
find_message(struct api_call *c, struct mails_view **v, uint32_t *seq)
{
	int rc = open_named(c, v);

	return rc == 0 ? api_message(c, *v, seq) : rc;
}

static int
end(struct api_call *c, struct mails_view **v, int rc)
{
	mails_view_close(v);
	if (rc == -ENOENT)
		return api_problem(c, "no-such-message", NULL);
	return rc;
}

/* --- as Inbucket tells it --- */

static json_t *
address_string(json_t *address)
{
	const char *name = json_string_value(json_object_get(address, "name"));
	const char *at =
	    json_string_value(json_object_get(address, "address"));

	if (at == NULL)
		at = "";
	return name != NULL && name[0] != '\0' ? json_sprintf("%s <%s>", name, at)
	    : address == NULL		       ? json_string("")
					       : json_sprintf("<%s>", at);
}

/* "2026-11-20T22:00:00Z" of our own JSON, in milliseconds. */
static json_int_t
millis(json_t *time)
{
	struct date d;

	return date_parse(slice_str(json_string_value(time)), &d) == 0
	    ? (json_int_t)d.time * 1000
	    : 0;
}

/* From our own form; takes the reference. */
static json_t *
header_json(const char *account, json_t *ours)
{
	json_t *to = json_array(), *item, *flags, *out;
	json_t *subject = json_object_get(ours, "subject");
	bool seen = false;
	size_t i;

	json_array_foreach(json_object_get(ours, "to"), i, item)
		json_array_append_new(to, address_string(item));
	flags = json_object_get(ours, "flags");
	json_array_foreach(flags, i, item)
		seen |= strcmp(json_string_value(item), "seen") == 0;
	out = json_pack("{s:s, s:o, s:o, s:o, s:s, s:O, s:I, s:O, s:b}",
	    "mailbox", account, "id",
	    json_sprintf("%lld",
		(long long)json_integer_value(json_object_get(ours, "uid"))),
	    "from",
	    address_string(json_array_get(json_object_get(ours, "from"), 0)),
	    "to", to, "subject",
	    json_is_string(subject) ? json_string_value(subject) : "", "date",
	    json_object_get(ours, "received"), "posix-millis",
	    millis(json_object_get(ours, "received")), "size",
	    json_object_get(ours, "size"), "seen", (int)seen);
	json_decref(ours);
	return out;
}

int
api_inbucket_header(struct mails_view *v, uint32_t seq, const char *account,
    struct arena *a, json_t **out)
{
	json_t *ours = NULL;
	int rc = api_summary_json(v, seq, a, &ours);

	*out = rc == 0 ? header_json(account, ours) : NULL;
	return rc;
}

/* --- the list --- */

static int
list(struct api_call *c)
{
	struct mails_view *v = NULL;
	json_t *items = json_array(), *item;
	uint32_t count, seq = 1;
	int rc = open_named(c, &v);

	if (rc == 0) {
		count = mails_view_count(v);
		if (count > LIST_MAX)
			seq = count - LIST_MAX + 1;
		for (; rc == 0 && seq <= count; seq++) {
			struct arena a = ARENA_INIT_MAX((size_t)8 << 20);

			rc = api_inbucket_header(v, seq, c->account, &a, &item);
			if (rc == 0)
				json_array_append_new(items, item);
			else if (rc == -ENOENT)
				rc = 0; /* expunged meanwhile */
			arena_reset(&a);
		}
	}
	mails_view_close(&v);
	if (rc == 0 || rc == -ENOENT)
		return api_json(c, 200, items);
	json_decref(items);
	return rc;
}

static int
purge(struct api_call *c)
{
	struct mails_view *v = NULL;
	uint32_t *seqs, n;
	int rc = open_named(c, &v);

	if (rc == 0 && (n = mails_view_count(v)) > 0) {
		seqs = arena_array(c->a, n, sizeof(*seqs));
		for (uint32_t i = 0; seqs != NULL && i < n; i++)
			seqs[i] = i + 1;
		rc = seqs == NULL ? -ENOMEM : mails_expunge(v, seqs, n, true);
	}
	mails_view_close(&v);
	if (rc != 0 && rc != -ENOENT)
		return rc;
	return api_json(c, 200, json_string("OK"));
}

/* --- one message --- */

/* { "Subject": ["..."], ... } */
static json_t *
fields_json(json_t *header)
{
	json_t *out = json_object(), *field, *values;
	size_t i;

	json_array_foreach(header, i, field)
	{
		const char *name =
		    json_string_value(json_object_get(field, "name"));

		if ((values = json_object_get(out, name)) == NULL) {
			values = json_array();
			json_object_set_new(out, name, values);
		}
		json_array_append(values, json_object_get(field, "value"));
	}
	return out;
}

static json_t *
md5_json(struct mails_view *v, uint32_t seq, const struct mails_part *part)
{
	unsigned char sum[MD5_DIGEST_LENGTH];
	struct buf octets = BUF_INIT_MAX(MD5_OCTETS_MAX);
	char text[2 * MD5_DIGEST_LENGTH + 1] = "";
	unsigned n = 0;

	if (api_part_octets(v, seq, part, &octets) == 0 &&
	    EVP_Digest(octets.n > 0 ? octets.p : "", octets.n, sum, &n,
		EVP_md5(), NULL) == 1)
		for (size_t i = 0; i < n && i < sizeof(sum); i++)
			snprintf(text + 2 * i, 3, "%02x", sum[i]);
	buf_clear(&octets);
	return json_string(text);
}

/* Absolute, for programs fetch it as it stands. */
static json_t *
link_json(struct api_call *c, uint32_t uid, size_t part)
{
	struct buf b = BUF_INIT_MAX(HTTP_LINE_MAX);
	json_t *j;

	buf_printf(&b, "http%s://", c->is_tls ? "s" : "");
	buf_put_slice(&b, http_head_get(&c->x->head, "Host"));
	buf_put_str(&b, API_ROOT "/mailbox/");
	http_percent_put(&b, slice_str(c->account));
	buf_printf(&b, "/%u/parts/%zu", uid, part);
	j = api_text(buf_slice(&b));
	buf_clear(&b);
	return j;
}

static json_t *
attachments_json(struct api_call *c, struct mails_view *v, uint32_t seq,
    json_t *parts)
{
	json_t *out = json_array(), *part;
	struct mails_summary sum;
	size_t i;

	if (mails_summary(v, seq, c->a, &sum) != 0)
		return out;
	json_array_foreach(parts, i, part)
	{
		const char *name =
		    json_string_value(json_object_get(part, "filename"));
		json_t *link;

		if (name == NULL || i >= sum.n_parts)
			continue;
		link = link_json(c, mails_view_uid(v, seq), i);
		json_array_append_new(out,
		    json_pack("{s:s, s:O, s:O, s:o, s:o}", "filename", name,
			"content-type", json_object_get(part, "type"),
			"download-link", link, "view-link", link, "md5",
			md5_json(v, seq, &sum.parts[i])));
	}
	return out;
}

static json_t *
or_empty(json_t *text)
{
	return json_is_string(text) ? json_incref(text) : json_string("");
}

static int
get(struct api_call *c)
{
	struct mails_view *v = NULL;
	json_t *ours = NULL, *out;
	uint32_t seq;
	int rc;

	if ((rc = find_message(c, &v, &seq)) == 0 &&
	    (rc = api_message_json(c, v, seq, &ours)) == 0) {
		out = header_json(c->account, json_incref(ours));
		json_object_set_new(out, "body",
		    json_pack("{s:o, s:o}", "text",
			or_empty(json_object_get(ours, "text")), "html",
			or_empty(json_object_get(ours, "html"))));
		json_object_set_new(out, "header",
		    fields_json(json_object_get(ours, "header")));
		json_object_set_new(out, "attachments",
		    attachments_json(
			c, v, seq, json_object_get(ours, "parts")));
		rc = api_json(c, 200, out);
	}
	json_decref(ours);
	return end(c, &v, rc);
}

static int
source(struct api_call *c)
{
	struct mails_view *v = NULL;
	uint32_t seq;
	int rc = find_message(c, &v, &seq);

	if (rc == 0)
		rc = api_send_raw(c, v, seq, "text/plain");
	return end(c, &v, rc);
}

static int
part(struct api_call *c)
{
	struct mails_view *v = NULL;
	uint32_t seq;
	int rc = find_message(c, &v, &seq);

	if (rc == 0)
		rc = api_send_part(c, v, seq);
	return end(c, &v, rc);
}

/* Inbucket's own client says MarkSeen by a PATCH without a body. */
static int
mark(struct api_call *c)
{
	struct mails_view *v = NULL;
	uint32_t seq, *failed;
	size_t n_failed;
	bool seen = true;
	int rc;

	if ((rc = api_in_bool(c, "seen", &seen)) == 0 &&
	    (rc = find_message(c, &v, &seq)) == 0)
		rc = mails_store_flags(v, &seq, 1,
		    seen ? MAILS_FLAGS_ADD : MAILS_FLAGS_REMOVE, MAILS_SEEN,
		    NULL, 0, true, c->a, &failed, &n_failed);
	if (rc == 0)
		rc = api_json(c, 200, json_string("OK"));
	return end(c, &v, rc);
}

static int
remove_one(struct api_call *c)
{
	struct mails_view *v = NULL;
	uint32_t seq;
	int rc;

	if ((rc = find_message(c, &v, &seq)) == 0 &&
	    (rc = mails_expunge(v, &seq, 1, true)) == 0)
		rc = api_json(c, 200, json_string("OK"));
	return end(c, &v, rc);
}

const struct api_route api_inbucket_routes[] = {
	{ HTTP_GET, "/mailbox/{name}", "inbucketList", 0, false, list },
	{ HTTP_DELETE, "/mailbox/{name}", "inbucketPurge", 0, false, purge },
	{ HTTP_GET, "/mailbox/{name}/{id}", "inbucketGet", 0, false, get },
	{ HTTP_PATCH, "/mailbox/{name}/{id}", "inbucketSeen", 0, true, mark },
	{ HTTP_DELETE, "/mailbox/{name}/{id}", "inbucketDelete", 0, false,
	    remove_one },
	{ HTTP_GET, "/mailbox/{name}/{id}/source", "inbucketSource", 0, false,
	    source },
	{ HTTP_GET, "/mailbox/{name}/{id}/parts/{part}", "inbucketPart", 0,
	    false, part },
	{ HTTP_GET, "/monitor/messages", "inbucketMonitor", 0, false,
	    api_inbucket_monitor },
	{ HTTP_GET, "/monitor/messages/{name}", "inbucketMonitorOne", 0, false,
	    api_inbucket_monitor },
	{ 0 },
};
