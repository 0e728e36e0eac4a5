/* SPDX-License-Identifier: ISC */
#include "mailbox/ipfs/node.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/json_text.h"
#include "common/base/log.h"
#include "mailbox/ipfs/answer.h"

#define CONNECT_MS 5000
#define TIMEOUT_MS 30000
#define WORDS_MAX ((size_t)64 << 10) /* of an answer that is no block */

/* A form's end must not stand in its octets, which are as good as chance. */
#define BOUNDARY_OCTETS 16

int
ipfs_node_init(struct ipfs_node *n, const char *addr, const char *run_dir)
{
	*n = (struct ipfs_node){ .timeout_ms = TIMEOUT_MS };
	return net_addr_parse(&n->addr, addr, run_dir);
}

/* --- a request --- */

static int
failed(struct ipfs_node *n, const char *what, int rc)
{
	if (rc == -ECANCELED || rc == -ENOMEM)
		return rc;
	snprintf(n->why, sizeof(n->why), "%s: %s", what, strerror(-rc));
	return -EAGAIN;
}

static int
send_request(struct conn *c, const struct ipfs_node *n, const char *path,
    struct slice form, const char *boundary)
{
	char host[128];
	int rc;

	if (net_addr_is_unix(&n->addr))
		snprintf(host, sizeof(host), "localhost");
	else
		net_addr_text(&n->addr, host);
	rc = conn_printf(c,
	    "POST /api/v0/%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: pneu\r\n"
	    "Accept: */*\r\nConnection: close\r\n",
	    path, host);
	if (rc == 0 && boundary != NULL)
		rc = conn_printf(c,
		    "Content-Type: multipart/form-data; boundary=%s\r\n",
		    boundary);
	if (rc == 0)
		rc = conn_printf(c, "Content-Length: %zu\r\n\r\n", form.n);
	if (rc == 0)
		rc = conn_write(c, form);
	return rc == 0 ? conn_flush(c) : rc;
}

static int
read_answer(struct conn *c, struct answer *a)
{
	struct slice in;
	int rc = 0;

	while (rc == 0) {
		if ((rc = conn_peek(c, &in)) == -EPIPE)
			return answer_end(a);
		if (rc == 0) {
			rc = answer_feed(a, in);
			conn_consume(c, in.n);
		}
	}
	return rc;
}

/* The answer is in `a`, whatever its status. */
static int
ask(struct ipfs_node *n, const char *path, struct slice form,
    const char *boundary, struct answer *a)
{
	struct conn *c = NULL;
	int rc = conn_connect(&c, &n->addr, NULL, CONNECT_MS), sent;

	if (rc != 0)
		return failed(n, "no connection", rc);
	conn_set_timeout(c, n->timeout_ms);
	conn_set_deadline(c, clock_mono_ms() + n->timeout_ms);
	/* Who refuses early answers before it has read all. */
	sent = send_request(c, n, path, form, boundary);
	rc = sent == -ECANCELED ? sent : read_answer(c, a);
	conn_free(&c);
	if (rc < 0)
		return failed(n, sent != 0 ? "not sent" : "no answer", rc);
	return 0;
}

/* A status that is not 200, in the node's words: {"Message": "..."}. */
static int
refused(struct ipfs_node *n, const struct answer *a)
{
	json_t *j = json_text_load(
	    buf_slice(&a->body), JSON_DISABLE_EOF_CHECK);
	const char *message = NULL;
	char word[sizeof(n->why)] = "";

	(void)json_unpack(j, "{s:s}", "Message", &message);
	if (message != NULL)
		snprintf(word, sizeof(word), "%s", message);
	for (char *p = word; *p != '\0'; p++)
		if (*p < ' ' || *p > '~')
			*p = ' '; /* it goes to the log */
	snprintf(n->why, sizeof(n->why), "status %d%s%.120s", a->status,
	    *word != '\0' ? ": " : "", word);
	json_decref(j);
	return -EAGAIN;
}

/* --- putting --- */

static int
form_make(struct slice block, const char *boundary, struct buf *out)
{
	buf_reserve(out, block.n + 512);
	buf_printf(out,
	    "--%s\r\nContent-Disposition: form-data; name=\"file\"; "
	    "filename=\"block\"\r\nContent-Type: application/octet-stream"
	    "\r\n\r\n",
	    boundary);
	buf_put_slice(out, block);
	buf_printf(out, "\r\n--%s--\r\n", boundary);
	return out->failed ? -ENOMEM : 0;
}

