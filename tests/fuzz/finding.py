"""What a run finds: one input for each place in the code that raised, with what it said."""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.target import Target


class Findings:
    """A folder of them."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._known = {path.stem for path in folder.glob("*.bin")}

    def judge(self, target: Target, family: Sequence[bytes]) -> int:
        """How many of a family were accepted. Where something raises, the input that does is kept."""
        try:
            return target.judge(family)
        except Exception as problem:  # noqa: BLE001  (whatever it is, it is a finding)
            accepted, found = 0, False
            for data in family:
                try:
                    accepted += target.judge([data])
                except Exception as alone:  # noqa: BLE001
                    self._keep([data], alone)
                    found = True
            if not found:
                self._keep(family, problem)
            return accepted

    def _keep(self, inputs: Sequence[bytes], problem: Exception) -> None:
        frames = [
            each for each in traceback.extract_tb(problem.__traceback__) if "/site-packages/" not in each.filename
        ]
        place = [f"{Path(each.filename).name}:{each.name}:{each.lineno}" for each in frames[-2:]]
        said = "|".join([type(problem).__name__, *place, str(len(inputs) > 1)])
        name = hashlib.blake2b(said.encode(), digest_size=6).hexdigest()
        if name not in self._known:
            self._known.add(name)
            for i, data in enumerate(inputs):
                (self._folder / f"{name}{f'-{i}' if len(inputs) > 1 else ''}.bin").write_bytes(data)
            (self._folder / f"{name}.txt").write_text("".join(traceback.format_exception(problem)))
