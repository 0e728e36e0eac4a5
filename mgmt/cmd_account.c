/* SPDX-License-Identifier: ISC */
/* pneu account add|list|show|set|remove */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <sysexits.h>

#include "common/auth/password.h"
#include "mgmt/commands.h"
#include "mgmt/directory.h"
#include "mgmt/secret.h"

struct account_args {
	const char *address; /* list: the domain, or "" */
	const char *name;
	struct quota_option quota;
	int encryption; /* enum accounts_encryption, or -1: as it is */
	bool enable, disable, admin, no_admin, json;
	bool cram, no_cram;
	bool generate, no_password, reply_as, no_reply_as;
	bool has_limit[SENT_LIMITS];
	uint32_t limits[SENT_LIMITS];
	struct secret secret;
};

/* --- the command line --- */

#define LIMIT 1000 /* in getopt's numbers */

/* Of --messages-per-hour and so on. */
static bool
limit_of(const char *text, enum sent_limit limit, struct account_args *in)
{
	uint64_t n = 0;

	if (strcmp(text, "none") == 0)
		n = SENT_UNLIMITED;
	else if (strcmp(text, "default") != 0 &&
	    (slice_u64(slice_str(text), SENT_LIMIT_MAX, &n) != 0 || n == 0)) {
		complain("%s: not a number from 1 to %d, none or default", text,
		    SENT_LIMIT_MAX);
		return false;
	}
	in->has_limit[limit] = true;
	in->limits[limit] = (uint32_t)n;
	return true;
}

const char *const account_encryptions[ACCOUNT_ENCRYPTIONS] = { "default", "none",
	"server", "account" };

static bool
encryption_of(const char *text, int *out)
{
	for (int i = 0; i < 4; i++) {
		if (strcmp(text, account_encryptions[i]) == 0) {
			*out = i;
			return true;
		}
	}
	complain("%s: not none, server, account or default", text);
	return false;
}

static bool
parse(struct account_args *in, int argc, char **argv)
{
	static const struct option options[] = {
		{ "name", required_argument, NULL, 'n' },
		{ "quota", required_argument, NULL, 'q' },
		{ "encryption", required_argument, NULL, 'E' },
		{ "quota-messages", required_argument, NULL, 'm' },
		{ "enable", no_argument, NULL, 'e' },
		{ "disable", no_argument, NULL, 'd' },
		{ "admin", no_argument, NULL, 'a' },
		{ "no-admin", no_argument, NULL, 'A' },
		{ "allow-cram-md5", no_argument, NULL, 'c' },
		{ "no-cram-md5", no_argument, NULL, 'C' },
		{ "generate", no_argument, NULL, 'g' },
		{ "no-password", no_argument, NULL, 'P' },
		{ "reply-as", no_argument, NULL, 'r' },
		{ "no-reply-as", no_argument, NULL, 'R' },
		{ "messages-per-hour", required_argument, NULL,
		    LIMIT + SENT_MESSAGES_HOUR },
		{ "messages-per-day", required_argument, NULL,
		    LIMIT + SENT_MESSAGES_DAY },
		{ "recipients-per-hour", required_argument, NULL,
		    LIMIT + SENT_RECIPIENTS_HOUR },
		{ "recipients-per-day", required_argument, NULL,
		    LIMIT + SENT_RECIPIENTS_DAY },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	in->encryption = -1;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'n':
			in->name = optarg;
			break;
		case 'E':
			if (!encryption_of(optarg, &in->encryption))
				return false;
			break;
		case 'q':
		case 'm':
			if (!quota_option(optarg, c == 'q', &in->quota))
				return false;
			break;
		case 'e':
			in->enable = true;
			break;
		case 'd':
			in->disable = true;
			break;
		case 'a':
			in->admin = true;
			break;
		case 'A':
			in->no_admin = true;
			break;
		case 'c':
			in->cram = true;
			break;
		case 'C':
			in->no_cram = true;
			break;
		case 'g':
			in->generate = true;
			break;
		case 'P':
			in->no_password = true;
			break;
		case 'r':
			in->reply_as = true;
			break;
		case 'R':
			in->no_reply_as = true;
			break;
		default:
			if (c < LIMIT ||
			    !limit_of(optarg, (enum sent_limit)(c - LIMIT), in))
				return false;
		}
	}
	if (argc - optind == 2)
		complain("a password is never an argument: other users and "
			 "the shell's history would see it");
	if (argc - optind != 1 || (in->enable && in->disable) ||
	    (in->admin && in->no_admin) || (in->cram && in->no_cram) ||
	    (in->reply_as && in->no_reply_as) ||
	    (in->generate && in->no_password))
		return false;
	in->address = argv[optind];
	return true;
}

