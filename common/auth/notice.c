/* SPDX-License-Identifier: ISC */
/*
 * In partition "o", with the outside accounts: a row "n/ACCOUNT NUL ID" for
 * each subscription, so that those of an account stand together, and "i/ID" with
 * the account.
 */
#include "common/auth/notice.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "common/auth/accounts_change.h"
#include "common/auth/outside.h"
#include "common/auth/outside_key.h"
#include "common/auth/secret.h"
#include "common/auth/webpush.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/mail/transfer.h"
#include "common/net/http_url.h"

#define PART SLICE_LIT("o")
#define TEXT_MAX 255
#define NEW_SECRET_LEN 32

const char *const notice_kinds[] = { "webhook", "webpush", "unifiedpush",
	"ntfy" };
const char *const notice_contents[] = { "nothing", "envelope", "preview" };

/* --- keys --- */

static struct slice
row_key(struct arena *arena, struct slice account, struct slice id)
{
	char *text = arena_printf(arena, "n/%.*s%c%.*s", (int)account.n,
	    account.p, '\0', (int)id.n, id.p);

	return text == NULL ? slice(NULL, 0)
			    : slice(text, 2 + account.n + 1 + id.n);
}

/* Just behind all rows of the account. */
static struct slice
row_end(struct arena *arena, struct slice account)
{
	char *text =
	    arena_printf(arena, "n/%.*s\x01", (int)account.n, account.p);

	return text == NULL ? slice(NULL, 0) : slice_str(text);
}

static bool
is_id(struct slice id)
{
	for (size_t i = 0; i < id.n; i++)
		if (!ascii_is_digit(id.p[i]) &&
		    (id.p[i] < 'a' || id.p[i] > 'z'))
			return false;
	return id.n == NOTICE_ID_LEN;
}

static const char *
id_make(struct arena *arena)
{
	static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789";
	unsigned char octets[NOTICE_ID_LEN];
	char text[NOTICE_ID_LEN];

	random_octets(octets, sizeof(octets));
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = letters[octets[i] % 32];
	return arena_strdup(arena, slice(text, sizeof(text)));
}

/* --- from JSON --- */

static const char *
text(struct arena *arena, const json_t *o, const char *name)
{
	const json_t *v = json_object_get(o, name);

	return arena_strdup(arena,
	    slice(json_string_value(v) != NULL ? json_string_value(v) : "",
		json_string_length(v)));
}

static uint64_t
number(const json_t *o, const char *name)
{
	json_int_t v = json_integer_value(json_object_get(o, name));

	return v < 0 ? 0 : (uint64_t)v;
}

/* Index of the word; -1: it is none of them. */
static int
word(const json_t *o, const char *name, const char *const *words, int n)
{
	const char *v = json_string_value(json_object_get(o, name));

	for (int i = 0; v != NULL && i < n; i++)
		if (strcmp(v, words[i]) == 0)
			return i;
	return -1;
}

static int
decode_list(struct arena *arena, const json_t *o, const char *name,
    const char *const **out, size_t *n_out)
{
	const json_t *v = json_object_get(o, name);
	size_t n = json_array_size(v);
	const char **list = arena_array(arena, n + 1, sizeof(*list));

	if (n > NOTICE_FILTERS_MAX)
		return -EIO;
	if (list == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const json_t *s = json_array_get(v, i);

		if (!json_is_string(s))
			return -EIO;
		list[i] = arena_strdup(
		    arena, slice(json_string_value(s), json_string_length(s)));
		if (list[i] == NULL)
			return -ENOMEM;
	}
	*out = list;
	*n_out = n;
	return 0;
}

static int
decode_sealed(struct arena *arena, const json_t *o, struct slice *out)
{
	const json_t *v = json_object_get(o, "sealed");
	struct buf b = BUF_INIT_MAX(NOTICE_SECRET_MAX + SECRET_OVERHEAD);
	int rc = 0;

	*out = SLICE_EMPTY;
	if (v == NULL)
		return 0;
	if (!json_is_string(v) ||
	    base64_decode(
		&b, slice(json_string_value(v), json_string_length(v))) != 0)
		rc = -EIO;
	else if ((*out = arena_dup(arena, buf_slice(&b))).p == NULL)
		rc = -ENOMEM;
	buf_clear(&b);
	return rc;
}

