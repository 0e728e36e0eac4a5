/* SPDX-License-Identifier: ISC */
/*
 * Mails under power failure (promise 1). Two processes with several actors each
 * deliver, change flags, copy, move, expunge, make, rename and delete mailboxes
 * and compact the store; all that they do to files is recorded, and when each
 * operation began and was answered. Then each of some thousand states that a
 * failure could leave (power_states.h) is opened with the real code:
 *
 *   what was answered is there exactly once, with its octets, flags and UID;
 *   what was under way is there or not, and a copy, a rename and a delete are
 *   there whole or not at all; a moved message is at one of both places;
 *   nothing is torn, no UID is given twice, the store works on;
 *   where the database is lost besides, what was answered is in the blobs.
 *
 * Each message belongs to one actor, so what is expected is known exactly.
 *
 *	PNEU_POWER_STATES    how many states of a record; 0: each mode at each place
 *	PNEU_POWER_SECONDS   go on with new records for so long
 *	PNEU_POWER_SEED      of the states; a record is of chance
 *	PNEU_POWER_RECORD    a file: this record again; else one is left there
 */
#include "tests/unit/mailbox/power_record.h"
#include "tests/unit/mailbox/power_states.h"

#include "tests/unit/mailbox/power_load.h"
#include "tests/unit/mailbox/power_verify.h"

#include <signal.h>
#include <time.h>

#if defined(__SANITIZE_ADDRESS__)
#define STATES 400
#else
#define STATES 2600 /* of each of two records */
#endif

/* --- the load, recorded --- */

static unsigned first_actor;

static void
load(void)
{
	unsigned ids[ACTORS / PROCESSES];
	struct co_group g = { 0 };

	for (unsigned i = 0; i < ACTORS / PROCESSES; i++) {
		ids[i] = first_actor + i;
		co_group_spawn(&g, act, &ids[i]);
	}
	co_group_join(&g);
}

static void
here(void (*body)(void))
{
	test_engine = &test_engines[2];
	co_run(mails_test_body, &body);
}

/* Faults are faults, not cmocka's; and what is finished is no news. */
static void
child_begin(void)
{
	static const int signals[] = { SIGBUS, SIGSEGV, SIGABRT, SIGFPE,
		SIGILL };

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], SIG_DFL);
	log_set_level(LOG_LEVEL_ERROR);
	small_sizes();
}

static void
record_make(void)
{
	pid_t pid[PROCESSES];
	int status;

	test_dir_new();
	power_begin(test_dir);
	for (unsigned i = 0; i < PROCESSES; i++) {
		first_actor = i * (ACTORS / PROCESSES);
		if ((pid[i] = fork()) != 0)
			continue;
		child_begin();
		alarm(500);
		here(load);
		if (store_test_failure[0] != '\0')
			print_error("load: %s\n", store_test_failure);
		_exit(store_test_failure[0] != '\0');
	}
	for (unsigned i = 0; i < PROCESSES; i++) {
		waitpid(pid[i], &status, 0);
		assert_int_equal(status, 0);
	}
	power->on = false;
	test_dir_remove();
}

/* --- all states --- */

struct progress {
	size_t entry;
	unsigned mode;
	uint64_t states;
	bool done;
	char failure[512];
};

struct sweep {
	struct progress *p;
	unsigned process;
	uint64_t seed, candidates, wanted; /* wanted 0: all */
	uint64_t at;
};

/* Is candidate number `at` one of those that are looked at here? */
static bool
is_chosen(struct sweep *s)
{
	uint64_t i = s->at++;

	if (s->wanted > 0 && s->wanted < s->candidates) {
		if (i * s->wanted / s->candidates ==
		    (i + 1) * s->wanted / s->candidates)
			return false;
		i = i * s->wanted / s->candidates;
	}
	return i % PROCESSES == s->process;
}

