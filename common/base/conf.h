/* SPDX-License-Identifier: ISC */
/*
 * The configuration: one file, JSON with '#' comments and trailing commas,
 * for all programs. Each setting is declared once, in the table of settings.c:
 * name, type, default, range, one line of help; pneu.conf(5) is made from it.
 *
 * A setting's name is "section.name" as here; in the file a section is an
 * object:   { "hostname": "mx.example.org", "mta": { "listen": ["*:25"] } }
 *
 * Asking for a name that the table has not, or by the wrong type, is our bug:
 * assert.
 */
#ifndef PNEU_BASE_CONF_H
#define PNEU_BASE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/buf.h"

enum conf_type {
	CONF_STRING,
	CONF_BOOL,
	CONF_INT,
	CONF_SIZE,     /* octets: 1024, "64K", "50M", "2G" (powers of 1024) */
	CONF_DURATION, /* milliseconds: "500ms", "30s", "5m", "2h", "5d" */
	CONF_ENUM,     /* one of `choices` */
	CONF_LIST,     /* of strings; a single string is a list of one */
	CONF_MAP,      /* names to strings, free names */
};

struct conf_setting {
	const char *name;
	enum conf_type type;
	const char *def;     /* as it would stand in the file, without quotes */
	int64_t min, max;    /* INT, SIZE, DURATION; both 0: any */
	const char *choices; /* ENUM: "none|may|must" */
	const char *help;
};

/* All settings, sorted by name; ends with a NULL name. */
extern const struct conf_setting conf_settings[];

struct conf;

/*
 * Read and check `path`. NULL path: the built-in defaults alone. On error
 * NULL, and `err` has every fault, one per line:
 * "pneu.conf:12:7: mta.lissten: unknown setting; did you mean mta.listen?"
 * The program exits with 78 (EX_CONFIG).
 */
struct conf *conf_load(const char *path, struct buf *err);
/* The same of text in memory; `name` stands for the file in messages. */
struct conf *conf_parse(const char *name, struct slice text, struct buf *err);
void conf_free(struct conf **c);
/* The path it was read from, or NULL. */
const char *conf_path(const struct conf *c);

/* Strings live as long as the conf. An unset string is "". */
const char *conf_str(const struct conf *c, const char *name);
bool conf_bool(const struct conf *c, const char *name);
int64_t conf_int(const struct conf *c, const char *name);
size_t conf_size(const struct conf *c, const char *name);
int64_t conf_duration_ms(const struct conf *c, const char *name);
/* ENUM: index in its choices. */
int conf_enum(const struct conf *c, const char *name);
/* *n elements, NULL-terminated too. */
const char *const *conf_list(const struct conf *c, const char *name, size_t *n);
/* The string that map `name` gives `key`, or NULL. */
const char *conf_map(const struct conf *c, const char *name, const char *key);
/* Keys of the map; *n of them. */
const char *const *
conf_map_keys(const struct conf *c, const char *name, size_t *n);

/* Paths: a relative one is relative to `data_dir` (itself relative to the
 * file's folder). In memory of the conf. */
const char *conf_file(const struct conf *c, const char *name);
/* The same of a path that is not a STRING setting (an element of a list or
 * map). In memory of `a` or of the conf; NULL when out of memory. */
const char *
conf_resolve(const struct conf *c, struct arena *a, const char *path);

/* Effective values with origin ("default" or "file:line"), for `pneu config
 * show`; `json` for machines. */
void conf_show(const struct conf *c, bool json, struct buf *out);

/* Change one setting as an option of the command line would. 0 or -EINVAL
 * with the reason in `err`. */
int
conf_set(struct conf *c, const char *name, const char *value, struct buf *err);

#endif
