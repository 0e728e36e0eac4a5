/* SPDX-License-Identifier: ISC */
/* /mailboxes. A mailbox is named by its id (RFC 8474), which is never used
 * again and stays when the mailbox is renamed. */
#include <errno.h>

#include "mailbox/api/api_impl.h"

static const struct {
	unsigned attr;
	const char *role;
} roles[] = {
	{ MAILS_ARCHIVE, "archive" },
	{ MAILS_DRAFTS, "drafts" },
	{ MAILS_JUNK, "junk" },
	{ MAILS_SENT, "sent" },
	{ MAILS_TRASH, "trash" },
	{ MAILS_FLAGGED, "flagged" },
	{ MAILS_ALL, "all" },
	{ MAILS_IMPORTANT, "important" },
};

static json_t *
role_json(const struct mails_info *info)
{
	if (strcmp(info->name, "INBOX") == 0)
		return json_string("inbox");
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		if ((info->attrs & roles[i].attr) != 0)
			return json_string(roles[i].role);
	return json_null();
}

static int
mailbox_json(struct api_call *c, const struct mails_info *info, json_t **out)
{
	struct mails_status st;
	char id[24];
	int rc;

	rc = mails_status(
	    c->env->mails, c->account, slice_str(info->name), &st);
	if (rc != 0)
		return rc;
	snprintf(id, sizeof(id), "%llu", (unsigned long long)info->id);
	*out = json_pack("{s:s, s:o, s:o, s:b, s:I, s:I, s:I, s:I, s:I, s:I}",
	    "id", id, "name", api_text(slice_str(info->name)), "role",
	    role_json(info), "subscribed",
	    (info->attrs & MAILS_SUBSCRIBED) != 0, "messages",
	    (json_int_t)st.messages, "unseen", (json_int_t)st.unseen, "octets",
	    (json_int_t)st.octets, "uidvalidity", (json_int_t)st.uidvalidity,
	    "uidnext", (json_int_t)st.uidnext, "modseq",
	    (json_int_t)st.highestmodseq);
	return *out == NULL ? -ENOMEM : 0;
}

int
api_mailboxes_get(struct api_call *c)
{
	struct mails_info *list;
	json_t *items, *item;
	uint64_t octets, messages;
	size_t n;
	int rc;

	if ((rc = mails_list(c->env->mails, c->account, c->a, &list, &n)) != 0 ||
	    (rc = mails_usage(c->env->mails, c->account, &octets, &messages)))
		return rc;
	items = json_array();
	for (size_t i = 0; i < n; i++) {
		if ((list[i].attrs & MAILS_NOSELECT) != 0)
			continue;
		rc = mailbox_json(c, &list[i], &item);
		if (rc == 0)
			json_array_append_new(items, item);
		else if (rc != -ENOENT) { /* deleted meanwhile */
			json_decref(items);
			return rc;
		}
	}
	return api_json(c, 200,
	    json_pack("{s:o, s:I, s:I}", "mailboxes", items, "octets",
		(json_int_t)octets, "messages", (json_int_t)messages));
}

/* --- one of them --- */

int
api_mailbox_by_id(
    struct api_call *c, struct slice id, struct mails_info *out)
{
	struct mails_info *list;
	uint64_t number;
	size_t n;
	int rc;

	if (slice_u64(id, UINT64_MAX, &number) == 0 && number != 0) {
		rc = mails_list(c->env->mails, c->account, c->a, &list, &n);
		if (rc != 0)
			return rc;
		for (size_t i = 0; i < n; i++)
			if (list[i].id == number &&
			    (list[i].attrs & MAILS_NOSELECT) == 0) {
				*out = list[i];
				return 0;
			}
	}
	api_problem(c, "no-such-mailbox", NULL);
	return API_REPLIED;
}

int
api_mailbox(struct api_call *c, struct mails_info *out)
{
	return api_mailbox_by_id(c, c->param[0], out);
}

