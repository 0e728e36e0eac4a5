/* SPDX-License-Identifier: ISC */
#include "common/net/http_client_impl.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/net/http_url.h"

/* Who answers slowly, or not, has its own share and no more: others find room
 * as long as there are fewer than TOTAL / PER_HOST of them. */
#define TOTAL 512
#define PER_HOST 8

/* --- the loop --- */

static void
collect(struct http_client *h)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(h->multi, &left)) != NULL) {
		struct http_transfer *f = NULL;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &f);
		f->result = m->data.result;
		f->ended = true;
		co_event_set(&f->done);
	}
}

static void
on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct http_client *h = arg;
	int running, mask = 0;

	if ((what & EV_READ) != 0)
		mask |= CURL_CSELECT_IN;
	if ((what & EV_WRITE) != 0)
		mask |= CURL_CSELECT_OUT;
	curl_multi_socket_action(h->multi, fd, mask, &running);
	collect(h);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct http_client *h = arg;
	int running;

	(void)fd;
	(void)what;
	curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	collect(h);
}

static int
want_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *of_socket)
{
	struct http_client *h = arg;
	struct event *e = of_socket;
	short flags = EV_PERSIST;

	(void)easy;
	/* Before the descriptor is closed, and for each new wish. */
	if (e != NULL)
		event_free(e);
	curl_multi_assign(h->multi, fd, NULL);
	if (what == CURL_POLL_REMOVE)
		return 0;
	if ((what & CURL_POLL_IN) != 0)
		flags |= EV_READ;
	if ((what & CURL_POLL_OUT) != 0)
		flags |= EV_WRITE;
	e = event_new(loop_base(), fd, flags, on_socket, h);
	if (e == NULL || event_add(e, NULL) == -1) {
		if (e != NULL)
			event_free(e);
		return -1;
	}
	curl_multi_assign(h->multi, fd, e);
	return 0;
}

static int
want_timer(CURLM *multi, long ms, void *arg)
{
	struct http_client *h = arg;
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	(void)multi;
	if (ms < 0)
		return event_del(h->timer);
	return event_add(h->timer, &tv);
}

/* --- making --- */

int
http_client_new(
    struct http_client **out, const struct conf *conf, struct buf *err)
{
	struct http_client *h = calloc(1, sizeof(*h));
	int rc = -ENOMEM;

	if (h == NULL)
		return rc;
	curl_global_init(CURL_GLOBAL_DEFAULT);
	h->multi = curl_multi_init();
	h->timer = evtimer_new(loop_base(), on_timer, h);
	if (*conf_str(conf, "tls.ca") != '\0')
		h->ca = strdup(conf_file(conf, "tls.ca"));
	if (h->multi != NULL && h->timer != NULL)
		rc = dns_new(&h->dns, conf, err);
	if (rc != 0) {
		http_client_free(&h);
		return rc;
	}
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, want_timer);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
	http_client_limit(h, TOTAL, PER_HOST);
	*out = h;
	return 0;
}

void
http_client_free(struct http_client **h)
{
	struct http_client *c = *h;

	if (c == NULL)
		return;
	*h = NULL;
	curl_multi_cleanup(c->multi);
	if (c->timer != NULL)
		event_free(c->timer);
	dns_free(&c->dns);
	free(c->ca);
	free(c);
}

void
http_client_limit(struct http_client *h, long total, long per_host)
{
	curl_multi_setopt(h->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, total);
	curl_multi_setopt(h->multi, CURLMOPT_MAX_HOST_CONNECTIONS, per_host);
}

/* --- one request --- */

/* The last word about where we connect to, whatever a name was resolved to. */
static curl_socket_t
open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
	struct http_transfer *f = arg;
	struct net_addr a = { .len = to->addrlen };

	(void)purpose;
	if (to->addrlen > sizeof(a.sa))
		return CURL_SOCKET_BAD;
	memcpy(&a.sa, &to->addr, to->addrlen);
	if (!net_addr_is_global(&a)) {
		f->refused = true;
		return CURL_SOCKET_BAD;
	}
	return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

