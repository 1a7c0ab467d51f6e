"""The service's secret: made once, kept private, and the only one that opens what it sealed."""

from __future__ import annotations

import hashlib
import hmac
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kinora.service.sealing import Sealer, SecretError
from kinora.service.settings import Settings

SECRET = "a secret of thirty-two characters!"


def sealer(secret: str = SECRET) -> Sealer:
    return Sealer(Settings(secret=secret))


def test_what_is_sealed_opens_and_is_not_seen() -> None:
    sealed = sealer().seal(b"the secret key of a pair")
    assert b"secret key" not in sealed
    assert sealer().open(sealed) == b"the secret key of a pair"
    assert sealed != sealer().seal(b"the secret key of a pair"), "the same text twice does not look the same"


def test_another_secret_says_what_to_do() -> None:
    sealed = sealer().seal(b"x")
    with pytest.raises(SecretError, match=r"sealed with another secret.*KINORA_SECRET"):
        sealer(SECRET + "!").open(sealed)


@pytest.mark.parametrize("place", [0, 1, 12, 30, -1])
def test_a_changed_byte_is_refused(place: int) -> None:
    sealed = bytearray(sealer().seal(b"something"))
    sealed[place] ^= 1
    with pytest.raises(SecretError):
        sealer().open(bytes(sealed))


@pytest.mark.parametrize("secret", ["x" * 31, "short"])
def test_a_short_secret_is_refused(secret: str) -> None:
    with pytest.raises(SecretError, match=rf"KINORA_SECRET.*has {len(secret)} characters and needs 32"):
        sealer(secret)


def test_any_characters_make_a_secret() -> None:
    secret = "这是一个很长的秘密" * 4
    assert sealer(secret).open(sealer(secret).seal(b"x")) == b"x"


def test_the_keys_are_hkdf_s_and_signing_is_hmac() -> None:
    """RFC 5869 by hand: extract with an empty salt, expand by one block."""
    extracted = hmac.new(bytes(32), SECRET.encode(), hashlib.sha256).digest()
    key = hmac.new(extracted, b"kinora: signed links" + b"\x01", hashlib.sha256).digest()
    assert sealer().sign(b"/files/1") == hmac.new(key, b"/files/1", hashlib.sha256).hexdigest()


def test_signatures_match_their_data_alone() -> None:
    sign = sealer().sign(b"/files/1")
    assert len(sign) == 64
    assert sealer().matches(b"/files/1", sign)
    assert not sealer().matches(b"/files/2", sign)
    assert not sealer().matches(b"/files/1", sign.upper())
    assert not sealer().matches(b"/files/1", "")
    assert not sealer().matches(b"/files/1", "é\udc80")
    assert not sealer(SECRET * 2).matches(b"/files/1", sign)


def test_a_secret_of_the_machine_s_is_private_and_kept(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "made" / "data")
    sealed = Sealer(settings).seal(b"x")
    file = settings.data / "secret.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(file.read_text().strip()) >= 64
    assert Sealer(settings).open(sealed) == b"x"
    assert [path.name for path in settings.data.iterdir()] == ["secret.key"]


def test_two_machines_have_two_secrets(tmp_path: Path) -> None:
    one, two = (Sealer(Settings(data=tmp_path / name)).sign(b"x") for name in ("one", "two"))
    assert one != two


def test_processes_that_start_at_once_agree(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys;"
        "from kinora.service.sealing import Sealer; from kinora.service.settings import Settings;"
        "print('ready', flush=True); sys.stdin.readline();"
        "print(Sealer(Settings(data=pathlib.Path(sys.argv[1]))).sign(b'x'))"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "data")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(4)
    ]  # fmt: skip
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    signs = {process.communicate(timeout=30)[0].strip() for process in started}
    assert [process.returncode for process in started] == [0] * 4
    assert len(signs) == 1
    assert len(signs.pop()) == 64


def test_a_file_that_cannot_be_the_secret_is_named(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_text("too short\n")
    with pytest.raises(SecretError, match=r"secret\.key.*has 9 characters"):
        Sealer(Settings(data=tmp_path))
    (tmp_path / "secret.key").write_bytes(b"\xff" * 40)
    with pytest.raises(SecretError, match=r"secret\.key.*cannot be read or made"):
        Sealer(Settings(data=tmp_path))


def test_a_folder_in_the_secret_s_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "secret.key").mkdir()
    with pytest.raises(SecretError, match="cannot be read or made"):
        Sealer(Settings(data=tmp_path))
