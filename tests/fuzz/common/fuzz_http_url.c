/* SPDX-License-Identifier: ISC */
/* What is taken for a URL has a host that cannot be read in two ways, and can
 * stand in a line; its parts make it up again. libcurl reads it likewise. */
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "common/net/http_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void
check(bool ok)
{
	if (!ok)
		abort();
}

static void
as_curl_reads_it(struct slice in, const struct http_url *u)
{
	char *text = slice_strdup(in), *host = NULL, *port = NULL;
	CURLU *c = curl_url();
	size_t n;

	check(text != NULL && c != NULL);
	if (curl_url_set(c, CURLUPART_URL, text, 0) == CURLUE_OK) {
		check(curl_url_get(c, CURLUPART_HOST, &host, 0) == CURLUE_OK);
		check(curl_url_get(c, CURLUPART_PORT, &port,
			  CURLU_DEFAULT_PORT) == CURLUE_OK);
		check(strtoul(port, NULL, 10) == u->port);
		n = strlen(host);
		if (host[0] != '[')
			check(slice_eq_str_nocase(u->host, host));
		else
			check(u->is_address && n > 2);
	}
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(c);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct slice in = slice(p, n);
	struct http_url u;

	if (http_url_parse(in, &u) != 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		check(p[i] > ' ' && p[i] < 0x7f && p[i] != '#' && p[i] != '\\');
	check(u.origin.n + u.target.n == n && u.origin.p == in.p);
	check(slice_find(u.host, '@') < 0 && u.host.n > 0 && u.port > 0);
	as_curl_reads_it(in, &u);
	return 0;
}