int
api_open(struct api_call *c, const char *name, struct mails_view **v)
{
	int rc = mails_view_examine(
	    c->env->mails, c->account, slice_str(name), v);

	if (rc == 0)
		mails_view_unlock(*v, c->token.key);
	return rc;
}

int
api_view(struct api_call *c, struct mails_view **v)
{
	struct mails_info info;
	int rc = api_mailbox(c, &info);

	return rc == 0 ? api_open(c, info.name, v) : rc;
}

int
api_message(struct api_call *c, struct mails_view *v, uint32_t *seq)
{
	uint64_t uid;
	bool exact = false;

	if (slice_u64(c->param[1], UINT32_MAX, &uid) == 0 && uid > 0)
		*seq = mails_view_seq(v, (uint32_t)uid, &exact);
	if (exact)
		return 0;
	api_problem(c, "no-such-message", NULL);
	return API_REPLIED;
}

static int
reply_mailbox(struct api_call *c, int status, struct slice name)
{
	struct mails_info *list;
	json_t *j;
	size_t n;
	int rc = mails_list(c->env->mails, c->account, c->a, &list, &n);

	for (size_t i = 0; rc == 0 && i < n; i++)
		if (slice_eq_str(name, list[i].name)) {
			rc = mailbox_json(c, &list[i], &j);
			return rc != 0 ? rc : api_json(c, status, j);
		}
	return rc != 0 ? rc : -ENOENT;
}

int
api_mailbox_get(struct api_call *c)
{
	struct mails_info info;
	int rc = api_mailbox(c, &info);

	return rc != 0 ? rc : reply_mailbox(c, 200, slice_str(info.name));
}

static bool
is_name(const char *name)
{
	for (const char *p = name; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return false;
	return *name != '\0';
}

static int
name_in(struct api_call *c, const char **name)
{
	int rc = api_in_string(c, "name", name);

	if (rc == 0 && *name != NULL && !is_name(*name))
		rc = -EINVAL;
	return rc;
}

int
api_mailboxes_post(struct api_call *c)
{
	const char *name;
	uint64_t id;
	int rc;

	if ((rc = name_in(c, &name)) != 0)
		return rc;
	if (name == NULL)
		return api_problem(c, "bad-value", "name is needed");
	if ((rc = mails_create(c->env->mails, c->account, slice_str(name), 0,
		 &id)) != 0 ||
	    (rc = mails_subscribe(
		 c->env->mails, c->account, slice_str(name), true)) != 0)
		return rc;
	return reply_mailbox(c, 201, slice_str(name));
}

int
api_mailbox_patch(struct api_call *c)
{
	struct mails_info info;
	bool subscribed;
	const char *name;
	int rc;

	if ((rc = api_mailbox(c, &info)) != 0 || (rc = name_in(c, &name)) != 0)
		return rc;
	subscribed = (info.attrs & MAILS_SUBSCRIBED) != 0;
	if ((rc = api_in_bool(c, "subscribed", &subscribed)) != 0)
		return rc;
	if (name == NULL)
		name = info.name;
	/* Of INBOX it would move the mail (RFC 3501 6.3.5), which nobody
	 * expects here. */
	if (strcmp(name, info.name) != 0) {
		rc = strcmp(info.name, "INBOX") == 0
		    ? -EPERM
		    : mails_rename(c->env->mails, c->account,
			  slice_str(info.name), slice_str(name));
		if (rc != 0)
			return rc;
	}
	rc = mails_subscribe(
	    c->env->mails, c->account, slice_str(name), subscribed);
	return rc != 0 ? rc : reply_mailbox(c, 200, slice_str(name));
}

int
api_mailbox_delete(struct api_call *c)
{
	struct mails_info info;
	int rc = api_mailbox(c, &info);

	if (rc == 0)
		rc = mails_delete(
		    c->env->mails, c->account, slice_str(info.name));
	return rc != 0 ? rc : api_no_content(c);
}
