/* SPDX-License-Identifier: ISC */
/* The configuration as the programs ask for it: defaults, values, paths and
 * changes from the command line. Reading the file is in conf_parse.c. */
#include "common/base/conf.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/conf_impl.h"

/* --- the table --- */

size_t
conf_settings_count(void)
{
	size_t n = 0;

	while (conf_settings[n].name != NULL)
		n++;
	return n;
}

const struct conf_setting *
conf_setting_find(const char *name)
{
	const struct conf_setting *s;

	for (s = conf_settings; s->name != NULL; s++)
		if (strcmp(s->name, name) == 0)
			return s;
	return NULL;
}

bool
conf_is_section(const char *name)
{
	size_t n = strlen(name);
	const struct conf_setting *s;

	if (strchr(name, '.') != NULL)
		return false;
	for (s = conf_settings; s->name != NULL; s++)
		if (strncmp(s->name, name, n) == 0 && s->name[n] == '.')
			return true;
	return false;
}

#define NEAR_NAME_MAX 64

/* Levenshtein's: how many letters to insert, delete or replace. */
static size_t
edit_distance(struct slice a, struct slice b)
{
	size_t row[NEAR_NAME_MAX + 1], diagonal, above;

	for (size_t j = 0; j <= b.n; j++)
		row[j] = j;
	for (size_t i = 1; i <= a.n; i++) {
		diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= b.n; j++) {
			above = row[j];
			row[j] = diagonal + (a.p[i - 1] != b.p[j - 1]);
			if (above + 1 < row[j])
				row[j] = above + 1;
			if (row[j - 1] + 1 < row[j])
				row[j] = row[j - 1] + 1;
			diagonal = above;
		}
	}
	return row[b.n];
}

static struct slice
last_part(const char *name)
{
	const char *dot = strrchr(name, '.');

	return slice_str(dot != NULL ? dot + 1 : name);
}

static struct slice
section_of(const char *name)
{
	const char *dot = strchr(name, '.');

	return slice(name, dot != NULL ? (size_t)(dot - name) : 0);
}

/* Make `candidate` the best where it is nearer than `limit`. */
static void
nearer(
    struct slice in, struct slice candidate, size_t *limit, struct slice *best)
{
	size_t d = edit_distance(in, candidate);

	if (d < *limit && candidate.n > 0) {
		*limit = d;
		*best = candidate;
	}
}

/* The right name in the wrong section. */
static struct slice
nearest_elsewhere(const char *name)
{
	struct slice in = slice_str(name), best = SLICE_EMPTY;
	size_t limit = SIZE_MAX;
	const struct conf_setting *s;

	for (s = conf_settings; s->name != NULL; s++)
		if (slice_eq(last_part(s->name), last_part(name)))
			nearer(in, slice_str(s->name), &limit, &best);
	return best;
}

struct slice
conf_nearest(const char *name)
{
	struct slice in = slice_str(name), best = SLICE_EMPTY;
	size_t limit = last_part(name).n / 3 + 1;
	const struct conf_setting *s;

	if (in.n > NEAR_NAME_MAX)
		return best;
	for (s = conf_settings; s->name != NULL; s++) {
		nearer(in, slice_str(s->name), &limit, &best);
		if (section_of(name).n == 0)
			nearer(in, section_of(s->name), &limit, &best);
	}
	return best.n > 0 ? best : nearest_elsewhere(name);
}

/* --- making one --- */

/* The folder of `path`, absolute, without its last slash unless it is all. */
static const char *
folder_of(struct arena *a, const char *path)
{
	const char *slash = path != NULL ? strrchr(path, '/') : NULL;
	struct slice dir = slice(path, slash != NULL ? slash - path : 0);
	const char *result;
	char *cwd;

	if (slash != NULL && path[0] == '/')
		return slash == path ? "/" : arena_strdup(a, dir);
	if ((cwd = getcwd(NULL, 0)) == NULL)
		return "/"; /* the folder was removed under us */
	if (slash == NULL)
		result = arena_strdup(a, slice_str(cwd));
	else
		result = arena_printf(a, "%s/%.*s", cwd, (int)dir.n, dir.p);
	free(cwd);
	return result;
}

