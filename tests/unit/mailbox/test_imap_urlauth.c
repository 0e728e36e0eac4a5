/* SPDX-License-Identifier: ISC */
/*
 * URLAUTH (RFC 4467) in dialogues: making URLs, using them, and taking them
 * back. The key of every mailbox is of one letter, so tokens can be made
 * elsewhere: printf URL | openssl dgst -sha256 -hmac kkkk... (32).
 */
#include "mailbox/imap/imap.h"
#include "tests/unit/mailbox/dialogue.h"

static const char first[] =
    "Subject: hello\r\n\r\nHello Joe, 3:30 tomorrow?\r\n";
static const char second[] = "From: a@b.example\r\n"
			     "Content-Type: multipart/mixed; boundary=x\r\n"
			     "\r\n"
			     "--x\r\n"
			     "Content-Type: text/plain; charset=iso-8859-1\r\n"
			     "Content-Transfer-Encoding: quoted-printable\r\n"
			     "\r\n"
			     "Stra=DFe\r\n"
			     "--x--\r\n";

static void
fill(struct mails *m)
{
	struct fake_box *b = &m->boxes[0];

	fake_add(b, slice_str(first), (struct mails_flags){ 0, 0 }, 1);
	fake_add(b, slice_str(second), (struct mails_flags){ 0, 0 }, 2);
	fake_urlkey = 'k';
	fake_no_urlkey = false;
}

