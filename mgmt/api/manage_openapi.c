/* SPDX-License-Identifier: ISC */
/*
 * The description of the API (OpenAPI 3.1): ours is part of the program, that of
 * mail is pneu-mailbox's, and whoever asks gets one document of both.
 */
#include <errno.h>

#include "mgmt/api/manage_impl.h"

__asm__(".pushsection .rodata\n"
	"manage_openapi_text:\n"
	".incbin \"mgmt/api/openapi.json\"\n"
	"manage_openapi_end:\n"
	".byte 0\n"
	".popsection\n");
extern const char manage_openapi_text[] __attribute__((visibility("hidden")));
extern const char manage_openapi_end[] __attribute__((visibility("hidden")));

struct slice
manage_openapi(void)
{
	return slice(manage_openapi_text,
	    (size_t)(manage_openapi_end - manage_openapi_text));
}

/* What both have (Problem) is the same in both. */
static void
add(json_t *to, json_t *from, const char *what)
{
	json_object_update_missing(
	    json_object_get(to, what), json_object_get(from, what));
}

int
manage_openapi_get(struct manage_call *c)
{
	json_t *mail = NULL, *ours;
	int status = manage_ask(c, "/openapi.json", false, &mail);

	if (status != 200) {
		json_decref(mail);
		return manage_problem(c, "try-later", NULL);
	}
	ours = json_loadb(manage_openapi().p, manage_openapi().n, 0, NULL);
	add(mail, ours, "paths");
	add(json_object_get(mail, "components"),
	    json_object_get(ours, "components"), "schemas");
	json_decref(ours);
	return manage_json(c, 200, mail);
}
