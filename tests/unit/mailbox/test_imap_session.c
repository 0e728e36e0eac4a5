/* SPDX-License-Identifier: ISC */
/* Dialogues with IMAP sessions; two, so that each sees what the other does. */
#include "mailbox/imap/imap.h"
#include "tests/unit/mailbox/dialogue.h"

/* --- the messages that there are at first: INBOX 1 to 3, UIDs 1, 2, 4 --- */

static const char first[] =
    "Date: Mon, 7 Feb 1994 21:52:25 -0800\r\n"
    "From: \"Fred \\\"F\\\" Foobar\" <foobar@Blurdybloop.example>\r\n"
    "Subject: =?utf-8?q?Caf=C3=A9?= meeting\r\n"
    "To: mooch@owatagu.example\r\n"
    "Message-ID: <B27397-0100000@Blurdybloop.example>\r\n"
    "\r\n"
    "Hello Joe, 3:30 tomorrow?\r\n";
static const char second[] = "From: a@b.example\r\n"
			     "Subject: two parts\r\n"
			     "Content-Type: multipart/mixed; boundary=x\r\n"
			     "\r\n"
			     "--x\r\n"
			     "Content-Type: text/plain; charset=iso-8859-1\r\n"
			     "Content-Transfer-Encoding: quoted-printable\r\n"
			     "\r\n"
			     "Stra=DFe =\r\nnach Rom\r\n"
			     "--x\r\n"
			     "Content-Type: text/plain\r\n"
			     "Content-Transfer-Encoding: base64\r\n"
			     "\r\n"
			     "c2VjcmV0IG5lZWRsZQ==\r\n"
			     "--x--\r\n";
static const char fourth[] = "Subject: nul\r\n\r\na\0b\r\n";

static void
fill(struct mails *m)
{
	struct fake_box *b = &m->boxes[0];

	fake_add(b, slice_str(first), (struct mails_flags){ 0, 0 }, 761000000);
	fake_add(b, slice_str(second),
	    (struct mails_flags){ MAILS_SEEN, fake_keyword(b, "$Work") },
	    1000000000);
	fake_add(b, SLICE_LIT("x"), (struct mails_flags){ 0, 0 }, 0);
	fake_remove(b, 2);
	fake_add(b, slice(fourth, sizeof(fourth) - 1),
	    (struct mails_flags){ MAILS_SEEN | MAILS_DELETED, 0 }, 1700000000);
	b->modseq = 9;
}

/* --- dialogues --- */

#define SELECTED                                                               \
	"* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Work)\r\n"    \
	"* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen "         \
	"\\Draft $Work \\*)] Flags that can be kept\r\n"                       \
	"* 3 EXISTS\r\n* 3 RECENT\r\n* OK [UNSEEN 1] First unseen\r\n"         \
	"* OK [UIDVALIDITY 1001] UIDs valid\r\n"                               \
	"* OK [UIDNEXT 5] Predicted next UID\r\n"                              \
	"* OK [HIGHESTMODSEQ 9] Highest\r\n"                                 \
	"* OK [URLMECH INTERNAL] Mechanisms\r\n"
#define SELECT                                                                 \
	{                                                                      \
		0, "s SELECT INBOX\r\n",                                       \
		    SELECTED "s OK [READ-WRITE] SELECT completed\r\n", NULL    \
	}
#define SELECT_BOTH                                                            \
	SELECT,                                                                \
	{                                                                      \
		1, "s SELECT INBOX\r\n",                                       \
		    "~* 0 RECENT\r\n~~SELECT completed\r\n~", NULL             \
	}

static const struct step selecting[] = {
	{ 0, "a NOOP\r\n", "a OK NOOP completed\r\n", NULL },
	{ 0, "a FETCH 1 UID\r\n", "a BAD No mailbox is selected\r\n", NULL },
	{ 0, "a LOGIN x y\r\n", "a BAD Already authenticated\r\n", NULL },
	{ 0, "a EXAMINE \"inbox\"\r\n",
	    "~PERMANENTFLAGS ()]~~* 3 RECENT\r\n~"
	    "~a OK [READ-ONLY] EXAMINE completed\r\n~",
	    NULL },
	{ 0, "a STORE 1 FLAGS ()\r\n",
	    "a NO [READ-ONLY] Mailbox is read-only\r\n", NULL },
	{ 0, "a FETCH 1 (FLAGS BODY[TEXT]<0.5>)\r\n",
	    "* 1 FETCH (FLAGS (\\Recent) BODY[TEXT]<0> {5}\r\nHello)\r\n"
	    "a OK FETCH completed\r\n",
	    NULL },
	{ 0, "s SELECT INBOX\r\n",
	    "* OK [CLOSED] Previous one is closed\r\n" SELECTED
	    "s OK [READ-WRITE] SELECT completed\r\n",
	    NULL },
	{ 0, "s SELECT nope\r\n",
	    "* OK [CLOSED] Previous one is closed\r\n"
	    "s NO [NONEXISTENT] No such mailbox\r\n",
	    NULL },
	{ 0, "a CHECK\r\n", "a BAD No mailbox is selected\r\n", NULL },
	{ 0, "s SELECT INBOX\r\n", "~* 0 RECENT\r\n~~completed\r\n~", NULL },
	{ 0, "s UNSELECT\r\n", "s OK UNSELECT completed\r\n", NULL },
	{ 0, "s SELECT {5}\r\n", "+ OK\r\n", NULL },
	{ 0, "INBOX\r\n", "~SELECT completed\r\n~", NULL },
	{ 0, "s CLOSE\r\n", "s OK CLOSE completed\r\n", NULL },
	{ 0,
	    "s STATUS INBOX (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN SIZE "
	    "APPENDLIMIT)\r\n",
	    "* STATUS \"INBOX\" (MESSAGES 2 RECENT 0 UIDNEXT 5 UIDVALIDITY "
	    "1001 UNSEEN 1 SIZE ~ ~APPENDLIMIT 100)\r\n"
	    "s OK STATUS completed\r\n",
	    NULL },
	{ 0, "s LOGOUT\r\n", "* BYE Logging out\r\ns OK LOGOUT completed\r\n",
	    NULL },
	END,
};

