"""The workers of one application, by their names: started, made to stand at a step, taken away."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from streams.worker import Exit
from tests.chaos.plan import STATIC, Deed
from tests.service import Service, wait_until

_VARIABLE = "STREAMGAUGE_TEST_STOP_AT"
_STANDS = "streamgauge-stopped-at"
_HUNG = "the loop has not turned for"
_START = 300.0
_STOP = 120.0


class Fleet:
    """As a context: all workers are killed at the end; if something went wrong, the ends of their logs are printed."""

    def __init__(self, settings: Mapping[str, Any], folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._stack = ExitStack()
        self._workers: dict[str, Service] = {}
        self._orders: dict[str, Path] = {}
        self._ordered = 0
        self._started: list[tuple[str, Service]] = []
        self.started = self.retired = self.hung = self.fenced = self.unreachable = 0

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: object, trace: TracebackType | None) -> None:
        for number, (slot, service) in enumerate(self._started):
            path = self._folder / f"worker-{number:03d}-{slot}.log"
            path.write_text(service.log())
            if kind is not None:
                lines = path.read_text().splitlines()[-25:]
                sys.stderr.write(f"\n--- the end of {path} (code {service.ended}) ---\n" + "\n".join(lines) + "\n")
        self._stack.close()

    @property
    def running(self) -> list[str]:
        """Names of those that run."""
        return [slot for slot, service in self._workers.items() if service.ended is None]

    def start(self, slot: str) -> Service:
        """Start a worker under a name."""
        order = self._folder / f"order-{self.started:03d}"
        arguments = ["--instance", slot] if slot in STATIC else []
        environment = {_VARIABLE: f"@{order}"}
        service = self._stack.enter_context(Service(self._settings, arguments=arguments, environment=environment))
        self._started.append((slot, service))
        self._workers[slot] = service
        self._orders[slot] = order
        self.started += 1
        return service

    def stand(self, deed: Deed, flows: Callable[[], None]) -> Service:
        """Have the worker of the deed's name stand at the deed's step; it is started where it does not run. `flows`
        raises where there is no traffic any more, without which nobody gets there."""
        service = self._workers.get(deed.slot) or self.start(deed.slot)
        said = f"{_STANDS} {deed.step}\n"
        before = service.log().count(said)
        self._ordered += 1
        new = self._folder / "order"
        new.write_text(f"{deed.place}:{deed.nth}#{self._ordered}")
        new.replace(self._orders[deed.slot])

        def standing() -> bool:
            self.check()
            flows()
            return service.log().count(said) > before

        wait_until(standing, _START, f"{deed.slot} stands at {deed.place}")
        return service

    def retire(self, slot: str) -> None:
        """SIGTERM, if it runs: it must finish what it has in hand and leave in order."""
        service = self._workers.pop(slot, None)
        if service is None or service.ended is not None:
            return
        code = service.terminate(_STOP)
        assert code == 0, f"{slot} was told to stop and ended with code {code}"
        self.retired += 1

    def forget(self, slot: str) -> None:
        """It has been killed."""
        self._workers.pop(slot, None)

    def check(self) -> None:
        """All that run under a name must live. Three endings are in order, and answered as an orchestrator would, by a
        new start: where a start meets a cluster without a controller; as fenced, where two of one name run, and where a
        starved member's own second attempt to join overtakes its first; and by the watchdog, since a call of librdkafka
        may hang for longer than its time-out when its broker dies."""
        for slot, service in list(self._workers.items()):
            if service.ended in {Exit.FENCED, Exit.KAFKA} or hung(service):
                self.fenced += service.ended == Exit.FENCED
                self.unreachable += service.ended == Exit.KAFKA
                self.hung += hung(service)
                self.start(slot)
                continue
            assert service.ended is None, f"{slot} ended with code {service.ended}"

    def wait_ready(self) -> None:
        """Until every worker has restored all it was assigned."""

        def ready() -> bool:
            self.check()
            return all(service.get("/readyz") is not None for service in self._workers.values())

        wait_until(ready, _START, "every worker is ready")


def hung(service: Service) -> bool:
    """Whether its watchdog has ended it."""
    return service.ended == Exit.BUG and _HUNG in service.log()
