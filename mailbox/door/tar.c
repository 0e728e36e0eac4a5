/* SPDX-License-Identifier: ISC */
#include "mailbox/door/tar.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* The header block. */
struct block {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8];
	char type, link[100], magic[6], version[2], user[32], group[32];
	char major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct block) == TAR_BLOCK, "a header is one block");

#define SIZE_MAX_OCTAL ((uint64_t)077777777777) /* 11 digits */

/* The sum of all octets, where those of the sum count as spaces; some old
 * programs took the octets with sign. */
static void
block_sums(const struct block *b, int64_t *unsigned_sum, int64_t *signed_sum)
{
	const char *p = (const char *)b;
	size_t from = offsetof(struct block, sum);

	*unsigned_sum = *signed_sum = 0;
	for (size_t i = 0; i < TAR_BLOCK; i++) {
		bool in_sum = i >= from && i < from + sizeof(b->sum);

		*unsigned_sum += in_sum ? ' ' : (unsigned char)p[i];
		*signed_sum += in_sum ? ' ' : (signed char)p[i];
	}
}

/* --- writing --- */

static void
put_octal(char *field, size_t n, uint64_t v)
{
	char text[32];

	snprintf(
	    text, sizeof(text), "%0*llo", (int)n - 1, (unsigned long long)v);
	memcpy(field, text, n);
}

static void
put_text(char *field, size_t max, struct slice s)
{
	memcpy(field, s.p, s.n < max ? s.n : max);
}

static bool
put_block(struct buf *out, struct slice path, char type, unsigned mode,
    uint64_t size, uint64_t mtime)
{
	struct block b = { .type = type };
	int64_t sum, unused;

	put_text(b.name, sizeof(b.name), path);
	put_octal(b.mode, sizeof(b.mode), mode);
	put_octal(b.uid, sizeof(b.uid), 0);
	put_octal(b.gid, sizeof(b.gid), 0);
	put_octal(b.size, sizeof(b.size), size);
	put_octal(b.mtime, sizeof(b.mtime), mtime);
	memcpy(b.magic, "ustar", sizeof(b.magic));
	memcpy(b.version, "00", sizeof(b.version));
	put_octal(b.major, sizeof(b.major), 0);
	put_octal(b.minor, sizeof(b.minor), 0);
	block_sums(&b, &sum, &unused);
	put_octal(b.sum, sizeof(b.sum) - 1, (uint64_t)sum);
	b.sum[7] = ' ';
	return buf_put(out, &b, sizeof(b));
}

/* "30 mtime=1350244992.023960108\n", where 30 is the length of it all. */
static void
put_record(struct buf *out, const char *key, struct slice val)
{
	size_t rest = strlen(key) + val.n + 3, n = rest + 1;
	char digits[24];

	while (n != rest + (size_t)snprintf(digits, sizeof(digits), "%zu", n))
		n = rest + (size_t)snprintf(digits, sizeof(digits), "%zu", n);
	buf_printf(out, "%s %s=", digits, key);
	buf_put_slice(out, val);
	buf_put_char(out, '\n');
}

static void
put_number(struct buf *out, const char *key, int64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)v);
	put_record(out, key, slice_str(text));
}

bool
tar_put_header(struct buf *out, const struct tar_entry *e)
{
	bool folder = e->type == TAR_FOLDER;
	bool long_path = e->path.n > sizeof(((struct block *)0)->name);
	bool long_size = e->size > SIZE_MAX_OCTAL;
	bool odd_time = e->mtime < 0 || (uint64_t)e->mtime > SIZE_MAX_OCTAL;
	struct buf pax = BUF_INIT;

	if (long_path)
		put_record(&pax, "path", e->path);
	if (long_size)
		put_number(&pax, "size", (int64_t)e->size);
	if (odd_time)
		put_number(&pax, "mtime", e->mtime);
	if (pax.n > 0) {
		put_block(out, SLICE_LIT("PaxHeaders/pneu"), 'x', 0600, pax.n,
		    odd_time ? 0 : (uint64_t)e->mtime);
		buf_put_slice(out, buf_slice(&pax));
		tar_put_padding(out, pax.n);
	}
	if (pax.failed)
		out->failed = true;
	buf_clear(&pax);
	return put_block(out, e->path, folder ? '5' : '0', folder ? 0700 : 0600,
	    long_size ? 0 : e->size, odd_time ? 0 : (uint64_t)e->mtime);
}

