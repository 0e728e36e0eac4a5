/* SPDX-License-Identifier: ISC */
/*
 * What a power failure may leave of the files of a record (power_record.h):
 *
 *   - after a sync of a file its octets and its size are there, after a sync of
 *     a folder the names in it, after a write with O_DSYNC those octets;
 *   - of what was written since, each sector of 512 octets is as it was at the
 *     last sync or after any later write to it, whatever the others are; the
 *     same holds for the size of a file, and what a size takes in that was not
 *     written is zeros;
 *   - of changes of names since the last sync of their folder, any may be
 *     missing. A sync of a file does not make its name durable.
 *
 * The last thing done before the failure was under way: of a sync, nothing
 * holds; of a write, all of this may be.
 */
#ifndef PNEU_TESTS_POWER_STATES_H
#define PNEU_TESTS_POWER_STATES_H

#include "tests/unit/mailbox/power_record.h"

#define SECTOR 512

struct power_image {
	char *p;
	size_t n, cap;
};

struct power_state_file {
	struct power_image durable;
	bool folder;
};

/* The files after some entries of the record. */
struct power_disk {
	struct power_state_file *files;
	uint64_t n_files;
	const struct power_entry **pending; /* not durable, in order */
	size_t n_pending, cap_pending;
	const struct power_entry *under_way; /* not ended yet, or NULL */
	/* Names, durable: (folder, name) to file. */
	struct power_name {
		uint64_t folder, file;
		char name[64];
	} * names;
	size_t n_names, cap_names;
};

static inline void
power_image_size(struct power_image *i, size_t n)
{
	if (n > i->cap) {
		i->cap = n * 2;
		if ((i->p = realloc(i->p, i->cap)) == NULL)
			abort();
	}
	if (n > i->n)
		memset(i->p + i->n, 0, n - i->n);
	i->n = n;
}

static inline void
power_image_write(struct power_image *i, uint64_t at, const char *p, size_t n)
{
	if (at + n > i->n)
		power_image_size(i, at + n);
	if (n > 0)
		memcpy(i->p + at, p, n);
}

/* --- names --- */

static inline void
power_name_set(struct power_disk *d, uint64_t folder, const char *name,
    size_t n, uint64_t file)
{
	struct power_name *v = d->names;
	size_t i;

	for (i = 0; i < d->n_names; i++)
		if (v[i].folder == folder && strlen(v[i].name) == n &&
		    memcmp(v[i].name, name, n) == 0)
			break;
	if (file == UINT64_MAX) {
		if (i < d->n_names)
			v[i] = v[--d->n_names];
		return;
	}
	if (i == d->n_names && d->n_names++ == d->cap_names) {
		d->cap_names = d->cap_names * 2 + 16;
		d->names = v = realloc(v, d->cap_names * sizeof(*v));
	}
	assert(v != NULL && n < sizeof(v->name));
	v[i].folder = folder;
	v[i].file = file;
	memcpy(v[i].name, name, n);
	v[i].name[n] = '\0';
}

static inline uint64_t
power_name_get(const struct power_disk *d, uint64_t folder, const char *name)
{
	for (size_t i = 0; i < d->n_names; i++)
		if (d->names[i].folder == folder &&
		    strcmp(d->names[i].name, name) == 0)
			return d->names[i].file;
	return UINT64_MAX;
}

static inline bool
power_is_name(const struct power_entry *e)
{
	return e->kind == POWER_MKDIR || e->kind == POWER_CREATE ||
	    e->kind == POWER_UNLINK || e->kind == POWER_RENAME;
}

static inline uint64_t
power_name_folder(const struct power_entry *e)
{
	return e->kind == POWER_UNLINK || e->kind == POWER_RENAME ? e->file
								  : e->at;
}

static inline void
power_name_apply(struct power_disk *d, const struct power_entry *e)
{
	const char *name = power_octets(e), *to;
	uint64_t file;

	switch (e->kind) {
	case POWER_MKDIR:
	case POWER_CREATE:
		power_name_set(d, e->at, name, e->n, e->file);
		break;
	case POWER_UNLINK:
		power_name_set(d, e->file, name, e->n, UINT64_MAX);
		break;
	case POWER_RENAME:
		to = name + strlen(name) + 1;
		file = power_name_get(d, e->file, name);
		if (file == UINT64_MAX)
			break; /* it never came to be */
		power_name_set(d, e->file, name, strlen(name), UINT64_MAX);
		power_name_set(d, e->file, to, e->n - strlen(name) - 1, file);
		break;
	}
}

