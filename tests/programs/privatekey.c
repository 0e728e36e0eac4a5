/* SPDX-License-Identifier: ISC */
/*
 * privatekey CONF ACCOUNT PASSWORD: the account's private key in hexadecimal,
 * for a test that looks for it where it should not be.
 */
#include <stdio.h>
#include <sysexits.h>

#include "common/auth/accounts.h"
#include "common/auth/seal.h"
#include "common/base/co.h"

struct request {
	const struct conf *conf;
	const char *account, *password;
	int status;
};

static void
run(void *arg)
{
	struct request *r = arg;
	struct accounts *a = NULL;
	struct seal_key *k = NULL;
	struct buf err = BUF_INIT;

	if (accounts_open(&a, r->conf, false, &err) == 0 &&
	    accounts_key_open(a, slice_str(r->account), slice_str(r->password),
		&k, &err) == 0) {
		for (size_t i = 0; i < SEAL_KEY_LEN; i++)
			printf("%02x", seal_key_private(k)[i]);
		printf("\n");
		r->status = EX_OK;
	} else {
		fprintf(stderr, "privatekey: %s\n", buf_str(&err));
	}
	seal_key_unref(&k);
	accounts_close(&a);
	buf_clear(&err);
}

int
main(int argc, char **argv)
{
	struct buf err = BUF_INIT;
	struct conf *conf = argc == 4 ? conf_load(argv[1], &err) : NULL;
	struct request r = { conf, argv[2], argv[3], EX_DATAERR };

	if (conf == NULL) {
		fprintf(stderr, "privatekey: %s\n", buf_str(&err));
		return EX_USAGE;
	}
	co_run(run, &r);
	conf_free(&conf);
	buf_clear(&err);
	return r.status;
}