bool
tar_put_padding(struct buf *out, uint64_t size)
{
	static const char zeros[TAR_BLOCK];
	size_t over = (size_t)(size % TAR_BLOCK);

	return over == 0 || buf_put(out, zeros, TAR_BLOCK - over);
}

bool
tar_put_end(struct buf *out)
{
	static const char zeros[2 * TAR_BLOCK];

	return buf_put(out, zeros, sizeof(zeros));
}

/* --- reading --- */

struct tar_reader {
	struct input *in;
	uint64_t left, padding; /* of the member */
	bool begun, ended, cut;
	/* What extended headers say of the next member. */
	struct buf path, link;
	bool has_path, has_link, has_size, has_mtime;
	uint64_t size;
	int64_t mtime;
};

int
tar_reader_new(struct tar_reader **out, struct input *in)
{
	struct tar_reader *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return -ENOMEM;
	r->in = in;
	r->path.max = r->link.max = TAR_PATH_MAX;
	*out = r;
	return 0;
}

void
tar_reader_free(struct tar_reader **out)
{
	struct tar_reader *r = *out;

	*out = NULL;
	if (r == NULL)
		return;
	buf_clear(&r->path);
	buf_clear(&r->link);
	free(r);
}

bool
tar_is_cut(const struct tar_reader *r)
{
	return r->cut;
}

/* Octal, with spaces before and NUL or a space behind; or, of GNU, big-endian
 * with the first bit set. */
static int
get_number(const char *field, size_t n, int64_t *out)
{
	uint64_t v = 0;
	size_t i = 0;

	if ((unsigned char)field[0] == 0xff ||
	    (unsigned char)field[0] == 0x80) {
		v = (unsigned char)field[0] == 0xff ? UINT64_MAX : 0;
		for (i = n - 8; i < n; i++)
			v = v << 8 | (unsigned char)field[i];
		*out = (int64_t)v;
		return 0;
	}
	while (i < n && field[i] == ' ')
		i++;
	for (; i < n && field[i] >= '0' && field[i] <= '7'; i++)
		v = v << 3 | (uint64_t)(field[i] - '0');
	if (i < n && field[i] != ' ' && field[i] != '\0')
		return -EBADMSG;
	*out = (int64_t)v;
	return 0;
}

static struct slice
get_text(const char *field, size_t n)
{
	return slice(field, strnlen(field, n));
}

static bool
is_zero(const struct block *b)
{
	static const struct block zero;

	return memcmp(b, &zero, sizeof(zero)) == 0;
}

static int
check_sum(const struct block *b)
{
	int64_t want, one, two;

	block_sums(b, &one, &two);
	if (get_number(b->sum, sizeof(b->sum), &want) != 0 ||
	    (want != one && want != two))
		return -EBADMSG;
	return 0;
}

/* 1, 0 at the end, or -errno. */
static int
read_block(struct tar_reader *r, struct block *b)
{
	struct slice s;
	int rc = input_peek(r->in, TAR_BLOCK, &s);

	if (rc != 0)
		return rc;
	if (s.n == 0 && r->begun) {
		r->cut = true;
		return 0;
	}
	if (s.n < TAR_BLOCK)
		return -EBADMSG;
	memcpy(b, s.p, TAR_BLOCK);
	input_consume(r->in, TAR_BLOCK);
	if (is_zero(b))
		return r->begun ? 0 : -EBADMSG;
	r->begun = true;
	rc = check_sum(b);
	return rc == 0 ? 1 : rc;
}

