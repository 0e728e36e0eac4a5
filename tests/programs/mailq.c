/* SPDX-License-Identifier: ISC */
/*
 * Answers questions about mail through common/mail, so that tests can compare
 * with what others make of it. Each question on stdin is a line "KIND SIZE"
 * and SIZE octets; each answer a line of JSON, octets in it as hex:
 *
 *	mime       the parts in order: type, body, decoded text, file name
 *	addresses  the mailboxes: name, local part and domain
 *	date       seconds and zone, or null
 *	words      the decoded text
 *	encode     the text as encoded words
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "common/mail/address.h"
#include "common/mail/date.h"
#include "common/mail/encoded.h"
#include "common/mail/mime.h"
#include "common/mail/transfer.h"

static json_t *
hex(struct slice s)
{
	struct buf b = BUF_INIT;
	json_t *j;

	for (size_t i = 0; i < s.n; i++)
		buf_printf(&b, "%02x", (unsigned char)s.p[i]);
	j = json_string(buf_str(&b));
	buf_clear(&b);
	return j;
}

static json_t *
decoded(const struct mime_part *p, struct slice body)
{
	struct transfer_decoder d;
	struct buf out = BUF_INIT;
	json_t *j;

	transfer_decoder_init(&d, p->encoding);
	transfer_decode(&d, body, &out);
	transfer_decoder_end(&d, &out);
	j = hex(buf_slice(&out));
	buf_clear(&out);
	return j;
}

static json_t *
part(struct arena *a, const struct mime_part *p, struct slice m)
{
	struct slice body = slice_head(slice_from(m, p->body_at), p->body_size);
	struct slice file = param_decode(a, &p->disposition_params, "filename");
	json_t *j = json_object();
	char type[256];

	snprintf(type, sizeof(type), "%.*s/%.*s", (int)p->type.n, p->type.p,
	    (int)p->subtype.n, p->subtype.p);
	json_object_set_new(j, "type", json_string(type));
	if (p->kind == MIME_LEAF) {
		json_object_set_new(j, "body", hex(body));
		json_object_set_new(j, "decoded", decoded(p, body));
	}
	if (file.p != NULL)
		json_object_set_new(j, "file", hex(file));
	return j;
}

static json_t *
mime(struct arena *a, struct slice in)
{
	json_t *j = json_array();
	struct mime_part *root;

	if (mime_parse(a, in, &root) != 0)
		return j;
	for (const struct mime_part *p = root; p; p = mime_part_next(p))
		json_array_append_new(j, part(a, p, in));
	return j;
}

static json_t *
addresses(struct arena *a, struct slice in)
{
	json_t *j = json_array();
	struct address_list list;

	if (address_list_parse(a, in, &list) != 0)
		return j;
	for (size_t i = 0; i < list.n; i++)
		if (list.v[i].kind == ADDRESS_MAILBOX)
			json_array_append_new(j,
			    json_pack("[o,o,o]", hex(list.v[i].name),
				hex(list.v[i].local), hex(list.v[i].domain)));
	return j;
}

static json_t *
date(struct arena *a, struct slice in)
{
	struct date d;

	(void)a;
	if (date_parse(in, &d) != 0)
		return json_null();
	return json_pack("[I,i]", (json_int_t)d.time, d.zone_minutes);
}

static json_t *
words(struct arena *a, struct slice in)
{
	return hex(encoded_decode(a, in));
}

static json_t *
encode(struct arena *a, struct slice in)
{
	struct buf b = BUF_INIT;
	json_t *j;

	(void)a;
	encoded_put_text(&b, in, 9);
	j = hex(buf_slice(&b));
	buf_clear(&b);
	return j;
}

static const struct {
	const char *kind;
	json_t *(*answer)(struct arena *a, struct slice in);
} kinds[] = {
	{ "mime", mime },
	{ "addresses", addresses },
	{ "date", date },
	{ "words", words },
	{ "encode", encode },
};

static int
answer(const char *kind, struct slice in)
{
	struct arena a = { 0 };
	json_t *j = NULL;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (strcmp(kind, kinds[i].kind) == 0)
			j = kinds[i].answer(&a, in);
	arena_reset(&a);
	if (j == NULL)
		return EX_USAGE;
	json_dumpf(j, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
	json_decref(j);
	putchar('\n');
	return fflush(stdout) == 0 ? 0 : EX_IOERR;
}

int
main(void)
{
	char kind[16];
	size_t size;
	int rc = 0;

	while (rc == 0 && scanf("%15s %zu", kind, &size) == 2) {
		char *p = malloc(size + 1);

		if (p == NULL || getchar() != '\n' ||
		    fread(p, 1, size, stdin) != size) {
			free(p);
			return EX_DATAERR;
		}
		rc = answer(kind, slice(p, size));
		free(p);
	}
	return rc;
}
