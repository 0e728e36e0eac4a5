/* SPDX-License-Identifier: ISC */
/*
 * The smallest service, to test what all daemons share: it greets, and answers
 * each line. It borrows the section "mailbox" of the configuration.
 *
 *	PID      the process that serves
 *	DRAIN    says "working", and "worked" 300 ms later
 *	OPEN f   tries to read the file        EXEC     tries execve
 *	CRASH    aborts                        STARTTLS, QUIT
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/net/service.h"

static const char *
try_open(struct slice path)
{
	char *name = slice_strdup(path);
	int fd = open(name, O_RDONLY), error = errno;

	free(name);
	if (fd == -1)
		return strerror(error);
	close(fd);
	return "opened";
}

static const char *
try_exec(void)
{
	char *argv[] = { "/bin/true", NULL };

	execv(argv[0], argv);
	return strerror(errno);
}

/* False: the session ends. */
static bool
answer(struct conn *c, struct slice line)
{
	char peer[128];

	net_addr_text(conn_peer(c), peer);
	if (slice_eq_str(line, "QUIT")) {
		conn_puts(c, "bye\r\n");
		return false;
	}
	if (slice_eq_str(line, "PID"))
		conn_printf(c, "pid %d\r\n", getpid());
	else if (slice_eq_str(line, "PEER"))
		conn_printf(c, "peer %s\r\n", peer);
	else if (slice_eq_str(line, "LEVEL"))
		conn_printf(c, "level %d\r\n", (int)log_level());
	else if (slice_starts(line, "OPEN "))
		conn_printf(c, "%s\r\n", try_open(slice_from(line, 5)));
	else if (slice_eq_str(line, "EXEC"))
		conn_printf(c, "%s\r\n", try_exec());
	else if (slice_eq_str(line, "CRASH"))
		abort();
	else if (slice_eq_str(line, "DRAIN")) {
		conn_puts(c, "working\r\n");
		conn_flush(c);
		co_sleep(300);
		conn_puts(c, "worked\r\n");
	} else if (slice_eq_str(line, "STARTTLS") && service_tls() != NULL) {
		conn_puts(c, "go ahead\r\n");
		return conn_starttls_server(c, service_tls()) == 0;
	} else {
		conn_printf(c, "%s%.*s\r\n", conn_is_tls(c) ? "tls " : "",
		    (int)line.n, line.p);
	}
	return true;
}

static void
echo_session(struct conn *c, const struct service_protocol *p)
{
	struct slice line;

	conn_printf(c, "220 %s %s\r\n", service_hostname(), p->name);
	while (conn_wait_input(c, NULL, -1) == 1)
		if (conn_read_line(c, 1000, &line, NULL) != 0 ||
		    !answer(c, line))
			return;
	if (service_is_draining())
		conn_puts(c, "421 going down\r\n");
}

static int
echo_start(const struct conf *conf)
{
	log_info("start", "dir=%s", conf_file(conf, "mailbox.dir"));
	return strcmp(conf_str(conf, "mailbox.dir"), "fail") == 0 ? -EIO : 0;
}

static void
echo_reload(const struct conf *conf)
{
	log_info("reload", "dir=%s", conf_file(conf, "mailbox.dir"));
}

static void
echo_stop(void)
{
	log_info("stop", " ");
}

static size_t
echo_paths(const struct conf *conf, struct service_path *out, size_t max)
{
	(void)max;
	out[0] = (struct service_path){ conf_file(conf, "mailbox.dir"), true };
	return 1;
}

static int
say(const struct conf *conf, int argc, char **argv)
{
	(void)conf;
	for (int i = 1; i < argc; i++)
		printf("%s%s", i > 1 ? " " : "", argv[i]);
	printf("\n");
	return argc > 1 ? 0 : 1;
}

static const struct service_protocol protocols[] = {
	{ .name = "echo",
	    .setting = "mailbox.imap",
	    .port = 143,
	    .session = echo_session,
	    .busy = "421 too many connections\r\n" },
	{ .name = "echos",
	    .setting = "mailbox.imaps",
	    .port = 993,
	    .tls = true,
	    .session = echo_session },
	{ .name = "lecho",
	    .setting = "mailbox.lmtp",
	    .port = 24,
	    .session = echo_session },
	{ 0 },
};

static const struct service_command commands[] = {
	{ "say", "WORD ...", "Print the words", say },
	{ 0 },
};

int
main(int argc, char **argv)
{
	static const struct service echo = {
		.name = "mailbox",
		.summary = "answers each line",
		.protocols = protocols,
		.commands = commands,
		.start = echo_start,
		.reload = echo_reload,
		.stop = echo_stop,
		.paths = echo_paths,
	};

	return service_main(&echo, argc, argv);
}
