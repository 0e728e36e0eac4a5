/* SPDX-License-Identifier: ISC */
#include "gateway/ask.h"

#include <errno.h>

#include "common/auth/program_ask.h"
#include "common/base/log.h"

/* People may press the button often, and each test is a connection to a server of
 * their choice. */
#define TESTS_MAX 8

static void
state(struct gateway *g, struct smtp_session *s, const char *address,
    struct smtp_reply *reply)
{
	struct arena *a = smtp_session_arena(s);
	struct state_status st;
	struct outside o;
	int rc = outside_get(g->accounts, a, slice_str(address), &o);

	/* One that was never looked at is new. */
	if (rc == 0 &&
	    (rc = state_status_now(g->state, a, o.address, &st)) == -ENOENT)
		rc = 0;
	if (rc != 0) {
		*reply = rc == -ENOENT
		    ? SMTP_REPLY(550, "5.1.1", "no such outside account")
		    : SMTP_REPLY(451, "4.3.0", "not known just now");
		return;
	}
	program_answer(a,
	    json_pack("{s:s, s:s, s:o, s:o, s:o, s:I, s:I, s:I, s:I}", "state",
		o.paused ? "paused" : state_kinds[st.kind], "error",
		log_qs(st.error != NULL ? st.error : ""), "looked",
		program_time(st.looked_s), "worked", program_time(st.good_s),
		"next", o.paused ? json_null() : program_time(st.next_s),
		"messages", (json_int_t)st.messages, "octets",
		(json_int_t)st.octets, "refused", (json_int_t)st.refused,
		"left", (json_int_t)st.left),
	    reply);
}

static void
test(struct gateway *g, struct smtp_session *s, const char *address,
    struct smtp_reply *reply)
{
	static unsigned under_way;
	struct fetch f = { .g = g, .probe = true };
	enum fetch_end end;

	if (under_way == TESTS_MAX) {
		*reply = SMTP_REPLY(451, "4.3.2", "too many tests at once");
		return;
	}
	under_way++;
	end = fetch_run(&f, address);
	under_way--;
	if (end == FETCH_GONE)
		*reply = SMTP_REPLY(550, "5.1.1", "no such outside account");
	else
		program_answer(smtp_session_arena(s),
		    json_pack("{s:b, s:s}", "ok", end == FETCH_OK, "error",
			end == FETCH_OK ? "" : log_q(buf_slice(&f.why))),
		    reply);
	fetch_clear(&f);
}

static void
fetch(struct roster *r, struct smtp_session *s, const char *address,
    struct smtp_reply *reply)
{
	struct roster_result got = { .why = BUF_INIT_MAX(1000) };
	int rc = roster_fetch(r, slice_str(address), &got);

	if (rc == -ENOENT)
		*reply = SMTP_REPLY(550, "5.1.1", "no such outside account");
	else if (rc != 0 && rc != -EPERM)
		*reply = SMTP_REPLY(451, "4.3.0", "not possible just now");
	else
		program_answer(smtp_session_arena(s),
		    json_pack("{s:b, s:s, s:I, s:I}", "ok",
			rc == 0 && got.end == FETCH_OK, "error",
			rc == -EPERM              ? "it is paused"
			    : got.end == FETCH_OK ? ""
						  : log_q(buf_slice(&got.why)),
			"messages", (json_int_t)got.messages, "octets",
			(json_int_t)got.octets),
		    reply);
	buf_clear(&got.why);
}

static const char *const verbs[] = { "XSTATE", "XTEST", "XFETCH" };

bool
ask_command(struct gateway *g, struct roster *r, struct smtp_session *s,
    struct slice verb, struct slice args, struct smtp_reply *reply)
{
	const char *address;
	size_t i = 0;

	while (i < 3 && !slice_eq_str_nocase(verb, verbs[i]))
		i++;
	if (i == 3)
		return false;
	args = slice_trim(args);
	if (args.n < 3 || args.p[0] != '<' || args.p[args.n - 1] != '>') {
		*reply = SMTP_REPLY(501, "5.5.4", "<address>, please");
		return true;
	}
	address = arena_strdup(
	    smtp_session_arena(s), slice_from(slice_head(args, args.n - 1), 1));
	if (address == NULL)
		*reply = SMTP_REPLY(451, "4.3.0", "out of memory");
	else if (i == 0)
		state(g, s, address, reply);
	else if (i == 1)
		test(g, s, address, reply);
	else
		fetch(r, s, address, reply);
	return true;
}
