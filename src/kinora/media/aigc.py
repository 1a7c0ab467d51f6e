"""The AIGC field: what GB 45438-2025 has a generated file say about itself, as JSON under the key `AIGC`.

    film (MP4)       a note of the container under that key, where FFmpeg writes and looks for it
    picture (PNG)    a text chunk under that key, and an XMP packet
    picture (JPEG)   an XMP packet; TC260:AIGC in the name space http://www.tc260.org.cn/ns/AIGC/1.0/

Pixels and packets are not touched by any of it.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from dataclasses import dataclass
from html import escape, unescape
from pathlib import Path
from typing import Any, Self

from PIL import Image

from kinora.core.errors import MediaError
from kinora.media.output import reason, whole_file

__all__ = ["Aigc", "aigc_field", "embed", "kind_of", "read_aigc", "write_aigc"]

KEY = "AIGC"
XMP_CHUNK = "XML:com.adobe.xmp"
"""The PNG text chunk that holds XMP (XMP specification part 3, 1.1.5)."""
XMP_MARK = b"http://ns.adobe.com/xap/1.0/\0"
"""How a JPEG segment with XMP begins (same, 1.1.3)."""
IN_XMP = re.compile(r"<TC260:AIGC>(.*?)</TC260:AIGC>", re.DOTALL)
PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"

FIELDS = {
    "Label": "label",
    "ContentProducer": "producer",
    "ProduceID": "produce_id",
    "ReservedCode1": "reserved_1",
    "ContentPropagator": "propagator",
    "PropagateID": "propagate_id",
    "ReservedCode2": "reserved_2",
}


@dataclass(frozen=True, kw_only=True)
class Aigc:
    """Who made a file and under which number."""

    producer: str
    """Name or code of the provider that made it."""
    produce_id: str
    """Its number there."""
    label: str = "1"
    """1: generated, 2: possibly generated, 3: suspected of it."""
    propagator: str = ""
    """Name or code of the platform that spreads it; left to that platform."""
    propagate_id: str = ""
    reserved_1: str = ""
    reserved_2: str = ""

    def to_json(self) -> str:
        """One line of ASCII, the fields in the order of the standard."""
        return json.dumps({key: getattr(self, name) for key, name in FIELDS.items()}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What any provider wrote; missing fields are empty. Raises `MediaError` when `text` is something else."""
        try:
            record: Any = json.loads(text)
        except json.JSONDecodeError:
            record = None
        if not isinstance(record, dict):
            raise MediaError("The file's AIGC field is no JSON object.")
        return cls(**{name: str(record.get(key, "")) for key, name in FIELDS.items()})

    @property
    def film_notes(self) -> dict[str, str]:
        """For the writers of films."""
        return {KEY: self.to_json()}

    @property
    def picture_notes(self) -> dict[str, str]:
        """For `write_picture`."""
        return {KEY: self.to_json(), XMP_CHUNK: self.xmp}

    @property
    def xmp(self) -> str:
        """An XMP packet with the field."""
        return (
            '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
            '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
            ' xmlns:TC260="http://www.tc260.org.cn/ns/AIGC/1.0/">'
            f"<TC260:AIGC>{escape(self.to_json())}</TC260:AIGC>"
            '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
        )


def aigc_field(producer: str, produce_id: str, *, propagator: str = "", propagate_id: str = "") -> str:
    """The field's JSON."""
    return Aigc(producer=producer, produce_id=produce_id, propagator=propagator, propagate_id=propagate_id).to_json()


def read_aigc(path: Path) -> Aigc | None:
    """The field of a film (MP4) or picture (PNG, JPEG); None when it carries none.

    Raises `MediaError` for a file of another kind, and for a field that is no JSON.
    """
    text = film_field(path) if kind_of(path) == "video/mp4" else picture_field(path)
    return None if text is None else Aigc.from_json(text)


def write_aigc(source: Path, into: Path, aigc: Aigc) -> None:
    """Write the finished file `source` to `into` (which may be `source`, and is replaced) with the field in it.

    Raises `MediaError` for a kind of file that is not ours or a picture that carries XMP of others, `OutputError` when
    `into` cannot be written.
    """
    with whole_file(into, force=True) as part:
        embed(source, part, aigc)


def embed(source: Path, into: Path, aigc: Aigc) -> None:
    """As `write_aigc`, without its care for `into`, which must be another file."""
    kind = kind_of(source)
    if kind == "video/mp4":
        from kinora.media.h264 import renoted

        renoted(source, into, aigc.film_notes)
        return
    data = source.read_bytes()
    if XMP_MARK in data or XMP_CHUNK.encode() in data:
        raise MediaError(f"{source} carries XMP already; the AIGC field must be written before others write theirs.")
    into.write_bytes(in_png(data, aigc) if kind == "image/png" else in_jpeg(data, aigc))


def kind_of(path: Path) -> str:
    """The media type by content; raises `MediaError` when it is none of ours or cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError as error:
        raise MediaError(f"{path} cannot be read ({reason(error)}).") from error
    if head.startswith(PNG):
        return "image/png"
    if head.startswith(JPEG):
        return "image/jpeg"
    if head[4:8] == b"ftyp":
        return "video/mp4"
    raise MediaError(f"{path} is no MP4, PNG or JPEG; only these are published.")


def film_field(path: Path) -> str | None:
    import av

    try:
        with av.open(str(path)) as container:
            return container.metadata.get(KEY)
    except (av.FFmpegError, OSError) as error:
        raise MediaError(f"{path} cannot be read as a film ({error}).") from error


def picture_field(path: Path) -> str | None:
    """From a PNG's text chunk, else from XMP."""
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            notes = image.info
    except (OSError, SyntaxError, ValueError) as error:
        raise MediaError(f"{path} cannot be read as a picture ({error}).") from error
    if KEY in notes:
        return str(notes[KEY])
    packet = notes.get(XMP_CHUNK) or notes.get("xmp", b"")
    found = IN_XMP.search(packet if isinstance(packet, str) else packet.decode("utf-8", "replace"))
    return None if found is None else unescape(found[1])


def in_png(data: bytes, aigc: Aigc) -> bytes:
    """With its text chunks behind the header chunk, which is always 25 bytes."""
    head = len(PNG) + 25
    chunks = [
        b"iTXt" + name.encode() + bytes(5) + text.encode()  # not packed, no language, no translated name
        for name, text in aigc.picture_notes.items()
    ]
    ready = [struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks]
    return data[:head] + b"".join(ready) + data[head:]


def in_jpeg(data: bytes, aigc: Aigc) -> bytes:
    """With its segment behind the first one, where that is the JFIF header, which must stay first."""
    place = 4 + struct.unpack_from(">H", data, 4)[0] if data[3] == 0xE0 else 2
    packet = XMP_MARK + aigc.xmp.encode()
    return data[:place] + b"\xff\xe1" + struct.pack(">H", len(packet) + 2) + packet + data[place:]
