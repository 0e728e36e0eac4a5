/* SPDX-License-Identifier: ISC */
/* One value of the configuration: from text or JSON, checked against its line
 * of the table. */
#include <errno.h>
#include <inttypes.h>

#include "common/base/conf_impl.h"

struct unit {
	const char *name;
	int64_t factor;
};

static const struct unit size_units[] = {
	{ "", 1 },
	{ "K", (int64_t)1 << 10 },
	{ "M", (int64_t)1 << 20 },
	{ "G", (int64_t)1 << 30 },
	{ "T", (int64_t)1 << 40 },
	{ NULL, 0 },
};

static const struct unit duration_units[] = {
	{ "ms", 1 },
	{ "s", 1000 },
	{ "m", 60 * 1000 },
	{ "h", 3600 * 1000 },
	{ "d", 24 * 3600 * 1000 },
	{ NULL, 0 },
};

/* --- what to say --- */

/* What the type is called, and an example where the default shows none. */
static const struct {
	const char *name, *example;
} type_words[] = {
	[CONF_STRING] = { "a string", NULL },
	[CONF_BOOL] = { "true or false", NULL },
	[CONF_INT] = { "an integer", "10" },
	[CONF_SIZE] = { "a size in octets", "\"64K\" or \"50M\"" },
	[CONF_DURATION] = { "a time with its unit",
	    "\"500ms\", \"30s\", "
	    "\"5m\", \"2h\" or \"5d\"" },
	[CONF_ENUM] = { "a choice", NULL },
	[CONF_LIST] = { "a list of strings", "[\"one\", \"two\"]" },
	[CONF_MAP] = { "names with strings", "{ \"name\": \"text\" }" },
};

static const char *
json_word(const json_t *j)
{
	switch (json_typeof(j)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "a list";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "a number";
	case JSON_REAL:
		return "a fraction";
	case JSON_NULL:
		return "null";
	default:
		return json_is_true(j) ? "true" : "false";
	}
}

static void
put_choices(const char *choices, struct buf *out)
{
	struct slice rest = slice_str(choices), one;

	while (rest.n > 0) {
		one = slice_split(&rest, '|');
		buf_printf(out, "\"%.*s\"%s", (int)one.n, one.p,
		    rest.n == 0                       ? ""
			: slice_find(rest, '|') == -1 ? " or "
						      : ", ");
	}
}

void
conf_expected(
    const struct conf_setting *s, const json_t *found, struct buf *why)
{
	buf_put_str(why, "expected ");
	if (s->type == CONF_ENUM)
		put_choices(s->choices, why);
	else
		buf_put_str(why, type_words[s->type].name);
	if (s->def[0] != '\0' && s->type == CONF_STRING)
		buf_printf(why, ", such as \"%s\"", s->def);
	else if (s->def[0] != '\0' && s->type == CONF_LIST)
		buf_printf(why, ", such as [\"%s\"]", s->def);
	else if (s->def[0] != '\0' && s->type == CONF_INT)
		buf_printf(why, ", such as %s", s->def);
	else if (type_words[s->type].example != NULL)
		buf_printf(why, ", such as %s", type_words[s->type].example);
	if (found != NULL)
		buf_printf(why, "; found %s", json_word(found));
}

static int
put_expected(const struct conf_setting *s, struct slice found, struct buf *why)
{
	conf_expected(s, NULL, why);
	buf_printf(
	    why, "; found \"%.*s\"", (int)slice_head(found, 80).n, found.p);
	return -EINVAL;
}

/* --- numbers --- */

static int
parse_units(struct slice text, const struct unit *units, int64_t *out)
{
	struct slice number = text, unit;
	uint64_t v;
	size_t i;

	for (i = 0; i < text.n && ascii_is_digit(text.p[i]); i++)
		;
	number.n = i;
	unit = slice_from(text, i);
	if (slice_u64(number, INT64_MAX, &v) != 0)
		return -EINVAL;
	if (v == 0 && unit.n == 0) {
		*out = 0; /* of any unit */
		return 0;
	}
	for (; units->name != NULL; units++)
		if (slice_eq_str_nocase(unit, units->name))
			return __builtin_mul_overflow(
				   (int64_t)v, units->factor, out)
			    ? -EINVAL
			    : 0;
	return -EINVAL;
}

static int
parse_int(struct slice text, int64_t *out)
{
	bool negative = text.n > 0 && text.p[0] == '-';
	uint64_t v;

	if (slice_u64(slice_from(text, negative), INT64_MAX, &v) != 0)
		return -EINVAL;
	*out = negative ? -(int64_t)v : (int64_t)v;
	return 0;
}

