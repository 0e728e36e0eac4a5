/* SPDX-License-Identifier: ISC */
#include "common/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_MAX_OCTETS 2048
#define Q_BUFFERS 8
#define Q_OCTETS 256

static const char *program = "pneu";
static enum log_level level_now = LOG_LEVEL_INFO;
static const char *(*context_fn)(void);

void
log_open(const char *name, enum log_level level)
{
	program = name;
	level_now = level;
}

void
log_set_level(enum log_level level)
{
	level_now = level;
}

enum log_level
log_level(void)
{
	return level_now;
}

void
log_set_context(const char *(*context)(void))
{
	context_fn = context;
}

/* One write(2) per line, so that lines of several processes never mix. */
static void
log_line(enum log_level level, const char *event, const char *fmt, va_list ap)
{
	static const char *const names[] = { "error: ", "warning: ", "",
		"debug: " };
	const char *context = context_fn ? context_fn() : NULL;
	char line[LINE_MAX_OCTETS];
	size_t n = 0;
	int r;

	if (level > level_now)
		return;
	r = snprintf(line, sizeof(line), "%s: %s%s%s%s ", program, names[level],
	    event, context && *context ? " " : "", context ? context : "");
	if (r < 0)
		return;
	n = (size_t)r < sizeof(line) ? (size_t)r : sizeof(line) - 1;
	r = vsnprintf(line + n, sizeof(line) - n, fmt, ap);
	if (r < 0)
		return;
	n = n + (size_t)r < sizeof(line) ? n + (size_t)r : sizeof(line) - 1;
	for (size_t i = 0; i < n; i++) /* a format that forgot log_q */
		if (line[i] == '\n' || line[i] == '\r')
			line[i] = ' ';
	while (n > 0 && line[n - 1] == ' ')
		n--;
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, n) == -1)
		return; /* nowhere left to say it */
}

#define LOG_FUNCTION(name, level)                                              \
	void name(const char *event, const char *fmt, ...)                     \
	{                                                                      \
		va_list ap;                                                    \
		va_start(ap, fmt);                                             \
		log_line(level, event, fmt, ap);                               \
		va_end(ap);                                                    \
	}

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)
LOG_FUNCTION(log_warning, LOG_LEVEL_WARNING)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)

/* Length of the well-formed UTF-8 character at p (RFC 3629 4), or 0. */
static size_t
utf8_length(const unsigned char *p, size_t n)
{
	size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;

	if (p[0] < 0xc2 || p[0] > 0xf4 || len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f) ||
	    (p[0] == 0xc2 && p[1] < 0xa0)) /* C1 controls */
		return 0;
	return len;
}

const char *
log_q(struct slice s)
{
	static _Thread_local char buffers[Q_BUFFERS][Q_OCTETS + 8];
	static _Thread_local unsigned next;
	char *out = buffers[next++ % Q_BUFFERS];
	const unsigned char *p = (const unsigned char *)s.p;
	size_t n = 0, i = 0;

	while (i < s.n) {
		size_t len = 1;

		if (n + 4 > Q_OCTETS) {
			memcpy(out + n, "...", 3);
			n += 3;
			break;
		}
		if (p[i] >= 0x80 && (len = utf8_length(p + i, s.n - i)) > 0) {
			memcpy(out + n, p + i, len);
			n += len;
		} else if (p[i] < 0x20 || p[i] >= 0x7f) {
			n += (size_t)snprintf(out + n, 5, "\\x%02x", p[i]);
			len = 1;
		} else {
			if (p[i] == '"' || p[i] == '\\')
				out[n++] = '\\';
			out[n++] = (char)p[i];
		}
		i += len;
	}
	out[n] = '\0';
	return out;
}

const char *
log_qs(const char *s)
{
	return s == NULL ? "-" : log_q(slice_str(s));
}
