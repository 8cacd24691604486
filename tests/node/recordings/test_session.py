"""A session keeps, repeats and drops takes as the person or the script decides."""

import io
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import pytest
from support.recording_parts import SIREN, noise_draft

from earshot_node.contract.recordings import Labelling, RecordingInfo
from earshot_node.errors import SourceError
from earshot_node.recordings.desks import PlainDesk, Tally, TerminalDesk
from earshot_node.recordings.session import Desk, Plan, Session, Verdict
from earshot_node.recordings.studio import StudioInfo, TakeMade
from earshot_node.recordings.take import Progress, Warning_


class FakeStudio:
    """Makes takes of given peak levels; None breaks off."""

    def __init__(self, peaks_dbfs: Sequence[float | None]) -> None:
        self.countdowns: list[float] = []
        self.kept: list[str] = []
        self.dropped: list[str] = []
        self._peaks = iter(peaks_dbfs)

    def describe(self) -> StudioInfo:
        raise NotImplementedError

    def record(self, source: str, seconds: float, countdown_s: float) -> Iterator[Progress | TakeMade]:
        self.countdowns.append(countdown_s)
        peak = next(self._peaks)
        yield Progress("recording", 0.1, -30.0, clipped=False)
        if peak is None:
            raise SourceError(f"{source}: audio was lost")
        info = noise_draft(1, 0.1).info(None)
        level = {"peak_dbfs": peak, "level_dbfs": peak - 10, "clipped_share": 0.1 if peak == 0 else 0.0}
        yield TakeMade(f"take{len(self.countdowns)}", info.model_copy(update=level))

    def keep(self, take_id: str, labelling: Labelling) -> RecordingInfo:
        self.kept.append(take_id)
        return noise_draft(1, 0.1).info(labelling)

    def drop(self, take_id: str) -> None:
        self.dropped.append(take_id)

    def label_event(self, event_id: str, labelling: Labelling) -> RecordingInfo:
        raise NotImplementedError

    def close(self) -> None:
        pass


class ScriptedDesk:
    """Answers as written down."""

    def __init__(self, verdicts: list[Verdict], *, pauses: bool) -> None:
        self.pauses = pauses
        self._verdicts = iter(verdicts)

    def show(self, number: int, progress: Progress) -> None:
        pass

    def ask(self, number: int, info: RecordingInfo, found: tuple[Warning_, ...]) -> Verdict:
        return next(self._verdicts)

    def kept(self, number: int, info: RecordingInfo) -> None:
        pass

    def trouble(self, number: int, problem: str) -> Verdict:
        return next(self._verdicts)


def run(studio: FakeStudio, desk: Desk, count: int, *, gap_s: float = 2.0, background: bool = False) -> int:
    plan = Plan("street", 1.0, count, gap_s, background)
    return len(Session(studio, desk, plan, lambda: SIREN).run())


def test_all_takes_are_kept_with_the_gap_between_them() -> None:
    studio = FakeStudio([-10] * 3)
    assert run(studio, ScriptedDesk(["keep"] * 3, pauses=False), 3) == 3
    assert studio.countdowns == [3.0, 2.0, 2.0]
    assert (studio.kept, studio.dropped) == (["take1", "take2", "take3"], [])


def test_desk_that_let_the_gap_pass_gets_no_second_one() -> None:
    studio = FakeStudio([-10, 0, -10])
    assert run(studio, ScriptedDesk(["keep"] * 3, pauses=True), 3) == 3
    assert studio.countdowns == [3.0, 0.0, 3.0]  # after a question about a clipped take the person needs a moment


def test_redo_and_drop_keep_nothing_and_only_redo_repeats() -> None:
    studio = FakeStudio([-10] * 4)
    assert run(studio, ScriptedDesk(["redo", "keep", "drop", "keep"], pauses=False), 3) == 2
    assert (studio.kept, studio.dropped) == (["take2", "take4"], ["take1", "take3"])


def test_quit_drops_the_take_and_ends_while_keep_and_quit_keeps_it() -> None:
    for verdict, kept in (("quit", 1), ("keep_and_quit", 2)):
        studio = FakeStudio([-10] * 5)
        desk = ScriptedDesk(["keep", verdict], pauses=False)  # type: ignore[list-item]
        assert run(studio, desk, 5) == kept
        assert len(studio.countdowns) == 2


def test_take_that_breaks_off_can_be_tried_again() -> None:
    studio = FakeStudio([None, -10])
    assert run(studio, ScriptedDesk(["redo", "keep"], pauses=False), 1) == 1


def test_interrupt_while_asked_drops_the_take() -> None:
    class Interrupting(ScriptedDesk):
        def ask(self, number: int, info: RecordingInfo, found: tuple[Warning_, ...]) -> Verdict:
            raise KeyboardInterrupt

    studio = FakeStudio([-10])
    with pytest.raises(KeyboardInterrupt):
        run(studio, Interrupting([], pauses=False), 1)
    assert (studio.kept, studio.dropped) == ([], ["take1"])


def test_script_drops_silence_keeps_the_rest_and_ends_when_audio_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    studio = FakeStudio([-100, -10, 0, None, -10])
    assert run(studio, PlainDesk(Tally("siren", 4, 20), 5, as_json=False), 5) == 2
    said = capsys.readouterr().err
    assert "1/5 warning: digital silence" in said
    assert "1/5 not kept" in said
    assert "2/5 kept" in said
    assert "siren: 5 of 20" in said
    assert "3/5 warning: clipped" in said
    assert said.splitlines()[-1] == "4/5 street: audio was lost"


class Keys:
    """A keyboard that a test plays on; '' is nobody pressing within the time."""

    def __init__(self, pressed: Sequence[str]) -> None:
        self._pressed = iter(pressed)

    def key(self, timeout_s: float | None) -> str:
        return next(self._pressed, "" if timeout_s is not None else "q")

    def forget(self) -> None:
        pass


def terminal(pressed: Sequence[str], screen: io.StringIO, count: int = 3) -> TerminalDesk:
    return TerminalDesk(Keys(pressed), Tally("siren", 0, 20), count, 0.3, screen)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("peak", "pressed", "kept"),
    [
        (-10, [], 3),
        (-10, ["", "r"], 3),
        (-10, ["x", "q"], 1),
        (-100, ["q"], 0),
        (-100, ["x", "k", "d", "k"], 2),
        (0, ["r", "k", "k", "q"], 2),
    ],
)
def test_person_at_a_terminal(peak: float, pressed: list[str], kept: int) -> None:
    screen = io.StringIO()
    assert run(FakeStudio([peak] * 9), terminal(pressed, screen), 3, gap_s=0.3) == kept
    assert screen.getvalue().count("\n") >= kept
    assert "RECORDING  0.1 s" in screen.getvalue()


def test_quiet_background_is_kept_without_a_question() -> None:
    assert run(FakeStudio([-80]), terminal([], io.StringIO(), 1), 1, background=True) == 1


def test_labelling_is_of_the_moment_of_keeping() -> None:
    times = iter([datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC)])
    plan = Plan("street", 1.0, 2, 0.0, background=False)

    def labelling() -> Labelling:
        return Labelling(labels=("siren",), by="command_line", time=next(times))

    session = Session(FakeStudio([-10, -10]), ScriptedDesk(["keep", "keep"], pauses=False), plan, labelling)
    kept = [info.labelling.time.day for info in session.run() if info.labelling is not None]
    assert kept == [22, 23]
