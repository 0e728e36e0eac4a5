/* SPDX-License-Identifier: ISC */
#include "mgmt/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <poll.h>
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

/* As read, but signals that are blocked come in (only) while it waits; NULL:
 * none is. */
static ssize_t
read_octet(int fd, char *c, const sigset_t *mask)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (mask != NULL && ppoll(&p, 1, NULL, mask) == -1)
		return -1;
	return read(fd, c, 1);
}

/* 1: a line (maybe cut, then it is too long); 0: end without one; -errno. */
static int
read_line(int fd, struct secret *s, const sigset_t *mask)
{
	ssize_t n;
	char c;
	bool any = false;

	s->n = 0;
	while ((n = read_octet(fd, &c, mask)) == 1) {
		any = true;
		if (c == '\n')
			break;
		if (s->n < sizeof(s->text) - 1)
			s->text[s->n++] = c;
	}
	s->text[s->n] = '\0';
	return n == -1 ? -errno : any;
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

struct handlers {
	struct sigaction old[N_SIGNALS];
	sigset_t mask;
};

/* From here on these signals are only noted, and only in read_octet. */
static void
hold_signals(struct handlers *h)
{
	struct sigaction sa = { .sa_handler = on_signal };
	sigset_t set;

	caught = 0;
	sigemptyset(&set);
	for (size_t i = 0; i < N_SIGNALS; i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, &h->mask);
	for (size_t i = 0; i < N_SIGNALS; i++)
		sigaction(signals[i], &sa, &h->old[i]);
}

static void
release_signals(const struct handlers *h)
{
	for (size_t i = 0; i < N_SIGNALS; i++)
		sigaction(signals[i], &h->old[i], NULL);
	sigprocmask(SIG_SETMASK, &h->mask, NULL);
}

/* Without echo, and with it again whatever comes in between. */
static int
prompt(int fd, const char *text, struct secret *s)
{
	struct termios echo, silent;
	struct handlers h;
	int rc;

	if (tcgetattr(fd, &echo) == -1)
		return -errno;
	hold_signals(&h);
	silent = echo;
	silent.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
	tcsetattr(fd, TCSAFLUSH, &silent);
	if (write(fd, text, strlen(text)) == -1)
		rc = -errno;
	else
		rc = read_line(fd, s, &h.mask);
	tcsetattr(fd, TCSAFLUSH, &echo);
	if (write(fd, "\n", 1) == -1 && rc >= 0)
		rc = -errno;
	release_signals(&h);
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
ask_once(int fd, struct secret *s, const char *text)
{
	int rc = prompt(fd, text, s);

	if (rc < 0)
		complain("terminal: %s", strerror(-rc));
	else if (rc == 0)
		complain("nothing was typed");
	return rc == 1;
}

static bool
ask(bool (*how)(int fd, struct secret *s, const char *words), struct secret *s,
    const char *words)
{
	int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	bool ok;

	if (fd == -1)
		return how(STDIN_FILENO, s, words);
	ok = how(fd, s, words);
	close(fd);
	return ok;
}

static bool
take_line(struct secret *s)
{
	int rc = read_line(STDIN_FILENO, s, NULL);

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
	bool ok =
	    isatty(STDIN_FILENO) ? ask(ask_twice, s, account) : take_line(s);

	return ok && is_fit(s);
}

bool
secret_read_once(struct secret *s, const char *prompt_text)
{
	return isatty(STDIN_FILENO) ? ask(ask_once, s, prompt_text)
				    : take_line(s);
}