static const struct step urlauth[] = {
	{ 0,
	    "a GENURLAUTH \"imap://joe@example.com/INBOX/;uid=20/;secti"
	    "on=1.2\" INTERNAL\r\n",
	    "a BAD Missing access identifier in supplied URL\r\n",
	    NULL },
	{ 0,
	    "a GENURLAUTH \"imap://example.com/Shared/;uid=20/;section="
	    "1.2;urlauth=submit+fred\" INTERNAL\r\n",
	    "a BAD Missing owner username in supplied URL\r\n",
	    NULL },
	{ 0,
	    "a GENURLAUTH \"imap://bob%40x@h/INBOX/;UID=1;URLAUTH=authu"
	    "ser\" INTERNAL\r\n",
	    "a BAD Not the owner of that mailbox\r\n",
	    NULL },
	{ 0,
	    "a GENURLAUTH \"imap://alice%40x@h/nope/;UID=1;URLAUTH=auth"
	    "user\" INTERNAL\r\n",
	    "a BAD No such mailbox\r\n",
	    NULL },
	{ 0,
	    "a GENURLAUTH \"imap://alice%40x@h/INBOX;UIDVALIDITY=7/;UID"
	    "=1;URLAUTH=authuser\" INTERNAL\r\n",
	    "a BAD No such mailbox\r\n",
	    NULL },
	{ 0,
	    "a GENURLAUTH \"imap://alice%40x@h/INBOX/;UID=2/;SECTION=1."
	    "MIME;URLAUTH=authuser:internal:016166860bceb18cc84792abeac"
	    "c09bbbea889d77028201b6326737162d9860158\" INTERNAL\r\n",
	    "a BAD URL is authorized already\r\n",
	    NULL },
	{ 0,
	    "a GENURLAUTH \"imap://alice%40x@h/INBOX\" INTERNAL\r\n",
	    "a BAD Not the URL of a message\r\n",
	    NULL },
	{ 0,
	    "a GENURLAUTH \"http://x/\" INTERNAL\r\n",
	    "a BAD Not the URL of a message\r\n",
	    NULL },
	{ 0,
	    "a GENURLAUTH \"imap://alice%40x@h/INBOX/;UID=2/;SECTION=1."
	    "MIME;URLAUTH=authuser\" XSAMPLE\r\n",
	    "a BAD Unknown mechanism\r\n",
	    NULL },
	{ 0,
	    "a GENURLAUTH \"imap://alice%40x@h/INBOX/;UID=2/;SECTION=1."
	    "MIME;URLAUTH=authuser\"\r\n",
	    "a BAD ~\n~",
	    NULL },
	{ 0,
	    "a GENURLAUTH\r\n",
	    "a BAD ~\n~",
	    NULL },
	{ 0,
	    "a GENURLAUTH \"imap://alice%40x@h/INBOX/;UID=2/;SECTION=1."
	    "MIME;URLAUTH=authuser\" INTERNAL \"imap://alice%40x@h/inbo"
	    "x;UIDVALIDITY=1001/;uid=1;urlauth=user+alice%40x\" interna"
	    "l\r\n",
	    "* GENURLAUTH \"imap://alice%40x@h/INBOX/;UID=2/;SECTION=1."
	    "MIME;URLAUTH=authuser:internal:016166860bceb18cc84792abeac"
	    "c09bbbea889d77028201b6326737162d9860158\" \"imap://alice%4"
	    "0x@h/inbox;UIDVALIDITY=1001/;uid=1;urlauth=user+alice%40x:"
	    "internal:01be3fbcd29133215cbcd0b64f256853a835f0c763d37e9af"
	    "0f5e6040de195c018\"\r\na OK GENURLAUTH completed\r\n",
	    NULL },
	{ 0,
	    "a URLFETCH \"imap://alice%40x@h/INBOX/;UID=2/;SECTION=1.MI"
	    "ME;URLAUTH=authuser:internal:016166860bceb18cc84792abeacc0"
	    "9bbbea889d77028201b6326737162d9860158\"\r\n",
	    "* URLFETCH \"imap://alice%40x@h/INBOX/;UID=2/;SECTION=1.MI"
	    "ME;URLAUTH=authuser:internal:016166860bceb18cc84792abeacc0"
	    "9bbbea889d77028201b6326737162d9860158\" {93}\r\nContent-Ty"
	    "pe: text/plain; charset=iso-8859-1\r\nContent-Transfer-Enc"
	    "oding: quoted-printable\r\n\r\n\r\na OK URLFETCH completed\r\n",
	    NULL },
	{ 0,
	    "a URLFETCH \"imap://alice%40x@h/INBOX/;UID=2/;SECTION=1.MI"
	    "ME;URLAUTH=authuser:internal:016166860bceb18cc84792abeacc0"
	    "9bbbea889d77028201b6326737162d9860150\" \"imap://alice%40x"
	    "@h/INBOX/;UID=1/;SECTION=TEXT/;PARTIAL=6.3;URLAUTH=anonymo"
	    "us:INTERNAL:01C791BD0D07613018628745C5551874BDD621B764B750"
	    "DCE11CD60B85CB6E1CFD\"\r\n",
	    "* URLFETCH \"imap://alice%40x@h/INBOX/;UID=2/;SECTION=1.MI"
	    "ME;URLAUTH=authuser:internal:016166860bceb18cc84792abeacc0"
	    "9bbbea889d77028201b6326737162d9860150\" NIL \"imap://alice"
	    "%40x@h/INBOX/;UID=1/;SECTION=TEXT/;PARTIAL=6.3;URLAUTH=ano"
	    "nymous:INTERNAL:01C791BD0D07613018628745C5551874BDD621B764"
	    "B750DCE11CD60B85CB6E1CFD\" {3}\r\nJoe\r\na OK URLFETCH com"
	    "pleted\r\n",
	    NULL },
	{ 0,
	    "a URLFETCH \"imap://alice%40x@h/inbox;UIDVALIDITY=1001/;ui"
	    "d=1;urlauth=user+alice%40x:internal:01be3fbcd29133215cbcd0"
	    "b64f256853a835f0c763d37e9af0f5e6040de195c018\"\r\n",
	    "* URLFETCH \"imap://alice%40x@h/inbox;UIDVALIDITY=1001/;ui"
	    "d=1;urlauth=user+alice%40x:internal:01be3fbcd29133215cbcd0"
	    "b64f256853a835f0c763d37e9af0f5e6040de195c018\" ~{~~Hello J"
	    "oe, 3:30 tomorrow?\r\n~\r\na OK URLFETCH completed\r\n",
	    NULL },
	{ 0,
	    "s SELECT INBOX\r\n",
	    "~SELECT completed\r\n~",
	    NULL },
	{ 0,
	    "a URLFETCH \"imap://alice%40x@h/inbox;UIDVALIDITY=1001/;ui"
	    "d=1;urlauth=user+alice%40x:internal:01be3fbcd29133215cbcd0"
	    "b64f256853a835f0c763d37e9af0f5e6040de195c018\"\r\n",
	    "* URLFETCH \"imap://alice%40x@h/inbox;UIDVALIDITY=1001/;ui"
	    "d=1;urlauth=user+alice%40x:internal:01be3fbcd29133215cbcd0"
	    "b64f256853a835f0c763d37e9af0f5e6040de195c018\" ~{~~Hello J"
	    "oe, 3:30 tomorrow?\r\n~\r\na OK URLFETCH completed\r\n",
	    NULL },
	{ 0,
	    "a FETCH 1 UID\r\n",
	    "* 1 FETCH (UID 1)\r\na OK FETCH completed\r\n",
	    NULL },
	{ 0,
	    "a URLFETCH \"imap://alice%40x@h/INBOX/;UID=1;URLAUTH=submi"
	    "t+alice%40x:internal:0109ded41083d2444509c53849b4e8be0523d"
	    "bd43f8b8ed3a19dad5e2c446dba13\"\r\n",
	    "* URLFETCH \"imap://alice%40x@h/INBOX/;UID=1;URLAUTH=submi"
	    "t+alice%40x:internal:0109ded41083d2444509c53849b4e8be0523d"
	    "bd43f8b8ed3a19dad5e2c446dba13\" NIL\r\na OK URLFETCH compl"
	    "eted\r\n",
	    NULL },
	{ 0,
	    "a URLFETCH \"imap://alice%40x@h/INBOX/;UID=1;EXPIRE=2001-0"
	    "1-01T00:00:00Z;URLAUTH=authuser:internal:0151cfb07d2c80a0e"
	    "8f4ccb2115488a68f190c10974f93d3f4c26f52a8679cf5d1\"\r\n",
	    "* URLFETCH \"imap://alice%40x@h/INBOX/;UID=1;EXPIRE=2001-0"
	    "1-01T00:00:00Z;URLAUTH=authuser:internal:0151cfb07d2c80a0e"
	    "8f4ccb2115488a68f190c10974f93d3f4c26f52a8679cf5d1\" NIL\r\n"
	    "a OK URLFETCH completed\r\n",
	    NULL },
	{ 0,
	    "a URLFETCH \"imap://alice%40x@h/INBOX/;UID=1;URLAUTH=user+"
	    "bob%40x:internal:0175df6280cf8e9aec7996488bd70fb933f0ed436"
	    "603d354db8232710e5ad6c3d7\"\r\n",
	    "* URLFETCH \"imap://alice%40x@h/INBOX/;UID=1;URLAUTH=user+"
	    "bob%40x:internal:0175df6280cf8e9aec7996488bd70fb933f0ed436"
	    "603d354db8232710e5ad6c3d7\" NIL\r\na OK URLFETCH completed"
	    "\r\n",
	    NULL },
	{ 0,
	    "a URLFETCH \"imap://alice%40x@h/INBOX/;UID=3;URLAUTH=authu"
	    "ser:internal:01e02efa590e6bc52c393cc185fbe507d126274f81f2b"
	    "c5d299d67a97e24b28899\"\r\n",
	    "* URLFETCH \"imap://alice%40x@h/INBOX/;UID=3;URLAUTH=authu"
	    "ser:internal:01e02efa590e6bc52c393cc185fbe507d126274f81f2b"
	    "c5d299d67a97e24b28899\" NIL\r\na OK URLFETCH completed\r\n",
	    NULL },
	{ 0,
	    "a URLFETCH \"imap://alice%40x@h/INBOX/;UID=1/;SECTION=9;UR"
	    "LAUTH=authuser:internal:01d3b85e1aa2a51a0ce1944f6fe17ba5c7"
	    "3653eaa31202bdab6977df622f83f188\"\r\n",
	    "* URLFETCH \"imap://alice%40x@h/INBOX/;UID=1/;SECTION=9;UR"
	    "LAUTH=authuser:internal:01d3b85e1aa2a51a0ce1944f6fe17ba5c7"
	    "3653eaa31202bdab6977df622f83f188\" NIL\r\na OK URLFETCH co"
	    "mpleted\r\n",
	    NULL },
	{ 0,
	    "a URLFETCH \"imap://alice%40x@h/INBOX/;UID=1/;SECTION=1.;U"
	    "RLAUTH=authuser:internal:01c8057582e51d39e5c47eab677fa3746"
	    "b05c1dea3426e17ab986a524f9bff6d07\"\r\n",
	    "* URLFETCH \"imap://alice%40x@h/INBOX/;UID=1/;SECTION=1.;U"
	    "RLAUTH=authuser:internal:01c8057582e51d39e5c47eab677fa3746"
	    "b05c1dea3426e17ab986a524f9bff6d07\" NIL\r\na OK URLFETCH c"
	    "ompleted\r\n",
	    NULL },
	{ 0,
	    "a URLFETCH \"imap://alice%40x@h/INBOX;UIDVALIDITY=7/;UID=1"
	    ";URLAUTH=authuser:internal:013e318f6cdf9fa7158da79548a82f8"
	    "699545e73dfd9bb980a96e945bce101b1ac\"\r\n",
	    "* URLFETCH \"imap://alice%40x@h/INBOX;UIDVALIDITY=7/;UID=1"
	    ";URLAUTH=authuser:internal:013e318f6cdf9fa7158da79548a82f8"
	    "699545e73dfd9bb980a96e945bce101b1ac\" NIL\r\na OK URLFETCH"
	    " completed\r\n",
	    NULL },
	{ 0,
	    "a URLFETCH \"imap://alice%40x@h/nope/;UID=1;URLAUTH=authus"
	    "er:internal:012fb27b4f758d62458627f505f8d918664fdb5e0850f6"
	    "375e9a62df67bfe8ae50\"\r\n",
	    "* URLFETCH \"imap://alice%40x@h/nope/;UID=1;URLAUTH=authus"
	    "er:internal:012fb27b4f758d62458627f505f8d918664fdb5e0850f6"
	    "375e9a62df67bfe8ae50\" NIL\r\na OK URLFETCH completed\r\n",
	    NULL },
	{ 0,
	    "a URLFETCH \"imap://alice%40x@h/INBOX/;UID=2/;SECTION=1.MI"
	    "ME;URLAUTH=authuser\"\r\n",
	    "* URLFETCH \"imap://alice%40x@h/INBOX/;UID=2/;SECTION=1.MI"
	    "ME;URLAUTH=authuser\" NIL\r\na OK URLFETCH completed\r\n",
	    NULL },
	{ 0,
	    "a URLFETCH \"imap://alice%40x@h/INBOX/;UID=2/;SECTION=1.MI"
	    "ME;URLAUTH=authuser:internal:6166860bceb18cc84792abeacc09b"
	    "bbea889d77028201b6326737162d9860158\"\r\n",
	    "* URLFETCH \"imap://alice%40x@h/INBOX/;UID=2/;SECTION=1.MI"
	    "ME;URLAUTH=authuser:internal:6166860bceb18cc84792abeacc09b"
	    "bbea889d77028201b6326737162d9860158\" NIL\r\na OK URLFETCH"
	    " completed\r\n",
	    NULL },
	{ 0,
	    "a URLFETCH \"imap://alice%40x@h/INBOX/;UID=2/;SECTION=1.MI"
	    "ME;URLAUTH=anonymous:internal:016166860bceb18cc84792abeacc"
	    "09bbbea889d77028201b6326737162d9860158\"\r\n",
	    "* URLFETCH \"imap://alice%40x@h/INBOX/;UID=2/;SECTION=1.MI"
	    "ME;URLAUTH=anonymous:internal:016166860bceb18cc84792abeacc"
	    "09bbbea889d77028201b6326737162d9860158\" NIL\r\na OK URLFE"
	    "TCH completed\r\n",
	    NULL },
	{ 0,
	    "a URLFETCH \"imap://alice%40x@h/INBOX/;UID=2/;SECTION=1.MI"
	    "ME;URLAUTH=authuser:xsample:016166860bceb18cc84792abeacc09"
	    "bbbea889d77028201b6326737162d9860158\"\r\n",
	    "* URLFETCH \"imap://alice%40x@h/INBOX/;UID=2/;SECTION=1.MI"
	    "ME;URLAUTH=authuser:xsample:016166860bceb18cc84792abeacc09"
	    "bbbea889d77028201b6326737162d9860158\" NIL\r\na OK URLFETC"
	    "H completed\r\n",
	    NULL },
	{ 0,
	    "a URLFETCH \"imap://alice%40x@h/INBOX/;UID=2/;SECTION=1.MI"
	    "ME;URLAUTH=authuser:internal:013ec9044b19e0703b45e01443393"
	    "7e12d60ea7e7e6844f69dcb5c43a38358d705\"\r\n",
	    "* URLFETCH \"imap://alice%40x@h/INBOX/;UID=2/;SECTION=1.MI"
	    "ME;URLAUTH=authuser:internal:013ec9044b19e0703b45e01443393"
	    "7e12d60ea7e7e6844f69dcb5c43a38358d705\" NIL\r\na OK URLFET"
	    "CH completed\r\n",
	    NULL },
	{ 0,
	    "a URLFETCH \"imap://alice%40x@h/INBOX\"\r\n",
	    "* URLFETCH \"imap://alice%40x@h/INBOX\" NIL\r\na OK URLFET"
	    "CH completed\r\n",
	    NULL },
	{ 0,
	    "a URLFETCH \"nonsense\"\r\n",
	    "* URLFETCH \"nonsense\" NIL\r\na OK URLFETCH completed\r\n",
	    NULL },
	{ 0,
	    "a URLFETCH \"imap://alice%40x@h/inbox/;UID=2/;SECTION=1.MI"
	    "ME;URLAUTH=authuser:internal:016166860bceb18cc84792abeacc0"
	    "9bbbea889d77028201b6326737162d9860158\"\r\n",
	    "* URLFETCH \"imap://alice%40x@h/inbox/;UID=2/;SECTION=1.MI"
	    "ME;URLAUTH=authuser:internal:016166860bceb18cc84792abeacc0"
	    "9bbbea889d77028201b6326737162d9860158\" NIL\r\na OK URLFET"
	    "CH completed\r\n",
	    NULL },
	{ 0,
	    "a URLFETCH\r\n",
	    "a BAD ~\n~",
	    NULL },
	{ 0,
	    "a RESETKEY nope\r\n",
	    "a NO [NONEXISTENT] No such mailbox\r\n",
	    NULL },
	{ 0,
	    "a RESETKEY INBOX XSAMPLE\r\n",
	    "a OK [URLMECH INTERNAL] RESETKEY completed\r\n",
	    NULL },
	{ 0,
	    "a URLFETCH \"imap://alice%40x@h/INBOX/;UID=2/;SECTION=1.MI"
	    "ME;URLAUTH=authuser:internal:016166860bceb18cc84792abeacc0"
	    "9bbbea889d77028201b6326737162d9860158\"\r\n",
	    "* URLFETCH \"imap://alice%40x@h/INBOX/;UID=2/;SECTION=1.MI"
	    "ME;URLAUTH=authuser:internal:016166860bceb18cc84792abeacc0"
	    "9bbbea889d77028201b6326737162d9860158\" NIL\r\na OK URLFET"
	    "CH completed\r\n",
	    NULL },
	{ 0,
	    "a GENURLAUTH \"imap://alice%40x@h/INBOX/;UID=1/;SECTION=TE"
	    "XT/;PARTIAL=6.3;URLAUTH=anonymous\" INTERNAL\r\n",
	    "* GENURLAUTH \"imap://alice%40x@h/INBOX/;UID=1/;SECTION=TE"
	    "XT/;PARTIAL=6.3;URLAUTH=anonymous:internal:01bf04f5b5470a6"
	    "023b205bb510aac8a7ba0ecd78204c2464617624e7e569154a3\"\r\na"
	    " OK GENURLAUTH completed\r\n",
	    NULL },
	{ 1,
	    "a URLFETCH \"imap://alice%40x@h/INBOX/;UID=1/;SECTION=TEXT"
	    "/;PARTIAL=6.3;URLAUTH=anonymous:internal:01bf04f5b5470a602"
	    "3b205bb510aac8a7ba0ecd78204c2464617624e7e569154a3\"\r\n",
	    "* URLFETCH \"imap://alice%40x@h/INBOX/;UID=1/;SECTION=TEXT"
	    "/;PARTIAL=6.3;URLAUTH=anonymous:internal:01bf04f5b5470a602"
	    "3b205bb510aac8a7ba0ecd78204c2464617624e7e569154a3\" {3}\r\n"
	    "Joe\r\na OK URLFETCH completed\r\n",
	    NULL },
	{ 0,
	    "a RESETKEY\r\n",
	    "a OK All keys removed\r\n",
	    NULL },
	{ 0,
	    "a URLFETCH \"imap://alice%40x@h/INBOX/;UID=1/;SECTION=TEXT"
	    "/;PARTIAL=6.3;URLAUTH=anonymous:internal:01bf04f5b5470a602"
	    "3b205bb510aac8a7ba0ecd78204c2464617624e7e569154a3\"\r\n",
	    "* URLFETCH \"imap://alice%40x@h/INBOX/;UID=1/;SECTION=TEXT"
	    "/;PARTIAL=6.3;URLAUTH=anonymous:internal:01bf04f5b5470a602"
	    "3b205bb510aac8a7ba0ecd78204c2464617624e7e569154a3\" NIL\r\n"
	    "a OK URLFETCH completed\r\n",
	    NULL },
	END,
};

