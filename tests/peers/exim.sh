#!/bin/bash
# Private Exim on a high loopback port, from Debian's exim4-daemon-light, which
# tools/deps has unpacked (it cannot be installed beside Postfix).
#
#   exim.sh start|stop|status DIR
#
# Mail for $DOMAIN is kept in DIR/mail/box (mbox); what is for elsewhere
# goes to 127.0.0.1:$NEXT_PORT. nobody@ is refused at RCPT, picky@ after the
# data where the client has PRDR. Everything that Exim has is offered and used:
# CHUNKING, PRDR, DSN, SMTPUTF8, STARTTLS with $CERT and $KEY.
# Needs: SMTP_PORT NEXT_PORT CERT KEY; DOMAIN (exim.test), SIZE_LIMIT,
# SMTPS_PORT (implicit TLS), POOR (has no extension but SIZE, PIPELINING,
# STARTTLS and PRDR), SIGN_IN ("user:password", which are asked for by AUTH at
# SMTPS_PORT, and given to the next server), NEXT_PROTOCOL (smtps: implicit
# TLS; lmtp).
set -eu
CMD=${1:?start|stop|status}; DIR=${2:?directory}
mkdir -p "$DIR"; DIR=$(cd "$DIR" && pwd)
EXIM=${EXIM:-/usr/local/lib/pneu-peers/exim/usr/sbin/exim4}
DOMAIN=${DOMAIN:-exim.test}
POOR=${POOR:-}; HOSTS=${POOR:+:}; HOSTS=${HOSTS:-*}
SMTPS_PORT=${SMTPS_PORT:-}; SIGN_IN=${SIGN_IN:-}; NEXT_PROTOCOL=${NEXT_PROTOCOL:-}
pid() { cat "$DIR/exim.pid" 2>/dev/null || true; }
alive() { local p; p=$(pid) && [ -n "$p" ] && kill -0 "$p" 2>/dev/null; }
case $CMD in
start)
  alive && { echo "already running, pid $(pid)"; exit 0; }
  mkdir -p "$DIR/spool" "$DIR/mail" "$DIR/log"
  cp "$CERT" "$DIR/cert.pem"; cp "$KEY" "$DIR/key.pem"
  chown -R Debian-exim "$DIR"/{spool,mail,log,cert.pem,key.pem}; chmod 755 "$DIR"
  cat > "$DIR/exim.conf" <<C
exim_path = $EXIM
primary_hostname = mail.$DOMAIN
spool_directory = $DIR/spool
log_file_path = $DIR/log/%slog
pid_file_path = $DIR/exim.pid
local_interfaces = <; 127.0.0.1.$SMTP_PORT${SMTPS_PORT:+; 127.0.0.1.$SMTPS_PORT}
tls_on_connect_ports = $SMTPS_PORT
log_selector = +all
exim_user = Debian-exim
never_users =
keep_environment =
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts = *
tls_certificate = $DIR/cert.pem
tls_privatekey = $DIR/key.pem
prdr_enable
dsn_advertise_hosts = $HOSTS
smtputf8_advertise_hosts = $HOSTS
chunking_advertise_hosts = $HOSTS
message_size_limit = ${SIZE_LIMIT:-50M}
${POOR:+no_}accept_8bitmime
queue_run_max = 2
acl_smtp_rcpt = rcpt
acl_smtp_data_prdr = prdr
begin acl
rcpt:
${SIGN_IN:+  deny condition = \${if eq{\$received_port\}{$SMTPS_PORT\}\}
    !authenticated = *
    message = sign in first}
  deny local_parts = nobody
    message = nobody of that name
  accept
prdr:
  deny local_parts = picky
    message = not this one
  accept
begin routers
here:
  driver = accept
  domains = $DOMAIN
  transport = keep
elsewhere:
  driver = manualroute
  route_list = * 127.0.0.1
  self = send
  transport = next
begin transports
keep:
  driver = appendfile
  file = $DIR/mail/box
  user = Debian-exim
  envelope_to_add
  return_path_add
next:
  driver = smtp
  port = $NEXT_PORT
  allow_localhost
  hosts_try_prdr = *
  hosts_try_chunking = *
${SIGN_IN:+  hosts_require_auth = *
  hosts_require_tls = *}
${NEXT_PROTOCOL:+  protocol = $NEXT_PROTOCOL}
begin retry
* * F,1h,1s
begin authenticators
${SIGN_IN:+plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = \${if eq{\$auth2:\$auth3\}{$SIGN_IN\}\}
  server_set_id = \$auth2
  client_send = ^${SIGN_IN%%:*}^${SIGN_IN#*:}}
C
  "$EXIM" -C "$DIR/exim.conf" -bd -q1s
  for _ in $(seq 100); do
    (exec 3<>"/dev/tcp/127.0.0.1/$SMTP_PORT") 2>/dev/null && break; sleep .1
  done
  alive && echo "exim up, pid $(pid), smtp $SMTP_PORT" || { tail -5 "$DIR"/log/*; exit 1; } ;;
stop)
  alive || { echo "not running"; exit 0; }
  kill "$(pid)"
  # Queue runners and deliveries outlive it, and would make DIR anew.
  for _ in $(seq 50); do
    left=$(grep -lsaF -f - /proc/[0-9]*/cmdline <<<"$DIR/exim.conf" |
      cut -d/ -f3) || true
    [ -n "$left" ] || break
    kill $left 2>/dev/null || true; sleep .1
  done
  echo stopped ;;
status) alive && echo "running, pid $(pid)" || { echo stopped; exit 1; } ;;
*) echo "unknown command $CMD" >&2; exit 2 ;;
esac