static int
decode_fields(struct arena *arena, const json_t *o, struct notice *out)
{
	int kind = word(o, "kind", notice_kinds, NOTICE_KINDS);
	int content = word(o, "content", notice_contents, NOTICE_CONTENTS);
	int rc;

	if (kind < 0 || content < 0)
		return -EIO;
	*out = (struct notice){ .kind = (enum notice_kind)kind,
		.content = (enum notice_content)content,
		.url = text(arena, o, "url"),
		.name = text(arena, o, "name"),
		.p256dh = text(arena, o, "p256dh"),
		.min_size = number(o, "min_size"),
		.max_size = number(o, "max_size"),
		.paused = json_is_true(json_object_get(o, "paused")),
		.created_s = (int64_t)number(o, "created"),
		.version = number(o, "version") };
	if (out->url == NULL || out->name == NULL || out->p256dh == NULL)
		return -ENOMEM;
	if ((rc = decode_sealed(arena, o, &out->sealed)) != 0)
		return rc;
	rc = decode_list(
	    arena, o, "mailboxes", &out->mailboxes, &out->n_mailboxes);
	return rc != 0
	    ? rc
	    : decode_list(arena, o, "senders", &out->senders, &out->n_senders);
}

static int
decode(struct arena *arena, struct slice account, struct slice id,
    struct slice row, struct notice *out)
{
	json_t *o = record_load(row);
	int rc = o == NULL ? -EIO : decode_fields(arena, o, out);

	if (rc == 0 &&
	    ((out->id = arena_strdup(arena, id)) == NULL ||
		(out->account = arena_strdup(arena, account)) == NULL))
		rc = -ENOMEM;
	json_decref(o);
	if (rc == -EIO)
		log_error("record of a subscription is damaged",
		    "account=%s notice=%s", log_q(account), log_q(id));
	return rc;
}

/* --- to JSON --- */

static json_t *
list_json(const char *const *v, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_string(v[i]));
	return list;
}

/* `old`: fields of it that we do not know are kept. */
static int
encode(struct slice old, const struct notice *n, struct slice sealed,
    struct buf *out)
{
	struct buf b64 = BUF_INIT;
	json_t *j = old.n > 0 ? record_load(old) : json_object();
	json_t *new;
	char *dump = NULL;
	uint64_t version;
	int rc = 0;

	random_octets(&version, sizeof(version));
	base64_encode(&b64, sealed);
	new = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:I, s:I, s:b, "
			"s:I, s:I, s:s}",
	    "kind", notice_kinds[n->kind], "content",
	    notice_contents[n->content], "url", n->url, "name", n->name,
	    "p256dh", n->p256dh, "mailboxes",
	    list_json(n->mailboxes, n->n_mailboxes), "senders",
	    list_json(n->senders, n->n_senders), "min_size",
	    (json_int_t)n->min_size, "max_size", (json_int_t)n->max_size,
	    "paused", n->paused, "created", (json_int_t)n->created_s, "version",
	    (json_int_t)(version >> 12), "sealed", buf_str(&b64));
	if (j == NULL)
		rc = -EIO;
	else if (new == NULL || json_object_update(j, new) != 0)
		rc = -ENOMEM;
	if (rc == 0 && sealed.n == 0)
		json_object_del(j, "sealed");
	if (rc == 0 && (dump = json_dumps(j, JSON_COMPACT)) == NULL)
		rc = -ENOMEM;
	if (rc == 0 && strlen(dump) > STORE_VALUE_MAX)
		rc = -E2BIG;
	if (rc == 0 && !buf_put_str(out, dump))
		rc = -ENOMEM;
	free(dump);
	json_decref(new);
	json_decref(j);
	buf_clear(&b64);
	return rc;
}

/* --- reading --- */

/* The account of an id, in the arena. */
static int
account_of(struct accounts *a, struct arena *arena, struct slice id,
    struct slice *account)
{
	if (!is_id(id))
		return -ENOENT;
	return accounts_row(
	    a, arena, PART, accounts_key(arena, "i/", id), account);
}

int
notice_get(struct accounts *a, struct arena *arena, struct slice id,
    struct notice *out)
{
	struct slice account, row;
	int rc = account_of(a, arena, id, &account);

	if (rc == 0)
		rc = accounts_row(
		    a, arena, PART, row_key(arena, account, id), &row);
	return rc == 0 ? decode(arena, account, id, row, out) : rc;
}

struct list {
	struct arena *arena;
	struct notice *v;
	size_t n, cap;
};

