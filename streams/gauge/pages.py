"""Long arrays of a state as pages: what does not change is written once.

A reference is collected for weeks, and only grows; a finished one never changes. So a long array is cut into pages,
each a record of its own under the digest of what it holds; the state keeps the digests, and what comes after the last
whole page. Pages of the same content are one: series of the same rows have the same times.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from streams.state import StateError, pack, unpack

PAGE = 2048
"""Values in a page."""
VERSION = 1
_MAGIC = b"SGPG"
_NAME = 16  # bytes of a digest
_PAGED, _REST = "__pages__", "rest"
_KINDS = {"<f8": "shuffled", "|u1": "shuffled", "<u4": "differences", "<i8": "differences"}
"""How arrays are made small, before zlib: the bytes of all numbers, the first of each, then the second, …; of whole
numbers those of their differences."""

Array = npt.NDArray[Any]


def take_out(tree: Any, pages: dict[bytes, Array]) -> Any:
    """The tree with references in the place of whole pages, which are added to `pages` by their digests."""
    if isinstance(tree, dict):
        return {key: take_out(value, pages) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [take_out(value, pages) for value in tree]
    if not (isinstance(tree, np.ndarray) and tree.ndim == 1 and len(tree) >= PAGE and tree.dtype.str in _KINDS):
        return tree
    whole = len(tree) // PAGE * PAGE
    names = []
    for start in range(0, whole, PAGE):
        page = tree[start : start + PAGE]
        names.append(blake2b(page.tobytes(), digest_size=_NAME, person=tree.dtype.str.encode()).digest())
        pages[names[-1]] = page
    return {_PAGED: b"".join(names), _REST: tree[whole:].copy()}


def put_back(tree: Any, page: Callable[[bytes], Array]) -> Any:
    """The tree that was given to `take_out`, of what it returned and the pages by their digests."""
    if isinstance(tree, dict):
        if _PAGED in tree:
            return np.concatenate([*map(page, _names(tree)), tree[_REST]])
        return {key: put_back(value, page) for key, value in tree.items()}
    return [put_back(value, page) for value in tree] if isinstance(tree, list) else tree


def _names(reference: dict[str, Any]) -> Iterator[bytes]:
    joined: bytes = reference[_PAGED]
    return (joined[at : at + _NAME] for at in range(0, len(joined), _NAME))


def page_bytes(page: Array) -> bytes:
    """A page as a record's value."""
    numbers = page
    if _KINDS[page.dtype.str] == "differences":
        numbers = np.diff(page, prepend=page.dtype.type(0))  # modulo their range: sums give them back
    columns = np.ascontiguousarray(numbers).view(np.uint8).reshape(len(page), -1).T
    return pack(_MAGIC, VERSION, [page.dtype.str, zlib.compress(columns.tobytes(), 1)])


def page_of(value: bytes) -> Array:
    """The page that page_bytes gave. Raises StateError where it is damaged or newer than this version."""
    kind, small = unpack(_MAGIC, VERSION, value)
    if kind not in _KINDS:
        raise StateError("a page of a type that is not ours")
    dtype = np.dtype(kind)
    try:
        columns = np.frombuffer(zlib.decompress(small), np.uint8).reshape(dtype.itemsize, -1)
    except (zlib.error, ValueError) as problem:
        raise StateError(f"a page is not readable: {problem}") from problem
    numbers: Array = np.ascontiguousarray(columns.T).view(dtype).ravel()
    return np.cumsum(numbers, dtype=dtype) if _KINDS[kind] == "differences" else numbers