static const struct step fetching[] = {
	SELECT,
	{ 0, "a FETCH 1:* (UID FLAGS)\r\n",
	    "* 1 FETCH (UID 1 FLAGS (\\Recent))\r\n"
	    "* 2 FETCH (UID 2 FLAGS (\\Seen $Work \\Recent))\r\n"
	    "* 3 FETCH (UID 4 FLAGS (\\Deleted \\Seen \\Recent))\r\n"
	    "a OK FETCH completed\r\n",
	    NULL },
	{ 0, "a FETCH 1 FAST\r\n",
	    "* 1 FETCH (FLAGS (\\Recent) INTERNALDATE \"11-Feb-1994 "
	    "20:53:20 +0000\" RFC822.SIZE 240)\r\na OK FETCH completed\r\n",
	    NULL },
	{ 0, "a FETCH 1 ENVELOPE\r\n",
	    "* 1 FETCH (ENVELOPE (\"Mon, 7 Feb 1994 21:52:25 -0800\" "
	    "\"=?utf-8?q?Caf=C3=A9?= meeting\" ((\"Fred \\\"F\\\" Foobar\" "
	    "NIL \"foobar\" \"Blurdybloop.example\")) ~\"mooch\"~"
	    " \"owatagu.example\")) NIL NIL NIL "
	    "\"<B27397-0100000@Blurdybloop.example>\"))\r\n"
	    "a OK FETCH completed\r\n",
	    NULL },
	{ 0, "a UID FETCH 2 BODY\r\n",
	    "* 2 FETCH (UID 2 BODY ((\"text\" \"plain\" (\"charset\" "
	    "\"iso-8859-1\") NIL NIL \"quoted-printable\" 20 1)(\"text\" "
	    "\"plain\" (\"charset\" \"us-ascii\") NIL NIL \"base64\" 20 0)"
	    " \"mixed\"))\r\na OK FETCH completed\r\n",
	    NULL },
	{ 0,
	    "a FETCH 2 (BODY.PEEK[2] BODY.PEEK[2.MIME]<0.12> BODY.PEEK[3])"
	    "\r\n",
	    "* 2 FETCH (BODY[2] {20}\r\nc2VjcmV0IG5lZWRsZQ== "
	    "BODY[2.MIME]<0> {12}\r\nContent-Type BODY[3] NIL)\r\n"
	    "a OK FETCH completed\r\n",
	    NULL },
	{ 0, "a FETCH 1 BODY.PEEK[HEADER.FIELDS (TO nope SUBJECT)]\r\n",
	    "* 1 FETCH (BODY[HEADER.FIELDS (TO NOPE SUBJECT)] {69}\r\n"
	    "Subject: =?utf-8?q?Caf=C3=A9?= meeting\r\n"
	    "To: mooch@owatagu.example\r\n\r\n)\r\na OK FETCH completed\r\n",
	    NULL },
	/* \Seen comes with the body, once */
	{ 0, "a FETCH 1 BODY[TEXT]\r\n",
	    "* 1 FETCH (FLAGS (\\Seen \\Recent) BODY[TEXT] {27}\r\n"
	    "Hello Joe, 3:30 tomorrow?\r\n)\r\na OK FETCH completed\r\n",
	    NULL },
	{ 0, "a FETCH 1 RFC822.TEXT\r\n",
	    "* 1 FETCH (RFC822.TEXT {27}\r\n"
	    "Hello Joe, 3:30 tomorrow?\r\n)\r\na OK FETCH completed\r\n",
	    NULL },
	/* NUL cannot be in a literal */
	{ 0, "a FETCH 3 RFC822\r\n",
	    "* 3 FETCH (RFC822 {21}\r\nSubject: nul\r\n\r\na\200b\r\n)\r\n"
	    "a OK FETCH completed\r\n",
	    NULL },
	{ 0, "a FETCH 1 BODY.PEEK[]<9999.1>\r\n",
	    "* 1 FETCH (BODY[]<9999> \"\")\r\na OK FETCH completed\r\n", NULL },
	{ 0, "a FETCH 4 UID\r\n", "a BAD No such message\r\n", NULL },
	{ 0, "a UID FETCH 3 UID\r\n", "a OK FETCH completed\r\n", NULL },
	{ 0, "a UID FETCH 9:* (UID)\r\n",
	    "* 3 FETCH (UID 4)\r\na OK FETCH completed\r\n", NULL },
	{ 0, "a FETCH 1 (ALL)\r\n", "a BAD Unknown FETCH item\r\n", NULL },
	{ 0, "a FETCH 1 BODY[\r\n", "a BAD Invalid section\r\n", NULL },
	/* pipelined */
	{ 0, "a FETCH 1 UID\r\nb FETCH 2 UID\r\n",
	    "* 1 FETCH (UID 1)\r\na OK FETCH completed\r\n"
	    "* 2 FETCH (UID 2)\r\nb OK FETCH completed\r\n",
	    NULL },
	END,
};

