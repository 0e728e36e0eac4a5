/* SPDX-License-Identifier: ISC */
/*
 * The effective configuration for people and for machines. What people get is
 * a configuration file again, with the origins as comments.
 */
#include <assert.h>
#include <stdlib.h>

#include "common/base/conf_impl.h"

static json_t *
value_json(const struct conf_setting *s, const struct conf_value *v)
{
	struct buf text = BUF_INIT;
	struct slice rest;
	json_t *j = NULL;

	switch (s->type) {
	case CONF_STRING:
		return json_string(v->str);
	case CONF_BOOL:
		return json_boolean(v->num);
	case CONF_INT:
		return json_integer(v->num);
	case CONF_SIZE:
	case CONF_DURATION:
		conf_number_put(s, v->num, &text);
		j = json_string(buf_str(&text));
		buf_clear(&text);
		return j;
	case CONF_ENUM:
		rest = slice_str(s->choices);
		for (int64_t i = 0; i < v->num; i++)
			slice_split(&rest, '|');
		rest = slice_split(&rest, '|');
		return json_stringn(rest.p, rest.n);
	case CONF_LIST:
		j = json_array();
		for (size_t i = 0; i < v->n; i++)
			json_array_append_new(j, json_string(v->list[i]));
		return j;
	case CONF_MAP:
		j = json_object();
		for (size_t i = 0; i < v->n; i++)
			json_object_set_new(
			    j, v->list[i], json_string(v->map_values[i]));
		return j;
	}
	return NULL;
}

static void
put_json(const json_t *j, size_t flags, struct buf *out)
{
	char *text = json_dumps(j, JSON_ENCODE_ANY | flags);

	if (text != NULL)
		buf_put_str(out, text);
	else
		out->failed = true;
	free(text);
}

/* "default", "option" or "file:line". */
static void
put_origin(const struct conf *c, const struct conf_slot *slot, struct buf *out)
{
	if (slot->origin == CONF_FROM_FILE)
		buf_printf(out, "%s:%u", c->path, slot->line);
	else
		buf_put_str(
		    out, slot->origin == CONF_DEFAULT ? "default" : "option");
}

static void
show_json(const struct conf *c, struct buf *out)
{
	struct buf origin = BUF_INIT;
	json_t *all = json_object();

	for (size_t i = 0; conf_settings[i].name != NULL; i++) {
		json_t *one = json_object();

		buf_reset(&origin);
		put_origin(c, &c->slots[i], &origin);
		json_object_set_new(one, "value",
		    value_json(&conf_settings[i], &c->slots[i].v));
		json_object_set_new(
		    one, "origin", json_string(buf_str(&origin)));
		json_object_set_new(all, conf_settings[i].name, one);
	}
	put_json(all, JSON_INDENT(2), out);
	buf_put_char(out, '\n');
	json_decref(all);
	buf_clear(&origin);
}

/* Length of "mta" in "mta.listen"; 0 for a setting outside of sections. */
static size_t
section_len(const struct conf_setting *s)
{
	const char *dot = s->name != NULL ? strchr(s->name, '.') : NULL;

	return dot != NULL ? (size_t)(dot - s->name) : 0;
}

static bool
same_section(const struct conf_setting *a, const struct conf_setting *b)
{
	size_t n = section_len(a);

	return n == section_len(b) &&
	    (n == 0 || strncmp(a->name, b->name, n) == 0);
}

#define ORIGIN_COLUMN 48

static void
show_line(const struct conf *c, size_t i, struct buf *out)
{
	const struct conf_setting *s = &conf_settings[i];
	size_t n = section_len(s), start = out->n, width;
	json_t *j = value_json(s, &c->slots[i].v);

	buf_printf(out, "%s\"%s\": ", n > 0 ? "\t\t" : "\t",
	    s->name + (n > 0 ? n + 1 : 0));
	put_json(j, 0, out);
	buf_put_char(out, ',');
	json_decref(j);
	width = out->n - start + 7 * (n > 0 ? 2 : 1);
	buf_printf(out, "%*s # ",
	    width < ORIGIN_COLUMN ? (int)(ORIGIN_COLUMN - width) : 0, "");
	put_origin(c, &c->slots[i], out);
	buf_put_char(out, '\n');
}

static void
show_text(const struct conf *c, struct buf *out)
{
	static const struct conf_setting none = { .name = "" };
	const struct conf_setting *last = &none, *s;

	buf_put_str(out, "{\n");
	for (size_t i = 0; conf_settings[i].name != NULL; i++) {
		s = &conf_settings[i];
		if (!same_section(last, s)) {
			if (section_len(last) > 0)
				buf_put_str(out, "\t},\n");
			buf_printf(out, "\t\"%.*s\": {\n", (int)section_len(s),
			    s->name);
		}
		show_line(c, i, out);
		last = s;
	}
	buf_put_str(out, section_len(last) > 0 ? "\t},\n}\n" : "}\n");
}

void
conf_show(const struct conf *c, bool json, struct buf *out)
{
	if (json)
		show_json(c, out);
	else
		show_text(c, out);
}
