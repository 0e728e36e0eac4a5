/* SPDX-License-Identifier: ISC */
/* Finding one's way in the tree that mime.c makes. */
#include "common/mail/mime.h"

static const struct mime_part *
child(const struct mime_part *part, uint32_t number)
{
	for (part = part->children; part != NULL; part = part->next)
		if (part->number == number)
			return part;
	return NULL;
}

/*
 * RFC 3501 6.4.5: a number goes to a part of a multipart; a message that is
 * none has one part, its body, by the number 1; behind a message/rfc822 the
 * numbers are those of the message in it.
 */
const struct mime_part *
mime_part_find(const struct mime_part *root, const uint32_t *path, size_t n)
{
	const struct mime_part *at = root;
	bool whole = true; /* `at` is a message, not yet one of its parts */

	for (size_t i = 0; i < n && at != NULL; i++) {
		if (!whole && at->kind == MIME_MESSAGE) {
			at = at->children;
			whole = true;
		}
		if (at->kind == MIME_MULTIPART)
			at = child(at, path[i]);
		else if (!whole || path[i] != 1)
			at = NULL;
		whole = false;
	}
	return at;
}

const struct mime_part *
mime_part_message(const struct mime_part *part, size_t n)
{
	if (n == 0)
		return part;
	return part->kind == MIME_MESSAGE ? part->children : NULL;
}

const struct mime_part *
mime_part_next(const struct mime_part *part)
{
	if (part->children != NULL)
		return part->children;
	while (part != NULL && part->next == NULL)
		part = part->parent;
	return part == NULL ? NULL : part->next;
}

bool
mime_part_is(
    const struct mime_part *part, const char *type, const char *subtype)
{
	return slice_eq_str_nocase(part->type, type) &&
	    slice_eq_str_nocase(part->subtype, subtype);
}

bool
mime_part_is_shown(const struct mime_part *part, const char *subtype)
{
	return mime_part_is(part, "text", subtype) &&
	    !slice_eq_str(part->disposition, "attachment");
}

bool
mime_part_has_text(const struct mime_part *part)
{
	return part->kind == MIME_LEAF && part->body_size > 2;
}
