"""The whole demo: prepare the audio, start broker, subscriber and node, follow them, sum up."""

import shutil
import tempfile
from collections.abc import Sized
from contextlib import ExitStack
from pathlib import Path

from earshot_node.demo.broker import HOST, EmbeddedBroker
from earshot_node.demo.drawing import draw_timeline
from earshot_node.demo.node_child import NODE, NodeChild
from earshot_node.demo.play import FILTERS, Play
from earshot_node.demo.screen import Screen
from earshot_node.demo.story import Story, Truth
from earshot_node.demo.subscriber import Subscriber
from earshot_node.errors import OperatorError


def run_demo(audio: Path | None, *, duration_s: float, screen: Screen | None = None) -> None:
    """Play the street scene, or `audio`, to a real node, and show what it tells over MQTT.

    Raises:
        OperatorError: something cannot start, or no siren of the scene was heard.
    """
    screen = screen or Screen()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="earshot-demo-")))
        if audio is None:
            screen.line("Synthesizing a street scene ...")
            audio, story = _write_scene(folder / "street.wav", duration_s)
        else:
            story = Story(_length_s(audio))
        screen.line("Starting an MQTT broker, a node with the bundled model, and a subscriber ...")
        broker = stack.enter_context(EmbeddedBroker())
        subscriber = stack.enter_context(Subscriber(HOST, broker.port, FILTERS))
        node = stack.enter_context(NodeChild(folder, audio, broker.port))
        _introduce(screen, story, broker.port)
        play = Play(story, node, subscriber, screen)
        with screen:
            play.run()
    _sum_up(screen, play)


def _write_scene(path: Path, duration_s: float) -> tuple[Path, Story]:
    from earshot_node.synth.scene import street_scene

    scene = street_scene(duration_s=duration_s)
    scene.write_wav(path)
    truths = [Truth(one.onset_s, one.offset_s, one.is_siren, one.note) for one in scene.events]
    return path, Story(scene.duration_s, truths)


def _length_s(audio: Path) -> float:
    import soundfile

    try:
        return float(soundfile.info(str(audio)).duration)
    except (soundfile.SoundFileError, OSError) as error:
        what = "no such file" if not audio.exists() else "cannot be read as audio"
        raise OperatorError(f"{audio}: {what}; give a WAV, FLAC, OGG, MP3 or Opus file") from error


def _introduce(screen: Screen, story: Story, port: int) -> None:
    what = (
        f"{count(story.sirens, 'siren')} and {count(story.traps, 'trap')} in traffic and wind"
        if story.truths
        else "your file"
    )
    screen.line(f"{story.duration_s:.0f} s of audio: {what}. Broker: {HOST}:{port}, topics: earshot/{NODE}/...")
    screen.line("EVENT lines are MQTT messages as the subscriber receives them. Ctrl-C ends it.")
    if story.truths:
        screen.line("A siren rises when its level passes the traffic's. S siren, t trap, # heard.")
    screen.line()


def _sum_up(screen: Screen, play: Play) -> None:
    story = play.story
    screen.line()
    for row in draw_timeline(story, story.duration_s, screen.width):
        screen.line(row)
    screen.line()
    for line in summary_lines(play):
        screen.line(line, "bold")
    screen.line()
    for line in next_steps(program_name()):
        screen.line(line)
    if story.sirens and not story.found():
        raise OperatorError(f"none of the {len(story.sirens)} sirens was heard; try `node-cli doctor`")


def summary_lines(play: Play) -> list[str]:
    """Return the figures of a run that has ended."""
    story = play.story
    lines = []
    if story.truths:
        heard = f"Heard {len(story.found())} of {count(story.sirens, 'siren')}"
        ignored = f"ignored {len(story.ignored_traps())} of {count(story.traps, 'trap')}"
        lines.append(f"{heard}, {count(story.false_alarms(), 'false alarm')}, {ignored}.")
    else:
        lines.append(f"Heard {count(story.heard, 'event')} in {story.duration_s:.1f} s.")
    notice_s, delay_s = story.median_notice_s(), story.median_delay_s()
    if notice_s is not None:
        lines.append(f"Median delay {notice_s:.1f} s from the siren's rise to the subscriber.")
    if delay_s is not None:
        lines.append(f"Median delay {delay_s * 1000:.0f} ms from the deciding sample to the subscriber.")
    load = "" if play.load is None else f", {play.load:.1%} of one core"
    lines.append(f"The node used {play.memory_mb:.0f} MB of memory{load}.")
    if play.announced:
        lines.append(f"Home Assistant on this broker would now show {count(play.announced, 'device')}.")
    return lines


def count(things: Sized, noun: str) -> str:
    """Return `1 siren`, `2 sirens`."""
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def next_steps(program: str) -> list[str]:
    """Return what to do after the demo, with commands as they are called here."""
    return [
        "Next",
        f"  a microphone    {program} devices, lists them with their stable ids",
        "  a broker        copy config/node.yaml, put in the microphone and your broker's address",
        f"  your node       {program} run --config node.yaml",
        f"  any audio file  {program} demo FILE, or at full speed: {program} analyze FILE",
    ]


def program_name() -> str:
    """Return how this machine's shell finds the program: installed, or in a checkout."""
    in_checkout = Path(__file__).resolve().parents[3] / "scripts" / "node"
    return "node-cli" if shutil.which("node-cli") or not in_checkout.exists() else "scripts/node"
