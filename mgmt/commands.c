/* SPDX-License-Identifier: ISC */
/* The table of commands. */
#include "mgmt/commands.h"

#include "mgmt/api/manage.h"

const struct command commands[] = {
	{ "domain add",
	    "[--catch-all ADDRESS]... [--quota SIZE] [--quota-messages N] "
	    "[--disable] DOMAIN",
	    "Take mail for a domain", cmd_domain_add, false },
	{ "domain list", "[--json]", "List the domains", cmd_domain_list,
	    false },
	{ "domain show", "[--json] DOMAIN", "Show a domain", cmd_domain_show,
	    false },
	{ "domain set",
	    "[--catch-all ADDRESS]... [--no-catch-all] [--quota SIZE|none] "
	    "[--quota-messages N|none] [--enable|--disable] DOMAIN",
	    "Change a domain: who gets what nobody else gets; what all its "
	    "accounts may have together; on or off",
	    cmd_domain_set, false },
	{ "domain remove", "DOMAIN", "Remove an empty domain",
	    cmd_domain_remove, false },
	{ "account add",
	    "[--name NAME] [--quota SIZE] [--quota-messages N] [--admin] "
	    "[--allow-cram-md5] [--disable] [--generate|--no-password] ADDRESS",
	    "Add an account; its password is asked for, or read from input",
	    cmd_account_add, false },
	{ "account list", "[--json] [DOMAIN]", "List the accounts",
	    cmd_account_list, false },
	{ "account show", "[--json] ADDRESS", "Show an account",
	    cmd_account_show, false },
	{ "account set",
	    "[--name NAME] [--quota SIZE|none] [--quota-messages N|none] "
	    "[--admin|--no-admin] [--allow-cram-md5|--no-cram-md5] "
	    "[--reply-as|--no-reply-as] [--messages-per-hour N|none|default] "
	    "[--messages-per-day N|none|default] "
	    "[--recipients-per-hour N|none|default] "
	    "[--recipients-per-day N|none|default] "
	    "[--encryption none|server|account|default] "
	    "[--enable|--disable] ADDRESS",
	    "Change an account", cmd_account_set, false },
	{ "account seal", "[--recovery] ADDRESS",
	    "Seal an account's mail, also what is there, to a key that only "
	    "its "
	    "passwords open",
	    cmd_account_seal, false },
	{ "account recovery", "[--recovery|--remove] ADDRESS",
	    "Print a new recovery key, which opens an account's sealed mail",
	    cmd_account_recovery, false },
	{ "account grant", "ACCOUNT ADDRESS|@DOMAIN...",
	    "Let an account send as addresses whose mail does not come to it",
	    cmd_account_grant, false },
	{ "account revoke", "ACCOUNT ADDRESS|@DOMAIN...", "Take that back",
	    cmd_account_revoke, false },
	{ "account remove", "ADDRESS", "Remove an account; its mail stays",
	    cmd_account_remove, false },
	{ "address add", "ADDRESS TARGET... | --blocked ADDRESS",
	    "Add an alias, or block an address", cmd_address_add, false },
	{ "address list", "[--json] [DOMAIN]",
	    "List aliases and blocked addresses", cmd_address_list, false },
	{ "address show", "[--json] ADDRESS",
	    "Show what becomes of mail for an address", cmd_address_show,
	    false },
	{ "address set", "ADDRESS TARGET... | --blocked ADDRESS",
	    "Change an alias or a blocked address", cmd_address_set, false },
	{ "address remove", "ADDRESS", "Remove an alias or a block",
	    cmd_address_remove, false },
	{ "password set",
	    "[--name NAME] [--scope LIST] [--generate] "
	    "[--recovery|--lose-sealed-mail] ADDRESS",
	    "Set an account's password, or one by name for a device",
	    cmd_password_set, false },
	{ "password list", "[--json] ADDRESS", "List the passwords by name",
	    cmd_password_list, false },
	{ "password remove", "[--name NAME] [--lose-sealed-mail] ADDRESS",
	    "Remove a password: what uses it can no longer sign in",
	    cmd_password_remove, false },
	{ "outside add",
	    "[--protocol pop3|imap|gmail] [--host HOST] [--port N] "
	    "[--security tls|starttls|none] [--user USER] [--into MAILBOX] "
	    "[--folder NAME]... [--labels keywords|folders] [--interval TIME] [--smtp-host HOST] "
	    "[--smtp-port N] [--smtp-security tls|starttls|none] "
	    "[--mirror|--no-mirror|--apart] "
	    "[--delete-after DAYS|--keep] [--pause] "
	    "[--oauth] [--oauth-provider NAME] [--client-id ID] "
	    "[--client-secret-file FILE] [--oauth-auth-url URL] "
	    "[--oauth-token-url URL] [--oauth-device-url URL] [--scope TEXT] "
	    "ADDRESS ACCOUNT",
	    "Fetch the mail of an address elsewhere for an account here; where "
	    "that is, is found if it can be; its password is asked for, or "
	    "read "
	    "from input",
	    cmd_outside_add, false },
	{ "outside list", "[--json] [ACCOUNT]",
	    "List the outside accounts, and how they stand", cmd_outside,
	    true },
	{ "outside show", "[--json] ADDRESS", "Show an outside account",
	    cmd_outside, true },
	{ "outside set",
	    "[--protocol pop3|imap|gmail] [--host HOST] [--port N] "
	    "[--security tls|starttls|none] [--user USER] [--password] "
	    "[--into MAILBOX] [--folder NAME]... [--all-folders] "
	    "[--labels keywords|folders] [--interval TIME|default] [--smtp-host HOST|none] "
	    "[--smtp-port N] [--smtp-security tls|starttls|none] "
	    "[--mirror|--no-mirror|--apart] "
	    "[--delete-after DAYS|--keep] "
	    "[--oauth] [--oauth-provider NAME] [--client-id ID] "
	    "[--client-secret-file FILE] [--oauth-auth-url URL] "
	    "[--oauth-token-url URL] [--oauth-device-url URL] [--scope TEXT] "
	    "ADDRESS",
	    "Change an outside account; --password asks for a new one",
	    cmd_outside_set, false },
	{ "outside login",
	    "[--device|--loopback|--token] [--port N] [--json] ADDRESS",
	    "Log in at an outside account's provider (OAuth), so that its mail "
	    "can be fetched: by a code that is entered anywhere, by a browser "
	    "on this machine, or by a refresh token from input",
	    cmd_outside_login, false },
	{ "outside test", "[--json] ADDRESS",
	    "Sign in there, and say how it went", cmd_outside, true },
	{ "outside fetch", "[--json] ADDRESS",
	    "Have it looked at now, and wait for the end", cmd_outside, true },
	{ "outside push", "[--only|--stop] ADDRESS [ACCOUNT]",
	    "Put what comes for an account here (or for its owner) into an "
	    "outside account as well, or only there",
	    cmd_outside_push, false },
	{ "outside pause", "ADDRESS", "Fetch nothing until resume",
	    cmd_outside_pause, false },
	{ "outside resume", "ADDRESS", "Fetch again", cmd_outside_resume,
	    false },
	{ "outside remove", "ADDRESS",
	    "Fetch no more; the mail that came stays", cmd_outside_remove,
	    false },
	{ "notice add",
	    "[--kind webhook|ntfy|unifiedpush|webpush] [--name TEXT] "
	    "[--content nothing|envelope|preview] [--mailbox NAME]... "
	    "[--sender ADDRESS|@DOMAIN]... [--min-size SIZE] "
	    "[--max-size SIZE] [--p256dh KEY] [--secret] [--pause] [--json] "
	    "ACCOUNT URL",
	    "Tell a URL of an account's new mail; a webhook's secret is made, "
	    "or with --secret, as a token, read from input",
	    cmd_notice_add, false },
	{ "notice list", "[--json] [ACCOUNT]",
	    "List who is told of new mail, and how that goes", cmd_notice_list,
	    false },
	{ "notice show", "[--json] ID", "Show one of them", cmd_notice_show,
	    false },
	{ "notice set",
	    "[--url URL] [--name TEXT] [--content nothing|envelope|preview] "
	    "[--mailbox NAME]... [--usual-mailboxes] "
	    "[--sender ADDRESS|@DOMAIN]... [--any-sender] "
	    "[--min-size SIZE|none] [--max-size SIZE|none] [--p256dh KEY] "
	    "[--secret] ID",
	    "Change it; --secret asks for a new one", cmd_notice_set, false },
	{ "notice test", "[--json] ID",
	    "Send a notice that says it is a test, and say how it went",
	    cmd_notice_test, false },
	{ "notice dead", "[--json] ID", "List the events that it never took",
	    cmd_notice_dead, false },
	{ "notice replay", "--from N|--dead [--json] ID",
	    "Send again: all from that event on, or those that it never took",
	    cmd_notice_replay, false },
	{ "notice pause", "ID", "Send nothing until resume", cmd_notice_pause,
	    false },
	{ "notice resume", "ID",
	    "Send again, from where it stopped; also one that has ended",
	    cmd_notice_resume, false },
	{ "notice remove", "ID", "Tell it no more", cmd_notice_remove, false },
	{ "notice key", "[--json]",
	    "The server's public key, which browsers subscribe with",
	    cmd_notice_key, false },
	{ "auth list", "[--json]",
	    "List who has failed to sign in, and what that costs them",
	    cmd_auth_list, false },
	{ "auth clear", "ADDRESS | ACCOUNT | --all",
	    "Forget the failed sign-ins of an address or on an account",
	    cmd_auth_clear, false },
	{ "why",
	    "[--json] [--since WHEN] [--last N] [--follow] "
	    "[ID|ADDRESS|IP|MESSAGE-ID]",
	    "Show what became of a message, or of a connection, and why",
	    cmd_why, false },
	{ "queue", "COMMAND ...", "Look after the queue: pneu-qm's commands",
	    cmd_queue, true },
	{ "mail",
	    "accounts|add|backup|check|collect|copy|export|import|index|ipfs|list|"
	    "messages|remove|restore|show|stats|verify",
	    "Look after the mail store: pneu-mailbox's commands",
	    cmd_mail_store, true },
	{ "run",
	    "[--set NAME=VALUE]... [--ready-fd N] [--ready-timeout SECONDS]",
	    "Start all programs and keep them running", cmd_run, true },
	{ "http", "[--set NAME=VALUE]... [--listen http=ADDRESS]...",
	    "Serve the web page, and pass the API on; run does so", cmd_http,
	    true },
	{ "manage", "[--set NAME=VALUE]... [--listen http=ADDRESS]...",
	    "Serve the API of accounts and the system to pneu http; run does "
	    "so",
	    cmd_manage, true },
	{ "config check", "", "Check the configuration file", cmd_config_check,
	    false },
	{ "config show", "[--json]",
	    "All settings with their values and where these come from",
	    cmd_config_show, false },
	{ "version", "", "Print the version", cmd_version, true },
	{ "help", "[COMMAND]", "List the commands", cmd_help, true },
	{ "completion", "bash|zsh|fish", "Print a completion script",
	    cmd_completion, true },
	{ NULL, NULL, NULL, NULL, false },
};
