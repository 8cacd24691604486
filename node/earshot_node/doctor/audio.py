"""Can the sources of a configuration be heard?"""

import grp
import os
import shutil
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from earshot_node.audio.alsa_cards import CapturePcm, SystemRoots, capture_pcms, process_name
from earshot_node.audio.microphone_child import MISSING
from earshot_node.contract.config import FileSource, MicrophoneSource, Source, UrlSource
from earshot_node.doctor.finding import Finding, fail, ok, warn
from earshot_node.errors import EarshotError

_FFMPEG_FIX = "`sudo apt-get install ffmpeg`"
_PROBE_TIMEOUT_S = 10.0


def check_sources(sources: Sequence[Source], roots: SystemRoots = SystemRoots()) -> list[Finding]:  # noqa: B008
    """Check what each source needs; `roots` lets tests build a machine."""
    findings: list[Finding] = []
    microphones = [source for source in sources if isinstance(source, MicrophoneSource)]
    if microphones:
        findings += [check_pyaudio(), *check_sound_access(roots)]
        findings += [check_microphone(source, capture_pcms(roots), roots) for source in microphones]
    if any(isinstance(source, UrlSource) for source in sources):
        findings.append(check_ffmpeg())
    findings += [check_file(source) for source in sources if isinstance(source, FileSource)]
    return findings


def check_pyaudio() -> Finding:
    """Is PyAudio installed?"""
    if find_spec("pyaudio") is None:
        what, _, fix = MISSING.partition("; ")
        return fail("PyAudio", what, fix)
    return ok("PyAudio", "installed")


def check_ffmpeg() -> Finding:
    """Is ffmpeg installed and does it start?"""
    program = shutil.which("ffmpeg")
    if program is None:
        return fail("ffmpeg", "not installed; sources of type url need it", _FFMPEG_FIX)
    try:
        result = subprocess.run(
            [program, "-version"], capture_output=True, text=True, timeout=_PROBE_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        return fail("ffmpeg", f"{program} does not start ({error})", _FFMPEG_FIX)
    return ok("ffmpeg", result.stdout.splitlines()[0].partition(" Copyright")[0])


def check_sound_access(roots: SystemRoots = SystemRoots()) -> list[Finding]:  # noqa: B008
    """May this user open the sound devices?"""
    folder = roots.dev / "snd"
    devices = sorted(folder.glob("pcmC*c")) if folder.is_dir() else []
    if not devices:
        return [
            warn(
                "sound devices",
                f"no capture device in {folder}; only a sound server (PulseAudio, PipeWire) can deliver audio",
                "plug a microphone in; in a container pass the devices in (`--device /dev/snd`)",
            )
        ]
    closed = [device.name for device in devices if not os.access(device, os.R_OK | os.W_OK)]
    if closed:
        return [
            fail(
                "sound devices",
                f"user {_user_name()} may not open {', '.join(closed)}{_group_remark()}",
                "`sudo usermod -aG audio $(id -un)`, then log in again or restart the service",
            )
        ]
    return [ok("sound devices", f"{len(devices)} capture device{'s' if len(devices) > 1 else ''}, may be opened")]


def check_microphone(
    source: MicrophoneSource,
    present: Sequence[CapturePcm],
    roots: SystemRoots = SystemRoots(),  # noqa: B008
) -> Finding:
    """Is the microphone there, and free?"""
    check = f"source {source.id}"
    if source.device == "default" or source.device.startswith("alsa:"):
        return ok(check, f"uses {source.device!r}, which the system chooses")
    found = [pcm for pcm in present if pcm.stable_id == source.device]
    if not found:
        there = ", ".join(pcm.stable_id for pcm in present) or "none"
        return fail(
            check, f"microphone {source.device} is absent", f"plug it in, or choose one of those present: {there}"
        )
    pcm = found[0]
    if pcm.owner_pid and (name := process_name(roots, pcm.owner_pid)):
        own = "node-cli" in _command_line(roots, pcm.owner_pid) or "earshot_node" in _command_line(roots, pcm.owner_pid)
        if own:
            return ok(check, f"{pcm.name} is in use by a running node (process {pcm.owner_pid})")
        return fail(
            check,
            f"{pcm.name} is held by process {pcm.owner_pid} ({name})",
            f"stop {name}, or let both go through a sound server with device: default",
        )
    return ok(check, f"{pcm.name} is there and free")


def check_file(source: FileSource) -> Finding:
    """Is the file there, and audio?"""
    check = f"source {source.id}"
    path = Path(source.path)
    if not path.is_file():
        return fail(check, f"{path} does not exist", "relative paths start at the configuration's folder")
    try:
        import soundfile

        info = soundfile.info(str(path))
    except (EarshotError, RuntimeError, OSError) as error:
        return fail(check, f"{path} is not readable as audio ({error})", "use WAV, FLAC, OGG, MP3 or Opus")
    return ok(check, f"{path.name}: {info.duration:.1f} s, {info.samplerate} Hz, {info.channels} channels")


def _user_name() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _group_remark() -> str:
    try:
        audio = grp.getgrnam("audio").gr_gid
    except KeyError:
        return ""
    return "" if audio in {*os.getgroups(), os.getegid()} else ": it is not in the group audio"


def _command_line(roots: SystemRoots, pid: int) -> str:
    try:
        return (roots.proc / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