bool
http_client_guard(struct http_transfer *f)
{
	return !f->global_only ||
	    (curl_easy_setopt(f->easy, CURLOPT_OPENSOCKETFUNCTION,
		 open_socket) == CURLE_OK &&
		curl_easy_setopt(f->easy, CURLOPT_OPENSOCKETDATA, f) ==
		    CURLE_OK);
}

static size_t
on_body(char *p, size_t one, size_t n, void *arg)
{
	struct http_transfer *f = arg;

	/* Anything but n ends the request. */
	return buf_put(f->body, p, one * n) ? n : 0;
}

/* "[2001:db8::1]" and "192.0.2.1" in `list`, after a comma but for the first. */
static void
put_address(struct buf *list, const struct net_addr *a)
{
	char host[128];
	bool v6;

	net_addr_host(a, host);
	v6 = strchr(host, ':') != NULL;
	buf_printf(list, "%s%s%s%s", list->n > 0 ? "," : "", v6 ? "[" : "",
	    host, v6 ? "]" : "");
}

/* Ask our resolver, and tell libcurl. 0, -EAGAIN, -ECANCELED, -ENOMEM. */
static int
resolve(struct http_client *h, struct http_transfer *f, const char *host,
    const char *port)
{
	struct arena arena = ARENA_INIT_MAX((size_t)64 << 10);
	struct buf list = BUF_INIT, entry = BUF_INIT;
	struct net_addr *v = NULL;
	size_t n = 0;
	int rc;

	/* libcurl knows this one, and addresses, by itself. */
	if (strcmp(host, "localhost") == 0) {
		f->refused = f->global_only;
		return f->refused ? -EACCES : 0;
	}
	rc = dns_addresses(h->dns, &arena, host, &v, &n, NULL);
	for (size_t i = 0; rc == 0 && i < n; i++)
		if (!f->global_only || net_addr_is_global(&v[i]))
			put_address(&list, &v[i]);
	if (rc == 0 && list.n == 0) {
		f->refused = f->global_only;
		rc = f->refused ? -EACCES : -EAGAIN;
	}
	if (rc == 0) {
		buf_printf(&entry, "+%s:%s:%s", host, port, buf_str(&list));
		f->resolve = curl_slist_append(NULL, buf_str(&entry));
		if (f->resolve == NULL || entry.failed || list.failed)
			rc = -ENOMEM;
	} else if (rc != -ECANCELED && rc != -EACCES) {
		snprintf(f->error, sizeof(f->error), "%s: %s", host,
		    rc == -ENOENT        ? "no such host"
			: rc == -ENODATA ? "no address of that host"
			: rc == -EAGAIN  ? "DNS gives no answer"
					 : strerror(-rc));
		if (f->r == NULL)
			log_warning("http: no address", "host=%s error=\"%s\"",
			    log_qs(host), strerror(-rc));
		rc = -EAGAIN;
	}
	buf_clear(&list);
	buf_clear(&entry);
	arena_reset(&arena);
	return rc;
}

int
http_client_resolve(
    struct http_client *h, struct http_transfer *f, const char *url)
{
	CURLU *u = curl_url();
	char *host = NULL, *port = NULL, *name = NULL;
	size_t n;
	int rc = -EINVAL;

	if (u != NULL && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) ==
		CURLUE_OK) {
		name = host;
		n = strlen(host);
		if (n > 1 && host[0] == '[' && host[n - 1] == ']')
			rc = 0; /* an address */
		else
			rc = resolve(h, f, name, port);
	}
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(u);
	return rc;
}

