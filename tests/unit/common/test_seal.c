/* SPDX-License-Identifier: ISC */
/* Boxes, keys in memory, and who shares them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/auth/seal.h"
#include "common/base/clock.h"

static void
unhex(const char *hex, unsigned char *out, size_t n)
{
	assert_int_equal(strlen(hex), 2 * n);
	for (size_t i = 0; i < n; i++) {
		unsigned v;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &v), 1);
		out[i] = (unsigned char)v;
	}
}

static struct seal_key *
key_of(const char *hex)
{
	unsigned char octets[SEAL_KEY_LEN];
	struct seal_key *k;

	unhex(hex, octets, sizeof(octets));
	assert_int_equal(seal_key_new(&k, octets), 0);
	return k;
}

/* RFC 7748 6.1 */
static const char alice[] = "77076d0a7318a57d3c16c17251b26645"
			    "df4c2f87ebc0992ab177fba51db92c2a";
static const char alice_public[] = "8520f0098930a754748b7ddcb43ef75a"
				   "0dbf3a0d26381af4eba4a98eaa9b4e6a";
static const char bob[] = "5dab087e624a8a4b79e17f8b83800ee6"
			  "6f3bb1292618b6fd1c2f8b27ff88e0eb";
static const char bob_public[] = "de9edb7d7b7dc1b4d35b61c2ece43537"
				 "3f8343c85b78674dadfc7e146f882b4f";

/*
 * Made by another implementation (Python's cryptography) from the description
 * in docs/sealing.md: the secret 00 01 .. 1f for Alice, Bob's key being the
 * ephemeral one, of the context "pneu".
 */
static const char golden_box[] =
    "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    "95b9f02be0afbb808a952ada70608f42eb2c804cf761cb0b92aee41e71ef94a9"
    "93a5b671bd723d1d4aa2f648c16e77d5";
static const char golden_subkey[] = /* Alice's, of "search" */
    "f39141ce2b9206b504b8074274203de4f3b37682fa320e16581826622ad78b42";
/* By the key 20 21 .. 3f; the nonce is zeros. */
static const char golden_wrap[] =
    "000000000000000000000000"
    "e32fe35a905a625ec050ee496ab2016f7c256515b53c139baa2636bdf0ec81e9"
    "09b6554a62a5e972b6bfe09e1243688c";

static void
count_up(unsigned char *out, unsigned char from)
{
	for (size_t i = 0; i < SEAL_SECRET_LEN; i++)
		out[i] = (unsigned char)(from + i);
}

static void
public_keys_are_those_of_the_rfc(void **state)
{
	unsigned char want[SEAL_PUBLIC_LEN];
	struct seal_key *k;

	(void)state;
	k = key_of(alice);
	unhex(alice_public, want, sizeof(want));
	assert_memory_equal(seal_key_public(k), want, sizeof(want));
	seal_key_unref(&k);
	k = key_of(bob);
	unhex(bob_public, want, sizeof(want));
	assert_memory_equal(seal_key_public(k), want, sizeof(want));
	seal_key_unref(&k);
	assert_null(k);
	assert_int_equal(seal_key_count(), 0);
}

static void
boxes_of_others_open(void **state)
{
	unsigned char box[SEAL_BOX_LEN], wrap[SEAL_WRAP_LEN];
	unsigned char want[SEAL_SECRET_LEN], got[SEAL_SECRET_LEN];
	unsigned char key[SEAL_KEY_LEN], sub[SEAL_KEY_LEN];
	struct seal_key *k = key_of(alice);

	(void)state;
	count_up(want, 0);
	unhex(golden_box, box, sizeof(box));
	assert_int_equal(seal_open(k, box, SLICE_LIT("pneu"), got), 0);
	assert_memory_equal(got, want, sizeof(want));
	count_up(key, 32);
	unhex(golden_wrap, wrap, sizeof(wrap));
	assert_int_equal(seal_unwrap(key, wrap, SLICE_LIT("pneu"), got), 0);
	assert_memory_equal(got, want, sizeof(want));
	unhex(golden_subkey, key, sizeof(key));
	assert_int_equal(seal_key_subkey(k, "search", sub), 0);
	assert_memory_equal(sub, key, sizeof(key));
	assert_int_equal(seal_key_subkey(k, "other", sub), 0);
	assert_memory_not_equal(sub, key, sizeof(key));
	seal_key_unref(&k);
}