static void
break_second(struct mails *m)
{
	m->broken_uid = 2;
}

static void
break_second_late(struct mails *m)
{
	m->broken_uid = 2;
	m->broken_from = 10;
}

static void
break_row(struct mails *m)
{
	m->rowless_uid = 2;
}

static void
mend(struct mails *m)
{
	m->rowless_uid = m->broken_uid = 0;
	m->write_error = 0;
}

static void
disk_full(struct mails *m)
{
	m->write_error = -ENOSPC;
}

static void
over_quota(struct mails *m)
{
	m->write_error = -EDQUOT;
}

static const struct step damage[] = {
	SELECT,
	{ 0, "a FETCH 1:3 (UID BODY.PEEK[]<0.7>)\r\n",
	    "* 1 FETCH (UID 1 BODY[]<0> {7}\r\nDate: M)\r\n"
	    "* 3 FETCH (UID 4 BODY[]<0> {7}\r\nSubject)\r\n"
	    "a NO [UNAVAILABLE] Some messages could not be read [ref ~]~\r\n",
	    break_second },
	{ 0, "a FETCH 1:3 (UID)\r\n",
	    "* 1 FETCH (UID 1)\r\n* 2 FETCH (UID 2)\r\n* 3 FETCH (UID 4)\r\n"
	    "a OK FETCH completed\r\n",
	    NULL },
	/* what was promised is sent all the same */
	{ 0, "a FETCH 2 (BODY.PEEK[]<0.12>)\r\n",
	    "* 2 FETCH (BODY[]<0> {12}\r\nFrom: a     )\r\n"
	    "a NO [UNAVAILABLE] Some messages could not be read [ref ~]~\r\n",
	    break_second_late },
	{ 0, "a FETCH 2 (BODY.PEEK[]<0.7> BODY.PEEK[TEXT])\r\n",
	    "* 2 FETCH (BODY[]<0> {7}\r\nFrom: a BODY[TEXT] NIL)\r\n"
	    "a NO [UNAVAILABLE] Some messages could not be read [ref ~]~\r\n",
	    NULL },
	{ 0, "a FETCH 1:3 RFC822.SIZE\r\n",
	    "* 1 FETCH (RFC822.SIZE 240)\r\n* 3 FETCH (RFC822.SIZE 21)\r\n"
	    "a NO [UNAVAILABLE] Some messages could not be read [ref ~]~\r\n",
	    break_row },
	{ 0, "a SEARCH LARGER 1\r\n",
	    "* SEARCH 1 3\r\na OK SEARCH completed\r\n", NULL },
	{ 0, "a STORE 1 FLAGS ()\r\n", "a NO [LIMIT] Disk is full\r\n",
	    disk_full },
	{ 0, "a EXPUNGE\r\n", "a NO [LIMIT] Disk is full\r\n", NULL },
	{ 0, "a CREATE x\r\n", "a NO [LIMIT] Disk is full\r\n", NULL },
	/* mail can be read on a full disk */
	{ 0, "a FETCH 1 BODY[]<0.4>\r\n",
	    "* 1 FETCH (BODY[]<0> {4}\r\nDate)\r\na OK FETCH completed\r\n",
	    NULL },
	{ 0, "a COPY 1 Sent\r\n", "a NO [OVERQUOTA] Quota is used up\r\n",
	    over_quota },
	{ 0, "a APPEND Sent {3+}\r\nabc\r\n",
	    "a NO [OVERQUOTA] Quota is used up\r\n", NULL },
	{ 0, "a NOOP\r\n", "a OK NOOP completed\r\n", mend },
	END,
};