static int set_text(struct conf *c, const struct conf_setting *s,
    struct slice text, struct conf_value *out, struct buf *why);

static int
set_defaults(struct conf *c)
{
	struct buf why = BUF_INIT;
	int rc;

	for (size_t i = 0; conf_settings[i].name != NULL; i++) {
		c->slots[i].v.str = "";
		rc = set_text(c, &conf_settings[i],
		    slice_str(conf_settings[i].def), &c->slots[i].v, &why);
		assert(rc != -EINVAL);
		if (rc != 0)
			return rc;
	}
	return 0;
}

struct conf *
conf_new(const char *path)
{
	struct conf *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->slots = calloc(conf_settings_count(), sizeof(*c->slots));
	c->dir = folder_of(&c->arena, path);
	if (path != NULL)
		c->path = arena_strdup(&c->arena, slice_str(path));
	if (c->slots == NULL || c->dir == NULL ||
	    (path != NULL && c->path == NULL) || set_defaults(c) != 0)
		conf_free(&c);
	return c;
}

void
conf_free(struct conf **c)
{
	if (*c == NULL)
		return;
	arena_reset(&(*c)->arena);
	free((*c)->slots);
	free(*c);
	*c = NULL;
}

/* --- asking --- */

static const struct conf_slot *
slot_of(const struct conf *c, const char *name, enum conf_type type)
{
	const struct conf_setting *s = conf_setting_find(name);

	assert(s != NULL);
	assert(s->type == type);
	return &c->slots[s - conf_settings];
}

const char *
conf_path(const struct conf *c)
{
	return c->path;
}

const char *
conf_str(const struct conf *c, const char *name)
{
	return slot_of(c, name, CONF_STRING)->v.str;
}

bool
conf_bool(const struct conf *c, const char *name)
{
	return slot_of(c, name, CONF_BOOL)->v.num != 0;
}

int64_t
conf_int(const struct conf *c, const char *name)
{
	return slot_of(c, name, CONF_INT)->v.num;
}

size_t
conf_size(const struct conf *c, const char *name)
{
	return (size_t)slot_of(c, name, CONF_SIZE)->v.num;
}

int64_t
conf_duration_ms(const struct conf *c, const char *name)
{
	return slot_of(c, name, CONF_DURATION)->v.num;
}

int
conf_enum(const struct conf *c, const char *name)
{
	return (int)slot_of(c, name, CONF_ENUM)->v.num;
}

const char *const *
conf_list(const struct conf *c, const char *name, size_t *n)
{
	const struct conf_value *v = &slot_of(c, name, CONF_LIST)->v;

	*n = v->n;
	return v->list;
}

const char *
conf_map(const struct conf *c, const char *name, const char *key)
{
	const struct conf_value *v = &slot_of(c, name, CONF_MAP)->v;

	for (size_t i = 0; i < v->n; i++)
		if (strcmp(v->list[i], key) == 0)
			return v->map_values[i];
	return NULL;
}

const char *const *
conf_map_keys(const struct conf *c, const char *name, size_t *n)
{
	const struct conf_value *v = &slot_of(c, name, CONF_MAP)->v;

	*n = v->n;
	return v->list;
}

/* --- paths --- */

static const char *
join(struct arena *a, const char *dir, const char *path)
{
	if (path[0] == '\0')
		return "";
	if (path[0] == '/')
		return path;
	if (strcmp(path, ".") == 0)
		return dir;
	return arena_printf(
	    a, "%s%s%s", dir, strcmp(dir, "/") == 0 ? "" : "/", path);
}