static void
a_box_opens_for_its_key_and_context_only(void **state)
{
	static const unsigned char zeros[SEAL_SECRET_LEN];
	unsigned char box[SEAL_BOX_LEN], again[SEAL_BOX_LEN];
	unsigned char secret[SEAL_SECRET_LEN], got[SEAL_SECRET_LEN];
	const struct slice about = SLICE_LIT("a@d.test\0blob 1");
	struct seal_key *k, *other;

	(void)state;
	count_up(secret, 7);
	assert_int_equal(seal_key_make(&k), 0);
	assert_int_equal(seal_key_make(&other), 0);
	assert_int_equal(seal_to(seal_key_public(k), secret, about, box), 0);
	assert_int_equal(seal_to(seal_key_public(k), secret, about, again), 0);
	assert_memory_not_equal(box, again, sizeof(box));
	assert_int_equal(seal_open(k, box, about, got), 0);
	assert_memory_equal(got, secret, sizeof(secret));
	assert_int_equal(seal_open(other, box, about, got), -EBADMSG);
	assert_memory_equal(got, zeros, sizeof(zeros));
	assert_int_equal(
	    seal_open(k, box, SLICE_LIT("a@d.test\0blob 2"), got), -EBADMSG);
	assert_int_equal(seal_open(k, box, SLICE_EMPTY, got), -EBADMSG);
	for (size_t i = 0; i < 8 * sizeof(box); i++) {
		box[i / 8] ^= (unsigned char)(1 << i % 8);
		/* The top bit of a public key is not part of it (RFC 7748 5),
		 * but it is part of what the box's key is made of. */
		assert_int_equal(seal_open(k, box, about, got), -EBADMSG);
		assert_memory_equal(got, zeros, sizeof(zeros));
		box[i / 8] ^= (unsigned char)(1 << i % 8);
	}
	assert_int_equal(seal_open(k, box, about, got), 0);
	seal_key_unref(&k);
	seal_key_unref(&other);
}

static void
a_wrap_opens_for_its_key_and_context_only(void **state)
{
	unsigned char key[SEAL_KEY_LEN], wrap[SEAL_WRAP_LEN];
	unsigned char secret[SEAL_SECRET_LEN], got[SEAL_SECRET_LEN];

	(void)state;
	count_up(key, 1);
	count_up(secret, 7);
	assert_int_equal(seal_wrap(key, secret, SLICE_LIT("x"), wrap), 0);
	assert_int_equal(seal_unwrap(key, wrap, SLICE_LIT("x"), got), 0);
	assert_memory_equal(got, secret, sizeof(secret));
	assert_int_equal(seal_unwrap(key, wrap, SLICE_LIT("y"), got), -EBADMSG);
	for (size_t i = 0; i < 8 * sizeof(wrap); i++) {
		wrap[i / 8] ^= (unsigned char)(1 << i % 8);
		assert_int_equal(
		    seal_unwrap(key, wrap, SLICE_LIT("x"), got), -EBADMSG);
		wrap[i / 8] ^= (unsigned char)(1 << i % 8);
	}
	key[0] ^= 1;
	assert_int_equal(seal_unwrap(key, wrap, SLICE_LIT("x"), got), -EBADMSG);
}

/* Points of low order, whose shared secret anybody knows (the list is in
 * https://cr.yp.to/ecdh.html#validate). */
static const char *const low_order[] = {
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};

static void
points_of_low_order_are_refused(void **state)
{
	unsigned char public[SEAL_PUBLIC_LEN], box[SEAL_BOX_LEN];
	unsigned char secret[SEAL_SECRET_LEN] = { 1 };
	struct seal_key *k = key_of(alice);

	(void)state;
	for (size_t i = 0; i < sizeof(low_order) / sizeof(low_order[0]); i++) {
		unhex(low_order[i], public, sizeof(public));
		assert_int_equal(
		    seal_to(public, secret, SLICE_LIT("x"), box), -EINVAL);
		unhex(golden_box, box, sizeof(box));
		memcpy(box, public, sizeof(public));
		assert_int_equal(
		    seal_open(k, box, SLICE_LIT("pneu"), secret), -EBADMSG);
	}
	seal_key_unref(&k);
}

/* --- memory --- */

/* Where its private key was, as long as something else is in that page. */
static void
the_last_reference_wipes(void **state)
{
	static const unsigned char zeros[SEAL_KEY_LEN];
	const unsigned char *where;
	struct seal_key *k = key_of(alice), *beside = key_of(bob), *same;

	(void)state;
	where = seal_key_private(k);
	same = seal_key_ref(k);
	seal_key_unref(&k);
	assert_memory_not_equal(where, zeros, sizeof(zeros));
	assert_int_equal(seal_key_count(), 2);
	seal_key_unref(&same);
	assert_memory_equal(where, zeros, sizeof(zeros));
	assert_int_equal(seal_key_count(), 1);
	seal_key_unref(&beside);
	assert_int_equal(seal_key_count(), 0);
	seal_key_unref(&beside);
	assert_null(seal_key_ref(NULL));
}