static void
apply(const struct account_args *in, struct accounts_account *v)
{
	if (in->name != NULL)
		v->name = in->name;
	if (in->encryption >= 0)
		v->encryption = (enum accounts_encryption)in->encryption;
	if (in->quota.has_octets)
		v->quota_octets = in->quota.octets;
	if (in->quota.has_messages)
		v->quota_messages = in->quota.messages;
	if (in->enable || in->disable)
		v->disabled = in->disable;
	if (in->admin || in->no_admin)
		v->admin = in->admin;
	if (in->cram || in->no_cram)
		v->cram_md5 = in->cram;
	if (in->reply_as || in->no_reply_as)
		v->reply_as = in->reply_as;
	for (size_t i = 0; i < SENT_LIMITS; i++)
		if (in->has_limit[i])
			v->sent_limits[i] = in->limits[i];
}

/* --- add --- */

/* Whatever would make the rest in vain, before a password is asked for. */
static int
can_add(struct directory *d, const struct account_args *in)
{
	struct accounts_account account;
	struct accounts_address address;
	int status = domain_of_must_exist(d, in->address);

	if (status != 0)
		return status;
	if (accounts_account_get(
		d->a, &d->arena, slice_str(in->address), &account) == 0) {
		complain("account %s exists; to change its password: "
			 "pneu password set %s",
		    in->address, in->address);
		return 1;
	}
	if (accounts_address_get(
		d->a, &d->arena, slice_str(in->address), &address) == 0) {
		complain("%s is %s; to make it an account, first: "
			 "pneu address remove %s",
		    in->address,
		    address.blocked ? "a blocked address" : "an alias",
		    in->address);
		return 1;
	}
	return 0;
}

static bool
get_password(struct account_args *in)
{
	if (!in->generate)
		return secret_read(&in->secret, in->address);
	password_generate(in->secret.text);
	in->secret.n = PASSWORD_GENERATED_LEN;
	return true;
}

static int
add(struct directory *d, void *arg)
{
	struct account_args *in = arg;
	struct accounts_account v = { .address = in->address, .name = "" };
	int status = can_add(d, in), rc;

	if (status != 0)
		return status;
	apply(in, &v);
	if (!in->no_password && !get_password(in))
		return EX_USAGE;
	rc = accounts_account_put(d->a, &v, true, &d->err);
	if (rc != 0)
		return directory_failed(d, rc);
	if (in->no_password)
		return EX_OK;
	rc = accounts_password_set(d->a, slice_str(in->address), "password",
	    slice(in->secret.text, in->secret.n), 0, &d->err);
	if (rc != 0) {
		complain("account %s is there, but without a password; next: "
			 "pneu password set %s",
		    in->address, in->address);
		return directory_failed(d, rc);
	}
	if (in->generate)
		printf("%s\n", in->secret.text);
	return EX_OK;
}

int
cmd_account_add(const struct conf *conf, int argc, char **argv)
{
	struct account_args in = { 0 };
	int status;

	if (!parse(&in, argc, argv) || in.enable || in.no_admin || in.no_cram ||
	    in.encryption >= 0)
		return command_usage();
	status = directory_run(conf, true, add, &in);
	secret_wipe(&in.secret);
	return status;
}

/* --- set --- */

static int
set(struct directory *d, void *arg)
{
	const struct account_args *in = arg;
	struct accounts_account v;
	bool had_cram;
	int rc =
	    accounts_account_get(d->a, &d->arena, slice_str(in->address), &v);

	if (rc == -ENOENT)
		return no_such_account(d, in->address);
	if (rc != 0)
		return directory_failed(d, rc);
	had_cram = v.cram_md5;
	apply(in, &v);
	rc = accounts_account_put(d->a, &v, false, &d->err);
	if (rc == 0 && v.cram_md5 && !had_cram)
		fprintf(stderr,
		    "passwords of %s do CRAM-MD5 and APOP once they are set "
		    "again; next: pneu password set %s\n",
		    v.address, v.address);
	if (rc == 0 && in->encryption == ACCOUNTS_ENCRYPTION_ACCOUNT &&
	    !v.has_key)
		fprintf(stderr,
		    "mail of %s is sealed to it once it has a key pair; next: "
		    "pneu account seal %s\n",
		    v.address, v.address);
	return rc == 0 ? EX_OK : directory_failed(d, rc);
}

static bool
has_limits(const struct account_args *in)
{
	for (size_t i = 0; i < SENT_LIMITS; i++)
		if (in->has_limit[i])
			return true;
	return false;
}

