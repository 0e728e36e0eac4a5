/* SPDX-License-Identifier: ISC */
#include "mgmt/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "common/auth/password.h"
#include "mgmt/commands.h"

void
secret_wipe(struct secret *s)
{
	OPENSSL_cleanse(s, sizeof(*s));
}

/* --- a line, octet by octet: nothing of it stays in a buffer --- */

/* 1: a line (maybe cut, then it is too long); 0: end without one; -errno. */
static int
read_line(int fd, struct secret *s)
{
	ssize_t n;
	char c;
	bool any = false;

	s->n = 0;
	while ((n = read(fd, &c, 1)) == 1) {
		any = true;
		if (c == '\n')
			break;
		if (s->n < sizeof(s->text) - 1)
			s->text[s->n++] = c;
	}
	s->text[s->n] = '\0';
	c = '\0';
	if (n == -1)
		return -errno;
	return any;
}

/* --- the terminal --- */

static volatile sig_atomic_t caught;

static void
on_signal(int sig)
{
	caught = sig;
}

static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP };
#define N_SIGNALS (sizeof(signals) / sizeof(signals[0]))

/* Without echo, and with it again whatever comes in between. */
static int
prompt(int fd, const char *text, struct secret *s)
{
	struct sigaction sa = { .sa_handler = on_signal }, old[N_SIGNALS];
	struct termios echo, silent;
	int rc;

	if (tcgetattr(fd, &echo) == -1)
		return -errno;
	caught = 0;
	for (size_t i = 0; i < N_SIGNALS; i++)
		sigaction(signals[i], &sa, &old[i]);
	silent = echo;
	silent.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
	tcsetattr(fd, TCSAFLUSH, &silent);
	if (write(fd, text, strlen(text)) == -1)
		rc = -errno;
	else
		rc = read_line(fd, s);
	tcsetattr(fd, TCSAFLUSH, &echo);
	if (write(fd, "\n", 1) == -1 && rc >= 0)
		rc = -errno;
	for (size_t i = 0; i < N_SIGNALS; i++)
		sigaction(signals[i], &old[i], NULL);
	if (caught != 0) {
		secret_wipe(s);
		raise(caught);
		return -EINTR;
	}
	return rc;
}

static bool
ask_twice(int fd, struct secret *s, const char *account)
{
	struct secret again;
	char text[400];
	bool same = false;
	int rc;

	snprintf(text, sizeof(text), "Password for %s: ", account);
	rc = prompt(fd, text, s);
	if (rc == 1 && (rc = prompt(fd, "Once more: ", &again)) == 1)
		same = s->n == again.n &&
		    CRYPTO_memcmp(s->text, again.text, s->n) == 0;
	secret_wipe(&again);
	if (rc < 0)
		complain("terminal: %s", strerror(-rc));
	else if (rc == 0)
		complain("no password was typed");
	else if (!same)
		complain("these were not the same; nothing was changed");
	return same;
}

static bool
ask(struct secret *s, const char *account)
{
	int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	bool ok;

	if (fd == -1)
		return ask_twice(STDIN_FILENO, s, account);
	ok = ask_twice(fd, s, account);
	close(fd);
	return ok;
}

static bool
take_line(struct secret *s)
{
	int rc = read_line(STDIN_FILENO, s);

	if (rc < 0)
		complain("standard input: %s", strerror(-rc));
	else if (rc == 0)
		complain("no password on standard input; for example: "
			 "pneu password set alice@example.org <file, "
			 "or from a terminal");
	return rc == 1;
}

/* What the directory would refuse is told before anything is changed. */
static bool
is_fit(const struct secret *s)
{
	struct password p;
	bool fit = password_prepare(slice(s->text, s->n), false, &p) == 0;

	password_wipe(&p);
	if (!fit)
		complain("the password is empty, longer than %d octets, or has "
			 "characters that cannot be in one",
		    ACCOUNTS_PASSWORD_MAX);
	return fit;
}

bool
secret_read(struct secret *s, const char *account)
{
	bool ok = isatty(STDIN_FILENO) ? ask(s, account) : take_line(s);

	return ok && is_fit(s);
}