static const struct step storing[] = {
	SELECT_BOTH,
	{ 0, "a STORE 1:2 +FLAGS (\\Flagged $New)\r\n",
	    "~* FLAGS (~~$New)\r\n~~$New \\*)] Flags that can be kept\r\n~"
	    "* 1 FETCH (FLAGS (\\Flagged $New \\Recent))\r\n"
	    "* 2 FETCH (FLAGS (\\Flagged \\Seen $Work $New \\Recent))\r\n"
	    "a OK STORE completed\r\n",
	    NULL },
	{ 0, "a UID STORE 2 -FLAGS.SILENT \\Flagged $New\r\n",
	    "a OK STORE completed\r\n", NULL },
	{ 0, "a STORE 2 FLAGS ()\r\n",
	    "* 2 FETCH (FLAGS (\\Recent))\r\na OK STORE completed\r\n", NULL },
	{ 1, "b NOOP\r\n",
	    "~$New \\*)] Flags that can be kept\r\n~"
	    "* 1 FETCH (FLAGS (\\Flagged $New))\r\n"
	    "* 2 FETCH (FLAGS ())\r\nb OK NOOP completed\r\n",
	    NULL },
	{ 0, "a STORE 1 FLAGS (\\Recent)\r\n",
	    "a BAD \\Recent cannot be set\r\n", NULL },
	{ 0, "a STORE 1 FLAGS (\\Foo)\r\n", "a BAD Unknown system flag\r\n",
	    NULL },
	{ 0, "a STORE 1 FLAGS\r\n", "a BAD Missing argument\r\n", NULL },
	{ 0, "a STORE 1 FLUGS ()\r\n", "a BAD FLAGS expected\r\n", NULL },
	END,
};

/* RFC 2180: one session expunges what another still counts. */
static const struct step expunging[] = {
	SELECT_BOTH,
	{ 0, "a STORE 1 +FLAGS.SILENT \\Deleted\r\n",
	    "a OK STORE completed\r\n", NULL },
	{ 0, "a EXPUNGE\r\n",
	    "* 1 EXPUNGE\r\n* 2 EXPUNGE\r\na OK EXPUNGE completed\r\n", NULL },
	/* not told during FETCH, STORE and SEARCH */
	{ 1, "b FETCH 1:3 FLAGS\r\n",
	    "~* 2 FETCH (FLAGS (\\Seen $Work))\r\n~~b OK ~~completed\r\n~",
	    NULL },
	{ 1, "b FETCH 1:3 RFC822.SIZE\r\n",
	    "* 2 FETCH (RFC822.SIZE ~)\r\n~"
	    "b NO [EXPUNGEISSUED] Some of the messages no longer exist\r\n",
	    NULL },
	{ 1, "b UID FETCH 1:9 RFC822.SIZE\r\n",
	    "* 2 FETCH (UID 2 RFC822.SIZE ~)\r\n~* 1 EXPUNGE\r\n"
	    "* 2 EXPUNGE\r\nb OK [EXPUNGEISSUED] FETCH completed\r\n",
	    NULL },
	{ 1, "b NOOP\r\n", "b OK NOOP completed\r\n", NULL },
	{ 0, "a UID STORE 2 +FLAGS.SILENT \\Deleted\r\n",
	    "a OK STORE completed\r\n", NULL },
	{ 0, "a UID EXPUNGE 3:9\r\n", "a OK EXPUNGE completed\r\n", NULL },
	{ 0, "a UID EXPUNGE 2\r\n", "* 1 EXPUNGE\r\na OK EXPUNGE completed\r\n",
	    NULL },
	{ 1, "b STORE 1 +FLAGS \\Seen\r\n",
	    "b NO [EXPUNGEISSUED] Some of the messages no longer exist\r\n",
	    NULL },
	{ 1, "b COPY 1 Sent\r\n",
	    "* 1 EXPUNGE\r\n"
	    "b NO [EXPUNGEISSUED] Some of the messages no longer exist\r\n",
	    NULL },
	{ 1, "b FETCH 1 FLAGS\r\n", "b BAD No such message\r\n", NULL },
	{ 1, "b UID FETCH 1:* FLAGS\r\n", "b OK FETCH completed\r\n", NULL },
	END,
};

static const struct step copying[] = {
	SELECT,
	{ 0, "a COPY 1,3 Sent\r\n",
	    "a OK [COPYUID 1002 1,4 1:2] COPY completed\r\n", NULL },
	{ 0, "a UID COPY 7 Sent\r\n", "a OK No matching messages\r\n", NULL },
	{ 0, "a COPY 1 nope\r\n", "a NO [TRYCREATE] No such mailbox\r\n",
	    NULL },
	{ 0, "a UID MOVE 1:2 Sent\r\n",
	    "* OK [COPYUID 1002 1:2 3:4] Moved\r\n"
	    "* 1 EXPUNGE\r\n* 1 EXPUNGE\r\na OK MOVE completed\r\n",
	    NULL },
	{ 0, "a COPY 1 INBOX\r\n",
	    "* 2 EXISTS\r\n* 2 RECENT\r\n"
	    "a OK [COPYUID 1001 4 5] COPY completed\r\n",
	    NULL },
	END,
};