static int
list_room(struct list *l)
{
	size_t cap = l->cap == 0 ? 32 : l->cap * 2;
	struct notice *v;

	if (l->n < l->cap)
		return 0;
	if ((v = arena_array(l->arena, cap, sizeof(*v))) == NULL)
		return -ENOMEM;
	if (l->n > 0)
		memcpy(v, l->v, l->n * sizeof(*v));
	l->v = v;
	l->cap = cap;
	return 0;
}

static int
list_row(void *arg, struct slice key, struct slice val)
{
	struct list *l = arg;
	struct slice id = slice_from(key, 2);
	struct slice account = slice_split(&id, '\0');
	struct notice n;
	int rc = decode(l->arena, account, id, val, &n);

	if (rc != 0)
		return rc == -EIO ? 0 : rc; /* it costs itself, not the list */
	if ((rc = list_room(l)) == 0)
		l->v[l->n++] = n;
	return rc;
}

static int
by_age(const void *a, const void *b)
{
	const struct notice *x = a, *y = b;
	int c = strcmp(x->account, y->account);

	if (c == 0)
		c = (x->created_s > y->created_s) -
		    (x->created_s < y->created_s);
	return c != 0 ? c : strcmp(x->id, y->id);
}

/* From where to where those of the account stand; of all when it is empty. */
static int
range(struct arena *arena, struct slice account, struct slice *from,
    struct slice *to)
{
	struct accounts_name name;
	int rc;

	*from = SLICE_LIT("n/");
	*to = SLICE_LIT("n0");
	if (account.n == 0)
		return 0;
	if ((rc = accounts_name(arena, account, &name)) != 0)
		return rc == -EINVAL ? -ENOENT : rc;
	*from = row_key(arena, name.address, SLICE_EMPTY);
	*to = row_end(arena, name.address);
	return from->p == NULL || to->p == NULL ? -ENOMEM : 0;
}

int
notice_list(struct accounts *a, struct arena *arena, struct slice account,
    struct notice **out, size_t *n)
{
	struct list l = { .arena = arena };
	struct slice from, to;
	int rc = accounts_ready(a);

	if (rc == 0)
		rc = range(arena, account, &from, &to);
	if (rc == 0)
		rc = store_scan(a->store, PART, from, to, 0, list_row, &l);
	if (l.n > 1)
		qsort(l.v, l.n, sizeof(*l.v), by_age);
	*out = l.v;
	*n = l.n;
	return rc == -ENOENT ? 0 : rc;
}

static int
found_row(void *arg, struct slice key, struct slice val)
{
	(void)arg, (void)key, (void)val;
	return 1;
}

int
notice_wanted(struct accounts *a, struct slice account)
{
	struct arena arena = ARENA_INIT_MAX(8192);
	struct slice from, to;
	int rc = accounts_ready(a);

	if (rc == 0)
		rc = range(&arena, account, &from, &to);
	if (rc == 0)
		rc = store_scan(
		    a->store, PART, from, to, STORE_SCAN_KEYS, found_row, NULL);
	arena_reset(&arena);
	return rc == -ENOENT ? 0 : rc;
}

int
notice_generation(struct accounts *a, uint64_t *out)
{
	return outside_generation(a, out); /* one partition */
}

int
notice_secret(struct accounts *a, const struct notice *n, struct buf *out)
{
	return outside_key_open(
	    a, slice_str(n->account), slice_str(n->id), n->sealed, out);
}

/* --- what may be written --- */

struct put {
	const struct notice *n;
	bool add;
	struct slice secret;
};

static int
check_keys(struct change *c, const struct put *p)
{
	const struct notice *n = p->n;
	bool needs = n->kind == NOTICE_WEBPUSH;
	struct buf b = BUF_INIT_MAX(256);
	bool good;

	if (*n->p256dh == '\0' && !needs)
		return n->kind == NOTICE_UNIFIEDPUSH && p->secret.n > 0
		    ? change_fail(c, -EINVAL, "auth goes with p256dh")
		    : 0;
	good = base64url_decode(&b, slice_str(n->p256dh)) == 0 &&
	    webpush_point_is_valid(buf_slice(&b));
	buf_clear(&b);
	if (!good)
		return change_fail(c, -EINVAL,
		    "p256dh is a point of P-256: 65 octets in base64url");
	if (p->secret.p == NULL)
		return n->sealed.n > 0
		    ? 0
		    : change_fail(c, -EINVAL, "p256dh goes with auth");
	good = base64url_decode(&b, p->secret) == 0 && b.n == WEBPUSH_AUTH;
	buf_wipe(&b);
	return good ? 0
		    : change_fail(c, -EINVAL, "auth is 16 octets in base64url");
}

