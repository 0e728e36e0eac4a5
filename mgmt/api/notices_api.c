/* SPDX-License-Identifier: ISC */
/* /notices: who is told of the account's new mail (docs/notices.md). How they go
 * is asked of the running gateway. */
#include <errno.h>

#include "common/auth/notice.h"
#include "common/auth/notice_ask.h"
#include "common/net/http_url.h"
#include "mgmt/api/manage_impl.h"
#include "mgmt/directory.h"

#define URL_MAX_ 2000
#define NAME_OCTETS 100

/* --- asking the gateway --- */

/* NULL where it does not answer: records are shown all the same. */
static json_t *
statuses(struct manage_call *c)
{
	struct buf line = BUF_INIT_MAX(500);
	json_t *j = NULL;

	buf_printf(&line, "STATUS %s", c->account);
	if (!line.failed &&
	    notice_ask(c->env->conf, buf_str(&line), &j, &c->err) != 0)
		j = NULL;
	buf_reset(&c->err);
	buf_clear(&line);
	return j;
}

static int
ask(struct manage_call *c, const char *line, json_t **out)
{
	return manage_errno(
	    c, notice_ask(c->env->conf, line, out, &c->err), "no-such-notice");
}

/* --- records --- */

static json_t *
notice_record(const struct notice *n, json_t *status)
{
	json_t *one = json_object_get(status, n->id);

	return json_pack(
	    "{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:I, s:I, s:s, s:b, "
	    "s:b, s:o, s:O?}",
	    "id", n->id, "account", n->account, "kind", notice_kinds[n->kind],
	    "content", notice_contents[n->content], "url", n->url, "name",
	    n->name, "mailboxes", json_texts(n->mailboxes, n->n_mailboxes),
	    "senders", json_texts(n->senders, n->n_senders), "min_size",
	    (json_int_t)n->min_size, "max_size", (json_int_t)n->max_size,
	    "p256dh", n->p256dh, "has_secret", n->sealed.n > 0, "paused", n->paused, "created",
	    json_time(n->created_s), "status",
	    json_is_object(one) ? one : NULL);
}

/* The one of the path, if it is the account's. */
static int
get(struct manage_call *c, struct notice *n)
{
	int rc = notice_get(c->env->accounts, c->a, c->param[0], n);

	if (rc == -EINVAL || rc == -EAGAIN ||
	    (rc == 0 && strcmp(n->account, c->account) != 0))
		rc = -ENOENT;
	return manage_errno(c, rc, "no-such-notice");
}

static int
reply(struct manage_call *c, int status, const struct notice *n,
    const struct buf *made)
{
	json_t *all = statuses(c), *j = notice_record(n, all);

	if (made != NULL && made->n > 0)
		json_object_set_new(j, "secret", json_string(buf_str(made)));
	json_decref(all);
	return manage_json(c, status, j);
}

int
notices_api_list(struct manage_call *c)
{
	struct notice *v = NULL;
	json_t *list, *all;
	size_t n = 0;
	int rc =
	    notice_list(c->env->accounts, c->a, slice_str(c->account), &v, &n);

	if (rc != 0 && rc != -EAGAIN && rc != -ENOENT)
		return manage_errno(c, rc, "no-such-account");
	list = json_array();
	all = n > 0 ? statuses(c) : NULL;
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, notice_record(&v[i], all));
	json_decref(all);
	return manage_json(c, 200, json_pack("{s:o}", "notices", list));
}

int
notices_api_get(struct manage_call *c)
{
	struct notice n;
	int rc = get(c, &n);

	return rc != 0 ? rc : reply(c, 200, &n, NULL);
}

/* The gateway would not send to another; better said now. */
static bool
url_is_good(struct manage_call *c, const char *text)
{
	struct http_url url;

	if (http_url_parse(slice_str(text), &url) == 0 &&
	    (conf_bool(c->env->conf, "gateway.notice_private") ||
		(url.tls &&
		    !(url.is_address && !net_addr_is_global(&url.address)))))
		return true;
	c->failed = true;
	manage_problem(c, "bad-value",
	    "url must be https, to a public address, without a user");
	return false;
}

#define BODY                                                                   \
	"kind", "url", "content", "name", "p256dh", "secret", "mailboxes",     \
	    "senders", "min_size", "max_size", "paused", NULL

static struct slice
body_in(struct manage_call *c, struct notice *n)
{
	static const int64_t none = 0;
	int64_t min = (int64_t)n->min_size, max = (int64_t)n->max_size;
	int content = (int)n->content;
	const char *s, *secret;

	if ((s = manage_str(c, "url", URL_MAX_)) != NULL && url_is_good(c, s))
		n->url = s;
	manage_word(c, "content", notice_contents, NOTICE_CONTENTS, &content);
	if ((s = manage_str(c, "name", NAME_OCTETS)) != NULL)
		n->name = s;
	if ((s = manage_str(c, "p256dh", 200)) != NULL)
		n->p256dh = s;
	manage_strs(
	    c, "mailboxes", NOTICE_FILTERS_MAX, &n->mailboxes, &n->n_mailboxes);
	manage_strs(
	    c, "senders", NOTICE_FILTERS_MAX, &n->senders, &n->n_senders);
	manage_int(c, "min_size", 0, INT64_MAX, &none, &min);
	manage_int(c, "max_size", 0, INT64_MAX, &none, &max);
	manage_bool(c, "paused", &n->paused);
	secret = manage_str(c, "secret", NOTICE_SECRET_MAX);
	n->content = (enum notice_content)content;
	n->min_size = (uint64_t)min;
	n->max_size = (uint64_t)max;
	return secret == NULL || *secret == '\0' ? slice(NULL, 0)
						 : slice_str(secret);
}

