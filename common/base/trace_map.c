/* SPDX-License-Identifier: ISC */
/*
 * The writer's map. The records are mapped twice, one behind the other, so
 * that each is in one piece, also where it goes round the end.
 *
 * A store into a mapped file can fail only by SIGBUS (the file was cut, the
 * disk is broken). Then other memory is put in its place: the program goes on,
 * without a trace.
 */
#include "common/base/trace_map.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"

/* After so many octets a process gives back the pages behind it (they stay
 * the file's) and has those before it read. */
#define TEND_OCTETS ((size_t)256 << 10)
#define MAKE_TRIES 3

/* For the signal handler: the one map of this process. */
static char *mapped;
static size_t mapped_size;
static volatile sig_atomic_t broken;

/* --- when the file fails --- */

static void
on_bus_error(int sig, siginfo_t *info, void *context)
{
	char *at = info->si_addr;

	(void)context;
	if (mapped != NULL && at >= mapped && at < mapped + mapped_size &&
	    mmap(mapped, mapped_size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
		0) != MAP_FAILED)
		broken = 1;
	else
		signal(sig, SIG_DFL); /* it comes again, and ends us */
}

static int
watch_bus_errors(void)
{
	struct sigaction action = { .sa_sigaction = on_bus_error,
		.sa_flags = SA_SIGINFO };

	sigemptyset(&action.sa_mask);
	return sigaction(SIGBUS, &action, NULL) == 0 ? 0 : -errno;
}

bool
trace_map_is_good(const struct trace_map *m)
{
	return m->header != NULL && broken == 0;
}

/* --- the file --- */

struct ring_file {
	const struct trace_conf *conf;
	size_t size; /* of the records */
	int dir, fd;
	char name[64], temporary[96];
};

static void
header_fill(const struct ring_file *f, struct trace_header *h)
{
	*h = (struct trace_header){ .magic = TRACE_FILE_MAGIC,
		.version = TRACE_VERSION,
		.size = f->size };
	snprintf(h->program, sizeof(h->program), "%s", f->conf->program);
	h->crc = trace_header_crc(h);
}

/* Ours, whole, and of the size that is wanted: a link to somewhere else, or a
 * file of another user, is neither written nor trusted. */
