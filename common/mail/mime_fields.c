/* SPDX-License-Identifier: ISC */
#include "common/mail/mime_fields.h"

#include <errno.h>

#include "common/mail/header.h"

/* What a field's value becomes. */
enum field_use {
	USE_TEXT,    /* unfolded, the first one counts */
	USE_ADDRESS, /* unfolded, more of them are joined */
	USE_TYPE,
	USE_DISPOSITION,
	USE_ENCODING,
};

struct field {
	const char *name;
	enum field_use use;
	size_t offset; /* of the slice, in the part or the envelope */
};

#define OF_PART(m) offsetof(struct mime_part, m)
#define OF_ENVELOPE(m) offsetof(struct mime_envelope, m)

static const struct field part_fields[] = {
	{ "Content-Type", USE_TYPE, 0 },
	{ "Content-Transfer-Encoding", USE_ENCODING, 0 },
	{ "Content-Disposition", USE_DISPOSITION, 0 },
	{ "Content-ID", USE_TEXT, OF_PART(id) },
	{ "Content-Description", USE_TEXT, OF_PART(description) },
	{ "Content-MD5", USE_TEXT, OF_PART(md5) },
	{ "Content-Language", USE_TEXT, OF_PART(language) },
	{ "Content-Location", USE_TEXT, OF_PART(location) },
};

static const struct field envelope_fields[] = {
	{ "Date", USE_TEXT, OF_ENVELOPE(date) },
	{ "Subject", USE_TEXT, OF_ENVELOPE(subject) },
	{ "From", USE_ADDRESS, OF_ENVELOPE(from) },
	{ "Sender", USE_ADDRESS, OF_ENVELOPE(sender) },
	{ "Reply-To", USE_ADDRESS, OF_ENVELOPE(reply_to) },
	{ "To", USE_ADDRESS, OF_ENVELOPE(to) },
	{ "Cc", USE_ADDRESS, OF_ENVELOPE(cc) },
	{ "Bcc", USE_ADDRESS, OF_ENVELOPE(bcc) },
	{ "In-Reply-To", USE_TEXT, OF_ENVELOPE(in_reply_to) },
	{ "Message-ID", USE_TEXT, OF_ENVELOPE(message_id) },
	{ "References", USE_TEXT, OF_ENVELOPE(references) },
};

static int
take_text(struct arena *a, struct slice value, struct slice *out)
{
	if (out->p == NULL)
		*out = header_unfold(a, value);
	return out->p == NULL ? -ENOMEM : 0;
}

/* The field and all later ones of its name, in one go: there may be many. */
static int
take_address(struct arena *a, const struct header_field *field,
    struct slice rest, struct slice *out)
{
	struct buf all = BUF_INIT;
	struct header_field more;

	if (out->p != NULL)
		return 0;
	buf_put_slice(&all, slice_trim(field->value));
	while (header_next(&rest, &more)) {
		if (!slice_eq_nocase(more.name, field->name))
			continue;
		buf_put_str(&all, all.n > 0 ? ", " : "");
		buf_put_slice(&all, slice_trim(more.value));
	}
	if (!all.failed)
		*out = header_unfold(a, buf_slice(&all));
	buf_clear(&all);
	return out->p == NULL ? -ENOMEM : 0;
}

/* What cannot be parsed counts as not there (RFC 2045 5.2). */
static int
unless_invalid(int rc)
{
	return rc == -EINVAL ? 0 : rc;
}

static int
take_type(struct arena *a, struct slice value, struct mime_part *part)
{
	int rc;

	if (part->type.p != NULL)
		return 0;
	rc = param_field_parse(
	    a, value, &part->type, &part->subtype, &part->params);
	part->type_given = rc == 0;
	if (rc == -EINVAL) {
		/* Not the default of a digest: something was meant. */
		part->type = SLICE_LIT("text");
		part->subtype = SLICE_LIT("plain");
	}
	return unless_invalid(rc);
}

static int
take_field(struct arena *a, const struct field *f,
    const struct header_field *field, struct slice rest, struct mime_part *part)
{
	struct slice value = field->value;
	bool in_part = f >= part_fields &&
	    f < part_fields + sizeof(part_fields) / sizeof(*f);
	char *base = in_part ? (char *)part : (char *)part->envelope;
	struct slice *out = (struct slice *)(void *)(base + f->offset);

	switch (f->use) {
	case USE_TYPE:
		return take_type(a, value, part);
	case USE_ENCODING:
		if (part->encoding_name.p != NULL)
			return 0;
		return unless_invalid(param_field_parse(
		    a, value, &part->encoding_name, NULL, NULL));
	case USE_DISPOSITION:
		if (part->disposition.p != NULL)
			return 0;
		return unless_invalid(param_field_parse(a, value,
		    &part->disposition, NULL, &part->disposition_params));
	case USE_ADDRESS:
		return take_address(a, field, rest, out);
	default:
		return take_text(a, value, out);
	}
}

static const struct field *
find(const struct field *fields, size_t n, struct slice name)
{
	for (size_t i = 0; i < n; i++)
		if (slice_eq_str_nocase(name, fields[i].name))
			return &fields[i];
	return NULL;
}

static void
fill_defaults(struct mime_part *part)
{
	part->encoding = transfer_encoding_of(part->encoding_name);
	if (part->type.p != NULL)
		return;
	if (part->parent != NULL &&
	    mime_part_is(part->parent, "multipart", "digest")) {
		part->type = SLICE_LIT("message");
		part->subtype = SLICE_LIT("rfc822");
	} else {
		part->type = SLICE_LIT("text");
		part->subtype = SLICE_LIT("plain");
	}
}

int
mime_fields_parse(struct arena *a, struct slice header, struct mime_part *part)
{
	struct header_field field;
	const struct field *f;
	int rc = 0;

	while (rc == 0 && header_next(&header, &field)) {
		f = find(
		    part_fields, sizeof(part_fields) / sizeof(*f), field.name);
		if (f == NULL && part->envelope != NULL)
			f = find(envelope_fields,
			    sizeof(envelope_fields) / sizeof(*f), field.name);
		if (f != NULL)
			rc = take_field(a, f, &field, header, part);
	}
	fill_defaults(part);
	return rc;
}
