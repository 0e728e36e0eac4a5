/* SPDX-License-Identifier: ISC */
/* pneu-msa inside: the session's hooks, and the completion of a header. */
#ifndef PNEU_MSA_MSA_H
#define PNEU_MSA_MSA_H

#include "common/auth/accounts.h"
#include "common/net/clients.h"
#include "common/net/service.h"
#include "common/smtp/client.h"
#include "common/smtp/server.h"
#include "msa/sendas.h"

int msa_start(const struct conf *conf);
void msa_reload(const struct conf *conf);
void msa_stop(void);
size_t msa_paths(const struct conf *conf, struct service_path *out, size_t max);
void msa_session(struct conn *c, const struct service_protocol *p);
/* On msa.api: mailbox says by XCLIENT whose session it is. */
void msa_api_session(struct conn *c, const struct service_protocol *p);

/* The program; smtp_server.app of its sessions. */
struct msa {
	struct smtp_server server;
	struct smtp_client_conf lmtp;
	struct smtp_pool *qm, *mailbox;
	struct clients *clients;
	struct net_addr imap; /* mailbox.submit */
	struct accounts *accounts;
	bool plaintext_login;
	const char *const *etrn_from; /* networks */
	bool verifies; /* VRFY is answered truly */
	struct sent *sent;
	const char *accounts_dir;
	uint32_t limits[SENT_LIMITS]; /* of accounts without their own */
	bool send_as;   /* the tag in the Subject is minded */
	unsigned fixes; /* enum msa_fix */
	bool received_client; /* Received says where the client is */
};
static inline const struct msa *
msa_of(struct smtp_session *s)
{
	return smtp_session_server(s)->app;
}

/* Of the connection; the transaction's part is emptied at its end. */
struct msa_session {
	struct smtp_client *qm;
	bool qm_failed;
	struct smtp_client_rcpt *rcpts; /* those that qm has accepted */
	size_t n_rcpts, max_rcpts;
	struct client_prefix prefix;
};

/* --- hooks (struct smtp_handler) --- */

int msa_auth(struct smtp_session *s, struct slice mechanism,
    struct slice initial, bool has_initial, struct smtp_reply *reply);
const char *msa_auth_mechanisms(struct smtp_session *s);
int msa_mail(
    struct smtp_session *s, const struct smtp_mail *m, struct smtp_reply *reply);
int msa_burl(struct smtp_session *s, struct slice url,
    int (*take)(void *arg, struct slice octets), void *arg,
    struct smtp_reply *reply);
int msa_message(struct smtp_session *s, struct spool *body,
    struct smtp_reply *replies, size_t n);

/*
 * May the account use every address that From, Sender, Resent-From and
 * Resent-Sender name? And each of these that is there must name one. 0; 1 with
 * the refusal in *reply; or an error.
 */
int msa_check_header(
    struct smtp_session *s, struct slice header, struct smtp_reply *reply);

/*
 * May the account send one more message, to so many recipients? 0; 1 with 452
 * and when to come back in *reply; or an error. msa_limits_take counts it too,
 * and msa_limits_give_back takes that back when it was not accepted.
 */
int msa_limits_check(
    struct smtp_session *s, size_t recipients, struct smtp_reply *reply);
int msa_limits_take(struct smtp_session *s, size_t recipients,
    struct sent_count *count, struct smtp_reply *reply);
void
msa_limits_give_back(struct smtp_session *s, const struct sent_count *count);

/* As whom a message is to leave, when not as it came: by a tag in the Subject,
 * or, of an account with reply_as, as the address that it answers for. */
struct msa_as {
	struct slice address; /* .p NULL: as it came */
	struct slice local, domain;
	bool has_tag;
	struct sendas_tag tag;
};
/* 0 with *as; 1 with the refusal in *reply; or an error. Memory is the
 * arena's; slices are of the header too. */
int msa_as_find(struct smtp_session *s, struct arena *a, struct slice header,
    struct msa_as *as, struct smtp_reply *reply);
/* The header as it leaves then, the blank line included, and the envelope at
 * qm. Returns like msa_as_find. */
int msa_as_apply(struct smtp_session *s, struct msa_session *m,
    struct arena *a, struct slice header, const struct msa_as *as,
    struct buf *out, struct smtp_reply *reply);

/* The transaction at qm anew, from another sender. 0; 1 with *reply, when it
 * does not take all of it any more; or an error. */
int msa_reopen(struct smtp_session *s, struct msa_session *m,
    struct slice from, struct smtp_reply *reply);

/* --- the header, pure functions --- */

/* A thousand recipients with their names fit. */
#define MSA_HEADER_MAX ((size_t)256 << 10)

/* What is done to a header, each by a setting (RFC 6409 8). */
enum msa_fix {
	MSA_FIX_DATE = 1,	    /* msa.add_date */
	MSA_FIX_MESSAGE_ID = 2,	    /* msa.add_message_id */
	MSA_FIX_FROM = 4,	    /* msa.add_from */
	MSA_FIX_SENDER = 8,	    /* msa.add_sender: many */
	MSA_FIX_SENDER_ALWAYS = 16, /* msa.add_sender: always */
	MSA_FIX_BCC = 32,	    /* msa.remove_bcc */
	MSA_FIX_QUALIFY = 64,	    /* msa.add_domain: known, always */
	MSA_FIX_QUALIFY_ALWAYS = 128, /* msa.add_domain: always */
};
#define MSA_FIX_ALL 255u

struct msa_fixup {
	unsigned fixes;         /* enum msa_fix */
	struct slice from;      /* address for a missing From */
	struct slice from_name; /* display name for it, in UTF-8, or "" */
	struct slice sender;    /* address for a missing Sender */
	struct slice id_domain; /* domain for a missing Message-ID */
	int64_t now_s;          /* for a missing Date */
	struct slice domain;    /* for recipients without one; "": none */
	/* Is there such an address in it? NULL: it does not matter. */
	bool (*is_known)(void *arg, struct slice local);
	void *arg;
};

/*
 * Where the header ends, of a message of `size` octets that begins with
 * `head`. False: not within `head`. What only looks like an end because `head`
 * is cut there does not count.
 */
bool msa_header_measure(struct slice head, uint64_t size, struct slice *header);

/*
 * Complete a header (RFC 6409 8). Date and Message-ID are made where they are
 * missing or cannot be read, From where it is missing, Sender where From names
 * several (RFC 5322 3.6.2) or, with SENDER_ALWAYS, other than it. Bcc and
 * Resent-Bcc go, and always Return-Path, which the last hop writes. To, Cc and
 * their like are put through msa_qualify. `header`
 * is what msa_header_measure found; all other fields are copied octet by
 * octet. *out gets the fields without the blank line; bare LF line ends become
 * CRLF. False when out of room.
 */
bool msa_fixup_header(
    struct slice header, const struct msa_fixup *f, struct buf *out);

/* Is it To, Cc, Bcc, Reply-To or one of their Resent- kind? */
bool msa_names_recipients(struct slice field);
/*
 * A field's value with the domain behind each plain local part that has none
 * and is known: "bob", "Bob <bob>" (RFC 6409 8), no more than a thousand. All
 * else stays octet by octet, but that long lines are folded behind those.
 * False: nothing was to be done; *out has the value in any case.
 */
bool
msa_qualify(struct slice value, const struct msa_fixup *f, struct buf *out);

/* Called for each address of the fields of that name; a non-zero return
 * ends. -E2BIG: there are more than ADDRESS_LIST_MAX. */
int msa_each_address(struct arena *a, struct slice header, const char *name,
    int (*address)(void *arg, struct slice local, struct slice domain),
    void *arg);

#endif