static const struct step appending[] = {
	{ 0, "a APPEND Sent (\\Seen $x) \"17-Jul-1996 02:44:25 -0700\" {5}\r\n",
	    "+ OK\r\n", NULL },
	{ 0, "a\nb\r\n\r\n", "a OK [APPENDUID 1002 1] APPEND completed\r\n",
	    NULL },
	{ 0, "a EXAMINE Sent\r\n", "~EXAMINE completed\r\n~", NULL },
	/* LF alone has become CRLF */
	{ 0, "a FETCH 1 (FLAGS INTERNALDATE BODY[])\r\n",
	    "* 1 FETCH (FLAGS (\\Seen $x \\Recent) INTERNALDATE "
	    "\"17-Jul-1996 09:44:25 +0000\" BODY[] {6}\r\na\r\nb\r\n)\r\n"
	    "a OK FETCH completed\r\n",
	    NULL },
	{ 0, "a APPEND Sent {3+}\r\na\r\n\r\n",
	    "* 2 EXISTS\r\n* 2 RECENT\r\n"
	    "a OK [APPENDUID 1002 2] APPEND completed\r\n",
	    NULL },
	/* refused before it is sent */
	{ 0, "a APPEND nope {5}\r\n", "a NO [TRYCREATE] No such mailbox\r\n",
	    NULL },
	{ 0, "a APPEND Sent {101}\r\n",
	    "a NO [TOOBIG] Message is too large\r\n", NULL },
	{ 0, "a APPEND Sent (\\Bad) {5}\r\n", "a BAD Unknown system flag\r\n",
	    NULL },
	{ 0, "a APPEND Sent \"17 Jul\" {5}\r\n", "a BAD Invalid date-time\r\n",
	    NULL },
	/* it comes all the same, and is passed over */
	{ 0, "a APPEND nope {5+}\r\na NOO\r\nb NOOP\r\n",
	    "a NO [TRYCREATE] No such mailbox\r\nb OK NOOP completed\r\n",
	    NULL },
	{ 0, "a APPEND Sent {3+}\r\nabc x\r\nb NOOP\r\n",
	    "a BAD Unexpected argument\r\nb OK NOOP completed\r\n", NULL },
	{ 0, "a APPEND Sent {0+}\r\n\r\n", "a NO [CANNOT] Message is empty\r\n",
	    NULL },
	{ 0, "a APPEND Sent\r\n", "a BAD Missing argument\r\n", NULL },
	/* too much to pass over */
	{ 0, "a APPEND Sent {101+}\r\n",
	    "a NO [TOOBIG] Message is too large\r\n"
	    "* BYE [TOOBIG] Literal is too long\r\n",
	    NULL },
	END,
};

static const struct step searching[] = {
	SELECT,
	{ 0, "a SEARCH ALL\r\n", "* SEARCH 1 2 3\r\na OK SEARCH completed\r\n",
	    NULL },
	{ 0, "a UID SEARCH UNDELETED\r\n",
	    "* SEARCH 1 2\r\na OK SEARCH completed\r\n", NULL },
	{ 0, "a SEARCH KEYWORD $work\r\n",
	    "* SEARCH 2\r\na OK SEARCH completed\r\n", NULL },
	{ 0, "a SEARCH UNKEYWORD nope 2:*\r\n",
	    "* SEARCH 2 3\r\na OK SEARCH completed\r\n", NULL },
	{ 0, "a SEARCH FROM \"fred \\\"f\\\" foobar <FOO\"\r\n",
	    "* SEARCH 1\r\na OK SEARCH completed\r\n", NULL },
	{ 0, "a SEARCH CHARSET UTF-8 SUBJECT {6+}\r\n\303\211 MEE\r\n",
	    "* SEARCH 1\r\na OK SEARCH completed\r\n", NULL },
	{ 0, "a SEARCH TO mooch@ HEADER message-id 0100\r\n",
	    "* SEARCH 1\r\na OK SEARCH completed\r\n", NULL },
	{ 0, "a SEARCH HEADER To \"\"\r\n",
	    "* SEARCH 1\r\na OK SEARCH completed\r\n", NULL },
	/* decoded, over soft line breaks and pieces */
	{ 0, "a SEARCH BODY \"STRA\303\237E NACH\"\r\n",
	    "* SEARCH 2\r\na OK SEARCH completed\r\n", NULL },
	{ 0, "a SEARCH BODY \"secret needle\" NOT BODY c2Vj\r\n",
	    "* SEARCH 2\r\na OK SEARCH completed\r\n", NULL },
	{ 0, "a SEARCH BODY \"two parts\"\r\n",
	    "* SEARCH\r\na OK SEARCH completed\r\n", NULL },
	{ 0, "a SEARCH TEXT \"two parts\"\r\n",
	    "* SEARCH 2\r\na OK SEARCH completed\r\n", NULL },
	{ 0, "a SEARCH OR TEXT \"3:30 tom\" BODY needle\r\n",
	    "* SEARCH 1 2\r\na OK SEARCH completed\r\n", NULL },
	{ 0, "a SEARCH ON 9-Sep-2001\r\n",
	    "* SEARCH 2\r\na OK SEARCH completed\r\n", NULL },
	{ 0, "a SEARCH SENTON 7-Feb-1994\r\n",
	    "* SEARCH 1\r\na OK SEARCH completed\r\n", NULL },
	{ 0, "a SEARCH SENTSINCE 8-Feb-1994\r\n",
	    "* SEARCH\r\na OK SEARCH completed\r\n", NULL },
	{ 0, "a SEARCH SMALLER 100\r\n",
	    "* SEARCH 3\r\na OK SEARCH completed\r\n", NULL },
	{ 0, "a SEARCH NEW\r\n", "* SEARCH 1\r\na OK SEARCH completed\r\n",
	    NULL },
	{ 0, "a SEARCH CHARSET KOI8-R TEXT x\r\n",
	    "a NO [BADCHARSET (US-ASCII UTF-8)] Charset is not supported\r\n",
	    NULL },
	{ 0, "a SEARCH 4\r\n", "a BAD No such message\r\n", NULL },
	{ 0, "a UID SEARCH RETURN (MIN MAX COUNT ALL) ALL\r\n",
	    "* ESEARCH (TAG \"a\") UID MIN 1 MAX 4 ALL 1:2,4 COUNT 3\r\n"
	    "a OK SEARCH completed\r\n",
	    NULL },
	{ 0, "a SEARCH RETURN (MAX) SEEN\r\n",
	    "* ESEARCH (TAG \"a\") MAX 3\r\na OK SEARCH completed\r\n", NULL },
	{ 0, "a SEARCH RETURN (MIN) SEEN\r\n",
	    "* ESEARCH (TAG \"a\") MIN 2\r\na OK SEARCH completed\r\n", NULL },
	{ 0, "a SEARCH RETURN (ALL COUNT) DRAFT\r\n",
	    "* ESEARCH (TAG \"a\") COUNT 0\r\na OK SEARCH completed\r\n",
	    NULL },
	END,
};