/* "lo" (locked) and "dd" (not dumped) of the pages there. The first is best
 * effort, and a small limit of the machine's is none of ours. */
static void
keys_are_not_in_core_dumps(void **state)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	struct seal_key *k = key_of(alice);
	uintptr_t at = (uintptr_t)seal_key_private(k), from, to;
	bool in = false, found = false;
	char line[512];

	(void)state;
	if (f == NULL)
		skip();
	while (fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			in = from <= at && at < to;
		if (in && strncmp(line, "VmFlags:", 8) == 0)
			found = strstr(line, " dd") != NULL;
	}
	fclose(f);
	seal_key_unref(&k);
	assert_true(found);
}

#define MANY 1000

static void
many_keys_come_and_go(void **state)
{
	struct seal_key *k[MANY] = { NULL };
	unsigned char octets[SEAL_KEY_LEN];

	(void)state;
	for (size_t i = 0; i < MANY; i++) {
		count_up(octets, 0);
		put_be32(octets, (uint32_t)i);
		assert_int_equal(seal_key_new(&k[i], octets), 0);
	}
	for (size_t i = 0; i < MANY; i += 2)
		seal_key_unref(&k[i]);
	for (size_t i = 0; i < MANY; i += 2) {
		count_up(octets, 0);
		put_be32(octets, (uint32_t)i);
		assert_int_equal(seal_key_new(&k[i], octets), 0);
	}
	assert_int_equal(seal_key_count(), MANY);
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(get_be32(seal_key_private(k[i])), i);
	for (size_t i = 0; i < MANY; i++)
		seal_key_unref(&k[i]);
	assert_int_equal(seal_key_count(), 0);
}

static void
sessions_share_a_key(void **state)
{
	struct seal_table *t = seal_table_new();
	struct seal_key *a = key_of(alice), *again = key_of(alice);
	struct seal_key *other = key_of(bob), *found, *first = a;
	unsigned char public[SEAL_PUBLIC_LEN];

	(void)state;
	unhex(alice_public, public, sizeof(public));
	assert_null(seal_table_find(t, public));
	seal_table_share(t, &a);
	seal_table_share(t, &other);
	assert_ptr_equal(a, first);
	seal_table_share(t, &again);
	assert_ptr_equal(again, first);
	assert_int_equal(seal_key_count(), 2);
	found = seal_table_find(t, public);
	assert_ptr_equal(found, first);
	seal_key_unref(&a);
	seal_key_unref(&again);
	assert_int_equal(seal_key_count(), 2);
	seal_key_unref(&found);
	assert_int_equal(seal_key_count(), 1);
	assert_null(seal_table_find(t, public));
	seal_table_free(&t);
	seal_key_unref(&other);
	assert_int_equal(seal_key_count(), 0);
}

static void
a_servers_key_is_in_a_file(void **state)
{
	char dir[] = "/tmp/pneu-test-seal-XXXXXX", path[64];
	struct seal_key *k, *again;
	struct stat st;
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/key", dir);
	assert_int_equal(seal_key_load(&k, path, false), -ENOENT);
	assert_int_equal(seal_key_load(&k, path, true), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(seal_key_load(&again, path, true), 0);
	assert_memory_equal(seal_key_public(k), seal_key_public(again),
	    SEAL_PUBLIC_LEN);
	seal_key_unref(&k);
	seal_key_unref(&again);
	assert_non_null(f = fopen(path, "w"));
	fputs("short", f);
	fclose(f);
	assert_int_equal(seal_key_load(&k, path, true), -EINVAL);
	unlink(path);
	rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(public_keys_are_those_of_the_rfc),
		cmocka_unit_test(boxes_of_others_open),
		cmocka_unit_test(a_box_opens_for_its_key_and_context_only),
		cmocka_unit_test(a_wrap_opens_for_its_key_and_context_only),
		cmocka_unit_test(points_of_low_order_are_refused),
		cmocka_unit_test(the_last_reference_wipes),
		cmocka_unit_test(keys_are_not_in_core_dumps),
		cmocka_unit_test(many_keys_come_and_go),
		cmocka_unit_test(sessions_share_a_key),
		cmocka_unit_test(a_servers_key_is_in_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
