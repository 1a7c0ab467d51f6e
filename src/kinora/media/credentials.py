"""C2PA content credentials: signed inside a file, that a model made it, who runs that, and that nothing changed since.

Everything stays on this machine: no time stamps of others, no revocation lists, no statements kept elsewhere.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinora.core.errors import MediaError
from kinora.media.aigc import kind_of
from kinora.media.output import whole_file

if TYPE_CHECKING:
    from kinora.media.authority import Identity

__all__ = ["Credentials", "Signer", "read_credentials"]

STATEMENT = "org.kinora.output"
"""Our own assertion: number and producer, as the AIGC field states them."""
GENERATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
AT_HOME: dict[str, Any] = {
    "version": 1,
    "core": {"allowed_network_hosts": []},
    "verify": {"ocsp_fetch": False, "remote_manifest_fetch": False, "verify_after_sign": True},
    "builder": {"thumbnail": {"enabled": False}, "bmff_hash_exclude_free_and_skip_boxes": False},
}


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """What a file's credentials say and whether they hold."""

    state: str
    """"none", or C2PA's "Invalid", "Valid", "Trusted"."""
    title: str = ""
    produce_id: str = ""
    producer: str = ""
    generated: bool = False
    """Whether it says that a model made it."""
    problems: tuple[str, ...] = ()
    """C2PA's codes of what does not hold, "assertion.bmffHash.mismatch" say."""

    @property
    def valid(self) -> bool:
        """Nothing has changed since it was signed."""
        return self.state in ("Valid", "Trusted")

    @property
    def trusted(self) -> bool:
        """And who signed it is trusted."""
        return self.state == "Trusted"


class Signer:
    """Signs files with an identity of `kinora.media.authority`."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    @classmethod
    def open(
        cls, folder: Path, *, name: str = "Kinora", certificate: Path | None = None, key: Path | None = None
    ) -> Signer:
        """With the operator's certificate, else with the own authority kept in `folder`.

        Raises `InputError` when they cannot sign, `OutputError` when the folder cannot be written.
        """
        from kinora.media.authority import brought, own

        if certificate is None:
            return cls(own(folder, name=name))
        return cls(brought(certificate, key or certificate))

    @property
    def anchors(self) -> str:
        """PEM of the certificates to hand out to those who check."""
        return self._identity.anchors

    def sign(self, source: Path, into: Path, *, title: str, produce_id: str, producer: str) -> None:
        """Write `source` (MP4, PNG, JPEG) with credentials to `into`, which may be `source`, and is replaced.

        Raises `MediaError` when it cannot be signed, `OutputError` when `into` cannot be written.
        """
        with whole_file(into, force=True) as part:
            self.sign_to(source, part, title=title, produce_id=produce_id, producer=producer)

    def sign_to(self, source: Path, into: Path, *, title: str, produce_id: str, producer: str) -> None:
        """As `sign`, without its care for `into`, which must be another file."""
        import c2pa  # type: ignore[import-untyped]

        kind = kind_of(source)
        own = self._identity
        info = c2pa.C2paSignerInfo(own.algorithm, own.chain.encode(), own.key.encode(), None)
        try:
            with (
                c2pa.Context.from_dict(AT_HOME) as context,
                c2pa.Signer.from_info(info) as signer,
                c2pa.Builder(statement(title, produce_id, producer), context) as builder,
                source.open("rb") as old,
                into.open("w+b") as new,
            ):
                builder.sign(signer, kind, old, new)
        except c2pa.C2paError as error:
            raise MediaError(f"{source} could not be signed ({error}).") from error


def statement(title: str, produce_id: str, producer: str) -> dict[str, Any]:
    maker = {"name": "Kinora"}
    with suppress(PackageNotFoundError):  # run from a folder of sources
        maker["version"] = version("kinora")
    created = {"action": "c2pa.created", "digitalSourceType": GENERATED, "softwareAgent": maker}
    own = {"produce_id": produce_id, "producer": producer}
    return {
        "claim_generator_info": [maker],
        "title": title,
        "assertions": [
            {"label": "c2pa.actions", "data": {"actions": [created]}, "created": True},
            {"label": STATEMENT, "data": own, "created": True},
        ],
    }


def read_credentials(path: Path, *, anchors: str = "") -> Credentials:
    """The credentials of a film or picture, checked against its bytes and the trusted certificates (PEM).

    Raises `MediaError` when it is no MP4, PNG or JPEG, or cannot be read. Damaged credentials are "Invalid".
    """
    import c2pa

    kind = kind_of(path)
    settings = {**AT_HOME, "trust": {"user_anchors": anchors}} if anchors else AT_HOME
    try:
        with c2pa.Context.from_dict(settings) as context, path.open("rb") as file:
            reader = c2pa.Reader.try_create(kind, file, context=context)
            if reader is None:
                return Credentials(state="none")
            with reader:
                return credentials_of(json.loads(reader.json()))
    except c2pa.C2paError as error:
        return Credentials(state="Invalid", problems=(str(error),))


def credentials_of(store: dict[str, Any]) -> Credentials:
    active = store.get("manifests", {}).get(store.get("active_manifest"), {})
    stated = {assertion["label"]: assertion.get("data") or {} for assertion in active.get("assertions", [])}
    actions = [
        action
        for label, data in stated.items()
        if label.startswith("c2pa.actions")
        for action in data.get("actions", [])
    ]
    own = stated.get(STATEMENT, {})
    return Credentials(
        state=store.get("validation_state", "Invalid"),
        title=active.get("title") or "",
        produce_id=str(own.get("produce_id", "")),
        producer=str(own.get("producer", "")),
        generated=any(action.get("digitalSourceType") == GENERATED for action in actions),
        problems=tuple(status["code"] for status in store.get("validation_status", [])),
    )
