/* SPDX-License-Identifier: ISC */
/* What flags and keywords are called. */
#include <string.h>

#include "mailbox/mails/mails.h"

const struct mails_flag_name mails_flag_names[MAILS_FLAGS] = {
	{ "\\Answered", MAILS_ANSWERED },
	{ "\\Flagged", MAILS_FLAGGED_FLAG },
	{ "\\Deleted", MAILS_DELETED },
	{ "\\Seen", MAILS_SEEN },
	{ "\\Draft", MAILS_DRAFT },
};

uint32_t
mails_flag_find(struct slice name)
{
	for (size_t i = 0; i < MAILS_FLAGS; i++)
		if (slice_eq_str_nocase(name, mails_flag_names[i].name))
			return mails_flag_names[i].flag;
	return 0;
}

bool
mails_keyword_is_valid(struct slice name)
{
	if (name.n == 0 || name.n > 255)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] >= 0x7f ||
		    strchr("(){%*\"\\]", name.p[i]) != NULL)
			return false;
	return true;
}