int
cmd_account_set(const struct conf *conf, int argc, char **argv)
{
	struct account_args in = { 0 };

	if (!parse(&in, argc, argv) || in.generate || in.no_password)
		return command_usage();
	if (in.name == NULL && !in.quota.has_octets && !in.quota.has_messages &&
	    !has_limits(&in) && !in.enable && !in.disable && !in.admin &&
	    !in.no_admin && !in.cram && !in.no_cram && !in.reply_as &&
	    !in.no_reply_as && in.encryption < 0)
		return command_usage();
	return directory_run(conf, true, set, &in);
}

/* --- list and show --- */

/* null where the settings say; false: none. */
static json_t *
limits_json(const struct accounts_account *v)
{
	json_t *j = json_object();

	for (size_t i = 0; i < SENT_LIMITS; i++) {
		uint32_t n = v->sent_limits[i];

		json_object_set_new(j, sent_limit_names[i].key,
		    n == 0                    ? json_null()
			: n == SENT_UNLIMITED ? json_false()
					      : json_integer(n));
	}
	return j;
}

json_t *
account_json(const struct accounts_account *v)
{
	return json_pack("{s:s, s:s, s:b, s:b, s:b, s:b, s:I, s:I, s:o, s:o, "
			 "s:b, s:o, s:o, s:s, s:b, s:b}",
	    "address", v->address, "name", v->name, "disabled", v->disabled,
	    "admin", v->admin, "cram_md5", v->cram_md5, "reply_as", v->reply_as,
	    "quota_octets", (json_int_t)v->quota_octets, "quota_messages",
	    (json_int_t)v->quota_messages, "send_as",
	    json_texts(v->send_as, v->n_send_as), "push",
	    json_texts(v->push, v->n_push), "push_only", v->push_only, "limits",
	    limits_json(v), "created", json_time(v->created_s), "encryption",
	    account_encryptions[v->encryption], "has_key", v->has_key,
	    "has_recovery_key", v->has_recovery);
}

static const char *
state_text(const struct accounts_account *v)
{
	if (v->admin)
		return v->disabled ? "disabled admin" : "admin";
	return v->disabled ? "disabled" : "active";
}

static int
list(struct directory *d, void *arg)
{
	static const char *const head[] = { "ACCOUNT", "NAME", "QUOTA",
		"MESSAGES", "STATE" };
	const struct account_args *in = arg;
	struct accounts_account *v = NULL;
	json_t *j;
	struct table t;
	size_t n = 0;
	int rc = accounts_account_list(
	    d->a, &d->arena, slice_str(in->address), &v, &n);

	if (rc == -ENOENT)
		return no_such_domain(d, in->address);
	if (rc != 0)
		return directory_failed(d, rc);
	if (in->json) {
		j = json_array();
		for (size_t i = 0; i < n; i++)
			json_array_append_new(j, account_json(&v[i]));
		return json_print(j);
	}
	if (n == 0) {
		fputs("no accounts yet; add one with: pneu account add "
		      "NAME@DOMAIN\n",
		    stderr);
		return EX_OK;
	}
	table_init(&t, &d->arena, 5, head);
	for (size_t i = 0; i < n; i++)
		table_row(&t,
		    (const char *const[]){ v[i].address, v[i].name,
			size_text(&d->arena, v[i].quota_octets),
			count_text(&d->arena, v[i].quota_messages),
			state_text(&v[i]) });
	table_print(&t);
	return EX_OK;
}

/* Aliases that have it among their targets (in JSON: an array). */
static json_t *
aliases_of(struct directory *d, const char *account)
{
	struct accounts_address *v = NULL;
	json_t *j = json_array();
	size_t n = 0;

	if (accounts_address_list(d->a, &d->arena, SLICE_EMPTY, &v, &n) != 0)
		return j;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < v[i].n_targets; k++)
			if (strcmp(v[i].targets[k], account) == 0)
				json_array_append_new(
				    j, json_string(v[i].address));
	return j;
}

static int
show_json(const struct accounts_account *v, json_t *aliases,
    const struct accounts_credential *c, size_t n)
{
	json_t *j = account_json(v), *passwords = json_array();
	json_t *opened_by = json_array();

	for (size_t i = 0; i < n; i++) {
		json_array_append_new(passwords, json_string(c[i].name));
		if (c[i].opens)
			json_array_append_new(
			    opened_by, json_string(c[i].name));
	}
	json_object_set_new(j, "opened_by", opened_by);
	json_object_set_new(j, "aliases", aliases);
	json_object_set_new(j, "passwords", passwords);
	return json_print(j);
}

static void
show_limits(struct directory *d, const struct accounts_account *v)
{
	for (size_t i = 0; i < SENT_LIMITS; i++) {
		uint32_t n = v->sent_limits[i];
		const char *words = sent_limit_names[i].words;

		if (n != 0)
			show_line("may send",
			    n == SENT_UNLIMITED
				? arena_printf(
				      &d->arena, "any number of %s", words)
				: arena_printf(&d->arena, "%u %s", n, words));
	}
}

