/* SPDX-License-Identifier: ISC */
/* Dialogues (smtp_dialogue.h) as data, for cmocka: what is said, and what the
 * handler must have recorded. */
#ifndef TEST_SMTP_SCENES_H
#define TEST_SMTP_SCENES_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/unit/common/smtp_dialogue.h"

struct scene {
	const char *name;
	const struct smtp_server *server;
	const char *const *script;
	const char *recorded; /* NULL: nothing */
};

/* Fails the test where it does not go as written. What was recorded counts as
 * far as a string goes: a NUL in a message ends it. */
static void
scene_run(const struct scene *s, size_t cut)
{
	struct dialogue d = {
		.server = s->server, .script = s->script, .cut = cut
	};
	const char *error = dialogue_run(&d);
	const char *want = s->recorded == NULL ? "" : s->recorded;

	if (*error != '\0')
		fail_msg("%s: %s", s->name, error);
	if (strcmp(want, buf_str(&record)) != 0)
		fail_msg("%s: recorded:\n%s", s->name, buf_str(&record));
}

#endif