/* {"Name": "...", "Hash": "bafkrei...", "Size": "..."}, a line for each file. */
static int
is_of(struct ipfs_node *n, const struct answer *a, const struct cid *cid)
{
	json_t *j = json_text_load(
	    buf_slice(&a->body), JSON_DISABLE_EOF_CHECK);
	const char *hash = "";
	struct cid got;
	int rc = 0;

	if (j == NULL || json_unpack(j, "{s:s}", "Hash", &hash) != 0 ||
	    cid_parse(slice_str(hash), &got) != 0 ||
	    memcmp(&got, cid, sizeof(got)) != 0)
		rc = -EBADMSG;
	if (rc != 0)
		snprintf(n->why, sizeof(n->why),
		    "the node names another block than was put");
	json_decref(j);
	return rc;
}

/*
 * By /add: with raw leaves and chunks of 1 MiB what fits in one is one raw
 * block, for Kubo and js-ipfs alike; the parameters of block/put differ.
 */
int
ipfs_node_put(struct ipfs_node *n, struct slice block, const struct cid *cid)
{
	static const char path[] =
	    "add?cid-version=1&raw-leaves=true&hash=sha2-256"
	    "&chunker=size-1048576&cid-base=base32&pin=true&progress=false";
	char boundary[2 * BOUNDARY_OCTETS + 1];
	unsigned char chance[BOUNDARY_OCTETS];
	struct buf form = BUF_INIT;
	struct answer a;
	int rc;

	random_octets(chance, sizeof(chance));
	for (size_t i = 0; i < sizeof(chance); i++)
		snprintf(boundary + 2 * i, 3, "%02x", chance[i]);
	answer_init(&a, WORDS_MAX);
	if ((rc = form_make(block, boundary, &form)) == 0)
		rc = ask(n, path, buf_slice(&form), boundary, &a);
	if (rc == 0)
		rc = a.status == 200 ? is_of(n, &a, cid) : refused(n, &a);
	answer_clear(&a);
	buf_clear(&form);
	return rc;
}

/* --- getting --- */

/* The node shall give up before we do: it waits for ever otherwise. */
static int
ask_of(struct ipfs_node *n, const char *what, const struct cid *cid,
    struct answer *a)
{
	char path[160], text[CID_TEXT + 1];

	cid_text(cid, text);
	snprintf(path, sizeof(path), "%s?arg=%s&timeout=%llds", what, text,
	    (long long)(n->timeout_ms / 2000 + 1));
	return ask(n, path, SLICE_EMPTY, NULL, a);
}

int
ipfs_node_get(struct ipfs_node *n, const struct cid *cid, struct buf *out)
{
	struct answer a;
	struct cid is;
	int rc;

	answer_init(&a, IPFS_BLOCK_MAX + 1);
	rc = ask_of(n, "block/get", cid, &a);
	if (rc == 0 && a.status != 200) {
		/* It looks for a block that nobody has until its time is over. */
		rc = refused(n, &a);
		rc = a.status == 500 || a.status == 404 ? -ENOENT : rc;
	}
	if (rc == 0 && (rc = cid_of(buf_slice(&a.body), &is)) == 0 &&
	    memcmp(&is, cid, sizeof(is)) != 0) {
		snprintf(n->why, sizeof(n->why),
		    "the node gave other octets than the CID is of");
		rc = -EBADMSG;
	}
	if (rc == 0 && !buf_put_slice(out, buf_slice(&a.body)))
		rc = -ENOMEM;
	answer_clear(&a);
	return rc;
}

int
ipfs_node_let_go(struct ipfs_node *n, const struct cid *cid)
{
	struct answer a;
	int rc;

	answer_init(&a, WORDS_MAX);
	rc = ask_of(n, "pin/rm", cid, &a);
	if (rc == 0 && a.status != 200) {
		rc = refused(n, &a);
		if (a.status == 500 && strstr(n->why, "not pinned") != NULL)
			rc = 0;
	}
	answer_clear(&a);
	return rc;
}
