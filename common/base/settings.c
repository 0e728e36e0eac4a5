/* SPDX-License-Identifier: ISC */
/* The one table of all settings. pneu.conf(5) is made from it: write the help
 * for the admin who reads it there. Sorted by name, common ones first. */
#include "common/base/conf.h"

#define K ((int64_t)1 << 10)
#define M ((int64_t)1 << 20)
#define G ((int64_t)1 << 30)
#define S ((int64_t)1000)
#define H (3600 * S)

const struct conf_setting conf_settings[] = {
	{ "hostname", CONF_STRING, "", 0, 0, NULL,
	    "Name in banners, EHLO and Received; default: the machine's full "
	    "name" },
	{ "data_dir", CONF_STRING, "/var/lib/pneu", 0, 0, NULL,
	    "Folder of all state; relative to the folder of this file" },
	{ "run_dir", CONF_STRING, "/run/pneu", 0, 0, NULL,
	    "Folder of the Unix sockets; relative to the folder of this file" },
	{ "user", CONF_STRING, "", 0, 0, NULL,
	    "User to become when started as root; * stands for the program's "
	    "name (\"pneu-*\")" },
	{ "workers", CONF_INT, "0", 0, 256, NULL,
	    "Processes per daemon; 0: one per CPU" },
	{ "log_level", CONF_ENUM, "info", 0, 0, "error|warning|info|debug",
	    "How much to log" },
	{ "max_connections", CONF_INT, "10000", 1, 1000000, NULL,
	    "Connections at once per worker; more are told to come back" },
	{ "max_memory", CONF_SIZE, "512M", 0, 0, NULL,
	    "Octets per worker that buffers of all connections and messages in "
	    "transit may hold: from half of it on messages go to files at "
	    "once, and at it connections and messages are told to come back; "
	    "0: no limit" },
	{ "drain", CONF_DURATION, "20s", 0, 24 * H, NULL,
	    "How long sessions may go on after SIGTERM" },
	{ "sandbox", CONF_BOOL, "true", 0, 0, NULL,
	    "Confine each program with Landlock and seccomp after start-up" },
	{ "tls.certificate", CONF_STRING, "", 0, 0, NULL,
	    "PEM file of the certificate chain; no TLS without one" },
	{ "tls.key", CONF_STRING, "", 0, 0, NULL,
	    "PEM file of the private key" },
	{ "tls.names", CONF_MAP, "", 0, 0, NULL,
	    "More certificates by SNI name: { \"name\": \"file with chain and "
	    "key\" }" },
	{ "tls.ca", CONF_STRING, "", 0, 0, NULL,
	    "PEM file of trusted roots for outgoing TLS; default: the "
	    "system's" },
	{ "tls.client_ca", CONF_STRING, "", 0, 0, NULL,
	    "PEM file of those whose client certificates we believe: whoever "
	    "shows one with an account's address in it can sign in by "
	    "EXTERNAL" },
	{ "dns.servers", CONF_LIST, "", 0, 0, NULL,
	    "Resolvers (address or address@port); default: /etc/resolv.conf" },
	{ "dns.stub", CONF_MAP, "", 0, 0, NULL,
	    "Zones asked at given servers: { \"lab\": \"127.0.0.1@5353\" }" },
	{ "dns.trust_anchor", CONF_STRING, "", 0, 0, NULL,
	    "File of DNSSEC trust anchors, or none; default: Debian's root "
	    "key" },
	{ "trace.dir", CONF_STRING, "trace", 0, 0, NULL,
	    "Folder of what \"pneu why\" reads: what each program decided" },
	{ "trace.size", CONF_SIZE, "8M", 0, 1 * G, NULL,
	    "Octets of that for each program, the newest; 0: none (holds from "
	    "the next start)" },
	{ "accounts.dir", CONF_STRING, "accounts", 0, 0, NULL,
	    "Folder of the account database" },
	{ "accounts.key", CONF_STRING, "", 0, 0, NULL,
	    "File of the key that seals the passwords kept for CRAM-MD5 and "
	    "APOP; made when first needed; default: key in accounts.dir" },
	{ "accounts.outside_key", CONF_STRING, "outside/key", 0, 0, NULL,
	    "File of the key that seals the passwords of outside accounts, in "
	    "a folder that only the gateway reads; made when first needed" },
	{ "accounts.hash_cost", CONF_INT, "5", 1, 11, NULL,
	    "Cost of new password hashes (yescrypt): 5 takes about 25 ms" },
	{ "accounts.scram", CONF_BOOL, "true", 0, 0, NULL,
	    "Offer SCRAM-SHA-256, and keep its keys beside new password "
	    "hashes" },
	{ "accounts.scram_sha1", CONF_BOOL, "false", 0, 0, NULL,
	    "The same for SCRAM-SHA-1, for old clients; passwords set before "
	    "do not know it" },
	{ "accounts.scram_iterations", CONF_INT, "65536", 4096, 600000, NULL,
	    "PBKDF2 rounds of new SCRAM keys, the client's work at each "
	    "login; Cyrus SASL (mbsync) refuses more than 65536" },
	{ "accounts.subaddress", CONF_STRING, "+", 0, 0, NULL,
	    "Separator of subaddresses (bob+x@); empty: none" },

	{ "auth.delay", CONF_DURATION, "1s", 0, 60 * S, NULL,
	    "Wait before a sign-in is checked after a few failures of its "
	    "address or account; doubles with each more" },
	{ "auth.delay_max", CONF_DURATION, "15s", 0, 120 * S, NULL,
	    "Longest such wait; half of it for an account" },
	{ "auth.forget", CONF_DURATION, "1m", S, 24 * H, NULL,
	    "One failed sign-in is forgotten each such time" },
	{ "auth.block_address", CONF_INT, "50", 0, 10000, NULL,
	    "Failures of an address (/64 for IPv6) until nothing is checked "
	    "for it; 0: never" },
	{ "auth.block_account", CONF_INT, "100", 0, 10000, NULL,
	    "Failures on an account until nothing is checked but from where it "
	    "signed in before; 0: never" },
	{ "auth.exempt", CONF_LIST, "loopback", 0, 0, NULL,
	    "Networks whose failed sign-ins cost nothing" },
	{ "auth.oauth_url", CONF_STRING, "", 0, 0, NULL,
	    "Where tokens of OAUTHBEARER and XOAUTH2 are checked (RFC 7662); "
	    "neither is offered without" },
	{ "auth.oauth_client", CONF_STRING, "", 0, 0, NULL,
	    "Our name there, for HTTP Basic" },
	{ "auth.oauth_secret_file", CONF_STRING, "", 0, 0, NULL,
	    "File with our password there" },
	{ "auth.oauth_user_claim", CONF_STRING, "email", 0, 0, NULL,
	    "What names the account in its answer; \"username\" where that "
	    "is missing" },
	{ "auth.oauth_scope", CONF_STRING, "", 0, 0, NULL,
	    "Scope that a token must have; empty: any" },
	{ "auth.oauth_discovery", CONF_STRING, "", 0, 0, NULL,
	    "URL of the OpenID configuration, told to clients whose token is "
	    "refused" },

	{ "mta.listen", CONF_LIST, "*:25", 0, 0, NULL,
	    "Where SMTP is served: address:port, [v6]:port, *:port, "
	    "unix:path" },
	{ "mta.guard", CONF_STRING, "unix:guard.sock", 0, 0, NULL,
	    "LMTP address of guard, which decides about each recipient" },
	{ "mta.mailbox", CONF_STRING, "unix:mailbox.sock", 0, 0, NULL,
	    "LMTP address that local mail is delivered to" },
	{ "mta.qm", CONF_STRING, "unix:qm.sock", 0, 0, NULL,
	    "LMTP address for forwards and for retries of partial deliveries" },
	{ "mta.spool_dir", CONF_STRING, "spool/mta", 0, 0, NULL,
	    "Folder for bodies over 256 KiB while they pass; unlinked files" },
	{ "mta.max_size", CONF_SIZE, "50M", 64 * K, 0, NULL,
	    "Largest message" },
	{ "mta.max_recipients", CONF_INT, "1000", 100, 1000000, NULL,
	    "Recipients in a transaction (RFC 5321 4.5.3.1.8: at least 100)" },
	{ "mta.max_per_address", CONF_INT, "50", 1, 1000000, NULL,
	    "Connections at once from one client address (/64 for IPv6), per "
	    "worker" },
	{ "mta.crowd_from", CONF_LIST, "loopback", 0, 0, NULL,
	    "Networks whose connections are not counted so: content filters, "
	    "balancers without PROXY" },
	{ "mta.max_domains", CONF_INT, "0", 0, 999999, NULL,
	    "Domains of the recipients in a transaction, announced as "
	    "RCPTDOMAINMAX (RFC 9422); 0: no limit" },
	{ "mta.max_mails", CONF_INT, "10000", 0, 999999, NULL,
	    "Transactions in a session, announced as MAILMAX (RFC 9422); 0: no "
	    "limit" },
	{ "mta.greet_pause", CONF_DURATION, "0", 0, 300 * S, NULL,
	    "Wait before the banner; who sends something meanwhile is no mail "
	    "client and is sent away (500ms catches many)" },
	{ "mta.max_session", CONF_DURATION, "4h", 0, 168 * H, NULL,
	    "Longest session, whatever the client does; 0: no limit" },
	{ "mta.normalise_from", CONF_LIST, "", 0, 0, NULL,
	    "Peers (addresses, networks, unix) whose lines may end with LF "
	    "alone, which becomes CR LF; of all others it is refused (SMTP "
	    "smuggling)" },
	{ "mta.max_errors", CONF_INT, "10", 1, 1000, NULL,
	    "Protocol errors until the connection is closed" },
	{ "mta.vrfy", CONF_BOOL, "false", 0, 0, NULL,
	    "Answer VRFY truly, by asking guard; else always 252" },
	{ "mta.max_hops", CONF_INT, "50", 10, 1000, NULL,
	    "Received fields until a message counts as looping" },
	{ "mta.proxy_from", CONF_LIST, "", 0, 0, NULL,
	    "Balancers (addresses, networks) whose connections begin with a "
	    "PROXY header, version 1 or 2" },
	{ "mta.etrn_from", CONF_LIST, "", 0, 0, NULL,
	    "Peers (addresses, networks) that may have mail for a domain tried "
	    "at once by ETRN (RFC 1985)" },
	{ "mta.deliverby_min", CONF_DURATION, "5s", 0, 0, NULL,
	    "Shortest time that a message may be given before it is returned "
	    "(DELIVERBY, RFC 2852); announced; 0: none" },
	{ "mta.priority_from", CONF_LIST, "", 0, 0, NULL,
	    "Peers (addresses, networks) whose MT-PRIORITY (RFC 6710) may be "
	    "above 0" },
	{ "mta.xclient_from", CONF_LIST, "", 0, 0, NULL,
	    "Peers (addresses, networks, unix) that may speak for others by "
	    "XCLIENT" },
	{ "mta.xforward_from", CONF_LIST, "", 0, 0, NULL,
	    "Peers (addresses, networks, unix) that may say by XFORWARD whose "
	    "mail they pass on, for logs and guard" },
	{ "mta.timeout", CONF_DURATION, "5m", S, 24 * H, NULL,
	    "Wait for a command (RFC 5321 4.5.3.2.7) and for data" },

	{ "guard.lmtp", CONF_LIST, "unix:guard.sock", 0, 0, NULL,
	    "Where guard answers" },
	{ "guard.proxy_from", CONF_LIST, "", 0, 0, NULL,
	    "Balancers (addresses, networks) whose connections begin with a "
	    "PROXY header, version 1 or 2" },
	{ "guard.xclient_from", CONF_LIST, "", 0, 0, NULL,
	    "Peers (addresses, networks, unix) that may speak for others by "
	    "XCLIENT" },
	{ "guard.mailbox", CONF_STRING, "unix:mailbox.sock", 0, 0, NULL,
	    "LMTP address that is asked whether an account with a quota has "
	    "room" },

	{ "mailbox.dir", CONF_STRING, "mails", 0, 0, NULL,
	    "Folder of the mail store" },
	{ "mailbox.compression", CONF_INT, "1", 0, 9, NULL,
	    "Level of zstd for messages that come in; 0: none" },
	{ "mailbox.encryption", CONF_ENUM, "none", 0, 0,
	    "none|server|account",
	    "How mail that comes in is sealed, where the account does not say "
	    "it: by a key of the server, or by one of the account that only "
	    "its passwords open (docs/sealing.md)" },
	{ "mailbox.sealing_key", CONF_STRING, "", 0, 0, NULL,
	    "File of the server's key; made when first needed; default: "
	    "sealing.key in mailbox.dir, which no backup takes along: keep a "
	    "copy, nothing opens sealed mail without it" },
	{ "mailbox.ipfs", CONF_STRING, "", 0, 0, NULL,
	    "Address of an IPFS node's RPC API (127.0.0.1:5001, or "
	    "unix:/path), where all mail is kept too, sealed "
	    "(docs/ipfs.md); takes effect at the start" },
	{ "mailbox.lmtp", CONF_LIST, "unix:mailbox.sock", 0, 0, NULL,
	    "Where mail is delivered by LMTP" },
	{ "mailbox.imap", CONF_LIST, "*:143", 0, 0, NULL,
	    "Where IMAP with STARTTLS is served" },
	{ "mailbox.imaps", CONF_LIST, "*:993", 0, 0, NULL,
	    "Where IMAP over TLS is served" },
	{ "mailbox.pop3", CONF_LIST, "*:110", 0, 0, NULL,
	    "Where POP3 with STLS is served" },
	{ "mailbox.pop3s", CONF_LIST, "*:995", 0, 0, NULL,
	    "Where POP3 over TLS is served" },
	{ "mailbox.submit", CONF_LIST, "unix:submit.sock", 0, 0, NULL,
	    "Where msa fetches messages that users send by BURL; Unix sockets "
	    "only" },
	{ "mailbox.http", CONF_LIST, "unix:api.sock", 0, 0, NULL,
	    "Where the HTTP API of mail is served; pneu http passes it on from "
	    "here" },
	{ "mailbox.msa", CONF_STRING, "unix:msa.sock", 0, 0, NULL,
	    "Address of msa.api, where what the API sends is handed over" },
	{ "mailbox.http_origins", CONF_LIST, "", 0, 0, NULL,
	    "Sites whose pages may use the API (CORS), as "
	    "https://app.example.org" },
	{ "mailbox.http_rate", CONF_INT, "1200", 0, 1000000, NULL,
	    "Requests that an account, or an address that has not signed in, "
	    "may make a minute, per worker; 0: any number" },
	{ "mailbox.http_session", CONF_DURATION, "30d", 60 * S, 3650 * 24 * H,
	    NULL,
	    "How long a session, or a token whose time is not given, lives" },
	{ "mailbox.keep_deleted", CONF_DURATION, "7d", 0, 3650 * 24 * H, NULL,
	    "How long expunged messages and deleted mailboxes are kept, to be "
	    "seen under #deleted/ and #time/ and brought back by pneu mail "
	    "undelete; 0: not at all" },
	{ "mailbox.max_size", CONF_SIZE, "100M", 64 * K, 0, NULL,
	    "Largest message accepted by LMTP and APPEND" },
	{ "mailbox.max_per_address", CONF_INT, "200", 1, 1000000, NULL,
	    "IMAP and POP3 connections at once from one client address (/64 "
	    "for IPv6), per worker" },
	{ "mailbox.crowd_from", CONF_LIST, "loopback", 0, 0, NULL,
	    "Networks whose connections are not counted so: webmail, an office "
	    "behind one address" },
	{ "mailbox.plaintext_login", CONF_BOOL, "false", 0, 0, NULL,
	    "Let clients log in without TLS (Unix sockets always may)" },
	{ "mailbox.login_timeout", CONF_DURATION, "3m", S, 24 * H, NULL,
	    "How long IMAP and POP3 clients may take to sign in, whatever else "
	    "they do" },
	{ "mailbox.proxy_from", CONF_LIST, "", 0, 0, NULL,
	    "Balancers (addresses, networks) whose connections begin with a "
	    "PROXY header, version 1 or 2" },
	{ "mailbox.xclient_from", CONF_LIST, "", 0, 0, NULL,
	    "Peers (addresses, networks, unix) that may speak for others by "
	    "XCLIENT" },
	{ "mailbox.test_inbox", CONF_BOOL, "false", 0, 0, NULL,
	    "For test systems: serve the paths of Inbucket's REST API v1, by "
	    "which anybody reads and deletes anybody's mail" },
	{ "mailbox.spool_dir", CONF_STRING, "spool/mailbox", 0, 0, NULL,
	    "Folder for bodies over 256 KiB while they pass; unlinked files" },

	{ "msa.submission", CONF_LIST, "*:587", 0, 0, NULL,
	    "Where submission with STARTTLS is served" },
	{ "msa.submissions", CONF_LIST, "*:465", 0, 0, NULL,
	    "Where submission over TLS is served" },
	{ "msa.api", CONF_LIST, "unix:msa.sock", 0, 0, NULL,
	    "Where mailbox hands over what users send by the API; Unix sockets "
	    "only" },
	{ "msa.qm", CONF_STRING, "unix:qm.sock", 0, 0, NULL,
	    "LMTP address of the queue" },
	{ "msa.mailbox", CONF_STRING, "unix:mailbox.sock", 0, 0, NULL,
	    "LMTP address that is asked for which address a message came in, "
	    "where an account replies as that" },
	{ "msa.imap", CONF_STRING, "unix:submit.sock", 0, 0, NULL,
	    "Address of mailbox.submit, where messages of BURL are fetched" },
	{ "msa.max_size", CONF_SIZE, "50M", 64 * K, 0, NULL,
	    "Largest message" },
	{ "msa.max_recipients", CONF_INT, "1000", 100, 1000000, NULL,
	    "Recipients in a transaction" },
	{ "msa.max_per_address", CONF_INT, "50", 1, 1000000, NULL,
	    "Connections at once from one client address (/64 for IPv6), per "
	    "worker" },
	{ "msa.crowd_from", CONF_LIST, "loopback", 0, 0, NULL,
	    "Networks whose connections are not counted so: webmail, an office "
	    "behind one address" },
	{ "msa.max_domains", CONF_INT, "0", 0, 999999, NULL,
	    "Domains of the recipients in a transaction, announced as "
	    "RCPTDOMAINMAX (RFC 9422); 0: no limit" },
	{ "msa.max_mails", CONF_INT, "10000", 0, 999999, NULL,
	    "Transactions in a session, announced as MAILMAX (RFC 9422); 0: no "
	    "limit" },
	{ "msa.vrfy", CONF_BOOL, "false", 0, 0, NULL,
	    "Answer VRFY truly, by asking qm; else always 252" },
	{ "msa.etrn_from", CONF_LIST, "", 0, 0, NULL,
	    "The same for users who have signed in" },
	{ "msa.deliverby_min", CONF_DURATION, "5s", 0, 0, NULL,
	    "The same for users' mail" },
	{ "msa.max_priority", CONF_INT, "4", 0, 9, NULL,
	    "Highest MT-PRIORITY (RFC 6710) that users may ask for; 4 is "
	    "urgent" },
	{ "msa.future_release", CONF_DURATION, "30d", 0, 0, NULL,
	    "Longest time that a client may have its mail held "
	    "(FUTURERELEASE, RFC 4865); 0: not offered" },
	{ "msa.max_session", CONF_DURATION, "4h", 0, 168 * H, NULL,
	    "Longest session, whatever the client does; 0: no limit" },
	{ "msa.plaintext_login", CONF_BOOL, "false", 0, 0, NULL,
	    "Offer AUTH without TLS" },
	{ "msa.send_as", CONF_BOOL, "true", 0, 0, NULL,
	    "Mind [sendas:LOCAL] and [sendas:LOCAL@DOMAIN] in the Subject: "
	    "send as that address, if it is the account's, and cut the tag" },
	{ "msa.messages_per_hour", CONF_INT, "0", 0, 1000000, NULL,
	    "Messages that an account may send an hour; 0: no limit. pneu "
	    "account set has limits of single accounts" },
	{ "msa.messages_per_day", CONF_INT, "0", 0, 1000000, NULL,
	    "The same for a day" },
	{ "msa.recipients_per_hour", CONF_INT, "0", 0, 1000000, NULL,
	    "Recipients that an account may send to an hour, each counted as "
	    "often as it gets a message; 0: no limit" },
	{ "msa.recipients_per_day", CONF_INT, "0", 0, 1000000, NULL,
	    "The same for a day" },
	{ "msa.add_date", CONF_BOOL, "true", 0, 0, NULL,
	    "Add Date where it is missing or cannot be read" },
	{ "msa.add_message_id", CONF_BOOL, "true", 0, 0, NULL,
	    "Add Message-ID where it is missing or cannot be read" },
	{ "msa.add_from", CONF_BOOL, "true", 0, 0, NULL,
	    "Add From where it is missing" },
	{ "msa.add_sender", CONF_ENUM, "many", 0, 0, "never|many|always",
	    "Add Sender where From names several; always: where it is other "
	    "than the envelope's sender" },
	{ "msa.add_domain", CONF_ENUM, "known", 0, 0, "never|known|always",
	    "Add the account's domain to addresses without one in To, Cc and "
	    "their like, where such an address is known there; always: in any "
	    "case" },
	{ "msa.remove_bcc", CONF_BOOL, "true", 0, 0, NULL,
	    "Remove Bcc and Resent-Bcc" },
	{ "msa.received_client", CONF_BOOL, "false", 0, 0, NULL,
	    "Say in Received where the client is and what it calls itself" },
	{ "msa.proxy_from", CONF_LIST, "", 0, 0, NULL,
	    "Balancers (addresses, networks) whose connections begin with a "
	    "PROXY header, version 1 or 2" },
	{ "msa.xclient_from", CONF_LIST, "", 0, 0, NULL,
	    "Peers (addresses, networks, unix) that may speak for others by "
	    "XCLIENT" },
	{ "msa.xforward_from", CONF_LIST, "", 0, 0, NULL,
	    "Peers (addresses, networks, unix) that may say by XFORWARD whose "
	    "mail they pass on, for logs" },
	{ "msa.spool_dir", CONF_STRING, "spool/msa", 0, 0, NULL,
	    "Folder for bodies over 256 KiB while they pass; unlinked files" },

	{ "qm.dir", CONF_STRING, "queue", 0, 0, NULL, "Folder of the queue" },
	{ "qm.lmtp", CONF_LIST, "unix:qm.sock", 0, 0, NULL,
	    "Where messages are queued by LMTP" },
	{ "qm.mailbox", CONF_STRING, "unix:mailbox.sock", 0, 0, NULL,
	    "LMTP address that local recipients are delivered to" },
	{ "qm.guard", CONF_STRING, "unix:guard.sock", 0, 0, NULL,
	    "LMTP address that says which recipients are local" },
	{ "qm.smtp_port", CONF_INT, "25", 1, 65535, NULL,
	    "Port of other servers; another than 25 is for tests" },
	{ "qm.dane", CONF_BOOL, "true", 0, 0, NULL,
	    "Where DNSSEC vouches for a server and its TLSA records, deliver "
	    "only to who holds the certificate that they name (RFC 7672)" },
	{ "qm.mta_sts", CONF_BOOL, "true", 0, 0, NULL,
	    "Where a domain's MTA-STS policy (RFC 8461) says enforce, deliver "
	    "only to the hosts it names, with a certificate to that name" },
	{ "qm.sts_port", CONF_INT, "443", 1, 65535, NULL,
	    "Port where policies of MTA-STS are fetched; another than 443 is "
	    "for tests" },
	{ "qm.smarthost", CONF_STRING, "", 0, 0, NULL,
	    "host:port that takes all outside mail, instead of the MX" },
	{ "qm.smarthost_user", CONF_STRING, "", 0, 0, NULL,
	    "User name at the smarthost" },
	{ "qm.smarthost_password_file", CONF_STRING, "", 0, 0, NULL,
	    "File with the password at the smarthost" },
	{ "qm.smarthost_tls", CONF_ENUM, "starttls", 0, 0,
	    "none|may|starttls|tls", "TLS to the smarthost" },
	{ "qm.max_size", CONF_SIZE, "100M", 64 * K, 0, NULL,
	    "Largest message" },
	{ "qm.max_recipients", CONF_INT, "1000", 100, 10000, NULL,
	    "Recipients in a transaction" },
	{ "qm.max_active", CONF_INT, "1000", 10, 1000000, NULL,
	    "Messages in memory at once per worker; the rest waits on disk" },
	{ "qm.max_outgoing", CONF_INT, "500", 1, 100000, NULL,
	    "Connections at once per worker to all destinations together" },
	{ "qm.max_age", CONF_DURATION, "5d", S, 0, NULL,
	    "How long delivery is tried (RFC 5321 4.5.4.1: 4 to 5 days)" },
	{ "qm.retry_first", CONF_DURATION, "5m", 1, 24 * H, NULL,
	    "Wait before the second attempt; doubles from there, with jitter" },
	{ "qm.retry_max", CONF_DURATION, "4h", 1, 0, NULL,
	    "Longest wait between attempts" },
	{ "qm.delay_notice", CONF_DURATION, "4h", 0, 0, NULL,
	    "Tell the sender once that mail waits for so long; 0: never" },
	{ "qm.concurrency", CONF_INT, "20", 1, 10000, NULL,
	    "Connections at once to one destination" },
	{ "qm.connect_timeout", CONF_DURATION, "30s", 1, 24 * H, NULL,
	    "Wait for a connection to another server" },
	{ "qm.proxy_from", CONF_LIST, "", 0, 0, NULL,
	    "Balancers (addresses, networks) whose connections begin with a "
	    "PROXY header, version 1 or 2" },
	{ "qm.xclient_from", CONF_LIST, "", 0, 0, NULL,
	    "Peers (addresses, networks, unix) that may speak for others by "
	    "XCLIENT" },
	{ "qm.gateway", CONF_STRING, "unix:gateway.sock", 0, 0, NULL,
	    "LMTP address of the gateway, which sends mail of outside accounts "
	    "through their own servers" },
	{ "qm.spool_dir", CONF_STRING, "spool/qm", 0, 0, NULL,
	    "Folder for bodies over 256 KiB while they pass; unlinked files" },

	{ "gateway.lmtp", CONF_LIST, "unix:gateway.sock", 0, 0, NULL,
	    "Where the gateway is asked to look at an outside account now" },
	{ "gateway.mailbox", CONF_STRING, "unix:mailbox.sock", 0, 0, NULL,
	    "LMTP address of the mailbox on this machine that fetched mail "
	    "goes to" },
	{ "gateway.dir", CONF_STRING, "gateway", 0, 0, NULL,
	    "Folder of what is known of outside accounts" },
	{ "gateway.spool_dir", CONF_STRING, "spool/gateway", 0, 0, NULL,
	    "Folder for bodies over 256 KiB while they pass; unlinked files" },
	{ "gateway.interval", CONF_DURATION, "5m", S, 168 * H, NULL,
	    "Time between two looks at an outside account that says nothing by "
	    "itself" },
	{ "gateway.compare", CONF_DURATION, "15m", 0, 168 * H, NULL,
	    "Between two looks at the flags of all messages of a folder, where "
	    "a server does not tell which have changed (CONDSTORE)" },
	{ "gateway.retry_first", CONF_DURATION, "30s", 1, 24 * H, NULL,
	    "Wait after a look that failed (ten times that where signing in "
	    "was refused); doubles with each more" },
	{ "gateway.retry_max", CONF_DURATION, "1h", 1, 168 * H, NULL,
	    "Longest such wait (six times that where signing in was "
	    "refused)" },
	{ "gateway.max_fetches", CONF_INT, "50", 1, 10000, NULL,
	    "Outside accounts that are looked at at once" },
	{ "gateway.max_per_host", CONF_INT, "10", 1, 10000, NULL,
	    "Of these, at one host" },
	{ "gateway.max_idle", CONF_INT, "10000", 0, 100000, NULL,
	    "IMAP connections that are kept to be told of new mail at once "
	    "(IDLE); further accounts are looked at by the interval" },
	{ "gateway.oauth_clients", CONF_MAP, "", 0, 0, NULL,
	    "Ids of the clients that were registered for this installation "
	    "with providers of OAuth: { \"google\": \"id\" }" },
	{ "gateway.oauth_secrets", CONF_MAP, "", 0, 0, NULL,
	    "Files with the secrets of these clients, where they have one: "
	    "{ \"google\": \"file\" }" },

	{ "gateway.notice_private", CONF_BOOL, "false", 0, 0, NULL,
	    "Send notices of new mail also to addresses of this machine and of "
	    "private networks, and by http without TLS" },
	{ "gateway.notice_retry_first", CONF_DURATION, "10s", 1, 24 * H, NULL,
	    "Wait after a notice that was not taken; doubles with each more" },
	{ "gateway.notice_retry_max", CONF_DURATION, "1h", 1, 168 * H, NULL,
	    "Longest such wait" },
	{ "gateway.notice_give_up", CONF_DURATION, "24h", 1, 720 * H, NULL,
	    "Age at which a notice that is not taken goes to the list of dead "
	    "ones" },
	{ "gateway.notice_keep", CONF_DURATION, "14d", 1, 8760 * H, NULL,
	    "Events of new mail are kept so long, to be sent again" },
	{ "gateway.notice_timeout", CONF_DURATION, "30s", 1, 10 * 60 * S, NULL,
	    "The receiver of a notice answers within that time" },
	{ "gateway.notice_max", CONF_INT, "64", 1, 10000, NULL,
	    "Notices that are sent at once" },
	{ "gateway.notice_contact", CONF_STRING, "", 0, 0, NULL,
	    "Whom such a service may write to (mailto: or https:); default: "
	    "mailto:postmaster@HOSTNAME" },

	{ "manage.http", CONF_LIST, "unix:manage.sock", 0, 0, NULL,
	    "Where pneu manage serves the HTTP API of accounts, outside "
	    "accounts and the system; pneu http passes it on from here" },
	{ "manage.http_rate", CONF_INT, "1200", 0, 1000000, NULL,
	    "Requests that an account, or an address that has not signed in, "
	    "may make a minute of pneu manage; 0: any number" },
	{ "manage.outside", CONF_BOOL, "true", 0, 0, NULL,
	    "Users may add outside accounts, and change their servers, "
	    "themselves; else only admins may" },
	{ "manage.outside_private", CONF_BOOL, "false", 0, 0, NULL,
	    "Outside accounts that users add by the API may be at this machine "
	    "and in private networks" },
	{ "manage.url", CONF_STRING, "", 0, 0, NULL,
	    "Where people reach the web page (https://mail.example.org): logins "
	    "at providers come back to /login there; default: only on this "
	    "machine" },
	{ "mgmt.http", CONF_LIST, "127.0.0.1:80", 0, 0, NULL,
	    "Where the HTTP API and the web page are served" },
	{ "mgmt.https", CONF_LIST, "", 0, 0, NULL,
	    "The same over TLS, which others than this machine need to sign in "
	    "(*:443)" },
	{ "mgmt.proxy_from", CONF_LIST, "", 0, 0, NULL,
	    "Balancers (addresses, networks) whose connections begin with a "
	    "PROXY header, version 1 or 2" },
	{ NULL, CONF_STRING, NULL, 0, 0, NULL, NULL },
};
