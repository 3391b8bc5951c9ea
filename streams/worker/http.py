"""HTTP while running: /livez, /readyz, /metrics. It reads what the loop has published, and never touches state."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from streams.worker.errors import Misfit

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answers:
    """What is asked for at each request: alive, ready (each with a line that says why not), and the metrics (None where
    there are none, which must not look like a scrape that went well)."""

    live: Callable[[], tuple[bool, str]]
    ready: Callable[[], tuple[bool, str]]
    metrics: Callable[[], bytes | None]


class HttpServer:
    """Serves on threads of its own from construction to close. `port` is the one that was bound."""

    def __init__(self, host: str, port: int, answers: Answers) -> None:
        try:
            self._server = _Server((host, port), _handler(answers))
        except OSError as problem:
            raise Misfit(
                f"http: cannot listen on {host}:{port}: {problem.strerror}; set http.port to a free one (0: any)"
            ) from problem
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Threads of requests still under way must not be collected for ever.
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away before it had its answer is its own affair."""
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


def _handler(answers: Answers) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                found = answers.metrics()
                plain = "text/plain; charset=utf-8"
                self._send(*((503, plain, b"no stage answers\n") if found is None else (200, METRICS_TYPE, found)))
            elif path in {"/livez", "/readyz"}:
                good, text = (answers.live if path == "/livez" else answers.ready)()
                self._send(200 if good else 503, "text/plain; charset=utf-8", f"{text}\n".encode())
            else:
                self._send(404, "text/plain; charset=utf-8", b"there are /livez, /readyz and /metrics\n")

        do_HEAD = do_GET  # noqa: N815 (the base class looks for this name)

        def _send(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Probes come every few seconds: not worth a line each."""

    return Handler
