"""The gauge's time: the least watermark over the join tasks, the clock of the ticks, and nothing else."""

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.gauge.clock import GaugeClock
from streams.outcomes import Tick


def _tick(task: int, watermark: int | None, *, tasks: int = 2, idle: bool = False, clock: int = 1) -> Tick:
    return Tick(task, tasks, watermark, idle, True, clock)


def test_there_is_no_watermark_until_every_join_task_has_ticked() -> None:
    clock = GaugeClock()
    assert clock.tick(_tick(0, 100)).watermark is None
    assert clock.tick(_tick(1, 50)).watermark == 50


def test_an_idle_join_task_is_left_out() -> None:
    clock = GaugeClock()
    clock.tick(_tick(0, 100))
    assert clock.tick(_tick(1, 50, idle=True)).watermark == 100


def test_event_time_stands_still_when_all_are_idle() -> None:
    clock = GaugeClock()
    clock.tick(_tick(0, 100))
    clock.tick(_tick(1, 90))
    clock.tick(_tick(0, 200, idle=True))
    assert clock.tick(_tick(1, 300, idle=True)).watermark == 90


def test_a_task_that_speaks_but_has_no_watermark_holds_the_others_back() -> None:
    clock = GaugeClock()
    clock.tick(_tick(0, 100))
    assert clock.tick(_tick(1, None)).watermark is None


def test_we_have_caught_up_when_all_join_tasks_have() -> None:
    clock = GaugeClock()
    assert not clock.tick(Tick(0, 2, 1, False, True, 1)).caught_up
    assert not clock.tick(Tick(1, 2, 1, False, False, 1)).caught_up
    assert clock.tick(Tick(1, 2, 1, False, True, 1)).caught_up


@settings(derandomize=True, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.none() | st.integers(0, 100), st.booleans(), st.integers(0, 100))),
    st.integers(0, 30),
)
def test_time_never_falls_and_a_restored_clock_goes_on_as_if_never_stopped(
    ticks: list[tuple[int, int | None, bool, int]], cut: int
) -> None:
    clock, before = GaugeClock(), (0, -1)
    for i, (task, watermark, idle, at) in enumerate(ticks):
        if i == cut:
            restored = GaugeClock()
            restored.restore(clock.snapshot())
            clock = restored
        now = clock.tick(_tick(task, watermark, tasks=3, idle=idle, clock=at))
        time = (now.clock, -1 if now.watermark is None else now.watermark)
        assert time[0] >= before[0]
        assert time[1] >= before[1]
        before = time
