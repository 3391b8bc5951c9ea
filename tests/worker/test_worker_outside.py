"""What surrounds the loop: HTTP, merged metrics, skew, batches, journal, the test hook, the watchdog's answers."""

from __future__ import annotations

import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from worker_rig import Rig

from streams.log import Committed
from streams.records import RecordBatch, TopicPartition
from streams.state import StateError
from streams.worker import Misfit, Telemetry
from streams.worker.batches import join_batches
from streams.worker.commit import CommitCounts
from streams.worker.exposition import merge_expositions
from streams.worker.http import Answers, HttpServer
from streams.worker.journal import MOST_LANDED, Envelope, Ledger, Terms, envelope_record, open_envelope
from streams.worker.skew import Skew
from streams.worker.stop_at import StopAt
from tests.service import wait_until

A, B = TopicPartition("a", 0), TopicPartition("b", 0)


def fetch(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


def test_http_says_alive_ready_and_metrics() -> None:
    ready = [False]
    answers = Answers(lambda: (True, "alive"), lambda: (ready[0], "tasks"), lambda: b"x 1\n")
    server = HttpServer("127.0.0.1", 0, answers)
    try:
        assert fetch(server.port, "/livez") == (200, "alive\n")
        assert fetch(server.port, "/readyz") == (503, "tasks\n")
        ready[0] = True
        assert fetch(server.port, "/readyz")[0] == 200
        assert fetch(server.port, "/metrics") == (200, "x 1\n")
        assert fetch(server.port, "/")[0] == 404
        with pytest.raises(Misfit, match=r"http\.port"):
            HttpServer("127.0.0.1", server.port, answers)
    finally:
        server.close()


def test_metrics_that_nobody_has_are_no_good_answer() -> None:
    server = HttpServer("127.0.0.1", 0, Answers(lambda: (True, "alive"), lambda: (True, "ready"), lambda: None))
    try:
        assert fetch(server.port, "/metrics") == (503, "no stage answers\n")
    finally:
        server.close()


def test_a_client_that_goes_away_before_its_answer_leaves_no_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    asked, gone = threading.Event(), threading.Event()

    def slow() -> bytes:
        asked.set()
        assert gone.wait(30)
        return b"x" * 1_000_000

    server = HttpServer("127.0.0.1", 0, Answers(lambda: (True, "alive"), lambda: (True, "ready"), slow))
    try:
        client = socket.create_connection(("127.0.0.1", server.port))
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert asked.wait(30)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, not an end
        client.close()
        gone.set()
        wait_until(
            lambda: all("process_request_thread" not in each.name for each in threading.enumerate()),
            30,
            "it is answered",
        )
    finally:
        server.close()
    assert "Traceback" not in capfd.readouterr().err


def test_a_worker_is_ready_once_its_tasks_are_restored_and_tells_its_figures() -> None:
    rig = Rig()
    worker = rig.join()
    assert not worker.telemetry.status.ready
    rig.send(4)
    rig.settle(worker)
    assert worker.telemetry.status.ready
    text = worker.telemetry.exposition().decode()
    assert 'streamgauge_input_records_total{stage="join",topic="predictions"} 2.0' in text
    assert 'streamgauge_input_delay_seconds_total{stage="join",topic="predictions"}' in text
    assert 'streamgauge_ready{stage="join"} 1.0' in text
    assert 'streamgauge_transactions_total{outcome="committed",stage="join"}' in text
    worker.close()
    assert not worker.telemetry.status.ready


def test_the_delay_is_from_each_records_timestamp_to_the_commit_and_leaves_out_those_that_tell_no_past() -> None:
    telemetry = Telemetry("join", "dead-letters", "alerts")
    stamps = np.array([1_000, 2_000, -1, 9_000], dtype=np.int64)  # one without a timestamp, one ahead of our clock
    batch = RecordBatch(A, np.arange(4, dtype=np.int64), stamps, [b""] * 4)
    for clock in (4_000, 4_500):
        telemetry.committed({}, [batch], 0.1, CommitCounts(), clock)
    text = telemetry.exposition().decode()
    assert 'streamgauge_input_delay_seconds_total{stage="join",topic="a"} 11.0' in text  # 3 + 2, then 3.5 + 2.5
    assert 'streamgauge_input_records_total{stage="join",topic="a"} 8.0' in text


def test_expositions_of_two_processes_become_one_family_each() -> None:
    one = '# HELP m_total Things.\n# TYPE m_total counter\nm_total{stage="join"} 1.0\n'
    two = (
        '# HELP m_total Things.\n# TYPE m_total counter\nm_total{stage="gauge"} 2.0\n# HELP g G.\n# TYPE g gauge\ng 3\n'
    )
    assert merge_expositions([one, two]) == (
        '# HELP m_total Things.\n# TYPE m_total counter\nm_total{stage="join"} 1.0\nm_total{stage="gauge"} 2.0\n'
        "# HELP g G.\n# TYPE g gauge\ng 3\n"
    )


def test_a_histogram_keeps_its_samples_under_one_head() -> None:
    text = '# HELP h H.\n# TYPE h histogram\nh_bucket{le="1"} 1\nh_count 1\nh_sum 1\n'
    assert merge_expositions([text]) == text


def test_a_partition_far_ahead_is_paused_and_comes_back_at_half_the_limit() -> None:
    skew = Skew(1000)
    assert skew.judge((A, B), {A: 5000, B: 3000}, set()) == ([A], [])
    assert skew.judge((A, B), {A: 5000, B: 4200}, set()) == ([], [])
    assert skew.judge((A, B), {A: 5000, B: 4500}, set()) == ([], [A])


def test_a_partition_at_its_end_or_without_a_time_holds_nobody_back() -> None:
    skew = Skew(1000)
    assert skew.judge((A, B), {A: 5000, B: 1000}, {B}) == ([], [])
    assert skew.judge((A, B), {A: 5000}, set()) == ([], [])
    assert skew.judge((A, B), {A: 5000, B: 1000}, set()) == ([A], [])
    assert skew.judge((A, B), {A: 5000, B: 1000}, {B}) == ([], [A])


def test_batches_of_one_partition_become_one_with_their_keys() -> None:
    def batch(source: TopicPartition, start: int, count: int) -> RecordBatch:
        offsets = np.arange(start, start + count)
        return RecordBatch(source, offsets, offsets * 10, [b"%d" % i for i in offsets], lambda i: b"k%d" % (start + i))

    joined = join_batches([batch(A, 0, 2), batch(B, 0, 1), batch(A, 5, 3)])
    assert [each.source for each in joined] == [A, B]
    assert joined[0].offsets.tolist() == [0, 1, 5, 6, 7]
    assert joined[0].timestamps.tolist() == [0, 10, 50, 60, 70]
    assert [joined[0].key(i) for i in range(5)] == [b"k0", b"k1", b"k5", b"k6", b"k7"]
    assert list(joined[0].values) == [b"0", b"1", b"5", b"6", b"7"]


def test_an_envelope_comes_back_as_it_went_and_damage_is_seen() -> None:
    record = envelope_record(A, Envelope(7, 3, {B: Committed(42, '{"commit":7}')}, b"block", Terms(5, 6, "7"))).record
    assert record.value is not None
    envelope = open_envelope(record.value)
    assert (envelope.commit, envelope.floor, envelope.sources, envelope.block) == (
        7, 3, {B: Committed(42, '{"commit":7}')}, b"block",
    )  # fmt: skip
    with pytest.raises(StateError):
        open_envelope(record.value[:-1] + b"?")


def test_a_ledger_trims_to_the_first_block_of_the_floor_and_never_past_the_newest() -> None:
    ledger = Ledger(A)
    for commit, offset in [(1, 0), (2, 3), (2, 4), (3, 9)]:
        ledger.landed(commit, offset)
    assert ledger.trim(1) is None
    assert ledger.trim(2) == (A, 3)
    assert ledger.trim(2) is None
    assert ledger.trim(99) == (A, 9)


def test_a_ledger_of_very_many_commits_is_bounded_and_never_trims_what_is_needed() -> None:
    ledger = Ledger(A)
    draw = random.Random(7)
    offset, first = 0, {}
    floor = 1
    for commit in range(1, 60_001):
        first[commit] = offset
        for _ in range(draw.choice((1, 1, 3))):
            ledger.landed(commit, offset)
            offset += 1
        assert len(ledger) <= MOST_LANDED
        if commit % 997 == 0:
            floor = max(floor, commit - draw.randrange(20_000, 40_000))
            cut = ledger.trim(floor)
            assert cut is None or cut[1] <= first[floor]
    assert ledger.trim(60_000) == (A, first[60_000])


@pytest.mark.parametrize("told", ["produced", "nowhere:1", "begin:x"])
def test_a_wrong_test_hook_is_refused(told: str) -> None:
    with pytest.raises(ValueError, match="STREAMGAUGE_TEST_STOP_AT"):
        StopAt(told)


def test_the_test_hook_blocks_at_the_nth_time_and_says_so() -> None:
    code = (
        "from streams.worker.stop_at import StopAt\n"
        "stop = StopAt('produced:2')\n"
        "stop.reached('begin'); stop.reached('produced'); print('first', flush=True); stop.reached('produced')\n"
        "print('never', flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with process:
        assert process.stderr is not None and process.stdout is not None
        assert process.stderr.readline() == b"streamgauge-stopped-at produced\n"
        assert process.poll() is None
        process.kill()
        assert process.stdout.read() == b"first\n"


def test_the_test_hook_lets_go_when_it_is_told_to_continue() -> None:
    code = "from streams.worker.stop_at import StopAt; StopAt('begin:1').reached('begin'); print('on', flush=True)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with process:
        assert process.stderr is not None and process.stdout is not None
        assert process.stderr.readline() == b"streamgauge-stopped-at begin\n"
        process.send_signal(signal.SIGSTOP)
        process.send_signal(signal.SIGCONT)
        assert process.stdout.read() == b"on\n"


def test_the_test_hook_is_told_anew_by_its_file(tmp_path: Path) -> None:
    code = (
        "from streams.worker.stop_at import StopAt\n"
        f"stop = StopAt('@{tmp_path}/told', 'join')\n"
        "while True:\n"
        "    stop.reached('begin'); stop.reached('produced')\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    with process:
        assert process.stderr is not None
        for order, step in [("gauge.begin:1", ""), ("join.begin:2#1", "begin"), ("join.begin:2#2", "begin"),
                            ("join.produced:1", "produced")]:  # fmt: skip
            (tmp_path / "new").write_text(order)
            (tmp_path / "new").replace(tmp_path / "told")
            if step:
                assert process.stderr.readline() == f"streamgauge-stopped-at {step}\n".encode()
                process.send_signal(signal.SIGCONT)
        process.kill()


def test_a_loop_that_hangs_ends_the_process_with_exit_1_and_says_where_it_stood() -> None:
    code = (
        "import threading\n"
        "from streams.worker import watchdog\n"
        "watchdog.FIRST_LIMIT = 0.5\n"
        "watchdog.Watchdog()\n"
        "def hangs(): threading.Event().wait()\n"
        "hangs()\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert b"the loop has not turned" in ended.stderr and b"in hangs" in ended.stderr


def test_a_watchdog_that_is_beaten_or_closed_ends_nothing() -> None:
    code = (
        "import threading\n"
        "from streams.worker import watchdog\n"
        "watchdog.FIRST_LIMIT = 1.5\n"
        "dog = watchdog.Watchdog()\n"
        "for _ in range(25): dog.beat(); threading.Event().wait(0.1)\n"
        "assert dog.alive() == (True, 'alive')\n"
        "dog.close(); threading.Event().wait(2.5)\n"
        "assert not dog.alive()[0]\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
