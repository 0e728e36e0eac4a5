/* SPDX-License-Identifier: ISC */
/*
 * What the files of the API share; nobody else includes it.
 *
 *   api.c             connections, CORS, who asks, dispatch
 *   api_routes.c      THE table of paths
 *   api_openapi.c     openapi.json, which describes the table
 *   api_reply.c       JSON and problems
 *   api_tokens.c      sessions and tokens, as they are kept
 *   api_session.c     /session and /tokens
 *   api_mailboxes.c   /mailboxes
 *   api_messages.c    lists of messages, and one of them
 *   api_search.c      which messages a list shows
 *   api_octets.c      /raw and /parts, with ranges
 *   api_compose.c     a message from JSON
 *   api_send.c        /send and /drafts: handed over to msa, or kept
 *   api_events.c      what changes, as it does
 *   api_html.c        the HTML of a message, made harmless
 *   api_inbucket.c    Inbucket's paths
 *   api_websocket.c   and its monitor
 *   api_change.c      flags, move, copy, delete, undelete
 */
#ifndef PNEU_MAILBOX_API_API_IMPL_H
#define PNEU_MAILBOX_API_API_IMPL_H

#include <jansson.h>

#include "common/auth/accounts.h"
#include "common/auth/seal.h"
#include "common/net/http_api.h"
#include "mailbox/mails/mails.h"

#define API_ROOT "/api/v1"
#define API_JSON_MAX ((size_t)1 << 20) /* octets of a JSON body */
#define API_PARAMS HTTP_PARAMS
#define API_UIDS_MAX 1000	       /* messages in one change */

/* Serves the API; its argument is an api_env. */
extern const struct http_server api_server;

struct api_env {
	struct mails *mails;
	struct accounts *accounts;
	bool plaintext_login;
	bool test_inbox; /* Inbucket's paths, without a sign-in */
	int64_t rate; /* requests a minute; 0: any number */
	int64_t session_s; /* how long a session lives */
	const char *msa, *run_dir;   /* msa.api */
	const char *spool_dir;
	uint64_t max_size; /* octets of a message */
	const char *const *origins; /* CORS; NULL-terminated */
};

enum api_scope {
	API_READ = 1,
	API_WRITE = 2,
	API_SEND = 4,
	API_TOKENS = 8, /* sessions and tokens of the account */
	/* Served by pneu manage: settings, passwords, outside accounts, notices;
	 * and what admins do, which admins alone have. */
	API_ACCOUNT = 16,
	API_ADMIN = 32,
};
#define API_SCOPES_ALL 63

/* --- tokens --- */

#define API_TOKEN_LEN 43 /* base64url of 32 random octets */
#define API_TOKEN_ID_LEN 16
struct api_token {
	char id[API_TOKEN_ID_LEN + 1]; /* names it, and tells nothing of it */
	const char *account;	       /* canonical */
	const char *name;	       /* what the user calls it */
	unsigned scopes;
	bool session; /* made by signing in */
	int64_t created_s, expires_s;
	/* Which the account's passwords were before it signed in: with others the
	 * token is over, as nobody can tell by which of them it came to be. */
	char passwords[API_TOKEN_ID_LEN + 1];
	/* What opens sealed mail, or NULL. It is kept wrapped by the token
	 * itself, so that nobody has it but who has the token. The caller's
	 * reference. */
	struct seal_key *key;
};
/* Which the account's passwords are. 0, -ENOENT (none such, or disabled). */
int api_token_passwords(const struct api_env *env, struct arena *a,
    const char *account, char out[static API_TOKEN_ID_LEN + 1]);
/* A new one; `text` is the only copy of what opens it. 0 or an error of the
 * store. */
int api_token_new(const struct api_env *env, struct arena *a,
    struct api_token *t, char text[static API_TOKEN_LEN + 1]);
/* 0, and then out->key is to be given back; -ENOENT (none such, expired, or the
 * account's passwords have changed since); an error of the store. */
int api_token_find(const struct api_env *env, struct arena *a,
    struct slice text, struct api_token *out);
int api_token_list(const struct api_env *env, struct arena *a,
    const char *account, struct api_token **out, size_t *n);
/* -ENOENT: the account has none of that id. */
int api_token_remove(
    const struct api_env *env, const char *account, struct slice id);
/* What must come in X-CSRF-Token where the token came in a cookie. */
void api_token_csrf(struct slice text, char out[static API_TOKEN_LEN + 1]);

/* --- a call --- */

