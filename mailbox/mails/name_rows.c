/* SPDX-License-Identifier: ISC */
#include "mailbox/mails/name_rows.h"

#include <errno.h>

#define VERSION_CLEAR 1
#define VERSION_SEALED 2
#define LIVE_FIXED 13 /* version, id, attributes */
#define KEPT_FIXED 21 /* and when it was deleted */

static size_t
head_octets(enum name_kind kind)
{
	return kind == NAME_KEPT ? KEPT_FIXED : LIVE_FIXED;
}

static int
key_put(struct name_sealer *s, enum name_kind kind, struct slice name,
    const struct name_fields *f, struct buf *key)
{
	unsigned char digest[NAME_DIGEST];
	int rc;

	if (f->sealed) {
		if ((rc = name_digest(s, name, digest)) != 0)
			return rc;
		buf_put_char(key, kind == NAME_KEPT ? 'G' : 'N');
		buf_put(key, digest, sizeof(digest));
	} else {
		buf_put_char(key, (char)kind);
		buf_put_char(key, '/');
		buf_put_slice(key, name);
		if (kind == NAME_KEPT)
			buf_put_char(key, '\0');
	}
	if (kind == NAME_KEPT)
		buf_put_be64(key, f->id);
	return key->failed ? -ENOMEM : 0;
}

static int
about_put(struct buf *out, struct slice key, struct slice head)
{
	buf_put_str(out, "name");
	buf_put_char(out, '\0');
	buf_put_slice(out, key);
	return buf_put_slice(out, head) ? 0 : -ENOMEM;
}

int
name_row_put(struct name_sealer *s, enum name_kind kind,
    struct slice name, const struct name_fields *f, struct buf *key,
    struct buf *val)
{
	struct buf about = BUF_INIT;
	char head[KEPT_FIXED];
	size_t n = head_octets(kind);
	int rc = key_put(s, kind, name, f, key);

	if (rc != 0 || val == NULL)
		return rc;
	head[0] = f->sealed ? VERSION_SEALED : VERSION_CLEAR;
	put_be64(head + 1, f->id);
	put_be32(head + 9, f->attrs);
	if (kind == NAME_KEPT)
		put_be64(head + 13, (uint64_t)f->deleted_s);
	buf_put(val, head, n);
	if (f->sealed &&
	    (rc = about_put(&about, buf_slice(key), slice(head, n))) == 0)
		rc = name_seal(s, buf_slice(&about), name, val);
	buf_clear(&about);
	return rc == 0 && val->failed ? -ENOMEM : rc;
}

static int
sealed_open(struct name_sealer *s, struct slice key, struct slice val,
    size_t head, struct buf *name)
{
	struct buf about = BUF_INIT;
	int rc = about_put(&about, key, slice_head(val, head));

	if (rc == 0)
		rc = name_open(
		    s, buf_slice(&about), slice_from(val, head), name);
	buf_clear(&about);
	return rc == -EBADMSG ? -EIO : rc;
}

int
name_row_get(struct name_sealer *s, struct slice key, struct slice val,
    enum name_kind *kind, struct name_fields *f, struct buf *name)
{
	bool kept = slice_starts(key, "g/") || slice_starts(key, "G");
	size_t head = kept ? KEPT_FIXED : LIVE_FIXED;

	*kind = kept ? NAME_KEPT : NAME_LIVE;
	*f = (struct name_fields){ .sealed =
				       key.p[0] == 'G' || key.p[0] == 'N' };
	if (val.n < head || (!f->sealed && val.n != head) ||
	    val.p[0] != (f->sealed ? VERSION_SEALED : VERSION_CLEAR))
		return -EIO;
	f->id = get_be64(val.p + 1);
	f->attrs = get_be32(val.p + 9);
	if (kept)
		f->deleted_s = (int64_t)get_be64(val.p + 13);
	if (f->sealed)
		return sealed_open(s, key, val, head, name);
	key = slice_from(key, 2);
	if (kept &&
	    (key.n < 1 + 8 || key.p[key.n - 9] != '\0' ||
		get_be64(key.p + key.n - 8) != f->id))
		return -EIO;
	if (kept)
		key = slice_head(key, key.n - 1 - 8);
	return buf_put_slice(name, key) ? 0 : -ENOMEM;
}