static int
pass_over(struct input *in, uint64_t n)
{
	struct slice s;
	size_t part;
	int rc;

	while (n > 0) {
		if ((rc = input_peek(in, 1, &s)) != 0)
			return rc;
		if (s.n == 0)
			return -EBADMSG;
		part = s.n < n ? s.n : (size_t)n;
		input_consume(in, part);
		n -= part;
	}
	return 0;
}

static uint64_t
padding_of(uint64_t size)
{
	return (TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK;
}

/* An extended header, whole. */
static int
read_whole(struct tar_reader *r, uint64_t size, struct buf *out)
{
	struct slice s;
	int rc;

	if (size > TAR_PAX_MAX)
		return -EBADMSG;
	while (out->n < size) {
		if ((rc = input_peek(r->in, 1, &s)) != 0)
			return rc;
		if (s.n == 0)
			return -EBADMSG;
		s = slice_head(s, (size_t)size - out->n);
		if (!buf_put_slice(out, s))
			return -ENOMEM;
		input_consume(r->in, s.n);
	}
	return pass_over(r->in, padding_of(size));
}

static int
keep_path(struct buf *to, bool *has, struct slice path)
{
	buf_reset(to);
	*has = true;
	return buf_put_slice(to, path) ? 0 : -EBADMSG;
}

/* Seconds, with or without a fraction; before 1970 with a sign. */
static int
pax_time(struct slice val, int64_t *out)
{
	bool negative = slice_starts(val, "-");
	uint64_t v;

	val = slice_from(val, negative);
	if (slice_u64(slice_split(&val, '.'), INT64_MAX, &v) != 0)
		return -EBADMSG;
	*out = negative ? -(int64_t)v : (int64_t)v;
	return 0;
}

static int
pax_record(struct tar_reader *r, struct slice key, struct slice val)
{
	if (slice_eq_str(key, "path"))
		return keep_path(&r->path, &r->has_path, val);
	if (slice_eq_str(key, "linkpath"))
		return keep_path(&r->link, &r->has_link, val);
	if (slice_eq_str(key, "size")) {
		r->has_size = true;
		return slice_u64(val, INT64_MAX, &r->size) == 0 ? 0 : -EBADMSG;
	}
	if (slice_eq_str(key, "mtime")) {
		r->has_mtime = true;
		return pax_time(val, &r->mtime);
	}
	return 0;
}

static int
pax_parse(struct tar_reader *r, struct slice text)
{
	struct slice digits, record;
	uint64_t n;
	ssize_t space;
	int rc;

	while (text.n > 0) {
		if ((space = slice_find(text, ' ')) < 0)
			return -EBADMSG;
		digits = slice_head(text, (size_t)space);
		if (slice_u64(digits, text.n, &n) != 0 ||
		    n < (size_t)space + 3 || text.p[n - 1] != '\n')
			return -EBADMSG;
		record = slice_head(text, (size_t)n - 1);
		record = slice_from(record, (size_t)space + 1);
		text = slice_from(text, (size_t)n);
		if (slice_find(record, '=') < 0)
			return -EBADMSG;
		digits = slice_split(&record, '=');
		if ((rc = pax_record(r, digits, record)) != 0)
			return rc;
	}
	return 0;
}

/* A header that tells of the next member. 1: it was one. */
static int
read_extended(struct tar_reader *r, const struct block *b, uint64_t size)
{
	struct buf text = BUF_INIT;
	int rc;

	if (b->type == '\0' || strchr("xLK", b->type) == NULL) {
		if (b->type != 'g' && b->type != 'V')
			return 0;
		rc = pass_over(r->in, size + padding_of(size));
		return rc == 0 ? 1 : rc;
	}
	rc = read_whole(r, size, &text);
	if (rc == 0 && b->type == 'x')
		rc = pax_parse(r, buf_slice(&text));
	else if (rc == 0 && b->type == 'L')
		rc = keep_path(
		    &r->path, &r->has_path, get_text(buf_str(&text), text.n));
	else if (rc == 0)
		rc = keep_path(
		    &r->link, &r->has_link, get_text(buf_str(&text), text.n));
	buf_clear(&text);
	return rc == 0 ? 1 : rc;
}

static enum tar_type
type_of(char type)
{
	switch (type) {
	case '0':
	case '\0':
	case '7':
		return TAR_FILE;
	case '5':
		return TAR_FOLDER;
	case '1':
		return TAR_HARD_LINK;
	default:
		return TAR_OTHER;
	}
}

/* ustar splits long names: prefix, '/', name. */
static int
entry_path(struct tar_reader *r, const struct block *b, struct tar_entry *out)
{
	struct slice prefix = get_text(b->prefix, sizeof(b->prefix));
	struct slice name = get_text(b->name, sizeof(b->name));
	int rc = 0;

	if (!r->has_path) {
		if (memcmp(b->magic, "ustar\0", 6) != 0)
			prefix.n = 0;
		rc = keep_path(&r->path, &r->has_path, prefix);
		if (prefix.n > 0)
			buf_put_char(&r->path, '/');
		if (!buf_put_slice(&r->path, name))
			rc = -ENOMEM;
	}
	if (!r->has_link)
		(void)keep_path(
		    &r->link, &r->has_link, get_text(b->link, sizeof(b->link)));
	out->path = buf_slice(&r->path);
	out->link = buf_slice(&r->link);
	return rc;
}

static int
entry_numbers(
    struct tar_reader *r, const struct block *b, struct tar_entry *out)
{
	int64_t size, mtime;
	int rc;

	if ((rc = get_number(b->size, sizeof(b->size), &size)) != 0 ||
	    (rc = get_number(b->mtime, sizeof(b->mtime), &mtime)) != 0)
		return rc;
	if (size < 0)
		return -EBADMSG;
	out->size = r->has_size ? r->size : (uint64_t)size;
	out->mtime = r->has_mtime ? r->mtime : mtime;
	/* Links, devices and folders have no octets, whatever is said. */
	if (b->type >= '1' && b->type <= '6')
		out->size = 0;
	return out->size > INT64_MAX - TAR_BLOCK ? -EBADMSG : 0;
}

int
tar_next(struct tar_reader *r, struct tar_entry *out)
{
	struct block b;
	int64_t size;
	int rc;

	if (r->ended)
		return 0;
	if ((rc = pass_over(r->in, r->left + r->padding)) != 0)
		return rc;
	r->left = r->padding = 0;
	r->has_path = r->has_link = r->has_size = r->has_mtime = false;
	do {
		if ((rc = read_block(r, &b)) <= 0) {
			r->ended = rc == 0;
			return rc;
		}
		if (get_number(b.size, sizeof(b.size), &size) != 0 ||
		    size < 0 || size > INT64_MAX - TAR_BLOCK)
			return -EBADMSG;
		rc = read_extended(r, &b, (uint64_t)size);
	} while (rc == 1);
	*out = (struct tar_entry){ .type = type_of(b.type) };
	if (rc != 0 || (rc = entry_path(r, &b, out)) != 0 ||
	    (rc = entry_numbers(r, &b, out)) != 0)
		return rc;
	/* Before there was a type for it, a folder was a name with a slash. */
	if (out->type == TAR_FILE && out->path.n > 0 &&
	    out->path.p[out->path.n - 1] == '/')
		out->type = TAR_FOLDER;
	r->left = out->size;
	r->padding = padding_of(out->size);
	return 1;
}

int
tar_read(struct tar_reader *r, struct slice *out)
{
	int rc = 0;

	*out = SLICE_EMPTY;
	if (r->left == 0)
		return 0;
	if ((rc = input_peek(r->in, 1, out)) != 0)
		return rc;
	if (out->n == 0)
		return -EBADMSG;
	*out =
	    slice_head(*out, r->left < INPUT_MAX ? (size_t)r->left : INPUT_MAX);
	input_consume(r->in, out->n);
	r->left -= out->n;
	return 0;
}
