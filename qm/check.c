/* SPDX-License-Identifier: ISC */
/* Check: first each message by its row, then the checksums of the store. */
#include "qm/check.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* A message as it was when it was looked at. */
struct checked {
	char id[QUEUE_ID_LEN + 1];
	struct store_blob_id blob;
};

struct check {
	struct checked *v;
	size_t n, cap;
	uint64_t messages, octets;
	int faults;
	json_t *json; /* or NULL */
};

static void
fault_tell(struct check *c, const char *id, const char *what)
{
	json_t *j;

	c->faults++;
	if (c->json == NULL) {
		printf("%s%s%s%s\n", id != NULL ? "message " : "",
		    id != NULL ? id : "", id != NULL ? ": " : "", what);
		return;
	}
	j = json_object();
	if (id != NULL)
		json_object_set_new(j, "id", json_string(id));
	json_object_set_new(j, "fault", json_string(what));
	json_array_append_new(c->json, j);
}

static int
note(void *arg, const struct queue_info *info)
{
	struct check *c = arg;
	size_t cap = c->cap == 0 ? 256 : c->cap * 2;
	struct checked *v;

	if (c->n == c->cap) {
		if ((v = realloc(c->v, cap * sizeof(*v))) == NULL)
			return -ENOMEM;
		c->v = v;
		c->cap = cap;
	}
	c->v[c->n] = (struct checked){ 0 };
	memcpy(c->v[c->n++].id, info->id, sizeof(info->id));
	return 0;
}

/* One that was sent meanwhile is no fault. */
static void
check_message(struct check *c, struct queue *q, struct checked *one)
{
	struct queue_message *m = NULL, *again = NULL;
	uint64_t size;
	int rc = queue_load(q, one->id, -1, &m);

	if (rc == -ENOENT)
		return;
	if (rc != 0) {
		fault_tell(c, one->id, "its rows cannot be read");
		return;
	}
	one->blob = m->blob;
	rc = store_blob_size(queue_store(q), &m->blob, &size);
	if (rc != 0 && queue_load(q, one->id, -1, &again) == 0)
		fault_tell(c, one->id, "its octets are missing");
	else if (rc == 0 && size != m->size)
		fault_tell(c, one->id, "has not the size that its row says");
	c->messages++;
	c->octets += m->size;
	queue_message_free(&again);
	queue_message_free(&m);
}

static void
store_fault(void *arg, const struct store_blob_id *blob, const char *what)
{
	struct check *c = arg;

	for (size_t i = 0; blob != NULL && i < c->n; i++)
		if (memcmp(&c->v[i].blob, blob, sizeof(*blob)) == 0) {
			fault_tell(c, c->v[i].id, what);
			return;
		}
	fault_tell(c, NULL, what);
}

static int
check_all(struct check *c, struct queue *q)
{
	int rc = queue_list(q, note, c);

	for (size_t i = 0; i < c->n && rc == 0; i++)
		check_message(c, q, &c->v[i]);
	if (rc == 0)
		rc = store_check(queue_store(q), store_fault, c);
	return rc < 0 ? rc : 0;
}

static int
summary_json(struct check *c)
{
	json_t *j =
	    json_pack("{s:I, s:I, s:O}", "messages", (json_int_t)c->messages,
		"octets", (json_int_t)c->octets, "faults", c->json);
	int rc = j == NULL || json_dumpf(j, stdout, JSON_INDENT(1)) != 0
	    ? -ENOMEM
	    : 0;

	putchar('\n');
	json_decref(j);
	return rc;
}

int
queue_check(struct queue *q, bool json)
{
	struct check c = { .json = json ? json_array() : NULL };
	int rc = q == NULL ? 0 : check_all(&c, q);

	if (rc == 0 && json)
		rc = summary_json(&c);
	else if (rc == 0 && c.faults == 0)
		printf("%" PRIu64 " messages, %" PRIu64 " octets, no faults\n",
		    c.messages, c.octets);
	else if (rc == 0)
		printf("%" PRIu64 " messages, %" PRIu64 " octets, %d fault%s\n",
		    c.messages, c.octets, c.faults, c.faults == 1 ? "" : "s");
	json_decref(c.json);
	free(c.v);
	return rc != 0 ? rc : c.faults;
}
