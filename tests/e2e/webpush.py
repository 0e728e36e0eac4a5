# SPDX-License-Identifier: ISC
"""The other side of Web Push, from the RFCs and nothing else: P-256 (FIPS 186),
ES256 (RFC 7518 3.4), HKDF (RFC 5869), AES-128-GCM (FIPS 197, SP 800-38D), the
aes128gcm coding (RFC 8188), message encryption (RFC 8291), VAPID (RFC 8292)."""
import base64
import hashlib
import hmac
import json
import os

# --- P-256 ---

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551
B = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b
G = (0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296,
     0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5)


def add(a, b):
    if a is None or b is None:
        return a or b
    if a[0] == b[0]:
        if (a[1] + b[1]) % P == 0:
            return None
        s = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, P) % P
    else:
        s = (b[1] - a[1]) * pow(b[0] - a[0], -1, P) % P
    x = (s * s - a[0] - b[0]) % P
    return x, (s * (a[0] - x) - a[1]) % P


def multiply(k, point):
    out = None
    while k:
        if k & 1:
            out = add(out, point)
        point = add(point, point)
        k >>= 1
    return out


def encode(point):
    return b"\4" + point[0].to_bytes(32, "big") + point[1].to_bytes(32, "big")


def decode(octets):
    if len(octets) != 65 or octets[0] != 4:
        raise ValueError("not an uncompressed point")
    x, y = (int.from_bytes(octets[i:i + 32], "big") for i in (1, 33))
    if (y * y - x * x * x + 3 * x - B) % P != 0 or x >= P or y >= P:
        raise ValueError("not on the curve")
    return x, y


def verify(point, message, signature):
    """ECDSA with SHA-256; r and s in 64 octets."""
    r, s = (int.from_bytes(signature[i:i + 32], "big") for i in (0, 32))
    if len(signature) != 64 or not (0 < r < N and 0 < s < N):
        return False
    e = int.from_bytes(hashlib.sha256(message).digest(), "big")
    w = pow(s, -1, N)
    got = add(multiply(e * w % N, G), multiply(r * w % N, point))
    return got is not None and got[0] % N == r


# --- AES-128-GCM ---

def _xtime(a):
    return (a << 1 ^ (0x1b if a & 0x80 else 0)) & 0xff


def _sbox():
    box, p, q = [0] * 256, 1, 1
    while True:
        p = p ^ _xtime(p)
        q ^= q << 1
        q ^= q << 2
        q ^= q << 4
        q &= 0xff
        if q & 0x80:
            q ^= 0x09
        x = q
        for i in range(1, 5):
            x ^= (q << i | q >> (8 - i)) & 0xff
        box[p] = x ^ 0x63
        if p == 1:
            break
    box[0] = 0x63
    return box


SBOX = _sbox()


def _schedule(key):
    words, rcon = [key[i:i + 4] for i in range(0, 16, 4)], 1
    for i in range(4, 44):
        w = words[-1]
        if i % 4 == 0:
            w = bytes(SBOX[b] for b in w[1:] + w[:1])
            w = bytes([w[0] ^ rcon]) + w[1:]
            rcon = _xtime(rcon)
        words.append(bytes(a ^ b for a, b in zip(words[-4], w)))
    return [b"".join(words[i:i + 4]) for i in range(0, 44, 4)]


def aes(schedule, block):
    s = [a ^ b for a, b in zip(block, schedule[0])]
    for n in range(1, 11):
        s = [SBOX[s[(i + 4 * (i % 4)) % 16]] for i in range(16)]
        if n < 10:
            for c in range(0, 16, 4):
                col = s[c:c + 4]
                everything = col[0] ^ col[1] ^ col[2] ^ col[3]
                for i in range(4):
                    s[c + i] = (col[i] ^ everything ^
                                _xtime(col[i] ^ col[(i + 1) % 4]))
        s = [a ^ b for a, b in zip(s, schedule[n])]
    return bytes(s)


def _times(x, y):
    z = 0
    for i in range(127, -1, -1):
        if x >> i & 1:
            z ^= y
        y = y >> 1 ^ (0xe1 << 120 if y & 1 else 0)
    return z


