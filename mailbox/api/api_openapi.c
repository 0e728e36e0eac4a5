/* SPDX-License-Identifier: ISC */
/* The description of the API (OpenAPI 3.1), which is part of the program. */
#include "mailbox/api/api_impl.h"

__asm__(".pushsection .rodata\n"
	"api_openapi_text:\n"
	".incbin \"mailbox/api/openapi.json\"\n"
	"api_openapi_end:\n"
	".byte 0\n"
	".popsection\n");
extern const char api_openapi_text[] __attribute__((visibility("hidden")));
extern const char api_openapi_end[] __attribute__((visibility("hidden")));

struct slice
api_openapi(void)
{
	return slice(
	    api_openapi_text, (size_t)(api_openapi_end - api_openapi_text));
}

int
api_openapi_get(struct api_call *c)
{
	http_reply(c->x, 200, "application/json", api_openapi());
	return 0;
}
