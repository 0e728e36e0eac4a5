/* SPDX-License-Identifier: ISC */
/* The octets of a message: RETR and TOP, streamed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "mailbox/pop3/pop3_session.h"
#include "mailbox/pop3/pop3_stuff.h"

#define CHUNK ((size_t)32 << 10)

struct sending {
	struct pop3_session *s;
	uint32_t seq;
	uint64_t size; /* of the message */
	bool top;
	uint64_t header; /* TOP: octets of its header */
	struct pop3_stuffer stuffer;
	char *chunk;
};

/* TOP counts lines from the end of the header on. True: that was enough. */
static bool
stuff(struct sending *w, uint64_t at, size_t n)
{
	size_t in_header = 0;

	if (at < w->header)
		in_header = w->header - at < n ? (size_t)(w->header - at) : n;
	pop3_stuff(&w->stuffer, slice(w->chunk, in_header), &w->s->out);
	if (at + n < w->header)
		return false;
	w->stuffer.counting = w->top;
	return pop3_stuff(&w->stuffer,
	    slice(w->chunk + in_header, n - in_header), &w->s->out);
}

/*
 * The first piece is read before +OK, so that a message that cannot be read is
 * an -ERR. Later there is no way to say so but to end the connection: a client
 * must not take a part for the whole and then delete it.
 */
static int
send_octets(struct sending *w)
{
	struct pop3_session *s = w->s;
	uint64_t at = 0;
	bool done = false;
	size_t got = 0;
	int rc;

	while (at < w->size && !done) {
		size_t n =
		    w->size - at < CHUNK ? (size_t)(w->size - at) : CHUNK;

		rc = mails_read(s->view, w->seq, at, w->chunk, n, &got);
		if (rc == 0 && got == 0)
			rc = -EIO;
		if (rc != 0 && at == 0)
			return pop3_err_errno(s, rc);
		if (rc != 0) {
			log_error("message not readable",
			    "account=%s uid=%u error=\"%s\"",
			    log_qs(s->account), mails_view_uid(s->view, w->seq),
			    strerror(-rc));
			return -ECONNRESET;
		}
		if (at == 0)
			buf_put_str(&s->out, "+OK Message follows\r\n");
		done = stuff(w, at, got);
		at += got;
		if ((rc = pop3_drain(s)) != 0)
			return rc;
	}
	if (w->size == 0)
		buf_put_str(&s->out, "+OK Message follows\r\n");
	pop3_stuff_end(&w->stuffer, &s->out);
	s->bad = 0;
	return pop3_drain(s);
}

static int
send_message(struct sending *w)
{
	int rc;

	w->size = w->s->sizes[w->seq];
	if ((w->chunk = malloc(CHUNK)) == NULL)
		return -ENOMEM;
	rc = send_octets(w);
	free(w->chunk);
	return rc;
}

int
pop3_retr(struct pop3_session *s, struct slice args)
{
	struct sending w = { .s = s };
	int rc;

	if ((rc = pop3_message(s, args, &w.seq)) != 0 || w.seq == 0)
		return rc;
	return send_message(&w);
}

int
pop3_top(struct pop3_session *s, struct slice args)
{
	struct slice number = slice_split(&args, ' ');
	struct sending w = { .s = s, .top = true };
	struct mails_summary sum;
	int rc;

	if (slice_u64(args, UINT32_MAX, &w.stuffer.lines) != 0)
		return pop3_bad(s, "Number of lines expected");
	if ((rc = pop3_message(s, number, &w.seq)) != 0 || w.seq == 0)
		return rc;
	if ((rc = mails_summary(s->view, w.seq, &s->a, &sum)) != 0)
		return pop3_err_errno(s, rc);
	w.header = sum.header_size;
	return send_message(&w);
}
