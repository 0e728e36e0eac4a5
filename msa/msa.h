/* SPDX-License-Identifier: ISC */
/* pneu-msa inside: the session's hooks, and the completion of a header. */
#ifndef PNEU_MSA_MSA_H
#define PNEU_MSA_MSA_H

#include "common/net/service.h"
#include "common/smtp/client.h"
#include "common/smtp/server.h"

int msa_start(const struct conf *conf);
void msa_reload(const struct conf *conf);
void msa_stop(void);
size_t msa_paths(const struct conf *conf, struct service_path *out, size_t max);
void msa_session(struct conn *c, const struct service_protocol *p);

/* A thousand recipients with their names fit. */
#define MSA_HEADER_MAX ((size_t)256 << 10)

/* What a header lacks is made from this. */
struct msa_fixup {
	struct slice from;      /* address for a missing From */
	struct slice id_domain; /* domain for a missing Message-ID */
	int64_t now_s;          /* for a missing Date */
};

/*
 * Where the header ends, of a message of `size` octets that begins with
 * `head`. False: not within `head`. What only looks like an end because `head`
 * is cut there does not count.
 */
bool msa_header_measure(struct slice head, uint64_t size, struct slice *header);

/*
 * Complete a header (RFC 6409 8): Date, Message-ID and From where they are
 * missing, no Bcc (nor Resent-Bcc), no Return-Path. `header` is what
 * header_size measured at the start of the message; all other fields are
 * copied octet by octet. *out gets the fields without the blank line; bare LF
 * line ends become CRLF. False when out of room.
 */
bool msa_fixup_header(
    struct slice header, const struct msa_fixup *f, struct buf *out);

/* Called for each address of the From fields; a non-zero return ends. */
int msa_each_from(struct arena *a, struct slice header,
    int (*address)(void *arg, struct slice local, struct slice domain),
    void *arg);

#endif