static const struct step condstore[] = {
	SELECT,
	{ 0, "a FETCH 1 MODSEQ\r\n",
	    "* OK [HIGHESTMODSEQ 9] Highest\r\n* 1 FETCH (MODSEQ (2))\r\n"
	    "a OK FETCH completed\r\n",
	    NULL },
	{ 0, "a STORE 1 (UNCHANGEDSINCE 1) +FLAGS.SILENT (\\Draft)\r\n",
	    "a OK [MODIFIED 1] Conditional STORE failed for some\r\n", NULL },
	{ 0, "a UID STORE 1:2 (UNCHANGEDSINCE 2) +FLAGS.SILENT (\\Draft)\r\n",
	    "* 1 FETCH (UID 1 MODSEQ (11))\r\n"
	    "a OK [MODIFIED 2] Conditional STORE failed for some\r\n",
	    NULL },
	{ 0, "a STORE 1 (UNCHANGEDSINCE 0) FLAGS ()\r\n",
	    "a OK [MODIFIED 1] Conditional STORE failed for some\r\n", NULL },
	{ 0, "a STORE 1 FLAGS \\Seen\r\n",
	    "* 1 FETCH (MODSEQ (12) FLAGS (\\Seen \\Recent))\r\n"
	    "a OK STORE completed\r\n",
	    NULL },
	{ 0, "a FETCH 1:* (UID) (CHANGEDSINCE 11)\r\n",
	    "* 1 FETCH (UID 1 MODSEQ (12))\r\na OK FETCH completed\r\n", NULL },
	{ 0, "a SEARCH MODSEQ 12\r\n",
	    "* SEARCH 1 (MODSEQ 12)\r\na OK SEARCH completed\r\n", NULL },
	{ 0, "a SEARCH RETURN (COUNT) MODSEQ 12\r\n",
	    "* ESEARCH (TAG \"a\") COUNT 1 MODSEQ 12\r\n"
	    "a OK SEARCH completed\r\n",
	    NULL },
	{ 0, "a STATUS Sent (HIGHESTMODSEQ)\r\n",
	    "* STATUS \"Sent\" (HIGHESTMODSEQ 1)\r\na OK STATUS completed\r\n",
	    NULL },
	{ 1, "a ENABLE X CONDSTORE\r\n",
	    "* ENABLED CONDSTORE\r\na OK ENABLE completed\r\n", NULL },
	{ 1, "a SELECT INBOX (CONDSTORE)\r\n", "~SELECT completed\r\n~", NULL },
	{ 0, "a STORE 3 FLAGS.SILENT ()\r\n",
	    "* 3 FETCH (MODSEQ (13))\r\na OK STORE completed\r\n", NULL },
	{ 1, "a NOOP\r\n",
	    "* 3 FETCH (MODSEQ (13) FLAGS ())\r\na OK NOOP completed\r\n",
	    NULL },
	END,
};