/* --- going through the record --- */

static inline void
power_file_apply(struct power_image *i, const struct power_entry *e)
{
	if (e->kind == POWER_TRUNCATE)
		power_image_size(i, e->at);
	else
		power_image_write(i, e->at, power_octets(e), e->n);
}

/* What is pending of a file or in a folder is durable. */
static inline void
power_settle(struct power_disk *d, uint64_t file)
{
	size_t kept = 0;
	const struct power_entry *e;

	for (size_t i = 0; i < d->n_pending; i++) {
		e = d->pending[i];
		if (power_is_name(e) && power_name_folder(e) == file)
			power_name_apply(d, e);
		else if (!power_is_name(e) && e->file == file)
			power_file_apply(&d->files[file].durable, e);
		else
			d->pending[kept++] = e;
	}
	d->n_pending = kept;
}

/* One more entry, and it has come to its end. */
static inline void
power_disk_take(struct power_disk *d, const struct power_entry *e)
{
	if (e->kind == POWER_MARK)
		return;
	if (e->kind == POWER_SYNC) {
		power_settle(d, e->file);
		return;
	}
	if (e->kind == POWER_MKDIR || e->kind == POWER_CREATE) {
		assert(e->file == d->n_files);
		d->files =
		    realloc(d->files, (d->n_files + 1) * sizeof(*d->files));
		d->files[d->n_files++] =
		    (struct power_state_file){ .folder =
						   e->kind == POWER_MKDIR };
	}
	if (d->n_pending == d->cap_pending) {
		d->cap_pending = d->cap_pending * 2 + 64;
		d->pending =
		    realloc(d->pending, d->cap_pending * sizeof(*d->pending));
	}
	d->pending[d->n_pending++] = e;
}

static inline void
power_disk_init(struct power_disk *d)
{
	*d = (struct power_disk){ .n_files = 1 };
	d->files = calloc(1, sizeof(*d->files));
	d->files[0].folder = true;
}

static inline void
power_disk_clear(struct power_disk *d)
{
	for (uint64_t i = 0; i < d->n_files; i++)
		free(d->files[i].durable.p);
	free(d->files);
	free(d->pending);
	free(d->names);
}

/* --- a state --- */

enum power_mode {
	MODE_ALL,     /* all that was done is there */
	MODE_NONE,    /* only what was made durable is */
	MODE_FILES,   /* all of some files, nothing of the others */
	MODE_WRITES,  /* some writes, whole */
	MODE_SECTORS, /* each sector by itself */
	MODE_TORN,    /* all, but of the last write some sectors only */
	POWER_MODES,
};

struct power_chance {
	uint64_t x;
};

static inline uint32_t
power_random(struct power_chance *c, uint32_t n)
{
	c->x ^= c->x << 13;
	c->x ^= c->x >> 7;
	c->x ^= c->x << 17;
	return (uint32_t)((c->x >> 11) % n);
}

/* Those sectors of a write that `pct` of 100 lets through. */
static inline void
power_write_torn(struct power_image *i, const struct power_entry *e,
    unsigned pct, struct power_chance *c)
{
	uint64_t at = e->at, end = e->at + e->n, next;

	for (; at < end; at = next) {
		next = (at / SECTOR + 1) * SECTOR;
		next = next < end ? next : end;
		if (power_random(c, 100) < pct)
			power_image_write(
			    i, at, power_octets(e) + (at - e->at), next - at);
	}
}

/* The file in that state, into `out`. */
static inline void
power_file_state(const struct power_disk *d, uint64_t file,
    enum power_mode mode, struct power_chance *c, struct power_image *out)
{
	const struct power_image *durable = &d->files[file].durable;
	const struct power_entry *e;
	unsigned pct = 10 + 40 * power_random(c, 3);
	bool whole = power_random(c, 2), here;
	size_t size = durable->n;

