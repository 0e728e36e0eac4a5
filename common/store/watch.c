/* SPDX-License-Identifier: ISC */
/*
 * Watch and notify. Each process of a store binds a datagram socket in
 * DIR/watch; a note is the hash of the partition's name, sent to all others at
 * the next turn of the loop, many in one datagram. A peer whose queue is full
 * loses notes; but it then has at least the queue's length of datagrams to
 * read at once, and takes that as «everything».
 *
 * The sockets also tell who lives: the socket of a process that died refuses.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/store/engine.h"
#include "common/store/store_io.h"

#define NOTE_ALL 0 /* a hash that no name has */
/* Below any net.unix.max_dgram_qlen (10, often 512). */
#define MANY_DATAGRAMS 4

static uint64_t
hash_of(struct slice part)
{
	uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */

	for (size_t i = 0; i < part.n; i++)
		h = (h ^ (unsigned char)part.p[i]) * 0x100000001b3u;
	return h == NOTE_ALL ? 1 : h;
}

/* --- watchers of this process --- */

int
store_watch(struct store *s, struct slice part, struct store_watch *w)
{
	struct store_watch **bucket;

	w->hash = hash_of(part);
	bucket = &s->watches.bucket[w->hash % WATCH_BUCKETS];
	w->next = *bucket;
	w->prev = bucket;
	if (w->next != NULL)
		w->next->prev = &w->next;
	*bucket = w;
	return 0;
}

void
store_unwatch(struct store *s, struct store_watch *w)
{
	if (w->prev == NULL)
		return;
	if (s->watches.next == w)
		s->watches.next = w->next;
	if (w->next != NULL)
		w->next->prev = w->prev;
	*w->prev = w->next;
	w->prev = NULL;
}

static void
tell_bucket(struct watches *ws, size_t i, uint64_t hash)
{
	struct store_watch *w = ws->bucket[i];

	/* A watcher may end itself or any other. */
	for (; w != NULL; w = ws->next) {
		ws->next = w->next;
		if (hash == NOTE_ALL || w->hash == hash)
			w->fn(w->arg);
	}
	ws->next = NULL;
}

static void
tell(struct watches *ws, uint64_t hash)
{
	if (hash != NOTE_ALL) {
		tell_bucket(ws, hash % WATCH_BUCKETS, hash);
		return;
	}
	for (size_t i = 0; i < WATCH_BUCKETS; i++)
		tell_bucket(ws, i, NOTE_ALL);
}

/* --- the other processes --- */

/* Their address; by way of /proc where the path is too long for it. */
static socklen_t
address_of(const struct watches *ws, const char *name, struct sockaddr_un *out)
{
	int n;

	*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
	n = snprintf(
	    out->sun_path, sizeof(out->sun_path), "%s/%s.sock", ws->dir, name);
	if (n < 0 || (size_t)n >= sizeof(out->sun_path))
		snprintf(out->sun_path, sizeof(out->sun_path),
		    "/proc/self/fd/%d/%s.sock", ws->dir_fd, name);
	return (socklen_t)sizeof(*out);
}