static const struct step idling[] = {
	SELECT_BOTH,
	{ 1, "i IDLE\r\n", "+ idling\r\n", NULL },
	{ 0, "a APPEND INBOX {3+}\r\nabc\r\n",
	    "* 4 EXISTS\r\n* 4 RECENT\r\n"
	    "a OK [APPENDUID 1001 5] APPEND completed\r\n",
	    NULL },
	{ 1, NULL, "* 4 EXISTS\r\n* 1 RECENT\r\n", NULL },
	{ 0, "a STORE 4 FLAGS.SILENT (\\Deleted)\r\n",
	    "a OK STORE completed\r\n", NULL },
	{ 1, NULL, "* 4 FETCH (FLAGS (\\Deleted \\Recent))\r\n", NULL },
	{ 0, "a EXPUNGE\r\n",
	    "* 3 EXPUNGE\r\n* 3 EXPUNGE\r\na OK EXPUNGE completed\r\n", NULL },
	{ 1, NULL, "* 3 EXPUNGE\r\n* 3 EXPUNGE\r\n", NULL },
	{ 1, "DONE\r\n", "i OK IDLE completed\r\n", NULL },
	{ 1, "i IDLE\r\n", "+ idling\r\n", NULL },
	{ 1, "i NOOP\r\n", "i BAD DONE expected\r\n", NULL },
	{ 1, "i IDLE\r\nDONE\r\nj NOOP\r\n",
	    "+ idling\r\ni OK IDLE completed\r\nj OK NOOP completed\r\n",
	    NULL },
	END,
};

static const struct step deleted_meanwhile[] = {
	{ 0, "a CREATE tmp/\r\n", "a OK CREATE completed\r\n", NULL },
	{ 0, "a SELECT tmp\r\n", "~SELECT completed\r\n~", NULL },
	{ 0, "a IDLE\r\n", "+ idling\r\n", NULL },
	{ 1, "b DELETE tmp\r\n", "b OK DELETE completed\r\n", NULL },
	{ 0, NULL, "* BYE Selected mailbox has been deleted\r\n", NULL },
	END,
};

static const struct step mailboxes[] = {
	{ 0, "a LIST \"\" \"\"\r\n",
	    "* LIST (\\Noselect) \"/\" \"\"\r\na OK LIST completed\r\n", NULL },
	{ 0, "a CREATE \"Entw&APw-rfe\"\r\n", "a OK CREATE completed\r\n",
	    NULL },
	{ 0, "a CREATE \"x&AGE-\"\r\n",
	    "a NO [CANNOT] Invalid mailbox name\r\n", NULL },
	{ 0, "a CREATE \"x\303\274\"\r\n",
	    "a NO [CANNOT] Invalid mailbox name\r\n", NULL },
	{ 0, "a CREATE inbox\r\n",
	    "a NO [ALREADYEXISTS] Mailbox exists already\r\n", NULL },
	{ 0, "a CREATE Old (USE (\\Archive))\r\n", "a OK CREATE completed\r\n",
	    NULL },
	{ 0, "a CREATE All (USE (\\All))\r\n",
	    "a NO [USEATTR] Special use is not supported\r\n", NULL },
	{ 0, "a LIST \"\" *\r\n",
	    "* LIST (\\HasNoChildren) \"/\" \"INBOX\"\r\n"
	    "* LIST (\\HasNoChildren) \"/\" \"Entw&APw-rfe\"\r\n"
	    "* LIST (\\HasNoChildren \\Archive) \"/\" \"Old\"\r\n"
	    "* LIST (\\HasNoChildren \\Sent) \"/\" \"Sent\"\r\n"
	    "a OK LIST completed\r\n",
	    NULL },
	{ 0, "a LIST (SPECIAL-USE) \"\" *\r\n",
	    "* LIST (\\HasNoChildren \\Archive) \"/\" \"Old\"\r\n"
	    "* LIST (\\HasNoChildren \\Sent) \"/\" \"Sent\"\r\n"
	    "a OK LIST completed\r\n",
	    NULL },
	{ 0, "a LIST \"\" (Old Sent) RETURN (SUBSCRIBED STATUS (MESSAGES))\r\n",
	    "* LIST (\\HasNoChildren \\Archive) \"/\" \"Old\"\r\n"
	    "* STATUS \"Old\" (MESSAGES 0)\r\n"
	    "* LIST (\\HasNoChildren \\Sent) \"/\" \"Sent\"\r\n"
	    "* STATUS \"Sent\" (MESSAGES 0)\r\n"
	    "a OK LIST completed\r\n",
	    NULL },
	{ 0, "a LIST (RECURSIVEMATCH) \"\" *\r\n",
	    "a BAD RECURSIVEMATCH needs SUBSCRIBED\r\n", NULL },
	{ 0, "a LSUB \"\" *\r\n",
	    "* LSUB () \"/\" \"INBOX\"\r\na OK LSUB completed\r\n", NULL },
	{ 0, "a SUBSCRIBE Old\r\n", "a OK SUBSCRIBE completed\r\n", NULL },
	{ 0, "a LIST (SUBSCRIBED) \"\" *\r\n",
	    "* LIST (\\Subscribed \\HasNoChildren) \"/\" \"INBOX\"\r\n"
	    "* LIST (\\Subscribed \\HasNoChildren \\Archive) \"/\" \"Old\"\r\n"
	    "a OK LIST completed\r\n",
	    NULL },
	{ 0, "a RENAME Old Older\r\n", "a OK RENAME completed\r\n", NULL },
	{ 0, "a RENAME nope x\r\n", "a NO [NONEXISTENT] No such mailbox\r\n",
	    NULL },
	{ 0, "a DELETE Older\r\n", "a OK DELETE completed\r\n", NULL },
	{ 0, "a DELETE INBOX\r\n", "a NO [CANNOT] Not possible with INBOX\r\n",
	    NULL },
	{ 0, "a LIST (SUBSCRIBED) \"\" O%\r\n",
	    "* LIST (\\NonExistent \\Subscribed \\HasNoChildren) \"/\" "
	    "\"Older\"\r\na OK LIST completed\r\n",
	    NULL },
	{ 0, "a NAMESPACE\r\n",
	    "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n"
	    "a OK NAMESPACE completed\r\n",
	    NULL },
	END,
};

