/* SPDX-License-Identifier: ISC */
/* What mailbox says of a message, in whatever shape: a notice can be made of it
 * that is JSON, fits in a push message, and tells no more than was chosen. */
#include <stdlib.h>
#include <string.h>

#include "gateway/notice_send.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void
check(bool ok)
{
	if (!ok)
		abort();
}

static void
look(const struct notice *n, const json_t *about, bool shorter)
{
	static const struct notice_event e = { .number = 1 };
	json_t *body = notice_body(n, &e, about, shorter), *again;
	char *text = json_dumps(body, JSON_COMPACT);
	size_t size;

	check(body != NULL && text != NULL);
	size = strlen(text);
	check(!shorter || size <= WEBPUSH_MAX);
	again = json_loads(text, 0, NULL);
	check(again != NULL && json_equal(again, body));
	check(n->content == NOTICE_PREVIEW ||
	    json_object_get(body, "preview") == NULL);
	check(n->content != NOTICE_NOTHING || json_object_size(body) == 6);
	free(text);
	json_decref(again);
	json_decref(body);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	json_t *about = json_loadb((const char *)p, n, 0, NULL);
	struct notice record = {
		.id = "abcdefghabcdefgh", .account = "a@b.test", .name = ""
	};

	for (int c = 0; c < NOTICE_CONTENTS && json_is_object(about); c++) {
		record.content = (enum notice_content)c;
		look(&record, about, false);
		look(&record, about, true);
	}
	json_decref(about);
	return 0;
}
