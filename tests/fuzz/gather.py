"""Takes what a run has found into the corpus of the tests: `python -m tests.fuzz.gather FOLDER [TARGET …]`.

Of the inputs that reached new code, a few hundred of each target, small ones first; of what was found, every input.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tests.fuzz.corpus import FOLDER, interesting, keep
from tests.fuzz.targets import TARGETS

_BYTES = {"snapshots": 300_000, "journal": 200_000}
_MOST = 120_000
"""Bytes of the inputs kept of a target."""


def main() -> None:
    """Writes tests/fuzz/corpus."""
    folder, names = Path(sys.argv[1]), sys.argv[2:] or list(TARGETS)
    for name in names:
        found = [path.read_bytes() for path in (folder / name / "pool").iterdir() if not path.name.startswith("given-")]
        chosen: list[bytes] = []
        size = 0
        for data in sorted({*found, *interesting(name)}, key=lambda one: (len(one), one)):
            if size + len(data) > _BYTES.get(name, _MOST):
                break
            chosen.append(data)
            size += len(data)
        keep(name, chosen or TARGETS[name]().seeds())
        for path in (folder / name / "found").glob("*.bin"):
            own = FOLDER / "findings" / name
            own.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, own / path.name)
        print(f"{name}: {len(chosen)} inputs kept")


if __name__ == "__main__":
    main()
