"""Known vulnerabilities of the pinned packages, by the database of OSV (https://osv.dev), which has PyPI's advisories.

`make audit`. Exit 0: none are known; 1: there are some, a package a line; 3: the database cannot be reached.
It sends the names and versions in requirements.lock, and nothing else.
"""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from pathlib import Path

DATABASE = "https://api.osv.dev/v1/querybatch"
_LOCK = Path(__file__).parent.parent / "requirements.lock"
_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)
_TIMEOUT = 30.0


def pinned(lock: str) -> list[tuple[str, str]]:
    """(name, version) of every pin in a lock file."""
    return _PIN.findall(lock)


def advisories(pins: list[tuple[str, str]], database: str) -> dict[tuple[str, str], list[str]]:
    """The advisories of each pin that has some. Raises OSError where the database cannot be asked."""
    queries = [{"package": {"name": name, "ecosystem": "PyPI"}, "version": version} for name, version in pins]
    body = json.dumps({"queries": queries}).encode()
    request = urllib.request.Request(database, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as reply:
        results = json.load(reply)["results"]
    found = {pin: [each["id"] for each in result.get("vulns", [])] for pin, result in zip(pins, results, strict=True)}
    return {pin: ids for pin, ids in found.items() if ids}


def main(database: str = DATABASE) -> int:
    """Print what is known; the exit code."""
    pins = pinned(_LOCK.read_text())
    try:
        found = advisories(pins, database)
    except (OSError, ValueError, KeyError) as problem:
        reason = getattr(problem, "reason", problem)
        print(f"audit: {database} cannot be asked ({reason}): nothing is known of the {len(pins)} packages")
        return 3
    for (name, version), ids in found.items():
        print(f"{name} {version}: {', '.join(ids)} (https://osv.dev/{ids[0]})")
    print(f"audit: {len(found)} of {len(pins)} pinned packages have known vulnerabilities")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
