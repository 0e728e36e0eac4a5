/* SPDX-License-Identifier: ISC */
/*
 * What the commands that look after domains, accounts, addresses and passwords
 * have in common: the open directory, failures in words, tables and JSON.
 */
#ifndef PNEU_MGMT_DIRECTORY_H
#define PNEU_MGMT_DIRECTORY_H

#include <jansson.h>

#include "common/auth/accounts.h"
#include "common/base/conf.h"

/* The directory in the hands of one command. */
struct directory {
	struct accounts *a;
	struct arena arena;
	struct buf err; /* the reason of the last failure of accounts_* */
};

/*
 * Open the directory and run fn(d, arg), inside a coroutine. Returns what it
 * returns, an exit status, or one for a directory that cannot be opened. A
 * reader that finds no database looks at an empty one.
 */
int directory_run(const struct conf *conf, bool write,
    int (*fn)(struct directory *d, void *arg), void *arg);

/*
 * Tell why a call of accounts_* failed (d->err, or the number), and return the
 * exit status: 1 for what is or is not there, 64 for what cannot be. Clears
 * d->err.
 */
int directory_failed(struct directory *d, int rc);

/* "no account bbo@d; did you mean bob@d?"; the status is 1. A missing domain
 * is told instead where that is what is missing. */
int no_such_domain(struct directory *d, const char *name);
int no_such_account(struct directory *d, const char *address);
int no_such_address(struct directory *d, const char *address);
int
no_such_password(struct directory *d, const char *account, const char *name);
/* 0 when the domain of this address is ours; else told, and the status. */
int domain_of_must_exist(struct directory *d, const char *address);

/* Tell on standard error, as a note, when mail for this address would be
 * refused: allowed, but hardly meant (cmd_address.c). */
void warn_of_target(struct directory *d, const char *target);

/* --- sizes and times --- */

/* "2G", "500 MiB", "1.5g", "none" (0). 0 or -EINVAL. */
int size_parse(const char *text, uint64_t *octets);
/* "2 GiB", "1.5 GiB", "700 B"; 0 is "-". In the arena. */
const char *size_text(struct arena *a, uint64_t octets);
const char *count_text(struct arena *a, uint64_t n);
/* RFC 3339 in UTC; "" for 0. */
const char *time_text(struct arena *a, int64_t s);

/* --- output --- */

#define TABLE_COLUMNS_MAX 8

/* Columns aligned by what they take on a terminal. NULL cells are "-". */
struct table {
	struct arena *arena;
	size_t columns, n, cap; /* cells */
	const char **cells;
};
/* `head` has `columns` words. */
void table_init(
    struct table *t, struct arena *a, size_t columns, const char *const *head);
void table_row(struct table *t, const char *const *cells);
void table_print(const struct table *t);

/* Which of the words it is; false after a complaint that it is no `what`. */
bool word_option(const char *what, const char *text, const char *const *words,
    int n, int *out);

/* --quota SIZE|none and --quota-messages N|none, of accounts and domains. */
struct quota_option {
	bool has_octets, has_messages;
	uint64_t octets, messages;
};
/* False after a complaint. */
bool quota_option(const char *text, bool octets, struct quota_option *out);
/* For `show`: "  quota        2 GiB". */
void show_line(const char *name, const char *value);

/* Print and free. Returns the exit status. */
int json_print(json_t *j);
json_t *json_texts(const char *const *v, size_t n);
/* A time in RFC 3339, or null. */
json_t *json_time(int64_t s);

/* --- records, as JSON: of the commands and of the API --- */

#define ACCOUNT_ENCRYPTIONS 4
/* By enum accounts_encryption: "default", "none", "server", "account". */
extern const char *const account_encryptions[ACCOUNT_ENCRYPTIONS];
json_t *account_json(const struct accounts_account *v);
json_t *domain_json(
    const struct accounts_domain *v, size_t accounts, size_t addresses);
json_t *address_json(const struct accounts_address *v);
/* Of a password; 0 is all of them. */
json_t *password_scopes_json(unsigned v);
/* "imap" ...; 0: no such scope. */
unsigned password_scope(struct slice word);

/* --- options that many have --- */

/* Is `argv` only an optional --json and `min` to `max` words (then in
 * argv[optind...])? False: usage. */
bool options_json(int argc, char **argv, int min, int max, bool *json);

#endif
