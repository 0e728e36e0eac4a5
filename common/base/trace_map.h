/* SPDX-License-Identifier: ISC */
/* The file of a ring in memory, for its writer. */
#ifndef PNEU_BASE_TRACE_MAP_H
#define PNEU_BASE_TRACE_MAP_H

#include "common/base/trace_impl.h"

struct trace_map {
	struct trace_header *header; /* NULL: none */
	unsigned char *records;      /* twice, one behind the other */
	size_t size;                 /* of the records, once */
	uint64_t tended;             /* up to where memory has been seen to */
};

/* 0 or -errno; the map is zeroed or closed before. */
int trace_map_open(struct trace_map *m, const struct trace_conf *conf);
void trace_map_close(struct trace_map *m);
/* False: there is none, or its file can not be written any more. */
bool trace_map_is_good(const struct trace_map *m);
/* Room for a record of `size` octets, in one piece, and its position. */
unsigned char *trace_map_take(struct trace_map *m, size_t size, uint64_t *pos);

#endif