static int
check_secret(struct change *c, const struct put *p)
{
	const struct slice s = p->secret;

	if (p->n->kind == NOTICE_WEBPUSH || p->n->kind == NOTICE_UNIFIEDPUSH)
		return check_keys(c, p);
	if (*p->n->p256dh != '\0')
		return change_fail(
		    c, -EINVAL, "p256dh is for webpush and unifiedpush");
	if (s.p == NULL)
		return p->n->kind == NOTICE_WEBHOOK && p->n->sealed.n == 0
		    ? change_fail(c, -EINVAL, "a webhook has a secret")
		    : 0;
	if (s.n > NOTICE_SECRET_MAX ||
	    (p->n->kind == NOTICE_WEBHOOK && s.n < NOTICE_SECRET_MIN))
		return change_fail(c, -EINVAL,
		    "a webhook's secret has %d to %d octets, a token at most "
		    "%d",
		    NOTICE_SECRET_MIN, NOTICE_SECRET_MAX, NOTICE_SECRET_MAX);
	/* A token stands in a header field; a secret may be typed in. */
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return change_fail(c, -EINVAL,
			    "secrets are of visible ASCII characters");
	return 0;
}

static int
check_list(struct change *c, const char *what, const char *const *v, size_t n)
{
	int rc = 0;

	if (n > NOTICE_FILTERS_MAX)
		return change_fail(
		    c, -EINVAL, "at most %d of %s", NOTICE_FILTERS_MAX, what);
	for (size_t i = 0; i < n && rc == 0; i++) {
		if (*v[i] == '\0')
			return change_fail(c, -EINVAL, "%s: empty", what);
		rc = check_text(what, slice_str(v[i]), TEXT_MAX, c->err);
	}
	return rc;
}

static int
check(struct change *c, const struct put *p)
{
	const struct notice *n = p->n;
	struct http_url url;
	int rc;

	if (http_url_parse(slice_str(n->url), &url) != 0)
		return change_fail(c, -EINVAL,
		    "the URL is https://HOST/..., without a user and spaces");
	if ((rc = check_secret(c, p)) != 0)
		return rc;
	if (n->max_size > 0 && n->min_size > n->max_size)
		return change_fail(
		    c, -EINVAL, "the least size is above the greatest");
	if (n->min_size > INT64_MAX || n->max_size > INT64_MAX)
		return change_fail(c, -EINVAL, "no message is so large");
	if ((rc = check_text("name", slice_str(n->name), TEXT_MAX, c->err)) !=
		0 ||
	    (rc = check_list(c, "mailbox", n->mailboxes, n->n_mailboxes)) != 0)
		return rc;
	for (size_t i = 0; i < n->n_senders; i++)
		if (strchr(n->senders[i], '@') == NULL)
			return change_fail(c, -EINVAL,
			    "%s: a sender is name@domain or @domain",
			    n->senders[i]);
	return check_list(c, "sender", n->senders, n->n_senders);
}

/* --- writing --- */

static int
count_row(void *arg, struct slice key, struct slice val)
{
	size_t *n = arg;

	(void)key, (void)val;
	++*n;
	return 0;
}

static int
check_room(struct change *c, struct slice account)
{
	size_t n = 0;
	int rc = store_scan(c->a->store, c->part,
	    row_key(&c->arena, account, SLICE_EMPTY),
	    row_end(&c->arena, account), STORE_SCAN_KEYS, count_row, &n);

	if (rc != 0 && rc != -ENOENT)
		return rc;
	return n < NOTICE_PER_ACCOUNT
	    ? 0
	    : change_fail(c, -ENOSPC, "an account has at most %d of them",
		  NOTICE_PER_ACCOUNT);
}

/* The account's canonical address; for one that is added there must be such an
 * account, with room. */
static int
find_account(struct change *c, const struct put *p, struct slice *account)
{
	struct accounts_account record;
	int rc;

	if (!p->add) {
		rc = account_of(c->a, &c->arena, slice_str(p->n->id), account);
		return rc == -ENOENT
		    ? change_fail(c, rc, "no subscription %s", p->n->id)
		    : rc;
	}
	rc = accounts_account_get(
	    c->a, &c->arena, slice_str(p->n->account), &record);
	if (rc == -ENOENT)
		return change_fail(c, rc, "no account %s", p->n->account);
	if (rc != 0)
		return rc;
	*account = slice_str(record.address);
	return check_room(c, *account);
}

