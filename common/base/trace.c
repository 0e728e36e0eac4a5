/* SPDX-License-Identifier: ISC */
/* Writing records into the ring. */
#include <stdio.h>
#include <string.h>

#include "common/base/crc32c.h"
#include "common/base/trace_impl.h"
#include "common/base/trace_map.h"

#define CONNECTS_PER_SECOND 50

static struct trace_map map;
static const char *program = "";
static struct trace_context *(*context_fn)(void);

uint32_t
trace_header_crc(const struct trace_header *h)
{
	return crc32c(0, h, offsetof(struct trace_header, crc));
}

uint32_t
trace_record_crc(const void *record, size_t size)
{
	const size_t from = offsetof(struct trace_head, pos);

	return crc32c(0, (const char *)record + from, size - from);
}

int
trace_open(const struct trace_conf *conf)
{
	trace_close();
	program = conf->program;
	return conf->size == 0 ? 0 : trace_map_open(&map, conf);
}

void
trace_close(void)
{
	trace_map_close(&map);
}

bool
trace_is_on(void)
{
	return trace_map_is_good(&map);
}

const char *
trace_program(void)
{
	return program;
}

void
trace_set_context(struct trace_context *(*context)(void))
{
	context_fn = context;
}

/* --- one record --- */

/* What is cut does not end in the middle of a character. */
static size_t
length_of(struct slice s)
{
	size_t n = s.n;

	if (n <= TRACE_TEXT_MAX)
		return n;
	n = TRACE_TEXT_MAX;
	while (n > TRACE_TEXT_MAX - 3 && (s.p[n] & 0xc0) == 0x80)
		n--;
	return n;
}

static void
take_context(struct slice *field)
{
	const struct trace_context *c = context_fn ? context_fn() : NULL;

	/* What is about another transaction has nothing of this one. */
	if (c == NULL || field[TRACE_ID].p != NULL)
		return;
	if (c->id[0] != '\0')
		field[TRACE_ID] = slice(c->id, strlen(c->id));
	if (c->conn[0] != '\0' && field[TRACE_CONN].p == NULL)
		field[TRACE_CONN] = slice(c->conn, strlen(c->conn));
	if (c->peer[0] != '\0' && field[TRACE_PEER].p == NULL)
		field[TRACE_PEER] = slice(c->peer, strlen(c->peer));
}

#define EACH_OCTET (~(uint64_t)0 / 255)

/* Is an octet of the eight below 0x20, or 0x7f? */
static bool
has_control(uint64_t w)
{
	uint64_t del = w ^ EACH_OCTET * 0x7f;

	return ((((w - EACH_OCTET * 0x20) & ~w) |
		    ((del - EACH_OCTET) & ~del)) &
		   EACH_OCTET << 7) != 0;
}

static void
clean(unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] < 0x20 || p[i] == 0x7f)
			p[i] = ' ';
}

/* No control characters: a record could be made to seem to begin there. */
static void
put_text(unsigned char *out, struct slice s)
{
	size_t i = 0;
	uint64_t w;

	memcpy(out, s.p, s.n);
	for (; i + sizeof(w) <= s.n; i += sizeof(w)) {
		memcpy(&w, out + i, sizeof(w));
		if (has_control(w))
			clean(out + i, sizeof(w));
	}
	clean(out + i, s.n - i);
}

static void
enhanced_parse(const char *text, uint8_t out[static 3])
{
	unsigned n[3] = { 0 }, i = 0;

	for (; *text != '\0'; text++)
		if (ascii_is_digit(*text) && n[i] < 26)
			n[i] = n[i] * 10 + (unsigned)(*text - '0');
		else if (*text != '.' || ++i == 3)
			return;
	if (i < 2 || n[0] > 255 || n[1] > 255 || n[2] > 255)
		return;
	for (i = 0; i < 3; i++)
		out[i] = (uint8_t)n[i];
}

static uint32_t
saturated(uint64_t v)
{
	return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

/*
 * Made here and then copied: a writer that is held up while others go once
 * round the ring would else take the checksum of what it and they wrote into
 * one place, and a reader believe it.
 */
static void
write_record(
    const struct trace_record *r, struct slice *field, size_t size, size_t end)
{
	struct trace_head h = { .kind = (uint8_t)r->kind,
		.at_us = clock_wall_us(),
		.took_us = saturated(r->took_us > 0 ? (uint64_t)r->took_us : 0),
		.octets = saturated(r->octets),
		.code = (uint16_t)r->code,
		.size = (uint16_t)size };
	unsigned char whole[TRACE_RECORD_MAX], *room, *length, *text;
	const uint32_t magic = TRACE_MAGIC;

	enhanced_parse(r->enhanced, h.enhanced);
	room = trace_map_take(&map, size, &h.pos);
	length = text = whole + sizeof(h);
	for (int i = 0; i < TRACE_FIELDS; i++)
		if (field[i].p != NULL) {
			h.present |= (uint16_t)(1u << i);
			text++;
		}
	for (int i = 0; i < TRACE_FIELDS; i++)
		if (field[i].p != NULL) {
			*length++ = (unsigned char)field[i].n;
			put_text(text, field[i]);
			text += field[i].n;
		}
	memset(whole + end, 0, size - end);
	memcpy(whole, &h, sizeof(h));
	h.crc = trace_record_crc(whole, size);
	memcpy(whole + offsetof(struct trace_head, crc), &h.crc, sizeof(h.crc));
	memcpy(room + sizeof(magic), whole + sizeof(magic),
	    size - sizeof(magic));
	/* Last: a reader that sees it sees the rest. */
	__atomic_store_n((uint32_t *)(void *)room, magic, __ATOMIC_RELEASE);
}

/* A connection that is refused costs its maker nothing: a flood of them must
 * not wash away the rest. */
static bool
is_flood(enum trace_kind kind)
{
	static int64_t second;
	static unsigned n;
	int64_t now = clock_mono_ms() / 1000;

	if (kind != TRACE_CONNECT)
		return false;
	if (now != second)
		n = 0;
	second = now;
	return ++n > CONNECTS_PER_SECOND;
}

void
trace_write(const struct trace_record *r)
{
	struct slice field[TRACE_FIELDS];
	size_t n = sizeof(struct trace_head);

	if (!trace_is_on() || is_flood(r->kind))
		return;
	memcpy(field, r->field, sizeof(field));
	take_context(field);
	for (int i = 0; i < TRACE_FIELDS; i++)
		if (field[i].p != NULL) {
			field[i].n = length_of(field[i]);
			n += 1 + field[i].n;
		}
	write_record(r, field, (n + 7) / 8 * 8, n);
}
