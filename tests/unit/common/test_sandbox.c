/* SPDX-License-Identifier: ISC */
/*
 * The escape is denied: each case runs in a process of its own that enters the
 * sandbox, tries, and exits with the errno of the attempt.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/net/sandbox.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

static char dir[] = "/tmp/test_sandbox.XXXXXX";
static char inside[64], other[64];

/* Each returns 0 or the errno of what it tried. */

static int
try_file(const char *folder, int flags)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/file", folder);
	fd = open(path, flags, 0600);
	return fd == -1 ? errno : 0;
}

static int
read_inside(void)
{
	return try_file(inside, O_RDONLY);
}

static int
write_inside(void)
{
	return try_file(inside, O_RDWR | O_CREAT | O_TRUNC);
}

static int
read_other(void)
{
	return try_file(other, O_RDONLY);
}

static int
write_other(void)
{
	return try_file(other, O_WRONLY);
}

static int
read_passwd(void)
{
	return open("/etc/passwd", O_RDONLY) == -1 ? errno : 0;
}

static int
list_root(void)
{
	return open("/", O_RDONLY | O_DIRECTORY) == -1 ? errno : 0;
}

static int
remove_other(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/file", other);
	return unlink(path) == -1 ? errno : 0;
}

static int
steal_by_rename(void)
{
	char from[128], to[128];

	snprintf(from, sizeof(from), "%s/file", other);
	snprintf(to, sizeof(to), "%s/stolen", inside);
	return rename(from, to) == -1 ? errno : 0;
}

static int
read_random(void)
{
	return open("/dev/urandom", O_RDONLY) == -1 ? errno : 0;
}

static int
run_program(void)
{
	char *argv[] = { "/bin/true", NULL };

	execv(argv[0], argv);
	return errno;
}

static int
make_process(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid == -1 ? errno : 0;
}

static int
trace(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == -1 ? errno : 0;
}

static int
signal_parent(void)
{
	return kill(getppid(), 0) == -1 ? errno : 0;
}

static int
raw_socket(void)
{
	return socket(AF_PACKET, SOCK_RAW, 0) == -1 ? errno : 0;
}

static int
tcp_connect(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_port = htons(1),
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd == -1)
		return errno;
	return connect(fd, (struct sockaddr *)&in, sizeof(in)) == -1 ? errno
								     : 0;
}

static int
udp_socket(void)
{
	return socket(AF_INET, SOCK_DGRAM, 0) == -1 ? errno : 0;
}

static int
writable_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? errno : 0;
}

static void *
thread_main(void *arg)
{
	*(int *)arg = run_program();
	return NULL;
}

/* Threads work, and are inside too. */
static int
thread(void)
{
	pthread_t t;
	int rc, seen = 0;

	if ((rc = pthread_create(&t, NULL, thread_main, &seen)) != 0)
		return rc;
	pthread_join(t, NULL);
	return seen;
}

static int
absent_call(void)
{
	return syscall(435 /* clone3 */, NULL, 0) == -1 ? errno : 0;
}

struct sandbox_case {
	const char *name;
	int (*attempt)(void);
	int expected;
	bool connects_out;
	bool not_sanitized; /* LeakSanitizer needs what this tries */
	uint16_t port;	    /* that it may connect to */
};

static const struct sandbox_case cases[] = {
	{ "read_inside", read_inside, 0, false, false, 0 },
	{ "write_inside", write_inside, 0, false, false, 0 },
	{ "read_other", read_other, 0, false, false, 0 }, /* listed as readable */
	{ "write_other", write_other, EACCES, false, false, 0 },
	{ "remove_other", remove_other, EACCES, false, false, 0 },
	{ "steal_by_rename", steal_by_rename, EACCES, false, false, 0 },
	{ "read_passwd", read_passwd, EACCES, false, false, 0 },
	{ "list_root", list_root, EACCES, false, false, 0 },
	{ "read_random", read_random, 0, false, false, 0 },
	{ "run_program", run_program, EPERM, false, false, 0 },
	{ "make_process", make_process, EPERM, false, true, 0 },
	{ "trace", trace, EPERM, false, true, 0 },
	{ "signal_parent", signal_parent, EPERM, false, true, 0 },
	{ "raw_socket", raw_socket, EPERM, false, false, 0 },
	{ "tcp_connect", tcp_connect, EPERM, false, false, 0 },
	{ "tcp_connect_allowed", tcp_connect, ECONNREFUSED, true, false, 0 },
	{ "tcp_connect_port", tcp_connect, ECONNREFUSED, false, false, 1 },
	{ "tcp_connect_other_port", tcp_connect, EACCES, false, false, 2 },
	{ "udp_beside_a_port", udp_socket, EPERM, false, false, 1 },
	{ "udp_allowed", udp_socket, 0, true, false, 0 },
	{ "writable_code", writable_code, EPERM, false, true, 0 },
	{ "thread", thread, EPERM, false, false, 0 },
	{ "absent_call", absent_call, ENOSYS, false, false, 0 },
};

static int
in_sandbox(const struct sandbox_case *c)
{
	const struct service_path paths[] = { { inside, true },
		{ other, false }, { "/does/not/exist", true } };
	const struct sandbox box = { paths, 3, c->connects_out, &c->port,
		c->port != 0 };
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		if (sandbox_enter(&box) != 0)
			_exit(255);
		_exit(c->attempt());
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Where the kernel (or a container's filter) has none, files stay open. */
static long
landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
}

static void
the_escape_is_denied(void **state)
{
	long version = landlock();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if ((SANITIZED && cases[i].not_sanitized) ||
		    (cases[i].expected == EACCES &&
			version < (cases[i].port != 0 ? 4 : 1)))
			continue;
		print_message("%s\n", cases[i].name);
		assert_int_equal(in_sandbox(&cases[i]), cases[i].expected);
	}
}

static void
each_attempt_works_outside_of_it(void **state)
{
	(void)state;
	/* Else a denial would prove nothing. */
	assert_int_equal(read_passwd(), 0);
	assert_int_equal(list_root(), 0);
	assert_int_equal(write_other(), 0);
	assert_int_equal(make_process(), 0);
	assert_int_equal(signal_parent(), 0);
	assert_int_equal(tcp_connect(), ECONNREFUSED);
	assert_int_equal(writable_code(), 0);
}

static int
make_files(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(inside, sizeof(inside), "%s/in", dir);
	snprintf(other, sizeof(other), "%s/other", dir);
	mkdir(inside, 0700);
	mkdir(other, 0700);
	return try_file(inside, O_CREAT | O_RDWR) +
	    try_file(other, O_CREAT | O_RDWR);
}

static int
remove_files(void **state)
{
	char path[128];
	const char *const names[] = { inside, other };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/file", names[i]);
		unlink(path);
		rmdir(names[i]);
	}
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_attempt_works_outside_of_it),
		cmocka_unit_test(the_escape_is_denied),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
