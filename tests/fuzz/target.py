"""What a target of the fuzzer is: where it starts from, how one input becomes many, and what must hold of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from random import Random
from typing import ClassVar
from zlib import crc32


class Target(ABC):
    """One kind of bytes that come in."""

    name: ClassVar[str]
    about: ClassVar[str]
    """What is read, and what must hold."""
    children: ClassVar[int] = 15
    """Inputs derived from one that the coverage guides: compiled readers take them in bulk, and say nothing of it."""

    largest: ClassVar[int] = 4096
    """Bytes of an input; longer ones are cut, so that a run does not grow."""

    @abstractmethod
    def seeds(self) -> list[bytes]:
        """Valid inputs to start from."""

    @abstractmethod
    def changed(self, data: bytes, random: Random) -> bytes:
        """Another input, near to this one."""

    @abstractmethod
    def judge(self, inputs: Sequence[bytes]) -> int:
        """Read the inputs; how many were accepted. Raises whatever is wrong: that is a finding."""

    def family(self, data: bytes) -> list[bytes]:
        """The input and its children, always the same ones."""
        random = Random(crc32(data))
        return [data[: self.largest], *(self.changed(data, random)[: self.largest] for _ in range(self.children))]


def framed(parts: Sequence[bytes]) -> bytes:
    """Several byte strings as one input."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def frames(data: bytes) -> list[bytes]:
    """The byte strings of an input; whatever the bytes say, there are at most 64."""
    parts: list[bytes] = []
    while data and len(parts) < 64:
        size = min(int.from_bytes(data[:4], "big"), len(data))
        parts.append(data[4 : 4 + size])
        data = data[4 + size :]
    return parts


def frame_changed(data: bytes, random: Random, change: object) -> bytes:
    """One of the byte strings changed, dropped, doubled or moved."""
    parts = frames(data) or [b""]
    at = random.randrange(len(parts))
    match random.randrange(12):
        case 0:
            del parts[at]
        case 1:
            parts.insert(random.randrange(len(parts) + 1), parts[at])
        case 2:
            parts.append(parts.pop(at))
        case _:
            parts[at] = change(parts[at], random)  # type: ignore[operator]
    return framed(parts)
