/* SPDX-License-Identifier: ISC */
/* THE table of paths. openapi.json describes each of them: the unit test
 * compares the two. */
#include "mailbox/api/api_impl.h"

#define BOX "/mailboxes/{mailbox}"
#define MSG BOX "/messages/{uid}"

const struct api_route api_routes[] = {
	{ HTTP_POST, "/session", "signIn", 0, true, api_session_post },
	{ HTTP_GET, "/session", "getSession", API_SCOPES_ALL, false,
	    api_session_get },
	{ HTTP_DELETE, "/session", "signOut", API_READ, false,
	    api_session_delete },
	{ HTTP_GET, "/tokens", "listTokens", API_TOKENS, false,
	    api_tokens_get },
	{ HTTP_POST, "/tokens", "createToken", API_TOKENS, true,
	    api_tokens_post },
	{ HTTP_DELETE, "/tokens/{token}", "revokeToken", API_TOKENS, false,
	    api_tokens_delete },
	{ HTTP_GET, "/mailboxes", "listMailboxes", API_READ, false,
	    api_mailboxes_get },
	{ HTTP_POST, "/mailboxes", "createMailbox", API_WRITE, true,
	    api_mailboxes_post },
	{ HTTP_GET, BOX, "getMailbox", API_READ, false, api_mailbox_get },
	{ HTTP_PATCH, BOX, "changeMailbox", API_WRITE, true,
	    api_mailbox_patch },
	{ HTTP_DELETE, BOX, "deleteMailbox", API_WRITE, false,
	    api_mailbox_delete },
	{ HTTP_GET, BOX "/messages", "listMessages", API_READ, false,
	    api_messages_get },
	{ HTTP_PATCH, BOX "/messages", "changeMessages", API_WRITE, true,
	    api_messages_patch },
	{ HTTP_POST, BOX "/messages/move", "moveMessages", API_WRITE, true,
	    api_messages_move },
	{ HTTP_POST, BOX "/messages/copy", "copyMessages", API_WRITE, true,
	    api_messages_copy },
	{ HTTP_POST, BOX "/messages/delete", "deleteMessages", API_WRITE, true,
	    api_messages_delete },
	{ HTTP_GET, MSG, "getMessage", API_READ, false, api_message_get },
	{ HTTP_PATCH, MSG, "changeMessage", API_WRITE, true,
	    api_message_patch },
	{ HTTP_DELETE, MSG, "deleteMessage", API_WRITE, false,
	    api_message_delete },
	{ HTTP_GET, MSG "/raw", "getRawMessage", API_READ, false,
	    api_message_raw },
	{ HTTP_GET, MSG "/parts/{part}", "getPart", API_READ, false,
	    api_message_part },
	{ HTTP_GET, BOX "/deleted", "listDeleted", API_READ, false,
	    api_deleted_get },
	{ HTTP_POST, BOX "/undelete", "undeleteMessages", API_WRITE, true,
	    api_undelete },
	{ HTTP_GET, MSG "/html", "getHtml", API_READ, false,
	    api_message_html },
	{ HTTP_POST, "/send", "send", API_SEND, false, api_send },
	{ HTTP_POST, "/drafts", "saveDraft", API_WRITE, false,
	    api_drafts_post },
	{ HTTP_GET, "/events", "watch", API_READ, false, api_events },
	{ HTTP_GET, "/openapi.json", "getDescription", 0, false,
	    api_openapi_get },
	{ 0 },
};
const size_t api_n_routes = sizeof(api_routes) / sizeof(api_routes[0]) - 1;

const struct api_route *
api_route_find(const struct api_route *table, struct http_match *m,
    struct arena *a, struct slice param[API_PARAMS])
{
	const struct api_route *found;

	for (const struct api_route *r = table; r->path; r++)
		http_match_offer(m, r->method, r->path, r);
	found = http_match_end(m, a);
	if (found != NULL)
		memcpy(param, m->param, sizeof(m->param));
	return found;
}
