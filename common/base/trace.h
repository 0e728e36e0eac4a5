/* SPDX-License-Identifier: ISC */
/*
 * The trace: what this program decided about messages and sessions, one record
 * for each decision, for `pneu why`. It lies in a ring of bounded size on disk,
 * one file for each program, which all its workers write through a shared map:
 * no system call, no lock and no wait; and a program that is killed leaves all
 * it had written. The newest records take the place of the oldest.
 *
 * Writing fails nobody: without a ring, or where its disk breaks, nothing
 * happens. Passwords and bodies never come here.
 */
#ifndef PNEU_BASE_TRACE_H
#define PNEU_BASE_TRACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/clock.h"
#include "common/base/slice.h"

/* What was decided about. Kept in files: new ones go to the end. */
enum trace_kind {
	TRACE_NONE,
	TRACE_CONNECT,  /* a connection was refused */
	TRACE_COMMAND,  /* a command, by the protocol alone */
	TRACE_AUTH,     /* a sign-in */
	TRACE_SESSION,  /* it has ended */
	TRACE_MAIL,     /* a sender */
	TRACE_RCPT,     /* a recipient */
	TRACE_MESSAGE,  /* the message, at the end of data */
	TRACE_ABORT,    /* a transaction ended before its message */
	TRACE_HANDOVER, /* to another of our programs, for a recipient */
	TRACE_STORED,   /* in an account's mailbox, or not */
	TRACE_QUEUED,
	TRACE_EXPANDED, /* a recipient became others */
	TRACE_ATTEMPT,  /* of the queue, for a recipient */
	TRACE_RETRY,    /* when the next attempt is */
	TRACE_EXPIRED,  /* no attempt is left for a recipient */
	TRACE_REPORT,   /* a notification to the sender was queued */
	TRACE_ORDER,    /* of an admin, to the queue */
	TRACE_KINDS,
};
/* "rcpt"; "unknown" for what a newer version wrote. */
const char *trace_kind_name(unsigned kind);

enum trace_field {
	TRACE_ID,   /* of the transaction (clock.h); left out: the context's */
	TRACE_CONN, /* of the connection; the same */
	TRACE_PEER, /* its address; or who an attempt went to */
	TRACE_SENDER,
	TRACE_RECIPIENT,
	TRACE_ACCOUNT,
	TRACE_MESSAGE_ID, /* without brackets */
	TRACE_RULE,       /* what decided: a setting, a record, who said so */
	TRACE_TEXT,       /* of the reply, or what happened */
	TRACE_LINK,       /* the id of a message made of this one */
	TRACE_FIELDS,
};
/* "recipient" */
const char *trace_field_name(enum trace_field f);

#define TRACE_TEXT_MAX 255 /* octets of a field; the rest is cut off */

struct trace_record {
	enum trace_kind kind;
	int code;          /* of the reply, or 0 */
	char enhanced[12]; /* "5.1.1" or "" */
	int64_t took_us;
	uint64_t octets; /* of the message, or 0 */
	/* Not known: .p NULL. An empty sender is "<>". */
	struct slice field[TRACE_FIELDS];
	/* When read: */
	int64_t at_us; /* wall clock, when it was written */
};

/* --- writing --- */

struct trace_conf {
	const char *dir;     /* exists */
	const char *program; /* the file is PROGRAM.ring; kept, not copied */
	size_t size;   /* octets; 0: no trace. Rounded up to TRACE_SIZE_MIN */
	uid_t uid;     /* the owner of the file; -1: who we are */
	gid_t gid;     /* its group, which may read it; -1: any */
	bool existing; /* use what is there, make none */
};
#define TRACE_SIZE_MIN ((size_t)64 << 10)

/*
 * Map the ring of this program, make it where it is missing, and again where
 * it is damaged, of another size, or somebody else's. Children of a fork write
 * to the same. 0, or -errno: then nothing is traced.
 */
int trace_open(const struct trace_conf *conf);
void trace_close(void);
/* Is it of use to collect what a record needs? */
bool trace_is_on(void);
/* As given to trace_open, also where there is no ring; "" before. */
const char *trace_program(void);
/* Never fails, waits, or takes more than some 100 ns. Of refused connections
 * only the first 50 in a second are kept. */
void trace_write(const struct trace_record *r);

/* What is put into records that say nothing else; of the running coroutine,
 * and of those that it starts. */
struct trace_context {
	char conn[12];
	char peer[46];
	char id[ID_LEN + 1];
};
/* Asked from the coroutine layer, which registers itself; NULL: nothing. */
void trace_set_context(struct trace_context *(*context)(void));

/* --- reading --- */

#define TRACE_RECORD_MAX 4096

/* A ring being read, while others may write it. */
struct trace_ring {
	char program[32];
	uint64_t at, head; /* the next record is sought from here to here */
	/* Private: */
	const unsigned char *map;
	size_t map_size;
	uint64_t size;
	bool mapped;
	unsigned char copy[TRACE_RECORD_MAX];
};

/* 0, -errno, or -EBADMSG: that is no ring. */
int trace_ring_open(struct trace_ring *r, const char *path);
/* The same of a file in memory, which must stay. */
int trace_ring_init(struct trace_ring *r, struct slice file);
/* From the oldest to the newest that was there at the open. Slices are valid
 * until the next call. False: no more. */
bool trace_ring_next(struct trace_ring *r, struct trace_record *out);
void trace_ring_rewind(struct trace_ring *r);
/* Where the next record will be written. One that is found before it may be
 * written still. */
uint64_t trace_ring_end(const struct trace_ring *r);
/* Go on up to there, which trace_ring_end gave a while ago. */
void trace_ring_go_on(struct trace_ring *r, uint64_t end);
void trace_ring_close(struct trace_ring *r);

#endif
