"""Public keys that verify tokens, and the algorithms that each key supports."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

PublicKey: TypeAlias = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey

HMAC_ALGORITHMS = ("HS256", "HS384", "HS512")
RSA_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
KEY_PAIR_ALGORITHMS = (*RSA_ALGORITHMS, "ES256", "ES384", "ES512", "EdDSA")

MINIMUM_SECRET_BYTES = 32
"""Shortest HMAC secret: the output length of HS256 (RFC 7518, section 3.2)."""
MINIMUM_RSA_BITS = 2048
"""Shortest RSA key (RFC 7518, section 3.3)."""

_ALGORITHM_OF_CURVE = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}


def read_pem(text_or_path: str) -> str:
    r"""The PEM text that a setting holds or names.

    In an environment variable the lines may be separated by `\n`, written as two characters.

    Raises:
        ValueError: there is no such file, or it is not a text file. The message contains no secret.
    """
    text = text_or_path
    if "-----BEGIN" not in text:
        try:
            text = Path(text).expanduser().read_text("ascii")
        except (OSError, ValueError, RuntimeError):
            # Neither the value nor the cause is shown: the value may be a secret in the wrong variable.
            raise ValueError("is neither a PEM text nor the path of a file that can be read") from None
    return "\n".join(line.strip() for line in text.replace("\\n", "\n").strip().splitlines())


def load_public_key(pem: str) -> PublicKey:
    """The public key in a PEM text, which is a public key or a certificate.

    Raises:
        ValueError: it is not a key, or no accepted algorithm can use it. The message contains no secret.
    """
    if "PRIVATE KEY-----" in pem:
        raise ValueError("holds a private key; verifying takes only the public one")
    key: object
    try:
        if "-----BEGIN CERTIFICATE-----" in pem:
            key = x509.load_pem_x509_certificate(pem.encode()).public_key()
        else:
            key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("holds no PEM public key that can be read") from None
    if not isinstance(key, PublicKey) or not algorithms_of(key):
        raise ValueError("holds a key of another kind than RSA, P-256, P-384, P-521, Ed25519 or Ed448")
    return key


def algorithms_of(key: PublicKey) -> tuple[str, ...]:
    """The algorithms whose signatures this key can verify. Empty for a curve that no algorithm uses."""
    if isinstance(key, RSAPublicKey):
        return RSA_ALGORITHMS
    if isinstance(key, EllipticCurvePublicKey):
        algorithm = _ALGORITHM_OF_CURVE.get(key.curve.name)
        return (algorithm,) if algorithm else ()
    return ("EdDSA",)


def is_too_short(key: PublicKey) -> bool:
    """Whether a key is too short to be secure."""
    return isinstance(key, RSAPublicKey) and key.key_size < MINIMUM_RSA_BITS
