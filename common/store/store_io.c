/* SPDX-License-Identifier: ISC */
#include "common/store/store_io.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define ZEROS_IOV 16

struct store_io store_io = { pwritev, fdatasync, fsync, mdb_txn_commit,
	fstatvfs, (uint64_t)256 << 10, (uint64_t)256 << 20, (uint64_t)1 << 20,
	(uint64_t)128 << 10 };

int
store_io_write(int fd, struct iovec *iov, int n, off_t at)
{
	ssize_t done;

	while (n > 0) {
		done = store_io.pwritev(fd, iov, n, at);
		if (done == -1 && errno == EINTR)
			continue;
		if (done == -1)
			return -errno;
		if (done == 0 && iov->iov_len > 0)
			return -EIO;
		at += done;
		while (n > 0 && (size_t)done >= iov->iov_len) {
			done -= (ssize_t)iov->iov_len;
			iov++;
			n--;
		}
		if (n > 0) {
			iov->iov_base = (char *)iov->iov_base + done;
			iov->iov_len -= (size_t)done;
		}
	}
	return 0;
}

uint64_t
store_io_ahead(int fd, uint64_t at, uint64_t n)
{
	static char zeros[16 << 10];
	struct iovec iov[ZEROS_IOV];
	uint64_t done = 0, left, part;
	ssize_t r;
	int i;

	while (done < n) {
		left = n - done;
		for (i = 0; i < ZEROS_IOV && left > 0; i++) {
			part = left < sizeof(zeros) ? left : sizeof(zeros);
			iov[i] = (struct iovec){ zeros, part };
			left -= part;
		}
		r = store_io.pwritev(fd, iov, i, (off_t)(at + done));
		if (r <= 0)
			break;
		done += (uint64_t)r;
	}
	return done;
}

int
store_io_mkdir(int at, const char *name, bool group)
{
	struct stat st;

	if (mkdirat(at, name, group ? 0770 : 0700) == -1)
		return errno == EEXIST ? 0 : -errno;
	if (!group)
		return 0;
	if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return -errno;
	/* Only where the umask took something: a service that may not set the
	 * bit (RestrictSUIDSGID=) inherits it, and runs with the umask 007. */
	if ((st.st_mode & 0770) != 0770 &&
	    fchmodat(at, name, (st.st_mode & 07000) | 0770, 0) == -1)
		return -errno;
	return 0;
}
