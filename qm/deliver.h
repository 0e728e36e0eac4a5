/* SPDX-License-Identifier: ISC */
/*
 * Carrying out work for the scheduler: connections to the mailbox, to the
 * hosts of a domain, to a smarthost; transactions on them; what becomes of
 * each recipient, written into it and into the log.
 */
#ifndef PNEU_QM_DELIVER_H
#define PNEU_QM_DELIVER_H

#include "common/net/tls.h"
#include "common/smtp/client.h"
#include "qm/policy.h"
#include "qm/queue/queue.h"
#include "qm/route.h"
#include "qm/scheduler.h"

/* Recipients of one transaction (RFC 5321 4.5.3.1.8: any server takes 100). */
#define DELIVER_RCPTS_REMOTE 100
#define DELIVER_RCPTS_LOCAL 1000

struct deliver_conf {
	const char *hostname;
	const char *run_dir;
	const char *mailbox; /* LMTP address */
	const char *gateway; /* the same */
	uint16_t smtp_port;
	const char *smarthost; /* "host:port", or "" */
	const char *smarthost_user, *smarthost_password; /* or NULL */
	enum smtp_client_tls smarthost_tls;
	int64_t connect_timeout_ms, timeout_ms;
	struct tls_client *tls_any;   /* opportunistic */
	struct tls_client *tls_names; /* verified, for the smarthost */
};

struct deliver {
	struct deliver_conf conf;
	struct queue *queue;
	struct route_dns dns;
	struct policy policy;
	struct route_self self;
};

/* Some recipients of one message with one destination. */
struct deliver_job {
	struct scheduler_job job; /* first: they are the same pointer */
	struct queue_message *m;
	struct queue_rcpt **rcpts;
	size_t n;
	bool not_reached; /* failed without a word of the other side's */
	void *owner;      /* of who made it, for job.done */
};

/* For scheduler_new, with a struct deliver as `arg`. */
extern const struct scheduler_ops deliver_ops;

/*
 * What a reply means for a recipient: sets its state and words, logs one line
 * and traces it. `peer` and `tls` are for the log. `relays`: the other side takes over
 * reports of success (RFC 3461), or is not asked to.
 */
struct deliver_peer {
	const char *host;  /* for reports: who said it */
	const char *relay; /* for the log: host[address]:port, or "none" */
	const char *tls;   /* version, or "" */
	bool final;        /* LMTP: 250 is delivery */
	bool dsn;          /* SMTP with DSN: reports are theirs now */
	bool by;           /* DELIVERBY: so is the time */
	int64_t began_us;  /* for the trace: when it began, or 0 */
	const char *policy; /* "DANE", "MTA-STS": what wants the TLS; or NULL */
};
void deliver_outcome(struct queue_message *m, struct queue_rcpt *r,
    const struct smtp_reply *reply, const struct deliver_peer *peer);

/* The status of a reply, "5.1.1", its class made to fit the code. */
void deliver_status(const struct smtp_reply *reply, char out[static 12]);

#endif
