/* SPDX-License-Identifier: ISC */
/* The embedded engine in a folder of its own, in this process and in children. */
#include "tests/unit/common/store_test.h"

#include <poll.h>
#include <signal.h>
#include <event2/event.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "common/store/store_io.h"

#define EMBEDDED (&test_engines[2])

/* Run `body` on the store in test_dir, in this process. */
static inline void
here(void (*body)(void))
{
	test_engine = EMBEDDED;
	co_run(test_body_run, &body);
}

static inline void
begin(void)
{
	test_engine = EMBEDDED;
	store_test_failure[0] = '\0';
	test_dir_new();
}

static inline void
end(void)
{
	test_dir_remove();
	if (store_test_failure[0] != '\0')
		fail_msg("%s", store_test_failure);
}

/* A child that runs `body`; its failures come back by its exit status. */
static inline pid_t
child(void (*body)(void))
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	alarm(500);
	here(body);
	if (store_test_failure[0] != '\0')
		print_error("child: %s\n", store_test_failure);
	_exit(store_test_failure[0] != '\0');
}

static inline void
child_end(pid_t pid)
{
	int status = -1;

	waitpid(pid, &status, 0);
	CHECK_INT(status, 0);
}

static inline void
no_fault(void *arg, const struct store_blob_id *blob, const char *what)
{
	(void)blob;
	print_message("check: %s\n", what);
	++*(int *)arg;
}

static inline int
faults(void)
{
	int n = 0, rc = store_check(st, no_fault, &n);

	CHECK_INT(rc, n);
	return n;
}

static inline size_t
files_with(const char *suffix)
{
	char path[128];
	struct dirent *e;
	size_t n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/blobs", test_dir);
	if ((d = opendir(path)) == NULL)
		return 0;
	while ((e = readdir(d)) != NULL)
		n += strstr(e->d_name, suffix) != NULL;
	closedir(d);
	return n;
}

/* Of a child, and to it. */
static int told_fd[2];
static int go_fd[2];

/* Wait for the parent without a coroutine's loop standing still. */
static inline void
wait_go(void)
{
	char c;

	CHECK_INT(co_wait_fd(go_fd[0], EV_READ, 250000), 0);
	CHECK_INT(read(go_fd[0], &c, 1), 1);
}

static inline void
say_go(void)
{
	CHECK_INT(write(go_fd[1], "", 1), 1);
}