int
conf_resolve_files(struct conf *c)
{
	const struct conf_setting *data = conf_setting_find("data_dir");
	struct conf_slot *slot = &c->slots[data - conf_settings];

	slot->file = join(&c->arena, c->dir, slot->v.str);
	if (slot->file == NULL)
		return -ENOMEM;
	for (size_t i = 0; conf_settings[i].name != NULL; i++) {
		bool top = strcmp(conf_settings[i].name, "run_dir") == 0;

		if (conf_settings[i].type != CONF_STRING ||
		    &conf_settings[i] == data)
			continue;
		c->slots[i].file = join(
		    &c->arena, top ? c->dir : slot->file, c->slots[i].v.str);
		if (c->slots[i].file == NULL)
			return -ENOMEM;
	}
	return 0;
}

const char *
conf_file(const struct conf *c, const char *name)
{
	return slot_of(c, name, CONF_STRING)->file;
}

const char *
conf_resolve(const struct conf *c, struct arena *a, const char *path)
{
	return join(a, conf_file(c, "data_dir"), path);
}

/* --- changing --- */

static int
set_list(
    struct conf *c, struct slice text, struct conf_value *out, struct buf *why)
{
	struct slice rest = text;
	size_t n = text.n > 0;
	int rc;

	for (size_t i = 0; i < text.n; i++)
		n += text.p[i] == ',';
	if ((rc = conf_list_new(&c->arena, false, n, out)) != 0 ||
	    (rc = conf_string_check(text, why)) != 0)
		return rc;
	while (rest.n > 0) {
		out->list[out->n] = arena_strdup(
		    &c->arena, slice_trim(slice_split(&rest, ',')));
		if (out->list[out->n++] == NULL)
			return -ENOMEM;
	}
	return 0;
}

static int
set_map(
    struct conf *c, struct slice text, struct conf_value *out, struct buf *why)
{
	struct conf_value pairs = { 0 };
	int rc = set_list(c, text, &pairs, why);

	if (rc != 0 || (rc = conf_list_new(&c->arena, true, pairs.n, out)) != 0)
		return rc;
	for (size_t i = 0; i < pairs.n; i++) {
		struct slice value = slice_str(pairs.list[i]);
		struct slice key = slice_split(&value, '=');

		if (key.n + 1 + value.n != strlen(pairs.list[i]) ||
		    key.n == 0) {
			buf_put_str(why, "expected NAME=TEXT,NAME=TEXT...");
			return -EINVAL;
		}
		out->list[i] = arena_strdup(&c->arena, key);
		out->map_values[i] = arena_strdup(&c->arena, value);
		if (out->list[i] == NULL || out->map_values[i] == NULL)
			return -ENOMEM;
		out->n++;
	}
	return 0;
}

static int
set_text(struct conf *c, const struct conf_setting *s, struct slice text,
    struct conf_value *out, struct buf *why)
{
	if (s->type == CONF_LIST)
		return set_list(c, text, out, why);
	if (s->type == CONF_MAP)
		return set_map(c, text, out, why);
	return conf_value_text(s, text, &c->arena, out, why);
}

int
conf_set(struct conf *c, const char *name, const char *value, struct buf *err)
{
	const struct conf_setting *s = conf_setting_find(name);
	struct conf_value v = { .str = "" };
	struct buf why = BUF_INIT;
	struct slice near;
	int rc;

	if (s == NULL) {
		near = conf_nearest(name);
		buf_printf(err, "%s: unknown setting%s%.*s%s\n", name,
		    near.n > 0 ? "; did you mean " : "", (int)near.n, near.p,
		    near.n > 0 ? "?" : "");
		return -EINVAL;
	}
	rc = set_text(c, s, slice_str(value), &v, &why);
	if (rc == 0) {
		c->slots[s - conf_settings] =
		    (struct conf_slot){ .v = v, .origin = CONF_FROM_OPTION };
		rc = conf_resolve_files(c);
	}
	if (rc != 0)
		buf_printf(err, "%s: %s\n", name,
		    rc == -EINVAL ? buf_str(&why) : strerror(-rc));
	buf_clear(&why);
	return rc == 0 ? 0 : -EINVAL;
}
