"""The signing authority: made once, kept secret, renewed in time; and certificates that operators bring."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa

from kinora.core.errors import InputError, OutputError
from kinora.media.authority import brought, new_authority, new_signing, own
from kinora.media.credentials import Signer, read_credentials
from kinora.media.picture import write_picture

YEAR = timedelta(days=365)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "authority"


def certificates(pem: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(pem.encode())


def test_it_is_made_once_and_kept_secret(folder: Path) -> None:
    first = own(folder, name="Studio 北京")
    assert own(folder) == first
    leaf, authority = certificates(first.chain)
    leaf.verify_directly_issued_by(authority)
    assert authority.subject.rfc4514_string() == "CN=content credentials\\, own authority,O=Studio 北京"
    assert [*certificates(first.anchors)] == [authority]
    assert (folder / "ca.pem").read_text() == first.anchors
    assert folder.stat().st_mode & 0o777 == 0o700
    for name in ("ca.secret", "signing.secret"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in folder.iterdir()) == ["ca.pem", "ca.secret", "signing.secret"]


def test_processes_that_start_at_once_agree(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from kinora.media.authority import own;"
        "print('ready', flush=True); sys.stdin.read(1); sys.stdout.write(own(Path(sys.argv[1])).chain)"
    )
    start = [sys.executable, "-c", code, str(folder)]
    workers = [
        subprocess.Popen(start, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ)
        for _ in range(6)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("x")
        worker.stdin.flush()
    chains = [worker.communicate()[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * 6
    assert set(chains) == {own(folder).chain}
    assert sorted(path.name for path in folder.iterdir()) == ["ca.pem", "ca.secret", "signing.secret"]


def test_the_certificate_is_renewed_each_year(folder: Path) -> None:
    now = datetime.now(UTC)
    first = own(folder, now=now)
    assert own(folder, now=now + 0.9 * YEAR) == first
    later = own(folder, now=now + 1.1 * YEAR)
    assert later.chain != first.chain
    assert later.anchors == first.anchors
    assert own(folder, now=now + 1.2 * YEAR) == later
    # Whatever the day, what is signed holds nine years and more, and the authority outlives it.
    for years in range(0, 60, 3):
        moment = now + years * YEAR
        leaf, authority = certificates(own(folder, now=moment).chain)
        assert leaf.not_valid_after_utc >= moment + 9 * YEAR
        assert authority.not_valid_after_utc >= leaf.not_valid_after_utc - timedelta(days=1)


def test_a_new_authority_keeps_the_old_one_trusted(folder: Path, tmp_path: Path) -> None:
    import numpy as np

    path = tmp_path / "picture.png"
    write_picture(path, np.zeros((8, 8, 3), np.uint8))
    Signer(own(folder)).sign(path, path, title="", produce_id="1", producer="K")
    later = own(folder, now=datetime.now(UTC) + 21 * YEAR)
    assert len(certificates(later.anchors)) == 2
    assert read_credentials(path, anchors=later.anchors).trusted


def test_a_damaged_secret_is_told(folder: Path) -> None:
    own(folder)
    (folder / "signing.secret").write_text("nothing")
    with pytest.raises(InputError, match=r"signing\.secret is damaged.*backup"):
        own(folder)


def test_a_disk_that_takes_nothing_is_told(
    folder: Path, full_disk: Callable[[int], AbstractContextManager[None]]
) -> None:
    with full_disk(100), pytest.raises(OutputError, match="the disk is full"):
        own(folder)
    assert not (folder / "ca.secret").exists()
    assert len(certificates(own(folder).chain)) == 2


def pem(key) -> bytes:
    return key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())


def issued(key, *, days: float = 300) -> bytes:
    """A chain for this key, from an authority of the test's."""
    now = datetime.now(UTC)
    authority = new_authority("An authority", now)
    model = new_signing("An operator", authority, now).certificate
    builder = x509.CertificateBuilder(
        issuer_name=model.issuer,
        subject_name=model.subject,
        public_key=key.public_key(),
        serial_number=1,
        not_valid_before=now - timedelta(days=2),
        not_valid_after=now + timedelta(days=days),
        extensions=[one for one in model.extensions if one.oid != x509.SubjectKeyIdentifier.oid],
    )
    made = builder.sign(authority.key, model.signature_hash_algorithm)
    return b"".join(one.public_bytes(form.Encoding.PEM) for one in (made, authority.certificate))


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (ec.generate_private_key(ec.SECP256R1()), "es256"),
        (ec.generate_private_key(ec.SECP384R1()), "es384"),
        (ec.generate_private_key(ec.SECP521R1()), "es512"),
        (ed25519.Ed25519PrivateKey.generate(), "ed25519"),
        (rsa.generate_private_key(65537, 2048), "ps256"),
    ],
    ids=["es256", "es384", "es512", "ed25519", "ps256"],
)
def test_operators_bring_any_key_that_c2pa_allows(key: object, algorithm: str, tmp_path: Path) -> None:
    import numpy as np

    (tmp_path / "chain.pem").write_bytes(issued(key))
    (tmp_path / "key.pem").write_bytes(pem(key))
    signer = Signer.open(tmp_path / "unused", certificate=tmp_path / "chain.pem", key=tmp_path / "key.pem")
    assert not (tmp_path / "unused").exists()
    assert brought(tmp_path / "chain.pem", tmp_path / "key.pem").algorithm == algorithm
    path = tmp_path / "picture.png"
    write_picture(path, np.zeros((8, 8, 3), np.uint8))
    signer.sign(path, path, title="", produce_id="1", producer="K")
    assert read_credentials(path, anchors=signer.anchors).trusted


def test_certificates_that_cannot_sign_are_refused_at_once(tmp_path: Path) -> None:
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    good = ec.generate_private_key(ec.SECP256R1())
    chain.write_bytes(issued(good))
    with pytest.raises(InputError, match=r"key\.pem cannot be read"):
        brought(chain, key)
    key.write_bytes(pem(ec.generate_private_key(ec.SECP256R1())))
    with pytest.raises(InputError, match="not the key of the first certificate"):
        brought(chain, key)
    key.write_bytes(good.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.BestAvailableEncryption(b"x")))
    with pytest.raises(InputError, match="open private key"):
        brought(chain, key)
    key.write_bytes(pem(good))
    chain.write_bytes(issued(good, days=-1))
    with pytest.raises(InputError, match="good now"):
        brought(chain, key)
    chain.write_text("no certificate")
    with pytest.raises(InputError, match="in PEM"):
        brought(chain, key)
    odd = dsa.generate_private_key(2048)
    chain.write_bytes(issued(odd))
    key.write_bytes(pem(odd))
    with pytest.raises(InputError, match="P-256"):
        brought(chain, key)
