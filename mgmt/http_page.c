/* SPDX-License-Identifier: ISC */
/* The status page: HTML made by hand, everything that a program said escaped. */
#include "mgmt/http_page.h"

#include <string.h>

#include "common/mail/html_clean.h"
#include "common/net/service.h"

/* No script, nothing from elsewhere: the Content-Security-Policy says so too. */
static const char head[] =
    "<!DOCTYPE html>\n"
    "<html lang=\"en\">\n"
    "<head>\n"
    "<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n"
    "<meta http-equiv=\"refresh\" content=\"10\">\n"
    "<style>\n"
    ":root { color-scheme: light dark; }\n"
    "body { font: 16px/1.5 system-ui, sans-serif; max-width: 60em;\n"
    "  margin: 2em auto; padding: 0 1em; }\n"
    "h1 { font-size: 1.4em; } h2 { font-size: 1.1em; margin-top: 2em; }\n"
    "pre { overflow-x: auto; line-height: 1.35; }\n"
    "table { border-collapse: collapse; width: 100%; }\n"
    "td, th { text-align: left; padding: .3em .8em .3em 0;\n"
    "  border-bottom: 1px solid #8884; vertical-align: top; }\n"
    "td.said { word-break: break-word; }\n"
    ".ok { color: #18794e; } .failed { color: #cd2b31; font-weight: bold; }\n"
    ".off { color: #888; }\n"
    "@media (prefers-color-scheme: dark) {\n"
    "  .ok { color: #4cc38a; } .failed { color: #ff6369; } }\n"
    "</style>\n";

/* "failed" if one of its addresses is; "off" if none is served. */
static const char *
program_status(const struct health *h, const char *name)
{
	const char *status = "off";

	for (size_t i = 0; i < h->n; i++) {
		const struct probe *p = &h->probes[i];

		if (strcmp(p->program->name, name) != 0 || !p->served)
			continue;
		if (!p->ok)
			return "failed";
		status = "ok";
	}
	return status;
}

/* The pipeline; a name in braces is a program, shown by its state. */
/* clang-format off */
static const char pipeline[] =
    "another server --SMTP--> {mta} --LMTP: who is it for?--> {guard}\n"
    "                          |\n"
    "                          +----LMTP: the mail--------> {mailbox}"
    " <--IMAP, POP3-- readers\n"
    "                                                          ^\n"
    "                                                          |"
    " LMTP: local mail\n"
    "      writers --SMTP---> {msa} --LMTP--> {qm} ----------------+\n"
    "                                        |\n"
    "                                        +----SMTP----> other servers\n"
    "\n"
    "      accounts elsewhere --POP3, IMAP--> {gateway} --LMTP--> {mailbox}\n";
/* clang-format on */

static void
put_pipeline(struct buf *out, const struct health *h)
{
	char name[32];

	buf_put_str(out, "<pre>");
	for (const char *p = pipeline; *p != '\0'; p++) {
		size_t n = strcspn(p, "}") - 1;

		if (*p != '{' || n >= sizeof(name)) {
			html_put_text(out, slice(p, 1));
			continue;
		}
		memcpy(name, p + 1, n);
		name[n] = '\0';
		buf_printf(out, "<b class=\"%s\">%s</b>",
		    program_status(h, name), name);
		p += n + 1;
	}
	buf_put_str(out, "</pre>\n");
}

static void
put_probe(struct buf *out, const struct probe *p)
{
	const char *status = p->ok ? "ok" : p->served ? "failed" : "off";

	buf_printf(out, "<tr><td>%s<td>", p->protocol->name);
	html_put_text(out, slice_str(p->address));
	buf_printf(
	    out, "<td class=\"%s\">%s<td class=\"said\">", status, status);
	html_put_text(out, slice_str(p->said));
	buf_printf(out, "<td>%lld ms\n", (long long)p->took_ms);
}

static void
put_programs(struct buf *out, const struct health *h)
{
	const struct program *last = NULL;

	for (size_t i = 0; i < h->n; i++) {
		const struct probe *p = &h->probes[i];

		if (p->program != last)
			buf_printf(out,
			    "%s<h2>%s <span class=\"%s\">%s</span>"
			    "</h2>\n<p>It %s.\n<table>\n<tr><th>protocol"
			    "<th>address<th>state<th>said<th>took\n",
			    last != NULL ? "</table>\n" : "",
			    p->program->binary,
			    program_status(h, p->program->name),
			    program_status(h, p->program->name),
			    p->program->does);
		put_probe(out, p);
		last = p->program;
	}
	if (last != NULL)
		buf_put_str(out, "</table>\n");
}

void
http_page(const struct health *h, const char *hostname, struct buf *out)
{
	buf_put_str(out, head);
	buf_put_str(out, "<title>pneu: ");
	html_put_text(out, slice_str(hostname));
	buf_put_str(out, "</title>\n</head>\n<body>\n<h1>pneu on ");
	html_put_text(out, slice_str(hostname));
	buf_printf(out, ": <span class=\"%s\">%s</span></h1>\n",
	    h->ok ? "ok" : "failed",
	    h->ok ? "all programs answer" : "not all programs answer");
	put_pipeline(out, h);
	put_programs(out, h);
	buf_put_str(out,
	    "<p class=\"off\">pneu " PNEU_VERSION
	    " &middot; <a href=\"/health\">/health</a> &middot; "
	    "<a href=\"/version\">/version</a>\n"
	    "</body>\n</html>\n");
}
