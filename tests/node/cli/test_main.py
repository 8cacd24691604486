"""`node-cli` as a program: instant help, one-line errors, exit codes, examples that parse."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from earshot_node import __version__
from earshot_node.cli.lazy_group import HELP_SETTINGS, LazyCommand, LazyGroup, run_program
from earshot_node.cli.main import COMMANDS, PROGRAM, cli
from earshot_node.errors import OperatorError

HEAVY = ("numpy", "onnxruntime", "torch", "soundfile", "soxr", "paho", "aiohttp", "pydantic", "rich", "amqtt")
NODE_CLI = Path(sys.executable).with_name("node-cli")


def run(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([NODE_CLI, *args], capture_output=True, text=True, timeout=60, check=False)


def with_subcommands(name: str) -> list[tuple[str, click.Command]]:
    """A command and what is below it, each with its words."""
    command = COMMANDS[name].load()
    below = command.commands if isinstance(command, click.Group) else {}
    return [(name, command), *((f"{name} {inner}", below[inner]) for inner in below)]


def examples(command: click.Command) -> list[list[str]]:
    """The words after `node-cli` of every example in a command's help."""
    lines = re.findall(r"^\s*(?:[A-Z_]+=\S+ )*node-cli (.+)$", f"{command.help}\n{command.epilog}", re.MULTILINE)
    return [shlex.split(re.split(r" [|><&#]", line)[0]) for line in lines]


def test_help_is_instant() -> None:
    taken_s = []
    for _ in range(3):
        process = subprocess.Popen([NODE_CLI, "--help"], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        taken_s.append(usage.ru_utime + usage.ru_stime)  # processor time: other tests may be busy beside this one
    assert min(taken_s) < 0.4


def test_help_and_version_import_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from earshot_node.cli.main import main\n"
        "try: main([sys.argv[1]])\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        f"print('loaded', [name for name in {HEAVY} if name in sys.modules])\n"
    )
    for flag in ("--help", "-h", "--version"):
        result = subprocess.run([sys.executable, "-c", code, flag], capture_output=True, text=True, check=True)
        assert "loaded []" in result.stdout, result.stdout


def test_no_command_loads_torch() -> None:
    code = (
        "import sys\n"
        "from earshot_node.cli.main import COMMANDS\n"
        "for command in COMMANDS.values(): command.load()\n"
        "print('loaded', [name for name in ('torch', 'torchaudio', 'earshot_trainer') if name in sys.modules])\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "loaded []"


def test_inference_library_keeps_no_id_for_its_telemetry(tmp_path: Path) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    result = subprocess.run(
        [NODE_CLI, "doctor"], env={**environment, "TMPDIR": str(folder)}, capture_output=True, text=True, check=False
    )
    assert "self-test" in result.stdout
    assert list(folder.iterdir()) == []


def test_version_is_the_packages() -> None:
    assert run("--version").stdout == f"earshot {__version__}\n"


def test_help_lists_every_command_with_its_line() -> None:
    text = run("-h").stdout
    assert len(COMMANDS) == 13
    for name, lazy in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(lazy.summary)}$", text, re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_an_example_that_parses(name: str) -> None:
    for words, command in with_subcommands(name):
        assert command.help, words
        found = examples(command)
        assert found, f"{words} has no example"
        for example in found:
            assert " ".join(example).startswith(words)
            parse_down(cli.make_context(PROGRAM, list(example)), cli)


def parse_down(context: click.Context, group: click.Group) -> None:
    """Parse the words that a group left over, without running anything."""
    rest = [*context._protected_args, *context.args]
    _, command, remaining = group.resolve_command(context, rest)
    assert command is not None
    inner = command.make_context(command.name, remaining, parent=context)
    if isinstance(command, click.Group):
        parse_down(inner, command)


def test_usage_errors_are_one_line_and_exit_2() -> None:
    for args in (["nonsense"], ["config", "check"], ["config", "chekc"], ["--nonsense"]):
        result = run(*args)
        assert result.returncode == 2
        assert len(result.stderr.splitlines()) == 1
        assert result.stderr.startswith("error: ")
        assert " -h`" in result.stderr


def test_program_without_a_command_shows_its_help() -> None:
    result = run()
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) > 10
    assert result.stderr.startswith("Usage: node-cli")


def test_failures_are_one_line_and_exit_1(tmp_path: Path) -> None:
    result = run("config", "check", str(tmp_path / "absent.yaml"))
    assert result.returncode == 1
    assert result.stdout == ""
    assert re.fullmatch(r"error: .*absent.yaml: no such file; .*\n", result.stderr)


def test_debug_adds_the_traceback(tmp_path: Path) -> None:
    result = run("--debug", "config", "check", str(tmp_path / "absent.yaml"))
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("error: ")


def group_that(command: click.Command) -> click.Group:
    group = LazyGroup(name="program", lazy={})
    group.add_command(command, "act")
    return group


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (OperatorError("a: wrong\nfix it"), 1, "error: a: wrong fix it\n"),
        (ValueError("odd"), 1, "error: unexpected ValueError: odd; `program --debug ...` shows where\n"),
        (KeyboardInterrupt(), 130, ""),
        (click.Abort(), 130, ""),
        (click.UsageError("no such thing."), 2, "error: no such thing; see `program act -h`\n"),
    ],
)
def test_what_a_command_raises_becomes_an_exit_code(
    raised: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command()
    def act() -> None:
        raise raised

    assert run_program(group_that(act), "program", ["act"]) == code
    assert capsys.readouterr().err.lstrip("\n") == said


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (3, 3)])
def test_what_a_command_returns_is_the_exit_code(returned: int | None, code: int) -> None:
    @click.command()
    def act() -> int | None:
        return returned

    assert run_program(group_that(act), "program", ["act"]) == code


def test_lazy_command_gets_short_help_flag() -> None:
    command = LazyCommand("earshot_node.cli.config:config", "").load()
    assert command.context_settings["help_option_names"] == HELP_SETTINGS["help_option_names"]
