/* SPDX-License-Identifier: ISC */
/* Passwords that commands of the door ask for. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mailbox/commands_door_impl.h"

static int
read_line(int fd, char *out, size_t max)
{
	size_t n = 0;
	ssize_t got;

	while (n < max && (got = read(fd, out + n, 1)) != 0) {
		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1)
			return -errno;
		if (out[n] == '\n')
			break;
		n++;
	}
	if (n == max)
		return -E2BIG;
	out[n] = '\0';
	if (n > 0 && out[n - 1] == '\r')
		out[n - 1] = '\0';
	return out[0] == '\0' ? -ENODATA : 0;
}

static int
read_secret(const char *file, char *out, size_t max)
{
	int fd, rc;

	if (file == NULL || strcmp(file, "-") == 0)
		return read_line(STDIN_FILENO, out, max);
	if ((fd = open(file, O_RDONLY | O_CLOEXEC)) == -1)
		return -errno;
	rc = read_line(fd, out, max);
	close(fd);
	return rc;
}

int
door_secret(struct door *d, const char *prompt, char *out, size_t max)
{
	const char *file =
	    d->token_file != NULL ? d->token_file : d->password_file;
	char *typed;
	int rc;

	if (file == NULL && isatty(STDIN_FILENO)) {
		if ((typed = getpass(prompt)) == NULL)
			return -errno;
		rc = *typed == '\0' || strlen(typed) >= max ? -ENODATA : 0;
		if (rc == 0)
			memcpy(out, typed, strlen(typed) + 1);
		explicit_bzero(typed, strlen(typed));
	} else {
		rc = read_secret(file, out, max);
	}
	if (rc != 0)
		door_warn(&d->report, "no password: %s",
		    rc == -ENODATA ? "give it on standard input or by "
				     "--password-file"
				   : strerror(-rc));
	return rc;
}