static bool
is_usable(const struct ring_file *f)
{
	/* A command of root's adds to the file of the running program. */
	bool any = f->conf->existing && geteuid() == 0;
	uid_t owner = f->conf->uid == (uid_t)-1 ? geteuid() : f->conf->uid;
	struct trace_header h, good;
	struct stat st;

	header_fill(f, &good);
	return fstat(f->fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_nlink == 1 && (any || st.st_uid == owner) &&
	    (size_t)st.st_size == TRACE_HEADER_SIZE + f->size &&
	    pread(f->fd, &h, sizeof(h), 0) == (ssize_t)sizeof(h) &&
	    memcmp(&h, &good, offsetof(struct trace_header, unused)) == 0 &&
	    h.head % 8 == 0;
}

/* Its blocks too: a store into a hole of a full disk would fail. */
static int
take_blocks(int fd, size_t size)
{
	char zeros[4096] = { 0 };

	if (fallocate(fd, 0, 0, (off_t)size) == 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != ENOSYS)
		return -errno;
	for (size_t at = 0; at < size; at += sizeof(zeros))
		if (pwrite(fd, zeros, sizeof(zeros), (off_t)at) !=
		    (ssize_t)sizeof(zeros))
			return errno == 0 ? -EIO : -errno;
	return 0;
}

static int
fill(const struct ring_file *f)
{
	const struct trace_conf *c = f->conf;
	struct trace_header h;
	int rc = take_blocks(f->fd, TRACE_HEADER_SIZE + f->size);

	header_fill(f, &h);
	if (rc == 0 && pwrite(f->fd, &h, sizeof(h), 0) != (ssize_t)sizeof(h))
		rc = -EIO;
	if (rc == 0 && c->uid != (uid_t)-1 && fchown(f->fd, c->uid, -1) == -1)
		rc = -errno;
	/* A group that we are not in: then root alone reads it. */
	if (c->gid != (gid_t)-1 && fchown(f->fd, -1, c->gid) == -1)
		log_debug("trace", "group=%u error=\"%s\"", (unsigned)c->gid,
		    strerror(errno));
	if (rc == 0 && fchmod(f->fd, 0640) == -1)
		rc = -errno;
	return rc;
}

/* A new one under the name. Whoever has the old one mapped keeps that. */
static int
make(struct ring_file *f, bool replace)
{
	int rc;

	snprintf(f->temporary, sizeof(f->temporary), ".%s.%ld", f->name,
	    (long)getpid());
	unlinkat(f->dir, f->temporary, 0); /* of one that was killed */
	f->fd = openat(f->dir, f->temporary,
	    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (f->fd == -1)
		return -errno;
	if ((rc = fill(f)) == 0 && replace &&
	    renameat(f->dir, f->temporary, f->dir, f->name) == -1)
		rc = -errno;
	/* Unless another was quicker. */
	if (rc == 0 && !replace &&
	    linkat(f->dir, f->temporary, f->dir, f->name, 0) == -1)
		rc = -errno;
	if (rc != 0 || !replace)
		unlinkat(f->dir, f->temporary, 0);
	if (rc != 0)
		close(f->fd);
	return rc;
}

/* The file under the name, made where it has to be: f->fd. */
static int
find(struct ring_file *f)
{
	int rc = -EAGAIN;

	for (int i = 0; i < MAKE_TRIES; i++) {
		f->fd = openat(f->dir, f->name,
		    O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (f->fd != -1 && is_usable(f))
			return 0;
		rc = f->fd != -1 ? -EBADMSG : -errno;
		if (f->fd != -1)
			close(f->fd);
		if (f->conf->existing)
			return rc;
		if (rc != -ENOENT)
			log_warning("trace",
			    "file=%s error=\"%s\" it is made anew", f->name,
			    strerror(-rc));
		rc = make(f, rc != -ENOENT);
		if (rc != -EEXIST)
			return rc;
	}
	return rc;
}

/* --- the map --- */

static int
map_file(struct trace_map *m, int fd, size_t size)
{
	const int prot = PROT_READ | PROT_WRITE;
	char *base = mmap(NULL, TRACE_HEADER_SIZE + 2 * size, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *again = base + TRACE_HEADER_SIZE + size;
	int rc;

	if (base == MAP_FAILED)
		return -errno;
	if (mmap(base, TRACE_HEADER_SIZE + size, prot, MAP_SHARED | MAP_FIXED,
		fd, 0) == MAP_FAILED ||
	    mmap(again, size, prot, MAP_SHARED | MAP_FIXED, fd,
		(off_t)TRACE_HEADER_SIZE) == MAP_FAILED) {
		rc = -errno;
		munmap(base, TRACE_HEADER_SIZE + 2 * size);
		return rc;
	}
	mapped = base;
	mapped_size = TRACE_HEADER_SIZE + 2 * size;
	broken = 0;
	m->header = (struct trace_header *)(void *)base;
	m->records = (unsigned char *)base + TRACE_HEADER_SIZE;
	m->size = size;
	m->tended = m->header->head;
	return 0;
}

/* Whole pages, of any machine. */
static size_t
round_size(size_t size)
{
	if (size < TRACE_SIZE_MIN)
		size = TRACE_SIZE_MIN;
	return (size + TRACE_SIZE_MIN - 1) / TRACE_SIZE_MIN * TRACE_SIZE_MIN;
}

int
trace_map_open(struct trace_map *m, const struct trace_conf *conf)
{
	struct ring_file f = { .conf = conf, .size = round_size(conf->size) };
	int rc;

	snprintf(f.name, sizeof(f.name), "%s.ring", conf->program);
	f.dir = open(conf->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f.dir == -1)
		return -errno;
	if ((rc = find(&f)) == 0) {
		if ((rc = watch_bus_errors()) == 0)
			rc = map_file(m, f.fd, f.size);
		close(f.fd);
	}
	close(f.dir);
	return rc;
}

void
trace_map_close(struct trace_map *m)
{
	if (m->header != NULL)
		munmap(mapped, mapped_size);
	mapped = NULL;
	*m = (struct trace_map){ 0 };
}

/* --- room --- */

/* Seldom, and neither call waits. */
static __attribute__((noinline)) void
tend(struct trace_map *m, uint64_t pos)
{
	size_t next =
	    (size_t)(pos % m->size) / TRACE_HEADER_SIZE * TRACE_HEADER_SIZE;

	m->tended = pos;
	madvise(m->records, 2 * m->size, MADV_DONTNEED);
	madvise(m->records + next,
	    2 * TEND_OCTETS < m->size ? 2 * TEND_OCTETS : m->size,
	    MADV_WILLNEED);
}

unsigned char *
trace_map_take(struct trace_map *m, size_t size, uint64_t *pos)
{
	*pos = __atomic_fetch_add(&m->header->head, size, __ATOMIC_RELAXED) &
	    ~7ull;
	if (*pos - m->tended >= TEND_OCTETS)
		tend(m, *pos);
	return m->records + *pos % m->size;
}
