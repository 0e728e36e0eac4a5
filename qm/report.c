/* SPDX-License-Identifier: ISC */
/* Delivery status notifications. */
#include "qm/report.h"

#include <errno.h>
#include <stdlib.h>

#include "common/auth/outside.h"
#include "common/mail/date.h"
#include "common/mail/charset.h"
#include "common/mail/dsn.h"
#include "common/smtp/smtp.h"

/* A message up to this size goes back whole when the sender does not say what
 * he wants (RFC 3461 4.3 leaves it to us); of a larger one, the header. */
#define RETURN_WHOLE_MAX ((uint64_t)50 << 10)
#define CHUNK ((size_t)16 << 10)

bool
report_is_wanted(const struct queue_message *m, const struct queue_rcpt *r)
{
	unsigned notify = r->notify;
	struct slice outside;

	if (m->from.n == 0)
		return false;
	/* That its recipient has his mail put elsewhere, too, is nothing that
	 * the sender should hear of, but for what is lost. */
	if (outside_push_is(r->address, &outside) && r->state != QUEUE_FAILED)
		return false;
	switch (r->state) {
	case QUEUE_PENDING:
		return notify == SMTP_NOTIFY_UNSET ||
		    (notify & SMTP_NOTIFY_DELAY) != 0;
	case QUEUE_FAILED:
		return notify == SMTP_NOTIFY_UNSET ||
		    (notify & SMTP_NOTIFY_FAILURE) != 0;
	case QUEUE_RELAYED:
		/* Or for DELIVERBY, which asks whom it must not tell. */
		return (notify & SMTP_NOTIFY_SUCCESS) != 0 ||
		    (m->wishes.by_mode != '\0' &&
			(notify & SMTP_NOTIFY_NEVER) == 0);
	case QUEUE_DELIVERED:
	case QUEUE_EXPANDED:
		return (notify & SMTP_NOTIFY_SUCCESS) != 0;
	case QUEUE_DONE:
		return false;
	}
	return false;
}

static enum dsn_action
action_of(enum queue_rcpt_state state)
{
	switch (state) {
	case QUEUE_PENDING:
		return DSN_DELAYED;
	case QUEUE_DELIVERED:
		return DSN_DELIVERED;
	case QUEUE_RELAYED:
		return DSN_RELAYED;
	case QUEUE_EXPANDED:
		return DSN_EXPANDED;
	default:
		return DSN_FAILED;
	}
}

/* --- the original, read from its blob --- */

struct original {
	struct queue *q;
	const struct queue_message *m;
	uint64_t at;
	char *room;
};

/* A damaged or missing original does not keep the report from its sender. */
static int
original_read(void *arg, struct slice *chunk)
{
	struct original *o = arg;
	size_t got = 0;
	int rc = queue_read(o->q, o->m, o->at, o->room, CHUNK, &got);

	if (rc == -ECANCELED || rc == -ENOMEM)
		return rc;
	if (rc != 0)
		got = 0;
	o->at += got;
	*chunk = slice(o->room, got);
	return 0;
}

struct blob {
	struct store_blob_writer *w;
	uint64_t size;
	bool eight_bit; /* something in it is */
};

static int
blob_put(void *arg, struct slice octets)
{
	struct blob *b = arg;

	b->size += octets.n;
	b->eight_bit = b->eight_bit || !ascii_is_all(octets);
	return store_blob_write(b->w, octets);
}

/* --- the notification --- */

static bool
returns_whole(
    const struct queue_message *m, struct queue_rcpt *const *rcpts, size_t n)
{
	bool failed = false;

	for (size_t i = 0; i < n; i++)
		failed = failed || rcpts[i]->state == QUEUE_FAILED;
	/* RFC 8689 5: and whatever RET said. */
	if (!failed || m->ret == SMTP_RET_HDRS || m->wishes.requiretls)
		return false;
	return m->ret == SMTP_RET_FULL || m->size <= RETURN_WHOLE_MAX;
}

static struct dsn_recipient *
recipients(struct arena *a, const struct report_conf *conf,
    const struct queue_message *m, struct queue_rcpt *const *rcpts, size_t n)
{
	struct dsn_recipient *v = arena_array(a, n, sizeof(*v));

	for (size_t i = 0; i < n && v != NULL; i++) {
		const struct queue_rcpt *r = rcpts[i];

		v[i] = (struct dsn_recipient){ .final = r->address,
			.original = r->orcpt,
			.action = action_of(r->state),
			.status = slice_str(r->status),
			.diagnostic = r->diagnostic,
			.remote_mta = r->remote,
			.last_attempt = r->attempted_s };
		if (r->state == QUEUE_PENDING)
			v[i].will_retry_until =
			    (queue_message_since_ms(m) + conf->max_age_ms) /
			    1000;
	}
	return v;
}