static void
put_units(int64_t v, const struct unit *units, struct buf *out)
{
	const struct unit *best = units;

	for (const struct unit *u = units; v != 0 && u->name != NULL; u++)
		if (v % u->factor == 0)
			best = u;
	buf_printf(out, "%" PRId64 "%s", v / best->factor, best->name);
}

void
conf_number_put(const struct conf_setting *s, int64_t v, struct buf *out)
{
	if (s->type == CONF_SIZE)
		put_units(v, size_units, out);
	else if (s->type == CONF_DURATION)
		put_units(v, duration_units, out);
	else
		buf_printf(out, "%" PRId64, v);
}

static int
check_range(const struct conf_setting *s, int64_t v, struct buf *why)
{
	if (s->min == 0 && s->max == 0)
		return 0;
	if (v >= s->min && (s->max == 0 || v <= s->max))
		return 0;
	conf_number_put(s, v, why);
	buf_put_str(why,
	    v < s->min ? " is below the minimum, " : " is above the maximum, ");
	conf_number_put(s, v < s->min ? s->min : s->max, why);
	return -EINVAL;
}

static int
parse_number(const struct conf_setting *s, struct slice text, int64_t *out,
    struct buf *why)
{
	int rc;

	if (s->type == CONF_INT)
		rc = parse_int(text, out);
	else
		rc = parse_units(text,
		    s->type == CONF_SIZE ? size_units : duration_units, out);
	if (rc != 0)
		return put_expected(s, text, why);
	return check_range(s, *out, why);
}

/* --- the others --- */

static int
parse_enum(const struct conf_setting *s, struct slice text, int64_t *out,
    struct buf *why)
{
	struct slice rest = slice_str(s->choices);

	for (int64_t i = 0; rest.n > 0; i++)
		if (slice_eq(slice_split(&rest, '|'), text)) {
			*out = i;
			return 0;
		}
	return put_expected(s, text, why);
}

static int
parse_bool(const struct conf_setting *s, struct slice text, int64_t *out,
    struct buf *why)
{
	*out = slice_eq_str(text, "true");
	if (*out == 0 && !slice_eq_str(text, "false"))
		return put_expected(s, text, why);
	return 0;
}

int
conf_string_check(struct slice text, struct buf *why)
{
	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)text.p[i] < ' ' || text.p[i] == 0x7f) {
			buf_put_str(why,
			    "a line break or another control "
			    "character is not allowed");
			return -EINVAL;
		}
	return 0;
}

int
conf_value_text(const struct conf_setting *s, struct slice text,
    struct arena *a, struct conf_value *out, struct buf *why)
{
	int rc;

	if ((rc = conf_string_check(text, why)) != 0)
		return rc;
	switch (s->type) {
	case CONF_STRING:
		out->str = arena_strdup(a, text);
		return out->str == NULL ? -ENOMEM : 0;
	case CONF_BOOL:
		return parse_bool(s, text, &out->num, why);
	case CONF_ENUM:
		return parse_enum(s, text, &out->num, why);
	default:
		return parse_number(s, text, &out->num, why);
	}
}

static bool
json_fits(const struct conf_setting *s, const json_t *j)
{
	switch (s->type) {
	case CONF_BOOL:
		return json_is_boolean(j);
	case CONF_INT:
		return json_is_integer(j);
	case CONF_SIZE:
		return json_is_integer(j) || json_is_string(j);
	case CONF_DURATION: /* a bare number has no unit; 0 needs none */
		return json_is_string(j) ||
		    (json_is_integer(j) && json_integer_value(j) == 0);
	default:
		return json_is_string(j);
	}
}

int
conf_value_json(const struct conf_setting *s, const json_t *j, struct arena *a,
    struct conf_value *out, struct buf *why)
{
	char number[32];
	struct slice text;

	if (!json_fits(s, j)) {
		conf_expected(s, j, why);
		return -EINVAL;
	}
	if (json_is_boolean(j)) {
		out->num = json_is_true(j);
		return 0;
	}
	if (json_is_integer(j)) {
		snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT,
		    json_integer_value(j));
		text = slice_str(number);
	} else {
		text = slice(json_string_value(j), json_string_length(j));
	}
	return conf_value_text(s, text, a, out, why);
}

int
conf_list_new(struct arena *a, bool map, size_t n, struct conf_value *out)
{
	out->n = 0;
	out->list = arena_array(a, n + 1, sizeof(*out->list));
	out->map_values =
	    map ? arena_array(a, n + 1, sizeof(*out->list)) : NULL;
	if (out->list == NULL || (map && out->map_values == NULL))
		return -ENOMEM;
	return 0;
}
