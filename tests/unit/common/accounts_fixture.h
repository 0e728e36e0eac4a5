/* SPDX-License-Identifier: ISC */
/*
 * A directory on the memory engine, which answers late, CONFLICT and UNKNOWN
 * at random, filled by a script of lines:
 *
 *	domain NAME [CATCH-ALL...]	-domain NAME	(disabled)
 *	account ADDRESS [admin]		-account ADDRESS (disabled)
 *	alias ADDRESS TARGET...		blocked ADDRESS
 *	keep ADDRESS (passwords for CRAM-MD5)
 *	grant ACCOUNT ADDRESS... (what it may send as)
 *	password ADDRESS NAME PASSWORD [SCOPE]
 *
 * Everything here runs in a coroutine, so it notes failures (`fixture_fault`)
 * and asserts nothing.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/auth/accounts_impl.h"

static char fixture_fault[512];

#define FIXTURE_WORDS 16

static const char fixture_conf[] =
    "{ \"accounts\": { \"hash_cost\": 1, \"scram_iterations\": 4096, "
    "\"scram_sha1\": true } }";

static inline void
fixture_note(const char *line, int rc, const struct buf *err)
{
	if (rc != 0 && fixture_fault[0] == '\0')
		snprintf(fixture_fault, sizeof(fixture_fault), "%s: %d %s",
		    line, rc, buf_str(err));
}

static inline unsigned
fixture_scope(const char *name)
{
	const struct accounts_scope_name *s = accounts_scope_names;

	while (name != NULL && s->name != NULL && strcmp(s->name, name) != 0)
		s++;
	return name != NULL ? s->scope : 0;
}

static inline int
fixture_words(struct accounts *a, const char **w, size_t n, struct buf *err)
{
	bool off = w[0][0] == '-';
	const char *what = w[0] + off;

	if (strcmp(what, "domain") == 0)
		return accounts_domain_put(a,
		    &(struct accounts_domain) { .name = w[1],
			.catch_all = &w[2],
			.n_catch_all = n - 2,
			.disabled = off },
		    true, err);
	if (strcmp(what, "account") == 0)
		return accounts_account_put(a,
		    &(struct accounts_account) { .address = w[1],
			.name = "",
			.disabled = off,
			.admin = n > 2 },
		    true, err);
	if (strcmp(what, "keep") == 0)
		return accounts_account_put(a,
		    &(struct accounts_account) { .address = w[1],
			.name = "",
			.cram_md5 = !off },
		    false, err);
	if (strcmp(what, "grant") == 0)
		return accounts_account_put(a,
		    &(struct accounts_account) { .address = w[1],
			.name = "",
			.send_as = &w[2],
			.n_send_as = n - 2 },
		    false, err);
	if (strcmp(what, "password") == 0)
		return accounts_password_set(a, slice_str(w[1]), w[2],
		    slice_str(w[3]), fixture_scope(n > 4 ? w[4] : NULL), err);
	return accounts_address_put(a,
	    &(struct accounts_address) { .address = w[1],
		.targets = &w[2],
		.n_targets = n - 2,
		.blocked = strcmp(what, "blocked") == 0 },
	    true, err);
}

static inline void
fixture_line(struct accounts *a, struct slice line)
{
	struct arena arena = { 0 };
	struct buf err = BUF_INIT;
	const char *words[FIXTURE_WORDS] = { NULL };
	char *text = arena_strdup(&arena, line);
	size_t n = 0;

	while (line.n > 0 && n < FIXTURE_WORDS - 1)
		words[n++] = arena_strdup(&arena, slice_split(&line, ' '));
	if (n > 0)
		fixture_note(text, fixture_words(a, words, n, &err), &err);
	buf_clear(&err);
	arena_reset(&arena);
}

static inline void
fixture_script(struct accounts *a, const char *script)
{
	struct slice rest = slice_str(script);

	while (rest.n > 0)
		fixture_line(a, slice_split(&rest, '\n'));
}

/* NULL on failure, noted. */
static inline struct accounts *
fixture_open(const char *script, unsigned seed)
{
	struct store_conf sc = { .engine = "memory", .seed = seed,
		.conflict_pct = 10, .unknown_pct = 10, .late_pct = 20 };
	struct buf err = BUF_INIT;
	struct conf *conf = conf_parse("test", slice_str(fixture_conf), &err);
	struct accounts *a = NULL;

	fixture_fault[0] = '\0';
	fixture_note("open", accounts_open_store(&a, conf, &sc, &err), &err);
	conf_free(&conf);
	buf_clear(&err);
	if (a != NULL)
		fixture_script(a, script);
	return a;
}
