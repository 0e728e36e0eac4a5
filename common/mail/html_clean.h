/* SPDX-License-Identifier: ISC */
/*
 * HTML of a stranger, made harmless: read leniently, and written anew from
 * lists of elements, attributes and style properties that can do nothing but
 * look. No script, no form, no frame, no link but http(s) and mailto, nothing
 * fetched. All text and all values are escaped again, and no element comes out
 * within which a browser reads by other rules (style, script, svg, math,
 * noscript, textarea, template ...), so a browser reads what we wrote.
 */
#ifndef PNEU_MAIL_HTML_CLEAN_H
#define PNEU_MAIL_HTML_CLEAN_H

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

struct html_clean {
	/*
	 * What to write for the source of an image: `src` is the value, with
	 * references undone; "cid:..." names a part. Appends a URL (of safe
	 * characters: a data: URL) to out and returns true; false: no image.
	 * NULL: no images.
	 */
	bool (*image)(void *arg, struct slice src, struct buf *out);
	void *arg;
	/* Images of http: and https: stay. They tell the sender that and where
	 * the mail is read. */
	bool remote;
	unsigned blocked; /* result: how many of those were left out */
};

/* Text as HTML has it, also in a quoted value; without NUL. */
void html_put_text(struct buf *out, struct slice text);

/* `in` is UTF-8. False: out has failed (is full). */
bool html_clean(struct html_clean *h, struct slice in, struct buf *out);

#endif