static int
put_fill(struct change *c, const void *arg)
{
	const struct put *p = arg;
	struct notice n = *p->n;
	struct slice id = slice_str(n.id), account, key, row = SLICE_EMPTY;
	struct slice sealed = n.sealed;
	struct buf json = BUF_INIT;
	int rc = find_account(c, p, &account);

	if (rc == 0)
		rc = check(c, p);
	if (rc != 0)
		return rc;
	key = row_key(&c->arena, account, id);
	if (!p->add)
		rc = accounts_row(c->a, &c->arena, c->part, key, &row);
	if (rc == 0 && p->secret.p != NULL)
		rc = p->secret.n == 0
		    ? (sealed = SLICE_EMPTY, 0)
		    : outside_key_seal(c->a, &c->arena, account, id, p->secret,
			  &sealed, c->err);
	if (rc != 0)
		return rc;
	if (p->add)
		store_put(c->b, accounts_key(&c->arena, "i/", id), account);
	return change_put(c, key, encode(row, &n, sealed, &json), &json);
}

int
notice_add(struct accounts *a, struct arena *arena, struct notice *n,
    struct slice secret, struct buf *made, struct buf *err)
{
	struct put p = { n, true, secret };
	unsigned char octets[NEW_SECRET_LEN];

	if ((n->id = id_make(arena)) == NULL)
		return -ENOMEM;
	n->created_s = clock_wall_s();
	if (secret.p == NULL && n->kind == NOTICE_WEBHOOK && made != NULL) {
		random_octets(octets, sizeof(octets));
		if (!base64url_encode(made, slice(octets, sizeof(octets))))
			return -ENOMEM;
		explicit_bzero(octets, sizeof(octets));
		p.secret = buf_slice(made);
	}
	return accounts_change(a, SLICE_EMPTY, put_fill, &p, err);
}

int
notice_set(struct accounts *a, const struct notice *n, struct slice secret,
    struct buf *err)
{
	struct put p = { n, false, secret };

	return accounts_change(a, SLICE_EMPTY, put_fill, &p, err);
}

struct removal {
	struct slice account, id; /* the account may be empty: anybody's */
};

static int
remove_fill(struct change *c, const void *arg)
{
	const struct removal *r = arg;
	struct accounts_name name = { .address = SLICE_EMPTY };
	struct slice account;
	int rc = account_of(c->a, &c->arena, r->id, &account);

	if (rc == 0 && r->account.n > 0)
		rc = accounts_name(&c->arena, r->account, &name);
	if (rc == 0 && r->account.n > 0 && !slice_eq(name.address, account))
		rc = -ENOENT;
	if (rc == -ENOENT || rc == -EINVAL)
		return change_fail(
		    c, -ENOENT, "no subscription %.*s", (int)r->id.n, r->id.p);
	if (rc == 0) {
		store_del(c->b, row_key(&c->arena, account, r->id));
		store_del(c->b, accounts_key(&c->arena, "i/", r->id));
	}
	return rc;
}

int
notice_remove(
    struct accounts *a, struct slice account, struct slice id, struct buf *err)
{
	struct removal r = { account, id };

	return accounts_change(a, SLICE_EMPTY, remove_fill, &r, err);
}

static int
remove_all_fill(struct change *c, const void *arg)
{
	const struct slice *account = arg;
	struct list l = { .arena = &c->arena };
	struct slice from, to;
	int rc = range(&c->arena, *account, &from, &to);

	if (rc == 0)
		rc =
		    store_scan(c->a->store, c->part, from, to, 0, list_row, &l);
	for (size_t i = 0; i < l.n; i++)
		store_del(
		    c->b, accounts_key(&c->arena, "i/", slice_str(l.v[i].id)));
	if (rc == 0)
		store_del_range(c->b, from, to);
	return rc == -ENOENT ? 0 : rc;
}

int
notice_remove_all(struct accounts *a, struct slice account, struct buf *err)
{
	int rc = notice_wanted(a, account);

	if (rc != 1)
		return rc == -EAGAIN ? 0 : rc;
	return accounts_change(a, SLICE_EMPTY, remove_all_fill, &account, err);
}