struct api_route;
struct api_call {
	struct http_exchange *x;
	struct arena *a; /* the exchange's */
	const struct api_env *env;
	const struct api_route *route;
	struct slice param[API_PARAMS]; /* of the path, decoded */
	bool is_tls;	 /* up to pneu http, at least */
	bool is_private; /* nobody listens between us and the client */
	struct slice token_text; /* empty: nobody has signed in */
	bool by_cookie;
	struct api_token token;
	const char *account; /* token.account */
	json_t *in;	     /* the body, an object; {} where there is none */
};

struct api_route {
	enum http_method method;
	const char *path;  /* below API_ROOT; "{mailbox}" is a parameter */
	const char *id;	   /* operationId in the OpenAPI document */
	unsigned scope;	   /* 0: without a token */
	bool json;	   /* has a JSON body */
	/* 0 when it has replied; else an error for api_errno. */
	int (*run)(struct api_call *c);
};
extern const struct api_route api_routes[]; /* ends with a NULL path */
extern const size_t api_n_routes;
/* The route of m->method and m->path in such a table, with the parameters, or
 * NULL (http_match_end). */
const struct api_route *api_route_find(const struct api_route *table,
    struct http_match *m, struct arena *a, struct slice param[API_PARAMS]);

/* The OpenAPI document. */
struct slice api_openapi(void);

/* --- replies --- */

extern const struct http_problem api_problems[]; /* ends with a NULL code */
/* RFC 9457; `detail` may be NULL. Returns 0, as what replies does. */
int api_problem(struct api_call *c, const char *code, const char *detail);
/* By the configuration. */
bool api_origin_is_allowed(const struct api_env *env, struct slice origin);
/* The problem of an error of Mails or Accounts. */
int api_errno(struct api_call *c, int rc);
/* Takes the reference to j; NULL (out of memory) is a problem too. */
int api_json(struct api_call *c, int status, json_t *j);
int api_no_content(struct api_call *c);

/* Text of a message as JSON has it: UTF-8; what is not becomes U+FFFD. */
json_t *api_text(struct slice s);
json_t *api_time(int64_t seconds); /* "2026-11-20T22:00:00Z" */

/* --- input --- */

/* 0 with *out, or NULL where it is not there; -EINVAL after a problem has been
 * replied. */
int api_in_string(struct api_call *c, const char *name, const char **out);
int api_in_bool(struct api_call *c, const char *name, bool *out);
int api_in_int(
    struct api_call *c, const char *name, int64_t min, int64_t max,
    int64_t *out);
/* The body into c->in. */
int api_read_json(struct api_call *c, size_t max);
#define API_REPLIED HTTP_API_REPLIED /* a problem has been replied: return 0 */

/* --- mailboxes --- */

/* The mailbox that the path names. 0, API_REPLIED, or an error. */
int api_mailbox(struct api_call *c, struct mails_info *out);
int api_mailbox_by_id(
    struct api_call *c, struct slice id, struct mails_info *out);
/* A mailbox, to look at and to change flags; to be closed. */
int api_open(struct api_call *c, const char *name, struct mails_view **v);
/* The same of the path; and the message of the path. */
int api_view(struct api_call *c, struct mails_view **v);
int api_message(struct api_call *c, struct mails_view *v, uint32_t *seq);

/* --- search --- */

struct imap_search;
/* What the query asks for; *any is false where it asks for nothing. 0,
 * API_REPLIED, or an error. */
int api_search_parse(
    struct api_call *c, const struct mails_view *v, struct imap_search *q,
    bool *any);

/* --- handlers --- */

int api_session_post(struct api_call *c);
int api_session_get(struct api_call *c);
int api_session_delete(struct api_call *c);
int api_tokens_get(struct api_call *c);
int api_tokens_post(struct api_call *c);
int api_tokens_delete(struct api_call *c);
int api_mailboxes_get(struct api_call *c);
int api_mailboxes_post(struct api_call *c);
int api_mailbox_get(struct api_call *c);
int api_mailbox_patch(struct api_call *c);
int api_mailbox_delete(struct api_call *c);
int api_messages_get(struct api_call *c);
int api_message_get(struct api_call *c);
int api_message_raw(struct api_call *c);
int api_message_part(struct api_call *c);
int api_message_patch(struct api_call *c);
int api_message_delete(struct api_call *c);
int api_messages_patch(struct api_call *c);
int api_messages_move(struct api_call *c);
int api_messages_copy(struct api_call *c);
int api_messages_delete(struct api_call *c);
int api_deleted_get(struct api_call *c);
int api_undelete(struct api_call *c);
int api_send(struct api_call *c);
int api_drafts_post(struct api_call *c);
int api_events(struct api_call *c);
int api_message_html(struct api_call *c);
int api_openapi_get(struct api_call *c);

#endif
