/* SPDX-License-Identifier: ISC */
/* THE table of paths of pneu manage. openapi.json describes each of them: the
 * unit test compares the two. */
#include "mgmt/api/manage.h"
#include "mgmt/api/manage_impl.h"

#define OUTSIDE "/outside/{address}"
#define ACCOUNT "/admin/accounts/{address}"
#define DOMAIN_ "/admin/domains/{domain}"
#define NOTICE "/notices/{id}"
#define QUEUED "/admin/queue/{id}"
#define ADDRESS "/admin/addresses/{address}"

/* clang-format off */
const struct manage_route manage_routes[] = {
	{ HTTP_GET, "/openapi.json", "getDescription", MANAGE_OPEN, false, manage_openapi_get },
	{ HTTP_GET, "/account", "getAccount", MANAGE_ACCOUNT, false, own_get },
	{ HTTP_PATCH, "/account", "changeAccount", MANAGE_ACCOUNT, true, own_patch },
	{ HTTP_POST, "/account/password", "changePassword", MANAGE_ACCOUNT, true,
	    own_password_post },
	{ HTTP_GET, "/account/passwords", "listPasswords", MANAGE_ACCOUNT, false,
	    own_passwords_get },
	{ HTTP_POST, "/account/passwords", "addPassword", MANAGE_ACCOUNT, true,
	    own_passwords_post },
	{ HTTP_DELETE, "/account/passwords/{name}", "removePassword", MANAGE_ACCOUNT, false,
	    own_passwords_delete },
	{ HTTP_GET, "/outside", "listOutside", MANAGE_ACCOUNT, false, outside_api_list },
	{ HTTP_POST, "/outside", "addOutside", MANAGE_ACCOUNT, true, outside_api_add },
	{ HTTP_GET, "/outside/find", "findOutside", MANAGE_ACCOUNT, false, outside_api_find },
	{ HTTP_POST, "/outside/login", "finishLogin", MANAGE_ACCOUNT, true, outside_login_back },
	{ HTTP_POST, OUTSIDE "/test", "testOutside", MANAGE_ACCOUNT, true, outside_api_test },
	{ HTTP_POST, OUTSIDE "/fetch", "fetchOutside", MANAGE_ACCOUNT, true, outside_api_fetch },
	{ HTTP_POST, OUTSIDE "/login", "logIn", MANAGE_ACCOUNT, true, outside_login_post },
	{ HTTP_GET, OUTSIDE "/login", "getLogin", MANAGE_ACCOUNT, false, outside_login_get },
	{ HTTP_GET, OUTSIDE, "getOutside", MANAGE_ACCOUNT, false, outside_api_get },
	{ HTTP_PATCH, OUTSIDE, "changeOutside", MANAGE_ACCOUNT, true, outside_api_patch },
	{ HTTP_DELETE, OUTSIDE, "removeOutside", MANAGE_ACCOUNT, false, outside_api_delete },
	{ HTTP_GET, "/notices", "listNotices", MANAGE_ACCOUNT, false, notices_api_list },
	{ HTTP_POST, "/notices", "addNotice", MANAGE_ACCOUNT, true, notices_api_add },
	{ HTTP_GET, "/notices/key", "getPushKey", MANAGE_ACCOUNT, false, notices_api_key },
	{ HTTP_GET, "/notices/events", "getNoticeEvents", MANAGE_ACCOUNT, false,
	    notices_api_events },
	{ HTTP_GET, NOTICE, "getNotice", MANAGE_ACCOUNT, false, notices_api_get },
	{ HTTP_PATCH, NOTICE, "changeNotice", MANAGE_ACCOUNT, true, notices_api_patch },
	{ HTTP_DELETE, NOTICE, "removeNotice", MANAGE_ACCOUNT, false, notices_api_delete },
	{ HTTP_POST, NOTICE "/test", "testNotice", MANAGE_ACCOUNT, true, notices_api_test },
	{ HTTP_GET, NOTICE "/dead", "listDeadNotices", MANAGE_ACCOUNT, false, notices_api_dead },
	{ HTTP_POST, NOTICE "/retry", "retryNotices", MANAGE_ACCOUNT, true, notices_api_retry },
	{ HTTP_POST, NOTICE "/replay", "replayNotices", MANAGE_ACCOUNT, true, notices_api_replay },
	{ HTTP_GET, "/admin/queue", "listQueue", MANAGE_ADMIN, false, admin_queue_get },
	{ HTTP_GET, QUEUED, "getQueued", MANAGE_ADMIN, false, admin_queued_get },
	{ HTTP_DELETE, QUEUED, "removeQueued", MANAGE_ADMIN, false, admin_queued_delete },
	{ HTTP_POST, QUEUED "/retry", "retryQueued", MANAGE_ADMIN, true, admin_queued_retry },
	{ HTTP_POST, QUEUED "/hold", "holdQueued", MANAGE_ADMIN, true, admin_queued_hold },
	{ HTTP_POST, QUEUED "/release", "releaseQueued", MANAGE_ADMIN, true,
	    admin_queued_release },
	{ HTTP_GET, "/admin/accounts", "listAccounts", MANAGE_ADMIN, false, admin_accounts_get },
	{ HTTP_POST, "/admin/accounts", "addAccount", MANAGE_ADMIN, true, admin_accounts_post },
	{ HTTP_GET, ACCOUNT, "getAnyAccount", MANAGE_ADMIN, false, admin_account_get },
	{ HTTP_PATCH, ACCOUNT, "changeAnyAccount", MANAGE_ADMIN, true, admin_account_patch },
	{ HTTP_DELETE, ACCOUNT, "removeAccount", MANAGE_ADMIN, false, admin_account_delete },
	{ HTTP_POST, ACCOUNT "/password", "setAnyPassword", MANAGE_ADMIN, true,
	    admin_account_password },
	{ HTTP_GET, "/admin/domains", "listDomains", MANAGE_ADMIN, false, admin_domains_get },
	{ HTTP_POST, "/admin/domains", "addDomain", MANAGE_ADMIN, true, admin_domains_post },
	{ HTTP_GET, DOMAIN_, "getDomain", MANAGE_ADMIN, false, admin_domain_get },
	{ HTTP_PATCH, DOMAIN_, "changeDomain", MANAGE_ADMIN, true, admin_domain_patch },
	{ HTTP_DELETE, DOMAIN_, "removeDomain", MANAGE_ADMIN, false, admin_domain_delete },
	{ HTTP_GET, "/admin/addresses", "listAddresses", MANAGE_ADMIN, false,
	    admin_addresses_get },
	{ HTTP_POST, "/admin/addresses", "addAddress", MANAGE_ADMIN, true, admin_addresses_post },
	{ HTTP_GET, ADDRESS, "getAddress", MANAGE_ADMIN, false, admin_address_get },
	{ HTTP_PUT, ADDRESS, "setAddress", MANAGE_ADMIN, true, admin_address_put },
	{ HTTP_DELETE, ADDRESS, "removeAddress", MANAGE_ADMIN, false, admin_address_delete },
	{ HTTP_GET, "/admin/status", "getStatus", MANAGE_ADMIN, false, admin_status_get },
	{ HTTP_GET, "/admin/why", "askWhy", MANAGE_ADMIN, false, admin_why_get },
	{ 0 },
};
/* clang-format on */
const size_t manage_n_routes =
    sizeof(manage_routes) / sizeof(manage_routes[0]) - 1;

bool
manage_has_path(struct slice path)
{
	static const char *const first[] = { "openapi.json", "account",
		"outside", "notices", "admin" };
	struct slice word = path.n > 0 ? slice_from(path, 1) : path;

	word = slice_split(&word, '/');
	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++)
		if (slice_eq_str(word, first[i]))
			return true;
	return false;
}
