/* SPDX-License-Identifier: ISC */
/* What the files of the configuration share; for no others. */
#ifndef PNEU_BASE_CONF_IMPL_H
#define PNEU_BASE_CONF_IMPL_H

#include <jansson.h>

#include "common/base/arena.h"
#include "common/base/conf.h"

struct conf_value {
	int64_t num;       /* BOOL, INT, SIZE, DURATION, ENUM (index) */
	const char *str;   /* STRING */
	const char **list; /* LIST: elements, MAP: keys; NULL at the end */
	const char **map_values; /* MAP */
	size_t n;                /* of list */
};

enum conf_origin { CONF_DEFAULT, CONF_FROM_FILE, CONF_FROM_OPTION };

struct conf_slot {
	struct conf_value v;
	enum conf_origin origin;
	unsigned line;
	const char *file; /* STRING: as conf_file gives it */
};

struct conf {
	struct arena arena;
	const char *path; /* as given; NULL: no file */
	const char *dir;  /* absolute folder of the file, or the current one */
	struct conf_slot *slots; /* one for each of conf_settings */
};

/* --- conf_text.c: the octets of the file --- */

/* 1-based; columns are characters, as jansson counts. */
struct conf_pos {
	unsigned line, col;
};

/* The place behind `c`. */
void conf_pos_next(struct conf_pos *at, char c);

#define CONF_NO_NODE ((size_t)-1)

/* A member of an object or an element of an array, in document order, so that
 * what is inside a node follows it. */
struct conf_node {
	const char *key; /* NULL for an element */
	size_t parent;   /* CONF_NO_NODE: directly in the file's object */
	struct conf_pos key_at, value_at;
};

struct conf_index {
	struct conf_node *nodes;
	size_t n, cap;
};

/*
 * Turn comments and trailing commas into spaces, so that what stays is JSON
 * with every line and column where it was. False, and the place, when it is
 * nested deeper than any configuration.
 */
bool conf_text_blank(char *text, size_t n, struct conf_pos *too_deep);
/* Where everything stands in `text`, which is well-formed JSON. 0, -E2BIG or
 * -ENOMEM. */
int conf_text_index(struct slice text, struct arena *a, struct conf_index *out);

/* --- conf_value.c: one value --- */

/*
 * From the text that stands in the file (without quotes) or on the command
 * line; not LIST or MAP. 0, -ENOMEM, or -EINVAL and in `why` what was expected.
 */
int conf_value_text(const struct conf_setting *s, struct slice text,
    struct arena *a, struct conf_value *out, struct buf *why);
/* The same of a JSON value. */
int conf_value_json(const struct conf_setting *s, const json_t *j,
    struct arena *a, struct conf_value *out, struct buf *why);
/* A string of a LIST or MAP, or a STRING: no control characters. */
int conf_string_check(struct slice text, struct buf *why);
/* "expected an integer, such as 10; found a string" */
void conf_expected(
    const struct conf_setting *s, const json_t *found, struct buf *why);
/* A number as it would stand in the file: "50M", "20s", "10". */
void conf_number_put(const struct conf_setting *s, int64_t v, struct buf *out);
/* Room for n strings and the NULL. */
int conf_list_new(struct arena *a, bool map, size_t n, struct conf_value *out);

/* --- conf.c --- */

const struct conf_setting *conf_setting_find(const char *name);
size_t conf_settings_count(void);
/* True when settings "name.x" exist. */
bool conf_is_section(const char *name);
/* The setting or section nearest to `name`; empty when none is near. */
struct slice conf_nearest(const char *name);
/* All defaults; NULL when out of memory. */
struct conf *conf_new(const char *path);
/* Compute slots[].file anew. 0 or -ENOMEM. */
int conf_resolve_files(struct conf *c);

#endif
