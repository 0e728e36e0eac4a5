/* SPDX-License-Identifier: ISC */
/* /admin/queue: the running pneu-qm is asked. */
#include <errno.h>

#include "common/auth/program_ask.h"
#include "mgmt/api/manage_impl.h"

#define ASK_MS 60000
#define ID_MAX 40

/* An id is letters and digits; what is not goes into no line. */
static bool
is_id(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_digit(s.p[i]) &&
		    !(ascii_lower(s.p[i]) >= 'a' && ascii_lower(s.p[i]) <= 'z'))
			return false;
	return s.n > 0 && s.n <= ID_MAX;
}

static int
ask(struct manage_call *c, const char *word, struct slice id, json_t **out)
{
	char line[100];

	snprintf(line, sizeof(line), "XQUEUE %s%s%.*s", word,
	    id.n > 0 ? " " : "", (int)id.n, id.p != NULL ? id.p : "");
	return manage_errno(c,
	    program_ask(c->env->conf, "qm.lmtp", line, ASK_MS, out, &c->err),
	    "no-such-queued");
}

int
admin_queue_get(struct manage_call *c)
{
	struct slice after = SLICE_EMPTY;
	json_t *j;
	int rc;

	if (!http_head_query(&c->x->head, "cursor", &after) ||
	    (after.n > 0 && !is_id(after)))
		return manage_problem(c, "bad-value", "cursor");
	rc = ask(c, "LIST", after, &j);
	return rc != 0 ? rc : manage_json(c, 200, j);
}

static int
of_one(struct manage_call *c, const char *word, json_t **out)
{
	if (!is_id(c->param[0]))
		return manage_problem(c, "no-such-queued", NULL);
	return ask(c, word, c->param[0], out);
}

int
admin_queued_get(struct manage_call *c)
{
	json_t *j;
	int rc = of_one(c, "SHOW", &j);

	return rc != 0 ? rc : manage_json(c, 200, j);
}

static int
order(struct manage_call *c, const char *word)
{
	json_t *j;
	int rc = c->in != NULL ? manage_empty(c) : 0;

	if (rc == 0)
		rc = of_one(c, word, &j);
	if (rc != 0)
		return rc;
	json_decref(j);
	return manage_no_content(c);
}

int
admin_queued_delete(struct manage_call *c)
{
	return order(c, "DELETE");
}

int
admin_queued_retry(struct manage_call *c)
{
	return order(c, "RETRY");
}

int
admin_queued_hold(struct manage_call *c)
{
	return order(c, "HOLD");
}

int
admin_queued_release(struct manage_call *c)
{
	return order(c, "RELEASE");
}
