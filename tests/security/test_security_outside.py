"""What is open to the outside: HTTP on loopback unless told otherwise; and what is known of the packages used."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from deploy import audit
from schemas import Config
from streams.worker.http import Answers, HttpServer

ANOTHER_LOOPBACK = "127.0.0.2"
"""An address of this machine that 127.0.0.1 does not stand for, as that of a network card."""


@contextmanager
def serving(host: str) -> Iterator[int]:
    server = HttpServer(host, 0, Answers(lambda: (True, "alive"), lambda: (True, "ready"), lambda: b""))
    try:
        yield server.port
    finally:
        server.close()


def answers(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == 200
    except ConnectionRefusedError:
        return False
    finally:
        connection.close()


def test_http_is_on_loopback_unless_told_otherwise() -> None:
    with serving(Config().http.host) as port:
        assert answers("127.0.0.1", port)
        assert not answers(ANOTHER_LOOPBACK, port)
    with serving("0.0.0.0") as port:
        assert answers(ANOTHER_LOOPBACK, port)


@contextmanager
def database(reply: Any) -> Iterator[tuple[str, list[Any]]]:
    """A database of advisories that always gives this reply, and what it was asked."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            body = json.dumps(reply).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_audit_asks_about_every_pin_and_names_what_is_known() -> None:
    pins = audit.pinned("numpy==2.1.0\nuvicorn[standard]==0.30.1 ; python_version > '3'\n# a remark\n")
    assert pins == [("numpy", "2.1.0"), ("uvicorn", "0.30.1")]
    with database({"results": [{}, {"vulns": [{"id": "GHSA-1"}, {"id": "PYSEC-2"}]}]}) as (address, asked):
        assert audit.advisories(pins, address) == {("uvicorn", "0.30.1"): ["GHSA-1", "PYSEC-2"]}
    assert asked[0]["queries"][0] == {"package": {"name": "numpy", "ecosystem": "PyPI"}, "version": "2.1.0"}


def test_an_audit_without_its_database_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main("http://127.0.0.1:1/") == 3
    said = capsys.readouterr().out
    assert "cannot be asked" in said and "nothing is known" in said


def test_an_audit_ends_with_1_where_something_is_known_and_0_where_nothing_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    count = len(audit.pinned(audit._LOCK.read_text()))
    assert count > 20
    with database({"results": [{}] * count}) as (address, _):
        assert audit.main(address) == 0
    with database({"results": [{"vulns": [{"id": "GHSA-1"}]}] + [{}] * (count - 1)}) as (address, _):
        assert audit.main(address) == 1
    assert "GHSA-1" in capsys.readouterr().out