static bool
prepare(struct http_client *h, struct http_transfer *f,
    const struct http_request *r)
{
	CURL *e = f->easy;
	bool ok = true;

#define SET(option, value)                                                     \
	ok = ok && curl_easy_setopt(e, option, value) == CURLE_OK
	SET(CURLOPT_URL, r->url);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_TIMEOUT_MS, (long)r->timeout_ms);
	SET(CURLOPT_PRIVATE, f);
	SET(CURLOPT_ERRORBUFFER, f->error);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, f);
	if (f->resolve != NULL)
		SET(CURLOPT_RESOLVE, f->resolve);
	if (h->ca != NULL)
		SET(CURLOPT_CAINFO, h->ca);
	if (r->form != NULL)
		SET(CURLOPT_POSTFIELDS, r->form);
	if (r->body.p != NULL) {
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.n);
		SET(CURLOPT_POSTFIELDS, r->body.p);
	}
	if (f->headers != NULL)
		SET(CURLOPT_HTTPHEADER, f->headers);
	if (r->user != NULL) {
		SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		SET(CURLOPT_USERNAME, r->user);
		SET(CURLOPT_PASSWORD, r->password);
	}
#undef SET
	return ok && http_client_guard(f);
}

static bool
add_headers(struct http_transfer *f, const char *const *v)
{
	struct curl_slist *more;

	for (; v != NULL && *v != NULL; v++) {
		if ((more = curl_slist_append(f->headers, *v)) == NULL)
			return false;
		f->headers = more;
	}
	return true;
}

/* What libcurl says, as ours: 0 with the status. */
static int
outcome(struct http_transfer *f, int *status)
{
	const struct http_request *r = f->r;
	curl_off_t after = 0;
	long code = 0;

	curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &code);
	if (r->retry_after_s != NULL) {
		curl_easy_getinfo(f->easy, CURLINFO_RETRY_AFTER, &after);
		*r->retry_after_s = (int64_t)after;
	}
	*status = (int)code;
	if (f->result == CURLE_OK && !f->body->failed)
		return 0;
	if (r->status_only && code >= 200)
		return 0;
	if (f->body->failed)
		return -E2BIG;
	if (f->refused)
		return -EACCES;
	if (f->error[0] == '\0')
		snprintf(f->error, sizeof(f->error), "%s",
		    curl_easy_strerror(f->result));
	return -EAGAIN;
}

static int
run(struct http_client *h, struct http_transfer *f, int *status)
{
	const struct http_request *r = f->r;
	int rc;

	if (!add_headers(f, r->headers) || !prepare(h, f, r) ||
	    curl_multi_add_handle(h->multi, f->easy) != CURLM_OK)
		return -ENOMEM;
	/* libcurl keeps the time; ours is the net below. */
	rc = co_event_wait(&f->done, r->timeout_ms + 5000);
	curl_multi_remove_handle(h->multi, f->easy);
	if (rc != 0)
		return rc == -ECANCELED ? rc : -EAGAIN;
	return outcome(f, status);
}

/* To who asked; or, where nobody wants to know, to the log. */
static void
tell_why(const struct http_transfer *f, int rc)
{
	const char *why = f->refused ? "not a public address" : f->error;

	if (rc != -EAGAIN && rc != -EACCES)
		return;
	if (f->r->why != NULL)
		buf_put_str(f->r->why, *why != '\0' ? why : "no answer");
	else
		log_warning("http: no answer", "url=%s error=%s",
		    log_qs(f->r->url), log_qs(why));
}

int
http_fetch(struct http_client *h, const struct http_request *r, int *status,
    struct buf *body)
{
	struct buf own = BUF_INIT_MAX(r->max);
	struct http_transfer *f = calloc(1, sizeof(*f));
	int rc = -ENOMEM;

	if (f == NULL)
		return rc;
	f->body = &own;
	f->r = r;
	f->global_only = r->global_only;
	if ((rc = http_client_resolve(h, f, r->url)) == 0) {
		f->easy = curl_easy_init();
		rc = f->easy == NULL ? -ENOMEM : run(h, f, status);
	}
	if (rc == 0 && !buf_put_slice(body, buf_slice(&own)))
		rc = -ENOMEM;
	tell_why(f, rc);
	curl_easy_cleanup(f->easy);
	curl_slist_free_all(f->resolve);
	curl_slist_free_all(f->headers);
	free(f);
	buf_wipe(&own);
	return rc;
}