static const struct step submit[] = {
	{ 0,
	    "a CAPABILITY\r\n",
	    "* CAPABILITY ~URLAUTH~~completed\r\n~",
	    NULL },
	{ 0,
	    "a SELECT INBOX\r\n",
	    "a NO [NOPERM] Only URLFETCH is for you\r\n",
	    NULL },
	{ 0,
	    "a GENURLAUTH \"imap://alice%40x@h/INBOX/;UID=1;URLAUTH=sub"
	    "mit+alice%40x\" INTERNAL\r\n",
	    "a NO [NOPERM] Only URLFETCH is for you\r\n",
	    NULL },
	{ 0,
	    "a LOGIN x y\r\n",
	    "a BAD Already authenticated\r\n",
	    NULL },
	{ 0,
	    "a APPEND INBOX {1+}\r\nx\r\n",
	    "a NO [NOPERM] Only URLFETCH is for you\r\n",
	    NULL },
	{ 0,
	    "a LIST \"\" *\r\n",
	    "a NO [NOPERM] Only URLFETCH is for you\r\n",
	    NULL },
	{ 0,
	    "a URLFETCH \"imap://alice%40x@h/INBOX/;UID=1;URLAUTH=submi"
	    "t+alice%40x:internal:0109ded41083d2444509c53849b4e8be0523d"
	    "bd43f8b8ed3a19dad5e2c446dba13\"\r\n",
	    "* URLFETCH \"imap://alice%40x@h/INBOX/;UID=1;URLAUTH=submi"
	    "t+alice%40x:internal:0109ded41083d2444509c53849b4e8be0523d"
	    "bd43f8b8ed3a19dad5e2c446dba13\" ~{~~Hello Joe, 3:30 tomorr"
	    "ow?\r\n~\r\na OK URLFETCH completed\r\n",
	    NULL },
	{ 0,
	    "a URLFETCH \"imap://alice%40x@h/inbox;UIDVALIDITY=1001/;ui"
	    "d=1;urlauth=user+alice%40x:internal:01be3fbcd29133215cbcd0"
	    "b64f256853a835f0c763d37e9af0f5e6040de195c018\"\r\n",
	    "* URLFETCH \"imap://alice%40x@h/inbox;UIDVALIDITY=1001/;ui"
	    "d=1;urlauth=user+alice%40x:internal:01be3fbcd29133215cbcd0"
	    "b64f256853a835f0c763d37e9af0f5e6040de195c018\" NIL\r\na OK"
	    " URLFETCH completed\r\n",
	    NULL },
	{ 0,
	    "a URLFETCH \"imap://alice%40x@h/INBOX/;UID=1/;SECTION=TEXT"
	    "/;PARTIAL=6.3;URLAUTH=anonymous:internal:01c791bd0d0761301"
	    "8628745c5551874bdd621b764b750dce11cd60b85cb6e1cfd\"\r\n",
	    "* URLFETCH \"imap://alice%40x@h/INBOX/;UID=1/;SECTION=TEXT"
	    "/;PARTIAL=6.3;URLAUTH=anonymous:internal:01c791bd0d0761301"
	    "8628745c5551874bdd621b764b750dce11cd60b85cb6e1cfd\" {3}\r\n"
	    "Joe\r\na OK URLFETCH completed\r\n",
	    NULL },
	{ 0,
	    "a LOGOUT\r\n",
	    "~* BYE~~completed\r\n~",
	    NULL },
	END,
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
serve_submit(struct mails *m, struct conn *c)
{
	const struct imap_env env = {
		.mails = m, .max_size = 100, .preauth = "submit", .submit = true
	};

	imap_serve(&env, c);
}

static void
urls_give_access_as_far_as_they_say(void **state)
{
	const struct dialogue d = { "urlauth", urlauth };

	(void)state;
	run_dialogue(
	    &d, fill, serve, "* PREAUTH [CAPABILITY ~] pneu ready\r\n~");
}

static void
submission_servers_only_fetch(void **state)
{
	const struct dialogue d = { "submit", submit };

	(void)state;
	run_dialogue(&d, fill, serve_submit,
	    "* PREAUTH [CAPABILITY ~] pneu ready\r\n~");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls_give_access_as_far_as_they_say),
		cmocka_unit_test(submission_servers_only_fetch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
