/* SPDX-License-Identifier: ISC */
/* Whoever adds a program or a protocol adds it here too. */
#include "mgmt/programs.h"

#include <stddef.h>

#define SMTP "220", "QUIT\r\n"
#define IMAP "* OK", "a LOGOUT\r\n"
#define POP3 "+OK", "QUIT\r\n"

const struct program programs[] = {
	{ "guard", "pneu-guard", NULL, "decides about each recipient",
	    { { "lmtp", "guard.lmtp", false, SMTP } } },
	{ "mailbox", "pneu-mailbox", NULL, "keeps the mail",
	    { { "lmtp", "mailbox.lmtp", false, SMTP },
		{ "imap", "mailbox.imap", false, IMAP },
		{ "imaps", "mailbox.imaps", true, IMAP },
		{ "pop3", "mailbox.pop3", false, POP3 },
		{ "pop3s", "mailbox.pop3s", true, POP3 },
		{ "submit", "mailbox.submit", false, NULL, NULL },
		{ "http", "mailbox.http", false, NULL, NULL } } },
	{ "qm", "pneu-qm", NULL, "queues and sends mail to other servers",
	    { { "lmtp", "qm.lmtp", false, SMTP } } },
	{ "mta", "pneu-mta", NULL, "receives mail from other servers",
	    { { "smtp", "mta.listen", false, SMTP } } },
	{ "msa", "pneu-msa", NULL, "takes mail from the users' programs",
	    { { "submission", "msa.submission", false, SMTP },
		{ "submissions", "msa.submissions", true, SMTP },
		{ "api", "msa.api", false, NULL, NULL } } },
	{ "gateway", "pneu-gateway", NULL,
	    "fetches the mail of accounts elsewhere",
	    { { "lmtp", "gateway.lmtp", false, SMTP } } },
	{ "manage", "pneu", "manage",
	    "changes accounts for the API, and shows how all this is",
	    { { "http", "manage.http", false, NULL, NULL } } },
	{ "http", "pneu", "http", "serves this page",
	    { { "http", "mgmt.http", false, NULL, NULL },
		{ "https", "mgmt.https", true, NULL, NULL } } },
	{ .name = NULL },
};
