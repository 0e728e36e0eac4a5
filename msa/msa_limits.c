/* SPDX-License-Identifier: ISC */
/* How much an account may send: its limits, and the words of a refusal. */
#include "msa/msa.h"

#include <errno.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/log.h"

/* Counted together with the others once there is a folder for it: who has
 * signed in has an account, so now there is one. */
static struct sent *
counts(struct smtp_session *s)
{
	static bool shared;
	const struct msa *m = msa_of(s);
	int rc;

	if (shared)
		return m->sent;
	shared = true;
	if ((rc = sent_share(m->sent, m->accounts_dir)) != 0)
		log_warning("what is sent is not counted with other workers",
		    "file=\"%s/%s\" error=\"%s\"", log_qs(m->accounts_dir),
		    SENT_FILE, strerror(-rc));
	return m->sent;
}

/* The account's own, else the settings'. */
static int
limits_of(struct smtp_session *s, uint32_t out[SENT_LIMITS])
{
	struct accounts_account record;
	int rc = accounts_account_get(msa_of(s)->accounts,
	    smtp_session_tx_arena(s),
	    slice_str(smtp_session_authenticated(s)), &record);

	for (size_t i = 0; i < SENT_LIMITS && rc == 0; i++) {
		out[i] = record.sent_limits[i] != 0 ? record.sent_limits[i]
						    : msa_of(s)->limits[i];
		if (out[i] == 0)
			out[i] = SENT_UNLIMITED;
	}
	return rc;
}

static void
refuse(struct smtp_session *s, const struct sent_over *over,
    struct smtp_reply *reply)
{
	const char *account = smtp_session_authenticated(s);
	const char *words = sent_limit_names[over->limit].words;
	char when[32];
	time_t again = (time_t)over->again_s;
	int64_t wait_s = over->again_s - clock_wall_s();
	struct tm tm;

	smtp_session_because(
	    s, "limit of %s: %u %s", account, over->max, words);
	log_info("over the limit", "account=%s limit=%s max=%u",
	    log_qs(account), sent_limit_names[over->limit].key, over->max);
	if (over->again_s == 0 || gmtime_r(&again, &tm) == NULL ||
	    strftime(when, sizeof(when), "%Y-%m-%d %H:%M UTC", &tm) == 0) {
		*reply = smtp_reply_f(smtp_session_tx_arena(s), 452, "4.7.1",
		    "%s may send %u %s, these are more at once", account,
		    over->max, words);
		return;
	}
	*reply = smtp_reply_f(smtp_session_tx_arena(s), 452, "4.7.1",
	    "%s may send %u %s; try again at %s, in %lld minutes", account,
	    over->max, words, when,
	    (long long)(wait_s < 0 ? 1 : (wait_s + 59) / 60));
}

static uint32_t
clamped(size_t recipients)
{
	return recipients > SENT_LIMIT_MAX ? SENT_LIMIT_MAX
					   : (uint32_t)recipients;
}

int
msa_limits_check(
    struct smtp_session *s, size_t recipients, struct smtp_reply *reply)
{
	uint32_t limits[SENT_LIMITS];
	struct sent_over over;
	int rc = limits_of(s, limits);

	if (rc != 0 ||
	    sent_may(counts(s), slice_str(smtp_session_authenticated(s)),
		limits, clamped(recipients), clock_wall_s(), &over))
		return rc;
	refuse(s, &over, reply);
	return 1;
}

int
msa_limits_take(struct smtp_session *s, size_t recipients,
    struct sent_count *count, struct smtp_reply *reply)
{
	uint32_t limits[SENT_LIMITS];
	struct sent_over over;
	int rc = limits_of(s, limits);

	if (rc != 0 ||
	    sent_take(counts(s), slice_str(smtp_session_authenticated(s)),
		limits, clamped(recipients), clock_wall_s(), count, &over))
		return rc;
	refuse(s, &over, reply);
	return 1;
}

void
msa_limits_give_back(struct smtp_session *s, const struct sent_count *count)
{
	sent_give_back(counts(s), count);
}
