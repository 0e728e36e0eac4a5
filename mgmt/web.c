/* SPDX-License-Identifier: ISC */
#include "mgmt/web.h"

#include <stdio.h>

#include "common/base/crc32c.h"

#define JS "text/javascript; charset=utf-8"

#define FILE_OF_PAGE(symbol, file)                                             \
	__asm__(".pushsection .rodata\n"                                       \
		"web_" #symbol ":\n"                                           \
		".incbin \"mgmt/web/" file "\"\n"                              \
		"web_" #symbol "_end:\n"                                       \
		".byte 0\n"                                                    \
		".popsection\n");                                              \
	extern const char web_##symbol[]                                       \
	    __attribute__((visibility("hidden")));                             \
	extern const char web_##symbol##_end[]                                 \
	    __attribute__((visibility("hidden")))

FILE_OF_PAGE(index, "index.html");
FILE_OF_PAGE(css, "app.css");
FILE_OF_PAGE(icon, "icon.svg");
FILE_OF_PAGE(clip, "clip.svg");
FILE_OF_PAGE(app, "app.js");
FILE_OF_PAGE(account, "account.js");
FILE_OF_PAGE(admin, "admin.js");
FILE_OF_PAGE(forms, "forms.js");
FILE_OF_PAGE(notices, "notices.js");
FILE_OF_PAGE(outside, "outside.js");
FILE_OF_PAGE(system, "system.js");
FILE_OF_PAGE(worker, "worker.js");
FILE_OF_PAGE(api, "api.js");
FILE_OF_PAGE(compose, "compose.js");
FILE_OF_PAGE(dom, "dom.js");
FILE_OF_PAGE(message, "message.js");
FILE_OF_PAGE(monitor, "monitor.js");
FILE_OF_PAGE(settings, "settings.js");
FILE_OF_PAGE(signin, "signin.js");

static const struct {
	const char *path, *type;
	const char *p, *end;
} files[] = {
	{ "/", "text/html; charset=utf-8", web_index, web_index_end },
	{ "/web/app.css", "text/css; charset=utf-8", web_css, web_css_end },
	{ "/web/icon.svg", "image/svg+xml", web_icon, web_icon_end },
	{ "/web/clip.svg", "image/svg+xml", web_clip, web_clip_end },
	/* Where a login at a provider comes back to. */
	{ "/login", "text/html; charset=utf-8", web_index, web_index_end },
	/* At the root: what it may look after is below where it is. */
	{ "/worker.js", JS, web_worker, web_worker_end },
	{ "/web/app.js", JS, web_app, web_app_end },
	{ "/web/account.js", JS, web_account, web_account_end },
	{ "/web/admin.js", JS, web_admin, web_admin_end },
	{ "/web/forms.js", JS, web_forms, web_forms_end },
	{ "/web/notices.js", JS, web_notices, web_notices_end },
	{ "/web/outside.js", JS, web_outside, web_outside_end },
	{ "/web/system.js", JS, web_system, web_system_end },
	{ "/web/api.js", JS, web_api, web_api_end },
	{ "/web/compose.js", JS, web_compose, web_compose_end },
	{ "/web/dom.js", JS, web_dom, web_dom_end },
	{ "/web/message.js", JS, web_message, web_message_end },
	{ "/web/monitor.js", JS, web_monitor, web_monitor_end },
	{ "/web/settings.js", JS, web_settings, web_settings_end },
	{ "/web/signin.js", JS, web_signin, web_signin_end },
};

/* Scripts, styles and requests of this page's own only; what is framed is mail,
 * with a policy of its own. */
static const char policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; frame-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types worker";

static void
reply(struct http_exchange *x, const char *type, struct slice body)
{
	struct slice known = http_head_get(&x->head, "If-None-Match");
	char tag[16];

	snprintf(tag, sizeof(tag), "\"%08x\"", crc32c(0, body.p, body.n));
	http_reply_field(x, "Content-Security-Policy", slice_str(policy));
	http_reply_field(x, "Cross-Origin-Opener-Policy",
	    SLICE_LIT("same-origin"));
	/* Kept, and asked for each time whether it is still so. */
	http_reply_field(x, "Cache-Control", SLICE_LIT("no-cache"));
	http_reply_field(x, "ETag", slice_str(tag));
	if (slice_eq_str(known, tag))
		http_reply(x, 304, NULL, SLICE_EMPTY);
	else
		http_reply(x, 200, type, body);
}

bool
web_get(struct http_exchange *x)
{
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (slice_eq_str(x->head.path, files[i].path)) {
			reply(x, files[i].type,
			    slice(files[i].p,
				(size_t)(files[i].end - files[i].p)));
			return true;
		}
	return false;
}