int
notices_api_add(struct manage_call *c)
{
	static const char *const names[] = { BODY };
	struct notice n = { .id = "",
		.account = c->account,
		.url = "",
		.name = "",
		.p256dh = "",
		.content = NOTICE_ENVELOPE };
	struct buf made = BUF_INIT_MAX(NOTICE_SECRET_MAX);
	struct slice secret;
	int kind = -1, rc;

	manage_only(c, names);
	manage_need(c, "url", URL_MAX_);
	manage_need(c, "kind", 20);
	manage_word(c, "kind", notice_kinds, NOTICE_KINDS, &kind);
	secret = body_in(c, &n);
	if (c->failed)
		return MANAGE_REPLIED;
	n.kind = (enum notice_kind)kind;
	rc = notice_add(c->env->accounts, c->a, &n, secret, &made, &c->err);
	rc = manage_errno(c, rc, "no-such-account");
	if (rc == 0 &&
	    (rc = notice_get(c->env->accounts, c->a, slice_str(n.id), &n)) == 0)
		rc = reply(c, 201, &n, &made);
	buf_wipe(&made);
	return rc;
}

/* A token of ntfy is told to the server, which must be the one that it is of;
 * what others have as a secret never leaves us. */
static bool
token_would_move(const struct notice *n, const char *url)
{
	struct http_url was, is;

	return n->kind == NOTICE_NTFY && n->sealed.n > 0 &&
	    (http_url_parse(slice_str(url), &was) != 0 ||
		http_url_parse(slice_str(n->url), &is) != 0 ||
		!slice_eq_nocase(was.origin, is.origin));
}

int
notices_api_patch(struct manage_call *c)
{
	static const char *const names[] = { BODY };
	struct slice secret;
	struct notice n;
	const char *url;
	int rc = get(c, &n);

	if (rc != 0)
		return rc;
	url = n.url;
	manage_only(c, names + 1);
	secret = body_in(c, &n);
	if (c->failed)
		return MANAGE_REPLIED;
	if (secret.p == NULL && token_would_move(&n, url))
		return manage_problem(c, "bad-value",
		    "secret is needed where the server is another one");
	rc = manage_errno(c, notice_set(c->env->accounts, &n, secret, &c->err),
	    "no-such-notice");
	return rc != 0 ? rc : notices_api_get(c);
}

int
notices_api_delete(struct manage_call *c)
{
	int rc = manage_errno(c,
	    notice_remove(
		c->env->accounts, slice_str(c->account), c->param[0], &c->err),
	    "no-such-notice");

	return rc != 0 ? rc : manage_no_content(c);
}

/* --- what the gateway does --- */

static int
ask_about(
    struct manage_call *c, const char *word, const char *more, const char *name)
{
	struct buf line = BUF_INIT_MAX(500);
	struct notice n;
	json_t *j;
	int rc = get(c, &n);

	if (rc != 0)
		return rc;
	buf_printf(&line, "%s %s%s", word, n.id, more);
	rc = line.failed
	    ? -ENOMEM
	    : notice_ask(c->env->conf, buf_str(&line), &j, &c->err);
	buf_clear(&line);
	/* It says so of an event, too. */
	if (rc == -ENOENT && (rc = get(c, &n)) == 0)
		rc = -EINVAL;
	rc = manage_errno(c, rc, "no-such-notice");
	if (rc != 0)
		return rc;
	return manage_json(
	    c, 200, name == NULL ? j : json_pack("{s:o}", name, j));
}

/* The gateway sends nothing of a paused one, and it is not a matter of later. */
static int
ask_again(struct manage_call *c, const char *word, const char *more)
{
	struct notice n;
	int rc = get(c, &n);

	if (rc == 0 && n.paused)
		rc = manage_problem(c, "bad-value", "it is paused");
	return rc != 0 ? rc : ask_about(c, word, more, NULL);
}

int
notices_api_test(struct manage_call *c)
{
	int rc = manage_empty(c);

	return rc != 0 ? rc : ask_about(c, "TEST", "", NULL);
}

int
notices_api_dead(struct manage_call *c)
{
	return ask_about(c, "DEAD", "", "dead");
}

int
notices_api_retry(struct manage_call *c)
{
	int rc = manage_empty(c);

	return rc != 0 ? rc : ask_again(c, "RETRY", "");
}

int
notices_api_replay(struct manage_call *c)
{
	static const char *const names[] = { "from", NULL };
	char text[32];
	int64_t from = 0;

	manage_only(c, names);
	if (!manage_int(c, "from", 1, INT64_MAX, NULL, &from) && !c->failed)
		return manage_problem(c, "bad-value", "from is needed");
	if (c->failed)
		return MANAGE_REPLIED;
	snprintf(text, sizeof(text), " %lld", (long long)from);
	return ask_again(c, "REPLAY", text);
}

/* The numbers of the events that are kept, for replay. */
int
notices_api_events(struct manage_call *c)
{
	struct buf line = BUF_INIT_MAX(500);
	json_t *j;
	int rc;

	buf_printf(&line, "EVENTS %s", c->account);
	rc = line.failed ? -ENOMEM : ask(c, buf_str(&line), &j);
	buf_clear(&line);
	return rc != 0 ? rc : manage_json(c, 200, j);
}

int
notices_api_key(struct manage_call *c)
{
	json_t *j;
	int rc = ask(c, "KEY", &j);

	return rc != 0 ? rc : manage_json(c, 200, j);
}