	power_image_size(out, 0);
	power_image_write(out, 0, durable->p, durable->n);
	for (size_t i = 0; i < d->n_pending; i++) {
		e = d->pending[i];
		if (power_is_name(e) || e->file != file)
			continue;
		if (e->kind == POWER_WRITE_DSYNC && e != d->under_way) {
			power_file_apply(out, e);
			continue;
		}
		here = mode == MODE_ALL || mode == MODE_TORN ||
		    (mode == MODE_FILES && whole) ||
		    (mode == MODE_WRITES && power_random(c, 100) < pct);
		/* The size alone may have come through. */
		if ((mode == MODE_SECTORS || mode == MODE_WRITES) &&
		    power_random(c, 2))
			size = e->kind == POWER_TRUNCATE ? e->at
			    : e->at + e->n > size        ? e->at + e->n
							 : size;
		if (mode == MODE_TORN && i + 1 == d->n_pending &&
		    e->kind != POWER_TRUNCATE)
			power_write_torn(out, e, pct, c);
		else if (mode == MODE_SECTORS && e->kind != POWER_TRUNCATE)
			power_write_torn(out, e, pct, c);
		else if (here)
			power_file_apply(out, e);
	}
	if (mode == MODE_SECTORS && power_random(c, 2))
		power_image_size(out, size);
	else if (mode == MODE_WRITES && size > out->n)
		power_image_size(out, size);
}

/* The names in that state: a disk of which only the names are used. */
static inline void
power_names_state(const struct power_disk *d, enum power_mode mode,
    struct power_chance *c, struct power_disk *out)
{
	unsigned pct = 50 * power_random(c, 3);
	bool cut = power_random(c, 2);

	*out = (struct power_disk){ .n_names = d->n_names,
		.cap_names = d->n_names };
	out->names = calloc(d->n_names + 1, sizeof(*out->names));
	if (d->n_names > 0)
		memcpy(out->names, d->names, d->n_names * sizeof(*d->names));
	for (size_t i = 0; i < d->n_pending; i++) {
		if (!power_is_name(d->pending[i]) || mode == MODE_NONE)
			continue;
		if (mode != MODE_ALL && mode != MODE_TORN &&
		    power_random(c, 100) >= pct) {
			if (cut)
				break; /* as a journal does */
			continue;
		}
		power_name_apply(out, d->pending[i]);
	}
}

static inline void
power_file_write(int at, const char *name, const struct power_image *i)
{
	int fd = openat(at, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ssize_t n = 0;

	for (size_t done = 0; fd != -1 && n >= 0 && done < i->n;
	     done += (size_t)n)
		n = write(fd, i->p + done, i->n - done);
	if (fd == -1 || n < 0)
		abort();
	close(fd);
}

static inline void
power_folder_write(const struct power_disk *d, const struct power_disk *names,
    uint64_t folder, int fd, enum power_mode mode, struct power_chance *c)
{
	struct power_image image = { NULL, 0, 0 };
	const struct power_name *v;
	int sub;

	for (v = names->names; v < names->names + names->n_names; v++) {
		if (v->folder != folder)
			continue;
		if (d->files[v->file].folder) {
			mkdirat(fd, v->name, 0700);
			sub = openat(fd, v->name, O_RDONLY | O_DIRECTORY);
			power_folder_write(d, names, v->file, sub, mode, c);
			close(sub);
		} else {
			power_file_state(d, v->file, mode, c, &image);
			power_file_write(fd, v->name, &image);
		}
	}
	free(image.p);
}

/* Make the state in `dir`, an empty folder. */
static inline void
power_state_make(const struct power_disk *d, enum power_mode mode,
    uint64_t seed, const char *dir)
{
	struct power_chance c = { seed * 0x9e3779b97f4a7c15u + 1 };
	struct power_disk names;
	int fd = open(dir, O_RDONLY | O_DIRECTORY);

	if (fd == -1)
		abort();
	for (int i = 0; i < 8; i++)
		(void)power_random(&c, 2);
	power_names_state(d, mode, &c, &names);
	power_folder_write(d, &names, 0, fd, mode, &c);
	free(names.names);
	close(fd);
}

#endif