static const struct step odds[] = {
	{ 0, "a ID NIL\r\n",
	    "* ID (\"name\" \"pneu\" \"version\" \"" PNEU_VERSION "\")\r\n"
	    "a OK ID completed\r\n",
	    NULL },
	{ 0, "a ID (\"name\" \"x\" \"os\" NIL)\r\n", "~ID completed\r\n~",
	    NULL },
	{ 0, "a ENABLE QRESYNC\r\n", "* ENABLED\r\na OK ENABLE completed\r\n",
	    NULL },
	{ 0, "a CAPABILITY\r\n",
	    "* CAPABILITY IMAP4rev1 ~APPENDLIMIT=100\r\n~"
	    "a OK CAPABILITY completed\r\n",
	    NULL },
	{ 0, "\r\n", "* BAD Invalid tag\r\n", NULL },
	{ 0, "a\r\n", "a BAD Missing argument\r\n", NULL },
	{ 0, "a NOPE {3}\r\n", "a BAD Unknown command\r\n", NULL },
	{ 0, "a NOPE {7+}\r\nb NOOP\n x\r\nc NOOP\r\n",
	    "a BAD Unknown command\r\nc OK NOOP completed\r\n", NULL },
	{ 0, "a UID NOOP\r\n", "a BAD No mailbox is selected\r\n", NULL },
	{ 0, "a SELECT INBOX\r\n", "~SELECT completed\r\n~", NULL },
	{ 0, "a UID NOOP\r\n", "a BAD Unknown UID command\r\n", NULL },
	{ 0, "a UID UID FETCH 1 FLAGS\r\n", "a BAD Unknown UID command\r\n",
	    NULL },
	END,
};

static const struct dialogue dialogues[] = {
	{ "selecting", selecting },
	{ "fetching", fetching },
	{ "damage", damage },
	{ "storing", storing },
	{ "expunging", expunging },
	{ "copying", copying },
	{ "appending", appending },
	{ "searching", searching },
	{ "condstore", condstore },
	{ "idling", idling },
	{ "deleted_meanwhile", deleted_meanwhile },
	{ "mailboxes", mailboxes },
	{ "odds", odds },
};

static void
serve(struct mails *m, struct conn *c)
{
	const struct imap_env env = {
		.mails = m, .max_size = 100, .preauth = "alice@x"
	};

	imap_serve(&env, c);
}

static void
run(const struct dialogue *d)
{
	run_dialogue(
	    d, fill, serve, "* PREAUTH [CAPABILITY ~] pneu ready\r\n~");
}

static void
dialogue(void **state)
{
	run(*state);
}

/* Twenty in a row end the session. */
static void
bad_commands_are_counted(void **state)
{
	struct step steps[22] = { 0 };
	const struct dialogue d = { "bad commands", steps };

	(void)state;
	for (int i = 0; i < 20; i++)
		steps[i] = (struct step){ 0, "a NOPE\r\n",
			i < 19 ? "a BAD Unknown command\r\n"
			       : "a BAD Unknown command\r\n"
				 "* BYE Too many bad commands\r\n",
			NULL };
	run(&d);
}

int
main(void)
{
	struct CMUnitTest tests[sizeof(dialogues) / sizeof(dialogues[0]) + 1];
	size_t n = 0;

	for (; n < sizeof(dialogues) / sizeof(dialogues[0]); n++)
		tests[n] = (struct CMUnitTest){ dialogues[n].name, dialogue,
			NULL, NULL, (void *)(uintptr_t)&dialogues[n] };
	tests[n++] = (struct CMUnitTest){ "bad_commands_are_counted",
		bad_commands_are_counted, NULL, NULL, NULL };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
