"""Who signs: an authority of one's own, made at first use, or a certificate that the operator brings.

The folder of an own authority holds

    ca.pem         the authority's certificate (the newest first), to be handed out to those who shall trust it
    ca.secret      the same with its private key
    signing.secret the certificate that signs files, the authority's behind it, and the private key

A secret is one file, written whole under another name and then linked or moved to its own, so that processes that start
at once agree on one authority, and a SIGKILL leaves nothing by halves.

Nobody puts a trusted time on our signatures (that needs the network), so a file's credentials hold only as long as the
certificate that signed it. Therefore it lives ten years and is renewed each year.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kinora.core.errors import InputError, OutputError
from kinora.media.output import reason

__all__ = ["Identity", "brought", "own"]

YEAR = timedelta(days=365)
AUTHORITY_LIFE = 30 * YEAR
SIGNING_LIFE = 10 * YEAR
RENEWED_AFTER = YEAR
SLACK = timedelta(days=1)
"""Certificates begin so much earlier: clocks differ."""
PRIVATE, PUBLIC = 0o600, 0o644
NAME_LENGTH = 64
"""Characters of an organization's name (RFC 5280, ub-organization-name)."""

CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a signature is made with."""

    algorithm: str
    """As C2PA names it: es256, es384, es512, ps256, ed25519."""
    chain: str
    """PEM: the signing certificate, then those that vouch for it."""
    key: str
    """PEM, PKCS 8, not encrypted."""
    anchors: str
    """PEM: the certificates that those who check must trust."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """A certificate, those that vouch for it, and its private key."""

    chain: tuple[x509.Certificate, ...]
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate(self) -> x509.Certificate:
        return self.chain[0]


def own(folder: Path, *, name: str = "Kinora", now: datetime | None = None) -> Identity:
    """The identity of the authority in `folder`, made or renewed if need be; `name` is the organization's.

    Raises `OutputError` when the folder cannot be written, `InputError` when its files are damaged.
    """
    moment = now or datetime.now(UTC)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        authority = kept(folder / "ca.secret")
        if authority is None or authority.certificate.not_valid_after_utc < moment + SIGNING_LIFE:
            authority = keep(folder / "ca.secret", new_authority(name, moment), instead=authority)
        signing = kept(folder / "signing.secret")
        if signing is None or not good(signing, authority, moment):
            signing = keep(folder / "signing.secret", new_signing(name, authority, moment), instead=signing)
        anchors = published(folder / "ca.pem", pem_of(authority.certificate))
    except OSError as error:
        raise OutputError(f"The signing authority in {folder} cannot be kept there ({reason(error)}).") from error
    chain = "".join(map(pem_of, signing.chain))
    return Identity(algorithm="es256", chain=chain, key=key_pem(signing.key), anchors=anchors)


def brought(certificate: Path, key: Path, *, now: datetime | None = None) -> Identity:
    """The identity of a PEM chain and key that the operator has; raises `InputError` when they cannot sign."""
    moment = now or datetime.now(UTC)
    try:
        chain = x509.load_pem_x509_certificates(certificate.read_bytes())
        secret = form.load_pem_private_key(key.read_bytes(), password=None)
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read ({reason(error)}); name a file in PEM.") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InputError(
            f"{certificate} and {key} must be a chain and an open private key in PEM ({error})."
        ) from error
    if chain[0].public_key() != secret.public_key():
        raise InputError(f"{key} is not the key of the first certificate in {certificate}; bring the two that belong.")
    if not chain[0].not_valid_before_utc <= moment <= chain[0].not_valid_after_utc:
        raise InputError(
            f"{certificate} is good from {chain[0].not_valid_before_utc:%Y-%m-%d} to"
            f" {chain[0].not_valid_after_utc:%Y-%m-%d}; bring one that is good now."
        )
    return Identity(
        algorithm=algorithm_of(secret, key),
        chain="".join(map(pem_of, chain)),
        key=key_pem(secret),
        anchors="".join(map(pem_of, chain[1:] or chain)),
    )


def algorithm_of(key: PrivateKeyTypes, path: Path) -> str:
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in CURVES:
        return CURVES[key.curve.name]
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey):
        return "ps256"
    raise InputError(f"{path} is no key that C2PA allows; bring one of P-256, P-384, P-521, Ed25519 or RSA.")


# Certificates, as the C2PA specification 2.1 wants them (section 14.5)


def new_authority(name: str, now: datetime) -> Holder:
    key = ec.generate_private_key(ec.SECP256R1())
    named = subject(name, "content credentials, own authority")
    built = (
        blank(named, named, key, now, now + AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(signs_certificates=True), critical=True)
    )
    return Holder(chain=(built.sign(key, hashes.SHA256()),), key=key)


def new_signing(name: str, authority: Holder, now: datetime) -> Holder:
    key = ec.generate_private_key(ec.SECP256R1())
    built = (
        blank(subject(name, "content credentials"), authority.certificate.subject, key, now, now + SIGNING_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
    )
    return Holder(chain=(built.sign(authority.key, hashes.SHA256()), *authority.chain), key=key)


def blank(
    named: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(named)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SLACK)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def subject(name: str, purpose: str) -> x509.Name:
    named = name[:NAME_LENGTH] or "Kinora"
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, named), x509.NameAttribute(NameOID.COMMON_NAME, purpose)]
    )


def good(signing: Holder, authority: Holder, now: datetime) -> bool:
    """Whether it is the authority's, and made less than a year ago."""
    if signing.chain[1:] != authority.chain:
        return False
    return signing.certificate.not_valid_after_utc > now + SIGNING_LIFE - RENEWED_AFTER


# Files


def kept(path: Path) -> Holder | None:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        key = form.load_pem_private_key(content, password=None)
        chain = tuple(x509.load_pem_x509_certificates(content))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InputError(f"{path} is damaged ({error}); put it back from a backup, or delete its folder.") from error
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return Holder(chain=chain, key=key)


def keep(path: Path, holder: Holder, *, instead: Holder | None) -> Holder:
    """Write it, and return what is kept: another process's, when that came first."""
    content = "".join(map(pem_of, holder.chain)) + key_pem(holder.key)
    part = written(path, content, PRIVATE)
    try:
        if instead is None:
            with suppress(FileExistsError):
                os.link(part, path)
        else:
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    found = kept(path)
    assert found is not None
    return found


def published(path: Path, certificate: str) -> str:
    """The public certificates, this one among them."""
    known = path.read_text(encoding="ascii") if path.exists() else ""
    if certificate not in known:
        known = certificate + known
        written(path, known, PUBLIC).replace(path)
    return known


def written(path: Path, content: str, rights: int) -> Path:
    """A file beside `path` with the content, settled on the disk."""
    part = path.parent / f".kinora-{secrets.token_hex(8)}.part"
    with os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, rights), "w", encoding="ascii") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return part


def pem_of(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(form.Encoding.PEM).decode()


def key_pem(key: PrivateKeyTypes) -> str:
    return key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()).decode()