static void
peers_read(struct watches *ws)
{
	char(*peers)[WATCH_NAME_LEN + 1];
	struct dirent *d;
	int fd = openat(ws->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd == -1 ? NULL : fdopendir(fd);

	if (dir == NULL) {
		if (fd != -1)
			close(fd);
		return;
	}
	ws->n_peers = 0;
	while ((d = readdir(dir)) != NULL) {
		if (strlen(d->d_name) != WATCH_NAME_LEN + 5 ||
		    strcmp(d->d_name + WATCH_NAME_LEN, ".sock") != 0 ||
		    strncmp(d->d_name, ws->self, WATCH_NAME_LEN) == 0)
			continue;
		peers = realloc(ws->peers, (ws->n_peers + 1) * sizeof(*peers));
		if (peers == NULL)
			break;
		ws->peers = peers;
		memcpy(peers[ws->n_peers], d->d_name, WATCH_NAME_LEN);
		peers[ws->n_peers++][WATCH_NAME_LEN] = '\0';
	}
	closedir(dir);
}

/* The list as the folder is now: read again when its time has changed. A
 * change within the clock's grain of the last reading is not seen, so a
 * reading that close to the change does not count. */
static void
peers_refresh(struct watches *ws)
{
	struct timespec now;
	struct stat st;

	if (fstat(ws->dir_fd, &st) == -1)
		return;
	if (st.st_mtim.tv_sec == ws->peers_as_of.tv_sec &&
	    st.st_mtim.tv_nsec == ws->peers_as_of.tv_nsec)
		return;
	peers_read(ws);
	clock_gettime(CLOCK_REALTIME, &now);
	if (now.tv_sec - st.st_mtim.tv_sec > 1)
		ws->peers_as_of = st.st_mtim;
}

static void
peer_forget(struct watches *ws, const char *name)
{
	char file[WATCH_NAME_LEN + 6];

	snprintf(file, sizeof(file), "%s.sock", name);
	unlinkat(ws->dir_fd, file, 0);
}

static void
send_notes(struct watches *ws)
{
	uint64_t all = NOTE_ALL;
	const void *p = ws->all ? &all : ws->notes;
	size_t n = ws->all ? sizeof(all) : ws->n_notes * sizeof(uint64_t);
	struct sockaddr_un to;
	socklen_t to_n;

	if (ws->fd == -1)
		return;
	peers_refresh(ws);
	for (size_t i = 0; i < ws->n_peers; i++) {
		to_n = address_of(ws, ws->peers[i], &to);
		if (sendto(ws->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL,
			(struct sockaddr *)&to, to_n) == -1 &&
		    errno == ECONNREFUSED)
			peer_forget(ws, ws->peers[i]);
	}
}

static bool
peer_alive(const struct watches *ws, const char *peer)
{
	struct sockaddr_un to;
	bool alive;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd == -1)
		return true;
	alive = connect(fd, (struct sockaddr *)&to,
		    address_of(ws, peer, &to)) == 0 ||
	    (errno != ECONNREFUSED && errno != ENOENT);
	close(fd);
	return alive;
}

bool
watches_peer_alive(struct store *s, struct slice name)
{
	const struct watches *ws = &s->watches;
	char peer[WATCH_NAME_LEN + 1];

	if (name.n != WATCH_NAME_LEN || ws->dir_fd == -1)
		return true;
	memcpy(peer, name.p, WATCH_NAME_LEN);
	peer[WATCH_NAME_LEN] = '\0';
	return strcmp(peer, ws->self) == 0 || peer_alive(ws, peer);
}