/* What its mail is sealed with, and who opens that. */
static void
show_sealed(struct directory *d, const struct accounts_account *v,
    const struct accounts_credential *c, size_t n)
{
	struct accounts_sealing s;
	bool any = false;

	if (accounts_sealing_get(d->a, slice_str(v->address), &s) != 0)
		return;
	if (v->encryption != ACCOUNTS_ENCRYPTION_DEFAULT ||
	    s.how != ACCOUNTS_ENCRYPTION_NONE)
		show_line("encryption",
		    s.how == ACCOUNTS_ENCRYPTION_ACCOUNT && !s.has_key
			? "account, once it has a key pair"
			: account_encryptions[s.how]);
	if (!v->has_key)
		return;
	for (size_t i = 0; i < n; i++) {
		if (!c[i].opens)
			continue;
		show_line(any ? "" : "opened by", c[i].name);
		any = true;
	}
	if (v->has_recovery)
		show_line(any ? "" : "opened by", "the recovery key");
	else
		show_line("", "no recovery key");
}

static int
show(struct directory *d, void *arg)
{
	const struct account_args *in = arg;
	struct accounts_credential *c = NULL;
	struct accounts_account v;
	json_t *aliases;
	size_t n = 0;
	int rc =
	    accounts_account_get(d->a, &d->arena, slice_str(in->address), &v);

	if (rc == -ENOENT)
		return no_such_account(d, in->address);
	if (rc == 0)
		rc = accounts_credential_list(
		    d->a, &d->arena, slice_str(v.address), &c, &n);
	if (rc != 0)
		return directory_failed(d, rc);
	aliases = aliases_of(d, v.address);
	if (in->json)
		return show_json(&v, aliases, c, n);
	show_line("account", v.address);
	show_line("name", v.name);
	show_line("state", state_text(&v));
	if (v.cram_md5)
		show_line("sign-in", "CRAM-MD5 and APOP too");
	show_line("quota", size_text(&d->arena, v.quota_octets));
	show_line("messages", count_text(&d->arena, v.quota_messages));
	if (v.reply_as)
		show_line("replies", "as the catch-all address written to");
	show_limits(d, &v);
	for (size_t i = 0; i < n; i++)
		show_line(i == 0 ? "passwords" : "", c[i].name);
	show_sealed(d, &v, c, n);
	for (size_t i = 0; i < json_array_size(aliases); i++)
		show_line(i == 0 ? "aliases" : "",
		    json_string_value(json_array_get(aliases, i)));
	for (size_t i = 0; i < v.n_send_as; i++)
		show_line(i == 0 ? "sends as" : "", v.send_as[i]);
	for (size_t i = 0; i < v.n_push; i++)
		show_line(i > 0       ? ""
			: v.push_only ? "put only into"
				      : "put also into",
		    v.push[i]);
	show_line("created", time_text(&d->arena, v.created_s));
	json_decref(aliases);
	return EX_OK;
}

int
cmd_account_list(const struct conf *conf, int argc, char **argv)
{
	struct account_args in = { 0 };

	if (!options_json(argc, argv, 0, 1, &in.json))
		return command_usage();
	in.address = optind < argc ? argv[optind] : "";
	return directory_run(conf, false, list, &in);
}

int
cmd_account_show(const struct conf *conf, int argc, char **argv)
{
	struct account_args in = { 0 };

	if (!options_json(argc, argv, 1, 1, &in.json))
		return command_usage();
	in.address = argv[optind];
	return directory_run(conf, false, show, &in);
}

/* --- remove --- */

static int
remove_it(struct directory *d, void *arg)
{
	const struct account_args *in = arg;
	struct accounts_account v;
	json_t *aliases;
	int rc =
	    accounts_account_get(d->a, &d->arena, slice_str(in->address), &v);

	if (rc == -ENOENT)
		return no_such_account(d, in->address);
	if (rc == 0)
		rc = accounts_account_remove(
		    d->a, slice_str(in->address), &d->err);
	if (rc != 0)
		return directory_failed(d, rc);
	aliases = aliases_of(d, v.address);
	for (size_t i = 0; i < json_array_size(aliases); i++) {
		const char *alias =
		    json_string_value(json_array_get(aliases, i));

		fprintf(stderr,
		    "%s still names it; see: pneu address show "
		    "%s\n",
		    alias, alias);
	}
	json_decref(aliases);
	return EX_OK;
}

int
cmd_account_remove(const struct conf *conf, int argc, char **argv)
{
	struct account_args in = { 0 };

	if (!options_json(argc, argv, 1, 1, &in.json) || in.json)
		return command_usage();
	in.address = argv[optind];
	return directory_run(conf, true, remove_it, &in);
}
