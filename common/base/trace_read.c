/* SPDX-License-Identifier: ISC */
/*
 * Reading a ring. Each record is copied before it is looked at: who writes the
 * ring does not wait for us, and is not trusted either.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/trace_impl.h"

static const char *const kind_names[TRACE_KINDS] = {
	[TRACE_NONE] = "none",
	[TRACE_CONNECT] = "connect",
	[TRACE_COMMAND] = "command",
	[TRACE_AUTH] = "auth",
	[TRACE_SESSION] = "session",
	[TRACE_MAIL] = "mail",
	[TRACE_RCPT] = "rcpt",
	[TRACE_MESSAGE] = "message",
	[TRACE_ABORT] = "abort",
	[TRACE_HANDOVER] = "handover",
	[TRACE_STORED] = "stored",
	[TRACE_QUEUED] = "queued",
	[TRACE_EXPANDED] = "expanded",
	[TRACE_ATTEMPT] = "attempt",
	[TRACE_RETRY] = "retry",
	[TRACE_EXPIRED] = "expired",
	[TRACE_REPORT] = "report",
	[TRACE_ORDER] = "order",
};

static const char *const field_names[TRACE_FIELDS] = {
	[TRACE_ID] = "id",
	[TRACE_CONN] = "connection",
	[TRACE_PEER] = "peer",
	[TRACE_SENDER] = "sender",
	[TRACE_RECIPIENT] = "recipient",
	[TRACE_ACCOUNT] = "account",
	[TRACE_MESSAGE_ID] = "message_id",
	[TRACE_RULE] = "rule",
	[TRACE_TEXT] = "text",
	[TRACE_LINK] = "link",
};

const char *
trace_kind_name(unsigned kind)
{
	return kind < TRACE_KINDS ? kind_names[kind] : "unknown";
}

const char *
trace_field_name(enum trace_field f)
{
	return field_names[f];
}

/* --- opening --- */

void
trace_ring_rewind(struct trace_ring *r)
{
	r->at = r->head > r->size ? r->head - r->size : 0;
}

uint64_t
trace_ring_end(const struct trace_ring *r)
{
	const uint64_t *head = (const void *)(r->map +
	    offsetof(struct trace_header, head));

	return __atomic_load_n(head, __ATOMIC_ACQUIRE) & ~7ull;
}

void
trace_ring_go_on(struct trace_ring *r, uint64_t end)
{
	/* A header that lies must not make us search for ever. */
	if (end < r->head || end - r->head > (uint64_t)1 << 40)
		return;
	r->head = end;
	if (r->head - r->at > r->size)
		r->at = r->head - r->size;
}

int
trace_ring_init(struct trace_ring *r, struct slice file)
{
	struct trace_header h;

	if (file.n < TRACE_HEADER_SIZE)
		return -EBADMSG;
	memcpy(&h, file.p, sizeof(h));
	if (h.magic != TRACE_FILE_MAGIC || h.version != TRACE_VERSION ||
	    h.crc != trace_header_crc(&h) || h.size % 8 != 0 ||
	    h.size < TRACE_RECORD_MAX || h.size != file.n - TRACE_HEADER_SIZE ||
	    h.head % 8 != 0)
		return -EBADMSG;
	r->map = (const unsigned char *)file.p;
	r->map_size = file.n;
	r->size = h.size;
	r->head = h.head;
	r->mapped = false;
	memcpy(r->program, h.program, sizeof(r->program));
	r->program[sizeof(r->program) - 1] = '\0';
	trace_ring_rewind(r);
	return 0;
}

int
trace_ring_open(struct trace_ring *r, const char *path)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	void *map;
	int rc;

	if (fd == -1)
		return -errno;
	rc = fstat(fd, &st) == -1 ? -errno : 0;
	if (rc == 0 &&
	    (!S_ISREG(st.st_mode) || st.st_size < (off_t)TRACE_HEADER_SIZE))
		rc = -EBADMSG;
	if (rc != 0) {
		close(fd);
		return rc;
	}
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	rc = map == MAP_FAILED ? -errno : 0;
	close(fd);
	if (rc != 0)
		return rc;
	rc = trace_ring_init(r, slice(map, (size_t)st.st_size));
	if (rc != 0)
		munmap(map, (size_t)st.st_size);
	r->mapped = rc == 0;
	return rc;
}

void
trace_ring_close(struct trace_ring *r)
{
	if (r->mapped)
		munmap((void *)(uintptr_t)r->map, r->map_size);
	r->mapped = false;
	r->at = r->head = 0;
}

/* --- records --- */

/* Octets from a position on, round the end where they go on there. */
static void
copy_from(const struct trace_ring *r, uint64_t pos, void *out, size_t n)
{
	const unsigned char *records = r->map + TRACE_HEADER_SIZE;
	size_t at = (size_t)(pos % r->size);
	size_t first = n < r->size - at ? n : (size_t)r->size - at;

	memcpy(out, records + at, first);
	memcpy((char *)out + first, records, n - first);
}

/* The head of a record that may begin at r->at, and the whole in r->copy;
 * false when none does. */
static bool
take(struct trace_ring *r, struct trace_head *h)
{
	const unsigned char *at = r->map + TRACE_HEADER_SIZE + r->at % r->size;
	uint32_t magic;

	/* Most of the places that a search goes by end here. */
	memcpy(&magic, at, sizeof(magic));
	if (magic != TRACE_MAGIC || r->head - r->at < sizeof(*h))
		return false;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	copy_from(r, r->at, h, sizeof(*h));
	if (h->pos != r->at || h->size < sizeof(*h) || h->size % 8 != 0 ||
	    h->size > TRACE_RECORD_MAX || h->size > r->head - r->at)
		return false;
	copy_from(r, r->at, r->copy, h->size);
	return memcmp(r->copy, h, sizeof(*h)) == 0 &&
	    h->crc == trace_record_crc(r->copy, h->size);
}

static void
enhanced_text(const uint8_t n[static 3], char out[static 12])
{
	out[0] = '\0';
	if (n[0] != 0)
		snprintf(out, 12, "%u.%u.%u", n[0], n[1], n[2]);
}

/* False: the fields are longer than the record. */
static bool
parse(const struct trace_ring *r, const struct trace_head *h,
    struct trace_record *out)
{
	const unsigned char *length = r->copy + sizeof(*h), *text = length;
	const unsigned char *end = r->copy + h->size;

	*out = (struct trace_record){ .kind = (enum trace_kind)h->kind,
		.code = h->code,
		.took_us = h->took_us,
		.octets = h->octets,
		.at_us = h->at_us };
	enhanced_text(h->enhanced, out->enhanced);
	for (int i = 0; i < 16; i++)
		text += h->present >> i & 1;
	for (int i = 0; i < 16; i++) {
		if ((h->present >> i & 1) == 0)
			continue;
		if (text > end || length == end || *length > end - text)
			return false;
		/* What a newer version knows besides is passed over. */
		if (i < TRACE_FIELDS)
			out->field[i] = slice(text, *length);
		text += *length++;
	}
	return true;
}

bool
trace_ring_next(struct trace_ring *r, struct trace_record *out)
{
	struct trace_head h;

	while (r->at < r->head) {
		if (take(r, &h) && parse(r, &h, out)) {
			r->at += h.size;
			return true;
		}
		/* A hole, or the end of a record that is gone. */
		r->at += 8;
	}
	return false;
}