bool
watches_anybody(const char *dir)
{
	struct watches ws = { .fd = -1 };
	struct buf path = BUF_INIT;
	bool alive = false;

	buf_printf(&path, "%s/watch", dir);
	ws.dir = path.p;
	ws.dir_fd = open(buf_str(&path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (ws.dir_fd != -1) {
		peers_read(&ws);
		for (size_t i = 0; i < ws.n_peers; i++)
			alive = alive || peer_alive(&ws, ws.peers[i]);
		close(ws.dir_fd);
	}
	free(ws.peers);
	buf_clear(&path);
	return alive;
}

/* --- events --- */

static void
on_flush(evutil_socket_t fd, short what, void *arg)
{
	struct store *s = arg;
	struct watches *ws = &s->watches;
	uint64_t notes[WATCH_NOTES];
	size_t n = ws->n_notes;
	bool all = ws->all;

	(void)fd, (void)what;
	send_notes(ws);
	memcpy(notes, ws->notes, sizeof(notes));
	ws->n_notes = 0;
	ws->all = false;
	if (all)
		tell(ws, NOTE_ALL);
	for (size_t i = 0; i < n && !all; i++)
		tell(ws, notes[i]);
}

void
store_notify(struct store *s, struct slice part)
{
	struct watches *ws = &s->watches;
	uint64_t hash = hash_of(part);

	for (size_t i = 0; i < ws->n_notes; i++)
		if (ws->notes[i] == hash)
			return;
	if (ws->n_notes < WATCH_NOTES)
		ws->notes[ws->n_notes++] = hash;
	else
		ws->all = true;
	event_active(ws->flush, 0, 0);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct store *s = arg;
	uint64_t notes[WATCH_NOTES];
	ssize_t n;
	size_t count = 0;

	(void)what;
	while ((n = recv(fd, notes, sizeof(notes), MSG_DONTWAIT)) >= 0) {
		for (size_t i = 0; i < (size_t)n / sizeof(notes[0]); i++)
			tell(&s->watches, notes[i]);
		count++;
	}
	if (count >= MANY_DATAGRAMS)
		tell(&s->watches, NOTE_ALL);
}

/* --- opening --- */

static int
socket_bind(struct store *s, bool group)
{
	struct watches *ws = &s->watches;
	struct sockaddr_un self;
	socklen_t n = address_of(ws, ws->self, &self);
	char file[WATCH_NAME_LEN + 6];

	ws->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (ws->fd == -1)
		return -errno;
	if (bind(ws->fd, (struct sockaddr *)&self, n) == -1)
		return -errno;
	snprintf(file, sizeof(file), "%s.sock", ws->self);
	if (group && fchmodat(ws->dir_fd, file, 0660, 0) == -1)
		return -errno;
	ws->readable = event_new(
	    loop_base(), ws->fd, EV_READ | EV_PERSIST, on_readable, s);
	if (ws->readable == NULL || event_add(ws->readable, NULL) == -1)
		return -ENOMEM;
	return 0;
}

/* Without a socket (a reader who may not write there) only the notes of the
 * others are missing, and everything polls now and then as well. */
static void
socket_open(struct store *s, const char *dir, bool group)
{
	struct watches *ws = &s->watches;
	size_t n = strlen(dir) + sizeof("/watch");
	int rc = -ENOMEM;

	if ((ws->dir = malloc(n)) != NULL) {
		snprintf(ws->dir, n, "%s/watch", dir);
		(void)!store_io_mkdir(AT_FDCWD, ws->dir, group);
		ws->dir_fd = open(ws->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		rc = ws->dir_fd == -1 ? -errno : socket_bind(s, group);
	}
	if (rc == 0)
		return;
	log_debug("no notes from other processes", "dir=%s error=%s", dir,
	    strerror(-rc));
	if (ws->fd != -1)
		close(ws->fd);
	ws->fd = -1;
}

int
watches_open(struct store *s, const char *dir, bool group)
{
	struct watches *ws = &s->watches;
	unsigned char id[WATCH_NAME_LEN / 2];

	random_octets(id, sizeof(id));
	for (size_t i = 0; i < sizeof(id); i++)
		snprintf(ws->self + 2 * i, 3, "%02x", id[i]);
	ws->flush = event_new(loop_base(), -1, 0, on_flush, s);
	if (ws->flush == NULL)
		return -ENOMEM;
	if (dir != NULL)
		socket_open(s, dir, group);
	return 0;
}

void
watches_close(struct store *s)
{
	struct watches *ws = &s->watches;

	if (ws->n_notes > 0)
		send_notes(ws);
	if (ws->flush != NULL)
		event_free(ws->flush);
	if (ws->readable != NULL)
		event_free(ws->readable);
	if (ws->fd != -1) {
		peer_forget(ws, ws->self);
		close(ws->fd);
	}
	if (ws->dir_fd != -1)
		close(ws->dir_fd);
	free(ws->dir);
	free(ws->peers);
	*ws = (struct watches){ .fd = -1, .dir_fd = -1 };
}
