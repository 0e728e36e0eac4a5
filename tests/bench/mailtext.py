#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Text mail that looks real: what other servers put on top, prose, quotes,
HTML. For measuring compression, and for training its dictionary.

usage: mailtext.py [--strange] DIR COUNT SEED SIZE FILE...   (prose is taken from the files)
"""
import base64
import gzip
import pathlib
import quopri
import random
import re
import sys

NAMES = ("Anna Bernd Carla David Elif Frank Grace Hiro Ines Jonas Katja Liam "
         "Maria Nils Olga Paul Rosa Sven Tara Uwe Vera Yusuf").split()
FAMILIES = ("Adler Brown Costa Duarte Evans Fischer Garcia Haas Ito Jansen "
            "Klein Lopez Meyer Novak Olsen Peters Rossi Schmidt Silva Smith "
            "Tanaka Weber Young").split()
HOSTS = ("mail mx1 mx2 smtp out mta relay mail-out mail-wr1 lists bounce "
         "o1 gateway").split()
DOMAINS = ("example.com example.net example.org mail.example.de news.example "
           "lists.example.org university.example shop.example bank.example "
           "travel.example corp.example").split()
TOPICS = ("Meeting on Thursday;Invoice;Your order has been shipped;Re: plans "
          "for the weekend;Newsletter;Question about the report;Password "
          "reset;Re: [users] upgrade problem;Weekly summary;Reminder;Fwd: "
          "travel documents;Security alert;New comment on your issue").split(";")


def word(r, alphabet, n):
    return "".join(r.choice(alphabet) for _ in range(n))


HEX = "0123456789abcdef"
B64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def date(r):
    return "%s, %d %s %d %02d:%02d:%02d %s" % (
        r.choice("Mon Tue Wed Thu Fri Sat Sun".split()), r.randint(1, 28),
        r.choice("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()),
        r.randint(2015, 2027), r.randint(0, 23), r.randint(0, 59),
        r.randint(0, 59),
        r.choice(["+0000", "+0000 (UTC)", "+0100", "+0200 (CEST)", "-0700 (PDT)",
                  "-0500", "+0900"]))


def ip(r):
    if r.random() < .2:
        return "IPv6:2001:db8:%s::%s" % (word(r, HEX, 4), word(r, HEX, 3))
    return "%d.%d.%d.%d" % tuple(r.randint(1, 254) for _ in range(4))


def person(r):
    a, b = r.choice(NAMES), r.choice(FAMILIES)
    d = r.choice(DOMAINS)
    box = r.choice(["%s.%s" % (a, b), a, "info", "noreply", "support",
                    "%s%s" % (a[0], b)]).lower()
    return r.choice(["%s %s <%s@%s>" % (a, b, box, d), '"%s, %s" <%s@%s>' %
                     (b, a, box, d), "%s@%s" % (box, d)]), box, d


def received(r, to):
    host = "%s.%s" % (r.choice(HOSTS), r.choice(DOMAINS))
    by = "%s.%s" % (r.choice(HOSTS), r.choice(DOMAINS))
    tls = r.choice([
        "\r\n\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 "
        "bits)\r\n\t key-exchange X25519 server-signature RSA-PSS (2048 bits) "
        "server-digest SHA256)\r\n\t(No client certificate requested)",
        "\r\n\t(version=TLS1_3 cipher=TLS_AES_128_GCM_SHA256 bits=128/128)",
        "", " (TLS1.3)\r\n\ttls TLS_AES_256_GCM_SHA384"])
    return ("Received: from %s (%s [%s])%s\r\n\tby %s (%s) with %s id %s\r\n"
            "\tfor <%s>; %s\r\n" % (
                host, r.choice([host, "unknown"]), ip(r), tls, by,
                r.choice(["Postfix", "Exim 4.96", "Sendmail", "pneu"]),
                r.choice(["ESMTPS", "ESMTP", "ESMTPSA", "LMTP", "SMTP"]),
                word(r, UPPER, r.randint(9, 14)), to, date(r)))


def dkim(r, d, name="DKIM-Signature"):
    sig = word(r, B64, 342) + "=="
    folded = "\r\n\t ".join(sig[i:i + 70] for i in range(0, len(sig), 70))
    return ("%s: v=1; a=rsa-sha256; c=relaxed/%s; d=%s;\r\n\ts=%s; t=%d; "
            "h=from:from:reply-to:subject:subject:date:date:message-id:"
            "message-id:\r\n\t to:to:cc:mime-version:mime-version:content-type:"
            "content-type:\r\n\t content-transfer-encoding:in-reply-to:"
            "references;\r\n\tbh=%s=;\r\n\tb=%s\r\n" % (
                name, r.choice(["relaxed", "simple"]), d,
                r.choice(["s1", "selector1", "mail", "default", "20230601",
                          "k1"]),
                r.randint(1400000000, 1790000000), word(r, B64, 43), folded))


def header(r, subject, extra):
    who, box, d = person(r)
    to, tbox, td = person(r)
    mid = lambda: "<%s@%s>" % (r.choice([
        word(r, HEX, 32), "CA" + word(r, B64[:62], 48), "%d.%s" % (
            r.randint(10**9, 2 * 10**9), word(r, UPPER, 6))]),
        r.choice(["mail." + d, d]))
    h = "Return-Path: <%s@%s>\r\n" % (box, d)
    if r.random() < .4:
        h += "Delivered-To: %s@%s\r\nX-Original-To: %s@%s\r\n" % (tbox, td,
                                                              tbox, td)
    for _ in range(r.randint(1, 4)):
        h += received(r, "%s@%s" % (tbox, td))
    if r.random() < .6:
        h += ("Authentication-Results: mx.%s;\r\n\tdkim=pass (2048-bit key; "
              "unprotected) header.d=%s header.i=@%s header.a=rsa-sha256;\r\n"
              "\tspf=pass (domain of %s@%s designates %s as permitted sender) "
              "smtp.mailfrom=%s@%s;\r\n\tdmarc=pass (p=%s sp=none dis=none) "
              "header.from=%s\r\n" % (td, d, d, box, d, ip(r), box, d,
                                      r.choice(["none", "reject",
                                                "quarantine"]), d))
    if r.random() < .5:
        h += dkim(r, d)
    if r.random() < .3:
        h += ("X-Spam-Checker-Version: SpamAssassin 4.0.0 (2022-12-14) on %s\r\n"
              "X-Spam-Status: No, score=-%d.%d required=5.0 tests=BAYES_00,"
              "DKIM_SIGNED,\r\n\tDKIM_VALID,DKIM_VALID_AU,HTML_MESSAGE,"
              "RCVD_IN_DNSWL_NONE,SPF_HELO_NONE,\r\n\tSPF_PASS autolearn=ham "
              "autolearn_force=no version=4.0.0\r\nX-Spam-Level: \r\n"
              % (td, r.randint(0, 5), r.randint(0, 9)))
    parts = ["From: %s\r\n" % who, "To: %s\r\n" % to,
             "Subject: %s\r\n" % subject, "Date: %s\r\n" % date(r),
             "Message-ID: %s\r\n" % mid(), "MIME-Version: 1.0\r\n"]
    if r.random() < .4:
        one = mid()
        parts.append("In-Reply-To: %s\r\nReferences: %s\r\n %s\r\n" % (
            one, mid(), one))
    if r.random() < .3:
        parts.append("User-Agent: Mozilla Thunderbird\r\n"
                     "Content-Language: en-US\r\n")
    if r.random() < .25:
        parts.append(
            "List-Id: <users.%s>\r\nList-Unsubscribe: <mailto:users-leave@%s>,"
            "\r\n\t<https://%s/unsubscribe?u=%s>\r\nList-Unsubscribe-Post: "
            "List-Unsubscribe=One-Click\r\nPrecedence: bulk\r\nList-Post: "
            "<mailto:users@%s>\r\nList-Archive: <https://%s/archives/>\r\n"
            "List-Help: <mailto:users-request@%s?subject=help>\r\n" % (
                d, d, d, word(r, HEX, 16), d, d, d))
    r.shuffle(parts)
    return h + "".join(parts) + extra + "\r\n"


STYLE = ("<!DOCTYPE html>\r\n<html lang=\"en\"><head>\r\n<meta http-equiv="
         "\"Content-Type\" content=\"text/html; charset=utf-8\">\r\n<meta name="
         "\"viewport\" content=\"width=device-width, initial-scale=1\">\r\n"
         "<style type=\"text/css\">\r\nbody { margin: 0; padding: 0; "
         "font-family: Arial, Helvetica, sans-serif; font-size: 14px; }\r\n"
         "table { border-collapse: collapse; }\r\n@media only screen and "
         "(max-width: 600px) { .container { width: 100% !important; } }\r\n"
         "</style></head>\r\n<body bgcolor=\"#ffffff\">\r\n")


def html(r, text):
    out = STYLE if r.random() < .6 else "<html><head></head><body>\r\n"
    for p in text.split("\r\n\r\n"):
        out += r.choice([
            "<p>%s</p>\r\n", "<div dir=\"ltr\">%s</div><div><br></div>\r\n",
            "<table width=\"100%%\" cellpadding=\"0\" cellspacing=\"0\" "
            "border=\"0\" align=\"center\"><tr><td style=\"padding: 10px 20px; "
            "color: #333333; line-height: 1.5;\">%s</td></tr></table>\r\n",
            "<a href=\"https://www." + r.choice(DOMAINS) + "/c/" +
            word(r, B64[:62], 22) + "\" target=\"_blank\" style=\"color: "
            "#0066cc; text-decoration: none;\">%s</a>\r\n"]) % p
    return out + "</body></html>\r\n"


def body(r, prose, size):
    """header lines, octets"""
    text = ""
    while len(text) < size:
        text += r.choice(prose) + "\r\n\r\n"
    text = text[:size]
    kind = r.random()
    if kind < .45:
        greet = "Hi %s,\r\n\r\n" % r.choice(NAMES)
        if r.random() < .4:
            text = ("On %s, %s wrote:\r\n> " % (date(r), r.choice(NAMES)) +
                    text[:size // 2].replace("\r\n", "\r\n> ") + "\r\n\r\n" +
                    text[size // 2:])
        return ("Content-Type: text/plain; charset=%s\r\n"
                "Content-Transfer-Encoding: %s\r\n" % r.choice([
                    ("utf-8", "8bit"), ("UTF-8; format=flowed", "7bit"),
                    ("us-ascii", "7bit")]),
                greet + text + "\r\n-- \r\n" + r.choice(NAMES) + "\r\n")
    edge = r.choice(["------------%s" % word(r, B64[:62], 24),
                     "000000000000%s" % word(r, HEX, 16),
                     "=_%s" % word(r, HEX, 32)])
    page = html(r, text[:size // 2])
    page = quopri.encodestring(page.encode()).decode().replace(
        "\r\n", "\n").replace("\n", "\r\n")
    return ("Content-Type: multipart/alternative; boundary=\"%s\"\r\n" % edge,
            "This is a multi-part message in MIME format.\r\n--%s\r\n"
            "Content-Type: text/plain; charset=\"utf-8\"\r\n"
            "Content-Transfer-Encoding: quoted-printable\r\n\r\n%s\r\n--%s\r\n"
            "Content-Type: text/html; charset=\"utf-8\"\r\n"
            "Content-Transfer-Encoding: quoted-printable\r\n\r\n%s\r\n--%s--\r\n"
            % (edge, text[:size // 2], edge, page, edge))


def message(r, prose, size):
    extra, octets = body(r, prose, 10)
    head = header(r, r.choice(TOPICS), "")
    room = max(200, size - len(head) - 300)
    r2 = r.random()
    extra, octets = body(r, prose, int(room * (.9 if r2 < .5 else .75)))
    return (head[:-2] + extra + "\r\n" + octets).encode("utf-8", "replace")


def attachment(r, size):
    head = header(r, "Documents", "Content-Type: application/pdf; name="
                  "\"document.pdf\"\r\nContent-Transfer-Encoding: base64\r\n")
    data = base64.encodebytes(r.randbytes(size * 3 // 4))
    return head.encode() + data.replace(b"\n", b"\r\n")


def prose_of(files):
    out = []
    for f in files:
        data = (gzip.open(f).read() if str(f).endswith(".gz")
                else pathlib.Path(f).read_bytes())
        text = data.decode("utf-8", "ignore").replace("\r\n", "\n")
        for p in re.split(r"\n\s*\n", text):
            p = p.strip("\n")
            if 60 < len(p) < 1500:
                out.append(p.replace("\n", "\r\n"))
    return out


def strange(files):
    """Names of people and hosts, and subjects, that do not repeat: for
    training on how things are built."""
    global NAMES, FAMILIES, DOMAINS, TOPICS
    r = random.Random(7)
    parts = ("ba be bi bo bra der den dor el fe fi ga gor hal han il ka ke kol "
             "la lin lu ma mer mi na ne nor o pe pol ra ri ro sa sen ta ter to "
             "u va ver wi za").split()

    def name():
        return "".join(r.choice(parts)
                       for _ in range(r.randint(2, 4))).capitalize()

    NAMES = [name() for _ in range(4000)]
    FAMILIES = [name() for _ in range(4000)]
    tops = "com com com com net org de de fr co.uk nl it at ch eu io es pl"
    DOMAINS = ["%s.%s" % (name().lower(), r.choice(tops.split()))
               for _ in range(3000)]
    DOMAINS += ("gmail.com gmail.com gmail.com outlook.com hotmail.com yahoo.com "
                "icloud.com gmx.de web.de t-online.de").split() * 30
    lines = [re.sub(r"[`|*#\[\]()]", "", line).strip() for f in files
             for line in pathlib.Path(f).read_text().split("\n")]
    lines = [x for x in lines if 15 < len(x) < 60 and x.isascii()]
    TOPICS = ["Re: " + x if r.random() < .3 else x for x in lines[:2000]]


def main():
    if sys.argv[1] == "--strange":
        del sys.argv[1]
        strange(sys.argv[5:])
    folder, count, seed, size = sys.argv[1:5]
    prose = prose_of(sys.argv[5:])
    r = random.Random(int(seed))
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    for i in range(int(count)):
        n = int(size) if int(size) > 0 else int(1000 * 2 ** (4 * r.random()))
        pathlib.Path(folder, "%05d.eml" % i).write_bytes(message(r, prose, n))


if __name__ == "__main__":
    main()