/* It begins its way here (RFC 5321 4.4): so its id is in it, too. */
static int
write_received(const struct report_conf *conf,
    const struct queue_message *report, struct blob *out)
{
	struct buf b = BUF_INIT_MAX(2048);
	int rc = -ENOMEM;

	buf_printf(&b, "Received: by %s\r\n\tid ", conf->hostname);
	buf_put_slice(&b, report->trace);
	buf_put_str(&b, ";\r\n\t");
	date_put(&b, (struct date){ clock_wall_s(), 0 });
	buf_put_str(&b, "\r\n");
	if (!b.failed)
		rc = blob_put(out, buf_slice(&b));
	buf_clear(&b);
	return rc;
}

static int
write_dsn(struct queue *q, const struct report_conf *conf,
    const struct queue_message *m, struct queue_rcpt *const *rcpts, size_t n,
    struct queue_message *report, struct blob *out)
{
	struct original o = { .q = q, .m = m, .room = malloc(CHUNK) };
	struct dsn d = { .reporting_mta = slice_str(conf->hostname),
		.now = clock_wall_s(),
		.arrival = m->arrival_ms / 1000,
		.envelope_id = m->envid,
		.hold = m->wishes.hold,
		.deliver_by =
		    m->wishes.by_mode == '\0' ? 0 : m->wishes.by_ms / 1000,
		.sender = m->from,
		.n_recipients = n,
		.utf8 = (m->flags & QUEUE_UTF8) != 0,
		.whole = returns_whole(m, rcpts, n),
		.read = original_read,
		.read_arg = &o };
	int rc = -ENOMEM;

	d.eight_bit = (m->flags & QUEUE_8BIT) != 0;
	d.recipients = recipients(&report->arena, conf, m, rcpts, n);
	if (o.room != NULL && d.recipients != NULL)
		rc = dsn_write(&d, blob_put, out);
	free(o.room);
	return rc;
}

/* The reverse-path is "<>" and nobody is to hear of its own failure: no
 * bounce of a bounce (RFC 3464 2, RFC 3461 6.1). */
static int
make_message(const struct queue_message *m, struct queue_message **out)
{
	struct queue_message *report = queue_message_new();
	char id[ID_LEN + 1];

	*out = report;
	if (report == NULL)
		return -ENOMEM;
	id_new(id);
	report->trace = arena_dup(&report->arena, slice(id, ID_LEN));
	if (report->trace.p == NULL)
		return -ENOMEM;
	/* RFC 6710 4.6 */
	report->wishes.priority = m->wishes.priority;
	report->wishes.has_priority = m->wishes.has_priority;
	report->wishes.requiretls = m->wishes.requiretls; /* RFC 8689 5 */
	return queue_message_add(
		   report, m->from, SMTP_NOTIFY_NEVER, SLICE_EMPTY) == NULL
	    ? -ENOMEM
	    : 0;
}

int
report_write(struct queue *q, const struct report_conf *conf,
    const struct queue_message *m, struct queue_rcpt *const *rcpts, size_t n,
    struct queue_message **out, struct store_blob_writer **w)
{
	struct blob blob = { 0 };
	int rc;

	*w = NULL;
	if ((rc = make_message(m, out)) == 0) {
		store_blob_id_new(&(*out)->blob);
		rc = store_blob_begin(queue_store(q), &(*out)->blob, &blob.w);
	}
	if (rc == 0)
		rc = write_received(conf, *out, &blob);
	if (rc == 0)
		rc = write_dsn(q, conf, m, rcpts, n, *out, &blob);
	if (rc == 0)
		rc = store_blob_seal(blob.w);
	if (rc != 0) {
		store_blob_writer_free(&blob.w);
		queue_message_free(out);
		return rc;
	}
	(*out)->size = blob.size;
	/* What it is shows only now: UTF-8 addresses in it (RFC 6533) ask for
	 * 8BITMIME whatever the original was, and one in plain ASCII needs
	 * neither that nor SMTPUTF8, which its way may not have. */
	if (blob.eight_bit) {
		(*out)->flags |= QUEUE_8BIT | (m->flags & QUEUE_UTF8);
		(*out)->body = SMTP_BODY_8BITMIME;
	}
	*w = blob.w;
	return 0;
}
