"""The corpus that `make test` replays: of each target inputs that reached new code, packed in one file, and every
input that found something, in a file of its own."""

from __future__ import annotations

import zlib
from pathlib import Path

from tests.fuzz.target import framed

FOLDER = Path(__file__).parent / "corpus"


def interesting(target: str) -> list[bytes]:
    """The inputs kept for their coverage."""
    path = FOLDER / f"{target}.bin"
    return unframed(zlib.decompress(path.read_bytes())) if path.exists() else []


def keep(target: str, inputs: list[bytes]) -> None:
    """Replace the inputs kept for their coverage."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{target}.bin").write_bytes(
        zlib.compress(framed(sorted(set(inputs), key=lambda one: (len(one), one))), 9)
    )


def findings(target: str) -> dict[str, bytes]:
    """By name, the inputs that found something once."""
    return {path.name: path.read_bytes() for path in sorted((FOLDER / "findings" / target).glob("*"))}


def unframed(data: bytes) -> list[bytes]:
    """All byte strings of a packed file."""
    parts: list[bytes] = []
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        parts.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return parts