def gcm_open(key, nonce, sealed):
    schedule, text, tag = _schedule(key), sealed[:-16], sealed[-16:]
    h, y = int.from_bytes(aes(schedule, bytes(16)), "big"), 0
    padded = text + bytes(-len(text) % 16) + (8 * len(text)).to_bytes(16, "big")
    for i in range(0, len(padded), 16):
        y = _times(y ^ int.from_bytes(padded[i:i + 16], "big"), h)
    first = int.from_bytes(aes(schedule, nonce + b"\0\0\0\1"), "big")
    if (y ^ first).to_bytes(16, "big") != tag:
        raise ValueError("the tag is wrong")
    out = b""
    for i in range(0, len(text), 16):
        stream = aes(schedule, nonce + (2 + i // 16).to_bytes(4, "big"))
        out += bytes(a ^ b for a, b in zip(text[i:i + 16], stream))
    return out


# --- the receiver ---

def b64(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def unb64(text):
    if "=" in text or "+" in text or "/" in text:
        raise ValueError("not base64url without padding")
    return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", True)


def _hmac(key, what):
    return hmac.new(key, what, hashlib.sha256).digest()


class Receiver:
    """What a browser has of a subscription."""

    def __init__(self, private=None, auth=None):
        self.private = private or int.from_bytes(os.urandom(31), "big") + 1
        self.auth = auth or os.urandom(16)
        self.point = encode(multiply(self.private, G))
        self.p256dh = b64(self.point)

    def open(self, body):
        salt, size, n = body[:16], int.from_bytes(body[16:20], "big"), body[20]
        sender, sealed = body[21:21 + n], body[21 + n:]
        # RFC 8291 4: one record, and a keyid that is the sender's point.
        if n != 65 or len(sealed) > size or len(sealed) < 17:
            raise ValueError("not one record")
        shared = multiply(self.private, decode(sender))[0].to_bytes(32, "big")
        info = b"WebPush: info\0" + self.point + sender + b"\1"
        ikm = _hmac(_hmac(self.auth, shared), info)
        prk = _hmac(salt, ikm)
        key = _hmac(prk, b"Content-Encoding: aes128gcm\0\1")[:16]
        nonce = _hmac(prk, b"Content-Encoding: nonce\0\1")[:12]
        text = gcm_open(key, nonce, sealed).rstrip(b"\0")
        if text[-1:] != b"\2":
            raise ValueError("not the last record")
        return text[:-1]


def check_vapid(header, audience, now):
    """The claims, and the key that signed them; ValueError."""
    if not header.startswith("vapid "):
        raise ValueError("not vapid: " + header)
    fields = dict(f.strip().split("=", 1) for f in header[6:].split(","))
    head, claims, signature = fields["t"].split(".")
    key = unb64(fields["k"])
    if not verify(decode(key), (head + "." + claims).encode(),
                  unb64(signature)):
        raise ValueError("the signature is wrong")
    if json.loads(unb64(head)) != {"typ": "JWT", "alg": "ES256"}:
        raise ValueError("another token: " + head)
    claims = json.loads(unb64(claims))
    if claims["aud"] != audience or not now < claims["exp"] <= now + 86400:
        raise ValueError("other claims: %r" % claims)
    return claims, fields["k"]


def self_test():
    """RFC 8291 5, RFC 8292 2.4."""
    r = Receiver(int.from_bytes(
        unb64("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"), "big"),
        unb64("BTBZMqHH6r4Tts7J_aSIgg"))
    text = r.open(unb64(
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27ml"
        "mlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPT"
        "pK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"))
    assert text == b"When I grow up, I want to be a watermelon", text
    check_vapid(
        "vapid t=eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJodHRwczovL3"
        "B1c2guZXhhbXBsZS5uZXQiLCJleHAiOjE0NTM1MjM3NjgsInN1YiI6Im1haWx0bzpwdX"
        "NoQGV4YW1wbGUuY29tIn0.i3CYb7t4xfxCDquptFOepC9GAu_HLGkMlMuCGSK2rpiUfn"
        "K9ojFwDXb1JrErtmysazNjjvW2L9OkSSHzvoD1oA,k=BA1Hxzyi1RUM1b5wjxsn7nGxA"
        "szw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs",
        "https://push.example.net", 1453523768 - 3600)


if __name__ == "__main__":
    self_test()
