/* SPDX-License-Identifier: ISC */
/*
 * Records of the directory: the first octet chooses the kind. Properties: what
 * can be read can be written, and reads the same again.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/auth/accounts_impl.h"

static void
need(bool fine)
{
	if (!fine)
		abort();
}

static void
need_same(const char *a, const char *b)
{
	need(strcmp(a, b) == 0);
}

static void
need_same_list(const char *const *a, size_t n_a, const char *const *b,
    size_t n_b)
{
	need(n_a == n_b);
	for (size_t i = 0; i < n_a; i++)
		need_same(a[i], b[i]);
}

/* Written without its blanks, it may still be too long: escapes. */
static bool
is_written(int rc)
{
	need(rc == 0 || rc == -E2BIG || rc == -ENOMEM);
	return rc == 0;
}

static void
fuzz_domain(struct arena *a, struct slice in)
{
	struct accounts_domain one, two;
	struct buf out = BUF_INIT;

	if (record_domain_decode(a, in, &one) != 0)
		return;
	if (is_written(record_domain_encode(in, &one, &out))) {
		need(record_domain_decode(a, buf_slice(&out), &two) == 0);
		need(one.disabled == two.disabled &&
		    one.created_s == two.created_s);
		need_same_list(one.catch_all, one.n_catch_all, two.catch_all,
		    two.n_catch_all);
	}
	buf_clear(&out);
}

static void
fuzz_name(struct arena *a, struct slice in)
{
	struct name_record one, two;
	struct buf out = BUF_INIT;

	if (record_name_decode(a, in, &one) != 0)
		return;
	if (is_written(record_name_encode(in, &one, &out))) {
		need(record_name_decode(a, buf_slice(&out), &two) == 0);
		need(one.kind == two.kind);
		need_same(one.account.name, two.account.name);
		need(one.account.quota_octets == two.account.quota_octets);
		need(one.account.disabled == two.account.disabled);
		need(one.account.encryption == two.account.encryption);
		/* The writer of accounts leaves the key pair alone. */
		need(memcmp(&one.seal, &two.seal, sizeof(one.seal)) == 0);
		need_same_list(one.alias.targets, one.alias.n_targets,
		    two.alias.targets, two.alias.n_targets);
	}
	buf_clear(&out);
}

static void
fuzz_seal(struct arena *a, struct slice in)
{
	struct name_record one, two;
	struct seal_record seal = { .has_key = true, .public = { 1, 2 } };
	struct buf out = BUF_INIT;

	if (record_name_decode(a, in, &one) != 0 || one.kind != KIND_ACCOUNT)
		return;
	seal.has_recovery = !one.seal.has_recovery;
	if (is_written(record_seal_put(in, &seal, &out))) {
		need(record_name_decode(a, buf_slice(&out), &two) == 0);
		need(memcmp(&seal, &two.seal, sizeof(seal)) == 0);
		need_same(one.account.name, two.account.name);
	}
	buf_clear(&out);
}

static void
fuzz_credential(struct arena *a, struct slice in)
{
	struct credential_record one, two;
	struct buf out = BUF_INIT;

	if (record_credential_decode(a, in, &one) != 0)
		return;
	need(!one.unlock.any || unlock_scrypt_is_fit(&one.unlock.scrypt));
	need(!one.has_scram[0] ||
	    (one.scram[0].iterations >= SCRAM_ITERATIONS_MIN &&
		one.scram[0].salt_n <= SCRAM_SALT_MAX));
	one.public.scopes &= ~(1U << 31);
	if (is_written(record_credential_encode(&one, &out))) {
		need(record_credential_decode(a, buf_slice(&out), &two) == 0);
		need(one.public.scopes == two.public.scopes);
		need(memcmp(one.has_scram, two.has_scram, sizeof(one.has_scram)) == 0);
		need(memcmp(&one.scram, &two.scram, sizeof(one.scram)) == 0);
		need(memcmp(&one.unlock, &two.unlock, sizeof(one.unlock)) == 0);
		need_same(one.hash, two.hash);
	}
	buf_clear(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a = { 0 };

	if (size < 1 || size > STORE_VALUE_MAX)
		return 0;
	if (data[0] % 3 == 0)
		fuzz_domain(&a, slice(data + 1, size - 1));
	else if (data[0] % 3 == 1) {
		fuzz_name(&a, slice(data + 1, size - 1));
		fuzz_seal(&a, slice(data + 1, size - 1));
	}
	else
		fuzz_credential(&a, slice(data + 1, size - 1));
	arena_reset(&a);
	return 0;
}
