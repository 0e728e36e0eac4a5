/* SPDX-License-Identifier: ISC */
/* TLS contexts as the configuration has them: tls.certificate, tls.key,
 * tls.names, tls.ca. */
#include <errno.h>

#include "common/base/arena.h"
#include "common/net/tls.h"

static int
add_names(struct tls_server *t, const struct conf *conf, struct buf *err)
{
	size_t n;
	const char *const *names = conf_map_keys(conf, "tls.names", &n);
	struct arena a = ARENA_INIT_MAX(1 << 20);
	const char *file;
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++) {
		file = conf_resolve(
		    conf, &a, conf_map(conf, "tls.names", names[i]));
		rc = file == NULL ? -ENOMEM
				  : tls_server_add_name(t, names[i], file, err);
	}
	arena_reset(&a);
	return rc;
}

int
tls_server_new(
    struct tls_server **out, const struct conf *conf, struct buf *err)
{
	const char *key = "tls.key";
	int rc;

	*out = NULL;
	if (*conf_str(conf, "tls.certificate") == '\0')
		return 0;
	if (*conf_str(conf, key) == '\0')
		key = "tls.certificate"; /* both in one file */
	rc = tls_server_new_files(
	    out, conf_file(conf, "tls.certificate"), conf_file(conf, key), err);
	if (rc == 0 && *conf_str(conf, "tls.client_ca") != '\0')
		rc = tls_server_client_ca(
		    *out, conf_file(conf, "tls.client_ca"), err);
	if (rc == 0)
		rc = add_names(*out, conf, err);
	if (rc != 0)
		tls_server_free(out);
	return rc;
}

int
tls_server_reload(
    struct tls_server *t, const struct conf *conf, struct buf *err)
{
	struct tls_server *fresh;
	int rc = tls_server_new(&fresh, conf, err);

	if (rc == 0 && fresh != NULL)
		tls_server_take(t, &fresh);
	return rc;
}

int
tls_client_new(struct tls_client **out, const struct conf *conf,
    enum tls_verify verify, struct buf *err)
{
	const char *ca = NULL;

	if (*conf_str(conf, "tls.ca") != '\0')
		ca = conf_file(conf, "tls.ca");
	return tls_client_new_files(out, verify, ca, err);
}
