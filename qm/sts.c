/* SPDX-License-Identifier: ISC */
#include "qm/sts.h"

#include <errno.h>

/* --- both: key and value --- */

static bool
is_word(struct slice s, size_t max)
{
	for (size_t i = 0; i < s.n; i++)
		if (!((s.p[i] >= '0' && s.p[i] <= '9') ||
			(s.p[i] >= 'a' && s.p[i] <= 'z') ||
			(s.p[i] >= 'A' && s.p[i] <= 'Z')))
			return false;
	return s.n > 0 && s.n <= max;
}

/* "key<delim>value"; false: no delimiter, or no key. */
static bool
split(struct slice field, char delim, struct slice *key, struct slice *value)
{
	ssize_t at = slice_find(field, delim);

	if (at <= 0)
		return false;
	*key = slice_trim(slice_head(field, (size_t)at));
	*value = slice_trim(slice_from(field, (size_t)at + 1));
	return key->n > 0;
}

/* --- the record --- */

int
sts_txt_parse(struct slice txt, struct slice *id)
{
	struct slice key, value, field = slice_trim(slice_split(&txt, ';'));
	bool have = false;

	/* The version is first, and as it is here (3.1). */
	if (!slice_eq_str(field, "v=STSv1"))
		return -ENOENT;
	while (txt.n > 0) {
		field = slice_trim(slice_split(&txt, ';'));
		if (field.n == 0)
			continue;
		if (!split(field, '=', &key, &value))
			return -EINVAL;
		if (have || !slice_eq_str(key, "id"))
			continue;
		if (!is_word(value, STS_ID_MAX))
			return -EINVAL;
		*id = value;
		have = true;
	}
	return have ? 0 : -EINVAL;
}

/* --- the policy --- */

static int
mode_parse(struct slice value, enum sts_mode *out)
{
	static const char *const names[] = {
		[STS_NONE] = "none",
		[STS_TESTING] = "testing",
		[STS_ENFORCE] = "enforce",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (slice_eq_str(value, names[i])) {
			*out = (enum sts_mode)i;
			return 0;
		}
	return -EINVAL;
}

static int
age_parse(struct slice value, int64_t *out)
{
	uint64_t n;

	/* Ten digits by the grammar, of which more is asked than allowed. */
	if (value.n > 10 || slice_u64(value, UINT64_MAX, &n) != 0)
		return -EINVAL;
	*out = n > STS_AGE_MAX ? STS_AGE_MAX : (int64_t)n;
	return 0;
}

static int
mx_parse(struct slice value, struct sts_policy *out)
{
	struct slice name = value;

	if (slice_starts(name, "*."))
		name = slice_from(name, 2);
	if (name.n == 0 || name.n > 255 || name.p[0] == '.')
		return -EINVAL;
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] >= 0x7f || name.p[i] == '*')
			return -EINVAL;
	if (out->n_mx == STS_MX_MAX)
		return -EINVAL;
	out->mx[out->n_mx++] = value;
	return 0;
}

enum { HAVE_VERSION = 1, HAVE_MODE = 2, HAVE_AGE = 4, HAVE_ALL = 7 };

/* One field; of those that stand once the first counts. */
static int
field_parse(struct slice key, struct slice value, struct sts_policy *out,
    unsigned *have)
{
	unsigned before = *have;

	if (slice_eq_str(key, "mx"))
		return mx_parse(value, out);
	if (slice_eq_str(key, "version") && !(before & HAVE_VERSION)) {
		*have |= HAVE_VERSION;
		return slice_eq_str(value, "STSv1") ? 0 : -EINVAL;
	}
	if (slice_eq_str(key, "mode") && !(before & HAVE_MODE)) {
		*have |= HAVE_MODE;
		return mode_parse(value, &out->mode);
	}
	if (slice_eq_str(key, "max_age") && !(before & HAVE_AGE)) {
		*have |= HAVE_AGE;
		return age_parse(value, &out->max_age_s);
	}
	return 0;
}

int
sts_policy_parse(struct slice text, struct sts_policy *out)
{
	struct slice line, key, value;
	unsigned have = 0;

	*out = (struct sts_policy){ .mode = STS_NONE };
	while (text.n > 0) {
		line = slice_split(&text, '\n');
		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line = slice_head(line, line.n - 1);
		line = slice_trim(line);
		if (line.n == 0)
			continue;
		if (!split(line, ':', &key, &value) ||
		    field_parse(key, value, out, &have) != 0)
			return -EINVAL;
	}
	if (have != HAVE_ALL || (out->mode != STS_NONE && out->n_mx == 0))
		return -EINVAL;
	return 0;
}

bool
sts_policy_fits(const struct sts_policy *p, struct slice host)
{
	ssize_t dot = slice_find(host, '.');

	for (size_t i = 0; i < p->n_mx; i++) {
		struct slice mx = p->mx[i], name = host;

		/* "*" is one label, the first (4.1). */
		if (slice_starts(mx, "*.")) {
			if (dot <= 0)
				continue;
			mx = slice_from(mx, 2);
			name = slice_from(host, (size_t)dot + 1);
		}
		if (name.n > 0 && slice_eq_nocase(mx, name))
			return true;
	}
	return false;
}
