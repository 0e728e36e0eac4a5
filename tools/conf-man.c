/* SPDX-License-Identifier: ISC */
/*
 * Copies pneu.conf.5.in from standard input to standard output, with the
 * table of settings as mdoc(7) in place of the lines "@SETTINGS@".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/conf.h"
#include "common/base/conf_impl.h"

/* What stands above a section's settings; "" are those of no section. */
static const struct {
	const char *section, *title, *text;
} sections[] = {
	{ "", "All programs", "These stand directly in the file's object." },
	{ "tls", "TLS",
	    "Certificates of all programs that serve TLS.\n"
	    "A changed file is noticed by itself." },
	{ "dns", "DNS",
	    "The resolver inside each program that asks the DNS; "
	    "it checks DNSSEC itself." },
	{ "trace", "The trace",
	    "What each program decided about messages and sessions, kept for\n"
	    ".Ql pneu why :\n"
	    "a file of fixed size for each program, in which the newest takes\n"
	    "the place of the oldest." },
	{ "accounts", "Accounts",
	    "The directory of domains, accounts and "
	    "addresses." },
	{ "auth", "Signing in",
	    "What failed sign-ins cost, by address and by account, counted by "
	    "all programs together." },
	{ "mta", "pneu-mta", "Mail from other servers." },
	{ "guard", "pneu-guard", "The decision about each recipient." },
	{ "mailbox", "pneu-mailbox", "The mail store, IMAP and POP3." },
	{ "msa", "pneu-msa", "Submission by the users' mail programs." },
	{ "qm", "pneu-qm", "The queue, and delivery to other servers." },
	{ "gateway", "pneu-gateway", "Mail fetched from accounts elsewhere." },
	{ "manage", "pneu", "The API of accounts and the system." },
	{ "mgmt", "pneu", "The web page." },
};

static const char *const type_names[] = {
	[CONF_STRING] = "string",
	[CONF_BOOL] = "true or false",
	[CONF_INT] = "integer",
	[CONF_SIZE] = "size",
	[CONF_DURATION] = "time",
	[CONF_ENUM] = "choice",
	[CONF_LIST] = "list of strings",
	[CONF_MAP] = "names with strings",
};

static size_t
section_len(const char *name)
{
	const char *dot = strchr(name, '.');

	return dot != NULL ? (size_t)(dot - name) : 0;
}

static bool
in_section(const char *name, const char *section)
{
	return section_len(name) == strlen(section) &&
	    strncmp(name, section, strlen(section)) == 0;
}

/* Text that mdoc takes as it is: no escapes, no request at a line's start. */
static void
put_text(const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", stdout);
	for (; *text != '\0'; text++)
		if (*text == '\\')
			fputs("\\e", stdout);
		else if (*text == '-')
			fputs("\\-", stdout);
		else
			putchar(*text);
}

/* One argument of a macro. */
static void
put_argument(const char *text)
{
	putchar('"');
	for (; *text != '\0'; text++)
		if (*text == '"')
			fputs("\"\"", stdout);
		else if (*text == '\\')
			fputs("\\e", stdout);
		else
			putchar(*text);
	putchar('"');
}

static void
put_bound(const char *word, const struct conf_setting *s, int64_t v)
{
	struct buf text = BUF_INIT;

	conf_number_put(s, v, &text);
	printf("%s %s", word, buf_str(&text));
	buf_clear(&text);
}

static void
put_choices(const char *p)
{
	puts("One of");
	for (size_t n; *p != '\0'; p += n + (p[n] == '|')) {
		n = strcspn(p, "|");
		printf(".Ql %.*s %c\n", (int)n, p, p[n] == '|' ? ',' : '.');
	}
}

static void
put_type(const struct conf_setting *s)
{
	if (s->type == CONF_ENUM) {
		put_choices(s->choices);
		return;
	}
	printf("Type: %s", type_names[s->type]);
	if (s->min != 0)
		put_bound(", at least", s, s->min);
	if (s->max != 0)
		put_bound(", at most", s, s->max);
	puts(".");
}

/* Where it is empty, the help says what that means. */
static void
put_default(const struct conf_setting *s)
{
	if (s->def[0] == '\0')
		return;
	fputs("Default:\n.Ql ", stdout);
	put_argument(s->def);
	puts(" .");
}

static void
put_setting(const struct conf_setting *s)
{
	size_t n = section_len(s->name);

	printf(".It Cm %s\n", s->name + (n > 0 ? n + 1 : 0));
	put_text(s->help);
	puts(".\n.Pp");
	put_type(s);
	put_default(s);
}

static void
put_settings(void)
{
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		bool any = false;

		for (const struct conf_setting *s = conf_settings;
		     s->name != NULL; s++) {
			if (!in_section(s->name, sections[i].section))
				continue;
			if (!any) {
				printf(".Ss %s\n", sections[i].title);
				if (sections[i].section[0] != '\0')
					printf("Section\n.Ql %s .\n",
					    sections[i].section);
				printf("%s\n.Bl -tag -width Ds\n",
				    sections[i].text);
			}
			any = true;
			put_setting(s);
		}
		if (any)
			puts(".El");
	}
}

/* A section of the table that this page forgot would be a bug. */
static bool
all_sections_known(void)
{
	for (const struct conf_setting *s = conf_settings; s->name != NULL;
	     s++) {
		bool known = false;

		for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]);
		     i++)
			known |= in_section(s->name, sections[i].section);
		if (!known) {
			fprintf(stderr,
			    "conf-man: %s: no section of the "
			    "man page\n",
			    s->name);
			return false;
		}
	}
	return true;
}

int
main(void)
{
	char line[1024];

	if (!all_sections_known())
		return 1;
	while (fgets(line, sizeof(line), stdin) != NULL)
		if (strcmp(line, "@SETTINGS@\n") == 0)
			put_settings();
		else
			fputs(line, stdout);
	return ferror(stdin) || fflush(stdout) != 0;
}