static void
reindex(void *arg)
{
	struct store_conf conf = test_conf();
	struct store_reindexed found_blobs;
	struct buf err = BUF_INIT;

	(void)arg;
	CHECK_INT(store_reindex(&conf, &found_blobs, &err), 0);
	buf_clear(&err);
}

/* The failure took the database too. */
static void
look_without_rows(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/data.mdb", test_dir);
	if (store_test_failure[0] != '\0' || unlink(path) != 0)
		return;
	co_run(reindex, NULL);
	here(verify_rebuilt);
}

static void
look(struct sweep *s, const struct power_disk *d, enum power_mode mode)
{
	struct expected *before = NULL;

	s->p->mode = mode;
	test_dir_new();
	power_state_make(d, mode, s->seed + s->at, test_dir);
	if (s->at / PROCESSES % 6 == 0) {
		before = malloc(sizeof(*before));
		*before = *want;
	}
	here(before != NULL ? verify_further : verify_state);
	if (before != NULL)
		*want = *before;
	free(before);
	if (s->at / PROCESSES % 12 == 1)
		look_without_rows();
	test_dir_remove();
	s->p->states++;
}

static void
sweep_entry(struct sweep *s, struct power_disk *d, const struct power_entry *e)
{
	const struct mark *m = (const void *)power_octets(e);

	if (e->kind == POWER_MARK && !m->end)
		return; /* nothing new to fail at */
	for (unsigned mode = 0; mode < POWER_MODES; mode++) {
		if (mode != MODE_ALL && d->n_pending == 0)
			continue;
		if (d != NULL && s->p == NULL)
			s->candidates++;
		else if (is_chosen(s) && store_test_failure[0] == '\0')
			look(s, d, (enum power_mode)mode);
	}
}

/* Through the record; with p NULL the candidates are counted. */
static void
sweep(struct sweep *s)
{
	struct power_disk d;
	const struct power_entry *e;
	size_t at = 0, entry = 0;

	power_disk_init(&d);
	memset(want, 0, sizeof(*want));
	for (; store_test_failure[0] == '\0' && (e = power_next(&at)) != NULL;
	     entry++) {
		if (s->p != NULL)
			s->p->entry = entry;
		if (e->kind == POWER_SYNC)
			sweep_entry(s, &d, e);
		power_disk_take(&d, e);
		if (e->kind == POWER_MARK)
			expect(e);
		d.under_way = e;
		if (e->kind != POWER_SYNC)
			sweep_entry(s, &d, e);
		d.under_way = NULL;
	}
	power_disk_clear(&d);
}

