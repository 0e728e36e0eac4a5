/* SPDX-License-Identifier: ISC */
/*
 * The system calls that make things durable, in one place, so that tests can
 * put a failing disk under the embedded engine, and the sizes at which it
 * changes its ways, so that tests see all of them in a small store. Nothing
 * else replaces them.
 */
#ifndef PNEU_STORE_STORE_IO_H
#define PNEU_STORE_STORE_IO_H

#include <lmdb.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <sys/uio.h>

struct store_io {
	ssize_t (*pwritev)(int fd, const struct iovec *iov, int n, off_t at);
	int (*fdatasync)(int fd);
	int (*fsync)(int fd); /* of folders */
	/* An LMDB error or errno; the transaction is over in either case. */
	int (*txn_commit)(MDB_txn *txn);
	int (*fstatvfs)(int fd, struct statvfs *out); /* what room is left */
	uint64_t blob_small;  /* octets; larger ones get their own file */
	uint64_t segment_max; /* octets; then the next one is begun */
	uint64_t dead_min;    /* less of a segment is not worth compaction */
	uint64_t ahead;       /* zeros kept behind what is written */
};
extern struct store_io store_io;

/* All of it, or -errno; `iov` is used up. */
int store_io_write(int fd, struct iovec *iov, int n, off_t at);

/*
 * Zeros in n octets of a file from `at` on, its end: later writes there change
 * neither its size nor where it lies, so that fdatasync(2) waits for the octets
 * alone and not for the file system's journal besides. How many it took, which
 * is 0 where there is no room: nothing depends on it.
 */
uint64_t store_io_ahead(int fd, uint64_t at, uint64_t n);

/*
 * Make a folder for its owner, or for its group too; a setgid bit that it got
 * from the folder above stays, so that what is made in it, by root too, belongs
 * to that group. 0 (also when it is there), or -errno.
 */
int store_io_mkdir(int at, const char *name, bool group);

#endif
