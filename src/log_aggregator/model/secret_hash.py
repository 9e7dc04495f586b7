"""Digests of secrets, and whether a secret is the one behind a digest.

    sha256:<64 hex digits>                        of a secret that is long and random: a token
    scrypt:<n>:<r>:<p>:<salt hex>:<digest hex>    of one that a person chose: dear to guess, also for us

Comparisons take the same time wherever two digests differ.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from typing import Final

_SHA256: Final = re.compile(r"sha256:([0-9a-fA-F]{64})")
_SCRYPT: Final = re.compile(r"scrypt:(\d{1,7}):(\d{1,3}):(\d{1,3}):((?:[0-9a-fA-F]{2}){8,64}):([0-9a-fA-F]{64})")
_DIGEST_BYTES: Final = 32
_SALT_BYTES: Final = 16
# 16 MB and some 50 ms for each guess.
_N, _R, _P = 1 << 14, 8, 1
_MAX_SCRYPT_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class SecretHash:
    digest: bytes = field(repr=False)

    def matches(self, secret: bytes) -> bool:
        return hmac.compare_digest(self.digest, hashlib.sha256(secret).digest())


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """`matches` takes as long as the parameters say: not on the event loop."""

    n: int
    r: int
    p: int
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    def matches(self, secret: bytes) -> bool:
        return hmac.compare_digest(self.digest, _scrypt(secret, self.salt, self.n, self.r, self.p))


def hash_of(secret: bytes) -> SecretHash:
    return SecretHash(hashlib.sha256(secret).digest())


def parse_secret_hash(text: str) -> SecretHash | PasswordHash:
    """Raises ValueError, which does not repeat the text."""
    if match := _SHA256.fullmatch(text):
        return SecretHash(bytes.fromhex(match[1]))
    if match := _SCRYPT.fullmatch(text):
        n, r, p = int(match[1]), int(match[2]), int(match[3])
        if n < 2 or n & (n - 1) or not r or not p or 128 * r * (n + p) > _MAX_SCRYPT_BYTES:
            raise ValueError("scrypt: n must be a power of two, and n, r and p such that 64 MB suffice")
        return PasswordHash(n, r, p, bytes.fromhex(match[4]), bytes.fromhex(match[5]))
    raise ValueError("a hash must be sha256:<hex> or scrypt:<n>:<r>:<p>:<salt hex>:<digest hex>")


def password_hash_text(password: bytes) -> str:
    """A new hash, with a salt of its own."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return f"scrypt:{_N}:{_R}:{_P}:{salt.hex()}:{_scrypt(password, salt, _N, _R, _P).hex()}"


def _scrypt(secret: bytes, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(secret, salt=salt, n=n, r=r, p=p, maxmem=2 * _MAX_SCRYPT_BYTES, dklen=_DIGEST_BYTES)
