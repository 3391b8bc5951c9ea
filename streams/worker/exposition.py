"""Prometheus text of several processes as one: each metric's samples together, under one HELP and TYPE."""

from __future__ import annotations

from collections.abc import Iterable


def merge_expositions(texts: Iterable[str]) -> str:
    """The expositions as one. Samples differ by their `stage` label."""
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for text in texts:
        name = ""
        for line in text.splitlines():
            if line.startswith("# "):
                _, keyword, name, *_ = line.split(" ", 3)
                known = heads.setdefault(name, [])
                samples.setdefault(name, [])
                if keyword in {"HELP", "TYPE"} and line not in known:
                    known.append(line)
            elif line:
                samples.setdefault(name, []).append(line)
    lines = [line for name, found in samples.items() for line in (*heads.get(name, []), *found)]
    return "\n".join(lines) + "\n"
