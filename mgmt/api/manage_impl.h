/* SPDX-License-Identifier: ISC */
/*
 * What the files of pneu manage share; nobody else includes it.
 *
 *   manage.c          the service, who asks, dispatch
 *   manage_routes.c   THE table of paths; openapi.json describes them
 *   manage_reply.c    problems, and what is taken from a body
 *   manage_ask.c      HTTP to pneu-mailbox: whose a token is
 *   own.c             /account: settings, passwords
 *   outside_api.c     /outside
 *   outside_body.c    what the bodies of these say
 *   outside_found.c   the servers of an address
 *   logins.c          /outside/{address}/login
 *   notices_api.c     /notices
 *   stats.c           counts of each minute, for graphs
 *   admin_*.c         /admin
 */
#ifndef PNEU_MGMT_API_MANAGE_IMPL_H
#define PNEU_MGMT_API_MANAGE_IMPL_H

#include "common/auth/outside.h"
#include "common/net/http_api.h"
#include "common/net/http_client.h"
#include "common/net/service.h"

#define MANAGE_JSON_MAX ((size_t)256 << 10)
#define MANAGE_REPLIED HTTP_API_REPLIED /* a problem has been replied: return 0 */

enum manage_scope { MANAGE_OPEN, MANAGE_ACCOUNT, MANAGE_ADMIN };

/* Serves it; its argument is a manage_env. */
extern const struct http_server manage_server;

struct manage_env {
	const struct conf *conf; /* lives as long as the session */
	struct accounts *accounts;
	struct dns *dns;
	struct http_client *http;
	struct http_client *finder; /* asks whatever a user's address names */
};

struct manage_route;
struct manage_call {
	struct http_exchange *x;
	struct arena *a; /* the exchange's */
	const struct manage_env *env;
	const struct manage_route *route;
	struct slice param[HTTP_PARAMS]; /* of the path, decoded */
	bool is_tls, is_private;         /* nobody listens on the way to us */
	bool by_cookie;
	const char *account; /* canonical; of the token */
	bool admin;          /* the account is, and the token may be */
	json_t *session;     /* what mailbox says of the token */
	json_t *in;          /* the body, an object; {} where there is none */
	struct buf err;      /* the reason of accounts_* */
	bool failed;         /* a value was not as it must be: replied */
};

struct manage_route {
	enum http_method method;
	const char *path; /* below /api/v1 */
	const char *id;   /* operationId */
	enum manage_scope scope;
	bool json; /* has a JSON body */
	/* 0 when it has replied; MANAGE_REPLIED; or an error for manage_errno
	 * where it returns another. */
	int (*run)(struct manage_call *c);
};
extern const struct manage_route manage_routes[]; /* ends with a NULL path */
extern const size_t manage_n_routes;
struct slice manage_openapi(void);

/* --- replies --- */

extern const struct http_problem manage_problems[];
/* Returns MANAGE_REPLIED. */
int manage_problem(struct manage_call *c, const char *code, const char *detail);
/* The problem of an error of Accounts and of what they are asked for; `what` is
 * the code of -ENOENT. Returns MANAGE_REPLIED. */
int manage_errno(struct manage_call *c, int rc, const char *what);
/* 429, and in how many seconds it is worth trying again. */
int manage_too_many(struct manage_call *c, int seconds);
int manage_json(struct manage_call *c, int status, json_t *j);
int manage_no_content(struct manage_call *c);

/* --- the body: what is wrong with it is replied at once, and c->failed set --- */

/* Nothing but these names, NULL-terminated. */
void manage_only(struct manage_call *c, const char *const *names);
/* Nothing at all; 0 or MANAGE_REPLIED. */
int manage_empty(struct manage_call *c);
/* NULL: not there. `max` octets. */
const char *manage_str(struct manage_call *c, const char *name, size_t max);
/* The same, and it must be there. */
const char *manage_need(struct manage_call *c, const char *name, size_t max);
/* True where it is there and good. */
bool manage_bool(struct manage_call *c, const char *name, bool *out);
/* `none`: null is good, and means that. */
bool manage_int(struct manage_call *c, const char *name, int64_t min,
    int64_t max, const int64_t *none, int64_t *out);
/* Its place in `words`, n of them. */
bool manage_word(struct manage_call *c, const char *name,
    const char *const *words, int n, int *out);
bool manage_strs(struct manage_call *c, const char *name, size_t most,
    const char *const **out, size_t *n);
/* A parameter of the path, as a string. */
const char *manage_param(struct manage_call *c, size_t i);

/* --- who asks --- */

/*
 * GET of pneu-mailbox's API with the token of the request; the answer into
 * *out, to be freed. Returns the status, or -errno.
 */
int manage_ask(
    struct manage_call *c, const char *path, bool with_token, json_t **out);

/* The main password of the account, said once more: with the key that it
 * opens, or NULL. */
struct seal_key;
int manage_check_password(
    struct manage_call *c, const char *password, struct seal_key **key);

/* The outside account of the path, if it is the caller's. */
int outside_api_of(struct manage_call *c, struct outside *o);
/* Logins under way are given up. */
void logins_free(void);

/* --- handlers --- */

int manage_openapi_get(struct manage_call *c);
int own_get(struct manage_call *c);
int own_patch(struct manage_call *c);
int own_password_post(struct manage_call *c);
int own_passwords_get(struct manage_call *c);
int own_passwords_post(struct manage_call *c);
int own_passwords_delete(struct manage_call *c);
int outside_api_list(struct manage_call *c);
int outside_api_find(struct manage_call *c);
int outside_api_add(struct manage_call *c);
int outside_api_get(struct manage_call *c);
int outside_api_patch(struct manage_call *c);
int outside_api_delete(struct manage_call *c);
int outside_api_test(struct manage_call *c);
int outside_api_fetch(struct manage_call *c);
int outside_login_post(struct manage_call *c);
int outside_login_get(struct manage_call *c);
int outside_login_back(struct manage_call *c);
int admin_queue_get(struct manage_call *c);
int admin_queued_get(struct manage_call *c);
int admin_queued_delete(struct manage_call *c);
int admin_queued_retry(struct manage_call *c);
int admin_queued_hold(struct manage_call *c);
int admin_queued_release(struct manage_call *c);
int notices_api_list(struct manage_call *c);
int notices_api_add(struct manage_call *c);
int notices_api_get(struct manage_call *c);
int notices_api_patch(struct manage_call *c);
int notices_api_delete(struct manage_call *c);
int notices_api_test(struct manage_call *c);
int notices_api_dead(struct manage_call *c);
int notices_api_retry(struct manage_call *c);
int notices_api_replay(struct manage_call *c);
int notices_api_events(struct manage_call *c);
int notices_api_key(struct manage_call *c);
int admin_accounts_get(struct manage_call *c);
int admin_accounts_post(struct manage_call *c);
int admin_account_get(struct manage_call *c);
int admin_account_patch(struct manage_call *c);
int admin_account_delete(struct manage_call *c);
int admin_account_password(struct manage_call *c);
int admin_domains_get(struct manage_call *c);
int admin_domains_post(struct manage_call *c);
int admin_domain_get(struct manage_call *c);
int admin_domain_patch(struct manage_call *c);
int admin_domain_delete(struct manage_call *c);
int admin_addresses_get(struct manage_call *c);
int admin_addresses_post(struct manage_call *c);
int admin_address_get(struct manage_call *c);
int admin_address_put(struct manage_call *c);
int admin_address_delete(struct manage_call *c);
int admin_status_get(struct manage_call *c);
int admin_why_get(struct manage_call *c);

#endif
