/* SPDX-License-Identifier: ISC */
#include "mailbox/imap/imap_kept.h"

#include <time.h>

#include "common/base/clock.h"

#define DAY_S 86400
#define DAYS_MAX 32 /* that are listed; all can be selected */

struct add {
	struct arena *a;
	struct mails_info *v;
	size_t n, max;
};

static bool
is_wanted(const struct slice *patterns, size_t n, const char *root)
{
	struct slice r = slice_str(root);

	for (size_t i = 0; i < n; i++) {
		struct slice head = slice_head(patterns[i], r.n);

		/* "#" and "#del%" too. */
		for (size_t k = 0; k < head.n; k++)
			if (head.p[k] == '*' || head.p[k] == '%')
				head.n = k;
		if (head.n > 0 && memcmp(head.p, r.p, head.n) == 0)
			return true;
	}
	return false;
}

static int
add_name(struct add *add, const char *name, unsigned attrs)
{
	if (name == NULL)
		return -ENOMEM;
	if (add->n < add->max)
		add->v[add->n++] = (struct mails_info){
			.name = name, .id = 1, .attrs = attrs
		};
	return 0;
}

static int
add_below(
    struct add *add, const char *parent, const char *const *names, size_t n)
{
	int rc = add_name(add, parent, MAILS_NOSELECT);

	for (size_t i = 0; i < n && rc == 0; i++)
		rc = add_name(
		    add, arena_printf(add->a, "%s/%s", parent, names[i]), 0);
	return rc;
}

/* The first moment of each day. */
static int
add_days(struct add *add, const char *const *names, size_t n, size_t days)
{
	time_t now = clock_wall_s();
	char name[40];
	struct tm tm;
	int rc = add_name(add, MAILS_TIME_ROOT, MAILS_NOSELECT);

	for (size_t i = days; i-- > 0 && rc == 0;) {
		time_t then = now - (time_t)i * DAY_S;

		localtime_r(&then, &tm);
		strftime(name, sizeof(name), MAILS_TIME_ROOT "/%Y-%m-%d", &tm);
		rc = add_below(
		    add, arena_strdup(add->a, slice_str(name)), names, n);
	}
	return rc;
}

/* Names of mailboxes that can be selected. */
static int
live_names(struct arena *a, const struct mails_info *all, size_t n,
    const char ***out, size_t *n_out)
{
	*n_out = 0;
	if ((*out = arena_array(a, n + 1, sizeof(**out))) == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (all[i].id != 0 && (all[i].attrs & MAILS_NOSELECT) == 0)
			(*out)[(*n_out)++] = all[i].name;
	return 0;
}

int
imap_kept_add(struct arena *a, struct mails *m, const char *account,
    const struct slice *patterns, size_t n_patterns, struct mails_info **all,
    size_t *n)
{
	bool deleted = is_wanted(patterns, n_patterns, MAILS_DELETED_ROOT);
	bool times = is_wanted(patterns, n_patterns, MAILS_TIME_ROOT);
	size_t days = (size_t)(mails_keep_s(m) / DAY_S) + 1;
	struct add add = { .a = a, .n = *n };
	size_t n_live, n_kept = 0;
	const char **live, **kept = NULL;
	int rc;

	if (mails_keep_s(m) == 0 || (!deleted && !times))
		return 0;
	days = days > DAYS_MAX ? DAYS_MAX : days;
	if ((rc = live_names(a, *all, *n, &live, &n_live)) != 0)
		return rc;
	if (deleted &&
	    (rc = mails_kept_names(m, account, a, &kept, &n_kept)) != 0)
		return rc;
	add.max = *n + n_kept + 2 + days * (n_live + 1);
	if ((add.v = arena_array(a, add.max, sizeof(*add.v))) == NULL)
		return -ENOMEM;
	memcpy(add.v, *all, *n * sizeof(**all));
	if (deleted)
		rc = add_below(&add, MAILS_DELETED_ROOT, kept, n_kept);
	if (rc == 0 && times)
		rc = add_days(&add, live, n_live, days);
	*all = add.v;
	*n = add.n;
	return rc;
}
