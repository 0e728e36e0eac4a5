/* SPDX-License-Identifier: ISC */
/* The configuration's file: read, walked in the order of its text, every fault
 * reported with its place. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/conf_impl.h"

#define TEXT_MAX ((size_t)1 << 20)
#define NAME_MAX_SHOWN 100

struct parse {
	const char *name; /* of the file, for messages */
	struct conf *c;
	struct conf_index ix;
	struct buf *err;
	bool failed;
};

static void fault(struct parse *p, struct conf_pos at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void
fault(struct parse *p, struct conf_pos at, const char *fmt, ...)
{
	va_list ap;

	p->failed = true;
	buf_printf(p->err, "%s:%u:%u: ", p->name, at.line, at.col);
	va_start(ap, fmt);
	buf_vprintf(p->err, fmt, ap);
	va_end(ap);
	buf_put_char(p->err, '\n');
}

/* --- settings --- */

/* The first member of the same name in the same object, or `node` itself. */
static size_t
first_of_name(const struct parse *p, size_t node)
{
	const struct conf_node *n = p->ix.nodes;

	for (size_t i = n[node].parent + 1; i < node; i++)
		if (n[i].parent == n[node].parent &&
		    strcmp(n[i].key, n[node].key) == 0)
			return i;
	return node;
}

static bool
is_duplicate(struct parse *p, size_t node, const char *name)
{
	size_t first = first_of_name(p, node);

	if (first == node)
		return false;
	fault(p, p->ix.nodes[node].key_at,
	    "%s: stands here twice; the first "
	    "is in line %u",
	    name, p->ix.nodes[first].key_at.line);
	return true;
}

static void
report(struct parse *p, struct conf_pos at, const char *name, int rc,
    struct buf *why)
{
	if (rc != 0)
		fault(p, at, "%s: %s", name,
		    rc == -EINVAL ? buf_str(why) : strerror(-rc));
	buf_clear(why);
}

/* One string of a list or map, whose node is `node`. */
static const char *
parse_element(struct parse *p, size_t node, const char *name, const json_t *j)
{
	struct conf_setting s = { .type = CONF_STRING, .def = "" };
	struct conf_value v = { 0 };
	struct buf why = BUF_INIT;
	int rc = conf_value_json(&s, j, &p->c->arena, &v, &why);

	report(p, p->ix.nodes[node].value_at, name, rc, &why);
	return rc == 0 ? v.str : NULL;
}

/* The next node directly inside `parent`, after `at`; or CONF_NO_NODE. */
static size_t
next_child(const struct parse *p, size_t parent, size_t at)
{
	for (at++; at < p->ix.n; at++) {
		if (p->ix.nodes[at].parent == parent)
			return at;
		if (parent != CONF_NO_NODE &&
		    (p->ix.nodes[at].parent == CONF_NO_NODE ||
			p->ix.nodes[at].parent < parent))
			break;
	}
	return CONF_NO_NODE;
}

static void
parse_list(struct parse *p, size_t node, const struct conf_setting *s,
    const json_t *j, struct conf_value *out)
{
	size_t child = node, n = json_is_array(j) ? json_array_size(j) : 1;
	char name[NAME_MAX_SHOWN];
	struct buf why = BUF_INIT;
	const char *one;

	if (!json_is_array(j) && !json_is_string(j)) {
		conf_expected(s, j, &why);
		report(p, p->ix.nodes[node].value_at, s->name, -EINVAL, &why);
		return;
	}
	if (json_is_string(j) && json_string_length(j) == 0)
		n = 0;
	if (conf_list_new(&p->c->arena, false, n, out) != 0) {
		report(p, p->ix.nodes[node].key_at, s->name, -ENOMEM, &why);
		return;
	}
	if (json_is_string(j) && n == 1) {
		out->list[out->n++] = parse_element(p, node, s->name, j);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		child = next_child(p, node, child);
		snprintf(name, sizeof(name), "%s[%zu]", s->name, i);
		one = parse_element(p, child, name, json_array_get(j, i));
		if (one != NULL)
			out->list[out->n++] = one;
	}
}

static void
parse_map(struct parse *p, size_t node, const struct conf_setting *s,
    const json_t *j, struct conf_value *out)
{
	const struct conf_node *n = p->ix.nodes;
	char name[NAME_MAX_SHOWN];
	struct buf why = BUF_INIT;
	size_t i = node;

	if (!json_is_object(j)) {
		conf_expected(s, j, &why);
		report(p, n[node].value_at, s->name, -EINVAL, &why);
		return;
	}
	if (conf_list_new(&p->c->arena, true, json_object_size(j), out) != 0) {
		report(p, n[node].key_at, s->name, -ENOMEM, &why);
		return;
	}
	while ((i = next_child(p, node, i)) != CONF_NO_NODE) {
		snprintf(name, sizeof(name), "%s.%s", s->name, n[i].key);
		if (is_duplicate(p, i, name))
			continue;
		out->map_values[out->n] =
		    parse_element(p, i, name, json_object_get(j, n[i].key));
		out->list[out->n++] = n[i].key;
	}
}

static void
unknown(struct parse *p, size_t node, const char *name)
{
	struct conf_pos at = p->ix.nodes[node].key_at;
	struct slice near = conf_nearest(name);
	const char *dot = strchr(p->ix.nodes[node].key, '.');

	if (dot != NULL && conf_setting_find(name) != NULL)
		fault(p, at, "%s: write it as \"%.*s\": { \"%s\": ... }", name,
		    (int)(dot - name), name, dot + 1);
	else if (near.n > 0)
		fault(p, at, "%s: unknown setting; did you mean %.*s?", name,
		    (int)near.n, near.p);
	else
		fault(p, at, "%s: unknown setting", name);
}

static void
parse_setting(struct parse *p, size_t node, const char *name, const json_t *j)
{
	const struct conf_setting *s = conf_setting_find(name);
	struct conf_slot *slot;
	struct conf_value v = { 0 };
	struct buf why = BUF_INIT;
	int rc;

	/* A name with a dot of its own is no way to write two levels. */
	if (s == NULL || strchr(p->ix.nodes[node].key, '.') != NULL) {
		unknown(p, node, name);
		return;
	}
	if (s->type == CONF_LIST) {
		parse_list(p, node, s, j, &v);
	} else if (s->type == CONF_MAP) {
		parse_map(p, node, s, j, &v);
	} else {
		rc = conf_value_json(s, j, &p->c->arena, &v, &why);
		report(p, p->ix.nodes[node].value_at, s->name, rc, &why);
	}
	slot = &p->c->slots[s - conf_settings];
	slot->v = v;
	slot->origin = CONF_FROM_FILE;
	slot->line = p->ix.nodes[node].key_at.line;
}

static void
parse_section(struct parse *p, size_t node, const json_t *section)
{
	const struct conf_node *n = p->ix.nodes;
	char name[NAME_MAX_SHOWN];
	size_t i = node;

	if (!json_is_object(section)) {
		fault(p, n[node].value_at,
		    "%s: this is a section; expected "
		    "{ \"setting\": value, ... }",
		    n[node].key);
		return;
	}
	while ((i = next_child(p, node, i)) != CONF_NO_NODE) {
		snprintf(name, sizeof(name), "%s.%s", n[node].key, n[i].key);
		if (!is_duplicate(p, i, name))
			parse_setting(
			    p, i, name, json_object_get(section, n[i].key));
	}
}

static void
parse_root(struct parse *p, const json_t *root)
{
	const struct conf_node *n = p->ix.nodes;
	size_t i = CONF_NO_NODE;

	while ((i = next_child(p, CONF_NO_NODE, i)) != CONF_NO_NODE) {
		const json_t *j = json_object_get(root, n[i].key);

		if (is_duplicate(p, i, n[i].key))
			continue;
		if (conf_is_section(n[i].key))
			parse_section(p, i, j);
		else if (json_is_object(j) &&
		    conf_setting_find(n[i].key) == NULL)
			unknown(p, i, n[i].key);
		else
			parse_setting(p, i, n[i].key, j);
	}
}

/* --- text --- */

/*
 * jansson's place is the end of the token that it stumbled over, and the token
 * stands in its message: "... near 'token'". Say where it begins.
 */
static struct conf_pos
syntax_pos(const json_error_t *e, struct slice text)
{
	const char *near = strstr(e->text, " near '");
	size_t at = e->position > 0 ? (size_t)e->position : 0, n = 0;
	struct conf_pos pos = { 1, 1 };

	if (near != NULL) {
		near += strlen(" near '");
		n = strlen(near) - 1; /* without the quote at the end */
	}
	if (strstr(e->text, "near end of file") != NULL) {
		while (text.n > 0 && ascii_is_space(text.p[text.n - 1]))
			text.n--;
		at = text.n;
	} else if (n > 0 && n <= at && at <= text.n &&
	    memcmp(text.p + at - n, near, n) == 0) {
		at -= n;
	}
	for (size_t i = 0; i < at && i < text.n; i++)
		conf_pos_next(&pos, text.p[i]);
	return pos;
}

static void
syntax_fault(struct parse *p, const json_error_t *e, struct slice text)
{
	struct conf_pos at = syntax_pos(e, text);

	if (strncmp(e->text, "'}' expected", 12) == 0)
		fault(p, at, "',' or '}' expected%s", e->text + 12);
	else if (strncmp(e->text, "']' expected", 12) == 0)
		fault(p, at, "',' or ']' expected%s", e->text + 12);
	else if (strncmp(e->text, "'[' or '{' expected", 19) == 0)
		fault(p, at, "'{' expected%s", e->text + 19);
	else
		fault(p, at, "%s", e->text);
}

static bool
is_blank(struct slice text)
{
	return slice_trim(text).n == 0;
}

/* `text` is ours and is changed. */
static void
parse_text(struct parse *p, char *text, size_t n)
{
	struct conf_pos at = { 1, 1 };
	json_error_t e;
	json_t *root;
	int rc;

	if (!conf_text_blank(text, n, &at)) {
		fault(p, at, "nested too deep");
		return;
	}
	if (is_blank(slice(text, n)))
		return; /* all defaults */
	if ((root = json_loadb(text, n, 0, &e)) == NULL) {
		syntax_fault(p, &e, slice(text, n));
		return;
	}
	rc = conf_text_index(slice(text, n), &p->c->arena, &p->ix);
	if (rc != 0)
		fault(p, (struct conf_pos){ 1, 1 }, "%s",
		    rc == -E2BIG ? "too many settings" : strerror(-rc));
	else if (!json_is_object(root))
		fault(p, (struct conf_pos){ 1, 1 },
		    "expected an object, "
		    "{ \"setting\": value, ... }");
	else
		parse_root(p, root);
	json_decref(root);
}

static struct conf *
conf_parse_at(
    const char *path, const char *name, struct slice text, struct buf *err)
{
	struct parse p = { .name = name, .err = err };
	char *copy = slice_strdup(text);

	p.c = conf_new(path);
	if (text.n > TEXT_MAX) {
		p.failed = true;
		buf_printf(err, "%s: larger than 1 MiB\n", name);
	} else if (copy == NULL || p.c == NULL) {
		p.failed = true;
		buf_printf(err, "%s: %s\n", name, strerror(ENOMEM));
	} else {
		parse_text(&p, copy, text.n);
	}
	if (!p.failed && conf_resolve_files(p.c) != 0) {
		p.failed = true;
		buf_printf(err, "%s: %s\n", name, strerror(ENOMEM));
	}
	free(copy);
	if (p.failed)
		conf_free(&p.c);
	return p.c;
}

struct conf *
conf_parse(const char *name, struct slice text, struct buf *err)
{
	return conf_parse_at(name, name, text, err);
}

static int
read_file(const char *path, struct buf *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t n = 0;
	int rc = 0;

	if (fd == -1)
		return -errno;
	while (rc == 0 && out->n <= TEXT_MAX) {
		if (!buf_reserve(out, 4096)) {
			rc = -ENOMEM;
			break;
		}
		n = read(fd, out->p + out->n, 4096);
		if (n <= 0) {
			rc = n == -1 ? -errno : 0;
			break;
		}
		out->n += (size_t)n;
	}
	close(fd);
	return rc;
}

struct conf *
conf_load(const char *path, struct buf *err)
{
	struct buf text = BUF_INIT;
	struct conf *c = NULL;
	int rc;

	if (path == NULL)
		return conf_parse_at(NULL, "defaults", SLICE_EMPTY, err);
	if ((rc = read_file(path, &text)) != 0)
		buf_printf(err, "%s: %s\n", path, strerror(-rc));
	else
		c = conf_parse_at(path, path, buf_slice(&text), err);
	buf_clear(&text);
	return c;
}