/* Without the record: for the states, no folder of theirs is one of it. */
static struct progress *
sweep_all(uint64_t wanted, uint64_t seed)
{
	struct progress *p = mmap(NULL, PROCESSES * sizeof(*p),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct sweep s = { .seed = seed, .wanted = wanted };
	pid_t pid[PROCESSES];
	int status;

	store_test_failure[0] = '\0';
	want = calloc(1, sizeof(*want));
	found = calloc(1, sizeof(*found));
	sweep(&s);
	fflush(NULL);
	for (unsigned i = 0; i < PROCESSES; i++) {
		if ((pid[i] = fork()) != 0)
			continue;
		s.p = &p[i];
		s.process = i;
		child_begin();
		sweep(&s);
		memcpy(p[i].failure, store_test_failure, sizeof(p[i].failure));
		p[i].done = true;
		_exit(0);
	}
	for (unsigned i = 0; i < PROCESSES; i++) {
		waitpid(pid[i], &status, 0);
		if (status != 0 || !p[i].done)
			snprintf(p[i].failure, sizeof(p[i].failure),
			    "ended with status %x", status);
	}
	free(want);
	free(found);
	return p;
}

/* Zeros that the engine has written ahead are in the record: else no state has
 * them. What it and LMDB write besides never begins with so many. */
static size_t
zeros_in_record(void)
{
	static const char zeros[SECTOR];
	const struct power_entry *e;
	size_t at = 0, n = 0;

	while ((e = power_next(&at)) != NULL)
		n += e->kind == POWER_WRITE && e->n >= SECTOR &&
		    memcmp(power_octets(e), zeros, SECTOR) == 0;
	return n;
}

/* --- records in files --- */

static void
record_write(const char *path)
{
	FILE *f = fopen(path, "w");

	if (f == NULL || fwrite(power->octets, 1, power->n, f) != power->n)
		print_error("cannot write %s\n", path);
	if (f != NULL)
		fclose(f);
}

static bool
record_read(const char *path)
{
	FILE *f = fopen(path, "r");

	if (f == NULL)
		return false;
	power_begin("/");
	power->on = false;
	power->n = fread(power->octets, 1, POWER_OCTETS / 2, f);
	fclose(f);
	return true;
}

/* --- tests --- */

static uint64_t
number_in(const char *name, uint64_t otherwise)
{
	const char *value = getenv(name);

	return value == NULL ? otherwise : strtoull(value, NULL, 10);
}

static uint64_t
states_and_faults(const struct progress *p, const char **failure)
{
	uint64_t states = 0;

	*failure = NULL;
	for (unsigned i = 0; i < PROCESSES; i++) {
		states += p[i].states;
		if (p[i].failure[0] == '\0')
			continue;
		print_message("entry %zu, mode %u: %s\n", p[i].entry, p[i].mode,
		    p[i].failure);
		*failure = p[i].failure;
	}
	return states;
}

static void
one_record(uint64_t seed)
{
	const char *path = getenv("PNEU_POWER_RECORD"), *failure;
	uint64_t wanted = number_in("PNEU_POWER_STATES", STATES), states;
	struct progress *p;

	test_seal = (enum mails_sealing)(seed % 3);
	if (path == NULL || !record_read(path)) {
		record_make();
		assert_true(zeros_in_record() >= 10);
	}
	p = sweep_all(wanted, seed);
	states = states_and_faults(p, &failure);
	print_message("%llu states, seed %llu, sealed: %d\n",
	    (unsigned long long)states, (unsigned long long)seed, test_seal);
	if (failure != NULL) {
		path = path == NULL ? "/tmp/pneu-power.record" : path;
		record_write(path);
		fail_msg("%s (the record is in %s, seed %llu)", failure, path,
		    (unsigned long long)seed);
	}
	if (wanted > 0)
		assert_true(states >= wanted);
	munmap(p, PROCESSES * sizeof(*p));
	power_end();
	test_seal = MAILS_SEAL_NONE;
}

static void
nothing_is_lost_at_a_power_failure(void **state)
{
	time_t until = time(NULL) + (time_t)number_in("PNEU_POWER_SECONDS", 0);
	uint64_t seed = number_in("PNEU_POWER_SEED", 0);

	(void)state;
	if (seed == 0)
		seed = 1 + random_below(1000000);
	do {
		test_keep_s = 0; /* what is expunged goes */
		one_record(seed++);
		test_keep_s = 7 * 86400; /* and stays for a while */
		one_record(seed++);
	} while (time(NULL) < until);
}

/* A sync that is left out is found: else the test above shows nothing. */
static void
a_missing_sync_is_found(void **state)
{
	static const char *const names[] = { "", "segments", "large blobs",
		"rows", "commits", "folders" };
	const char *failure;
	struct progress *p;

	(void)state;
	for (int deaf = DEAF_SEGMENTS; deaf <= DEAF_FOLDERS; deaf++) {
		power_deaf = (enum power_deaf)deaf;
		record_make();
		power_deaf = DEAF_NOT;
		p = sweep_all(STATES, 1);
		print_message("without syncs of %s: ", names[deaf]);
		(void)states_and_faults(p, &failure);
		assert_non_null(failure);
		munmap(p, PROCESSES * sizeof(*p));
		power_end();
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_lost_at_a_power_failure),
		cmocka_unit_test(a_missing_sync_is_found),
	};

	test_dir_in_memory = true;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
