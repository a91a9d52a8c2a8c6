"""Public keys: which forms are read or refused, and which algorithms each key allows."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from asgi_realtime.auth.keys import RSA_ALGORITHMS, algorithms_of, is_too_short, load_public_key, read_pem

RSA = rsa.generate_private_key(65537, 2048)


def pem(key: PublicKeyTypes) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize(
    ("key", "algorithms"),
    [
        (RSA.public_key(), RSA_ALGORITHMS),
        (ec.generate_private_key(ec.SECP256R1()).public_key(), ("ES256",)),
        (ec.generate_private_key(ec.SECP384R1()).public_key(), ("ES384",)),
        (ec.generate_private_key(ec.SECP521R1()).public_key(), ("ES512",)),
        (ed25519.Ed25519PrivateKey.generate().public_key(), ("EdDSA",)),
        (ed448.Ed448PrivateKey.generate().public_key(), ("EdDSA",)),
    ],
    ids=["RSA", "P-256", "P-384", "P-521", "Ed25519", "Ed448"],
)
def test_a_key_is_read_and_fits_its_own_algorithms(key: PublicKeyTypes, algorithms: tuple[str, ...]) -> None:
    loaded = load_public_key(pem(key))
    assert pem(loaded) == pem(key)
    assert algorithms_of(loaded) == algorithms


def test_a_key_in_the_form_of_pkcs_1_is_read() -> None:
    text = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode()
    assert pem(load_public_key(text)) == pem(RSA.public_key())


def test_the_key_of_a_certificate_is_read() -> None:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "id.example.com")])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, RSA.public_key(), 1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=1))
        .sign(RSA, hashes.SHA256())
    )
    assert pem(load_public_key(certificate.public_bytes(Encoding.PEM).decode())) == pem(RSA.public_key())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no PEM public key"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "no PEM public key"),
        ("-----BEGIN PUBLIC KEY-----", "no PEM public key"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "no PEM public key"),
        (RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(), "private key"),
        (RSA.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode(), "private key"),
        (pem(dsa.generate_private_key(1024).public_key()), "another kind"),
        (pem(ec.generate_private_key(ec.SECP256K1()).public_key()), "another kind"),
    ],
    ids=["empty", "wrong body", "cut off", "certificate", "PKCS8", "PKCS1", "DSA", "curve"],
)
def test_an_unusable_public_key_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_public_key(text)


def test_a_short_rsa_key_is_reported() -> None:
    assert is_too_short(rsa.generate_private_key(65537, 1024).public_key())
    assert not is_too_short(RSA.public_key())
    assert not is_too_short(ed25519.Ed25519PrivateKey.generate().public_key())


def test_a_pem_is_taken_as_text_with_escapes_or_from_a_file(tmp_path: Path) -> None:
    text = pem(RSA.public_key()).strip()
    file = tmp_path / "public.pem"
    file.write_text(text.replace("\n", "\r\n"))
    indented = "\n".join("    " + line for line in text.splitlines())
    for form in (text, text + "\n", text.replace("\n", "\\n"), text.replace("\n", "\r\n"), indented, str(file)):
        assert read_pem(form) == text


@pytest.mark.parametrize("value", ["missing.pem", "", "\0", "x" * 10_000, "~nobody-of-this-name/key.pem"])
def test_a_value_that_names_no_file_is_refused_without_being_shown(value: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="neither a PEM text nor the path") as caught:
        read_pem(value if value != "missing.pem" else str(tmp_path / value))
    assert "missing.pem" not in str(caught.value)
    assert caught.value.__suppress_context__
