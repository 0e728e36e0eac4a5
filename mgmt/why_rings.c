/* SPDX-License-Identifier: ISC */
/* The rings of all programs, in their folder. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "mgmt/why.h"

static bool
is_ring(const char *name)
{
	size_t n = strlen(name);

	return name[0] != '.' && n >= 5 &&
	    n < sizeof(((struct why_rings *)NULL)->v[0].name) &&
	    strcmp(name + n - 5, ".ring") == 0;
}

/* Where it stands, or is to stand. */
static size_t
place_of(const struct why_rings *rings, const char *name)
{
	size_t i = 0;

	while (i < rings->n && strcmp(rings->v[i].name, name) != 0)
		i++;
	return i;
}

static void
ring_look(struct why_rings *rings, const char *name)
{
	size_t i = place_of(rings, name);
	char path[4096];
	struct stat st;
	int rc;

	if (i == WHY_RINGS_MAX)
		return;
	snprintf(path, sizeof(path), "%s/%s", rings->dir, name);
	if (stat(path, &st) == -1)
		return;
	if (i < rings->n && rings->v[i].inode == st.st_ino)
		return;
	if (i < rings->n) /* it was made anew */
		trace_ring_close(&rings->v[i].ring);
	rc = trace_ring_open(&rings->v[i].ring, path);
	rings->v[i].inode = rc == 0 ? st.st_ino : 0;
	if (rc != 0)
		rings->rc = rc;
	if (i == rings->n && rc == 0) {
		memcpy(rings->v[i].name, name, strlen(name) + 1);
		rings->n++;
	}
}

int
why_rings_look(struct why_rings *rings)
{
	DIR *d = opendir(rings->dir);
	struct dirent *e;

	if (d == NULL)
		return -errno;
	while ((e = readdir(d)) != NULL)
		if (is_ring(e->d_name))
			ring_look(rings, e->d_name);
	closedir(d);
	return 0;
}

int
why_rings_open(struct why_rings *rings, const char *dir)
{
	rings->dir = dir;
	rings->n = 0;
	rings->rc = 0;
	return why_rings_look(rings);
}

void
why_rings_close(struct why_rings *rings)
{
	for (size_t i = 0; i < rings->n; i++)
		trace_ring_close(&rings->v[i].ring);
	rings->n = 0;
}

int64_t
why_rings_from_us(struct why_rings *rings)
{
	int64_t first_us = 0, lost_us = 0;

	for (size_t i = 0; i < rings->n; i++) {
		struct trace_ring *ring = &rings->v[i].ring;
		struct trace_record r;
		bool is_whole;

		trace_ring_rewind(ring);
		is_whole = ring->at == 0;
		if (!trace_ring_next(ring, &r))
			continue;
		if (first_us == 0 || r.at_us < first_us)
			first_us = r.at_us;
		if (!is_whole && r.at_us > lost_us)
			lost_us = r.at_us;
	}
	return lost_us > 0 ? lost_us : first_us;
}
