"""Configuration: file, environment and flags, and what is said about mistakes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from yaml import safe_load

from earshot_node.configuration.file import (
    MASK,
    check_labels,
    load_config,
    masked_yaml,
    parse_assignments,
    state_folder,
)
from earshot_node.configuration.problems import ConfigProblemsError
from earshot_node.configuration.schema import config_schema, environment_names, schema_at
from earshot_node.errors import ConfigError

Write = Callable[[str], Path]
MICROPHONE = "sources: [{id: hallway, type: microphone}]\n"


@pytest.fixture
def written(tmp_path: Path) -> Write:
    """Write a configuration and return its path."""

    def write(text: str) -> Path:
        path = tmp_path / "node.yaml"
        path.write_text(text)
        return path

    return write


def problem(path: Path, environ: dict[str, str] | None = None, **overrides: object) -> str:
    """Return what is said about a configuration that must not load."""
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ or {}, overrides)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_every_example_loads_and_fits_its_schema(repository: Path) -> None:
    examples = sorted((repository / "config").glob("*.yaml"))
    assert [path.name for path in examples] == ["camera.yaml", "files.yaml", "house.yaml", "node.yaml"]
    validator = Draft202012Validator(config_schema())
    for path in examples:
        assert load_config(path, {}).sources
        assert path.read_text().startswith("# yaml-language-server: $schema=node.schema.json\n")
        validator.validate(safe_load(path.read_text()))


def test_committed_schema_is_current(repository: Path) -> None:
    committed = json.loads((repository / "config" / "node.schema.json").read_text())
    assert committed == config_schema(), "run `node-cli config schema > config/node.schema.json`"


def test_node_without_id_is_named_after_the_host(written: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "Living Room_Pi.local")
    assert load_config(written(MICROPHONE), {}).node.id == "living-room_pi"
    assert load_config(written(MICROPHONE + "node: {area: Attic}\n"), {}).node.id == "living-room_pi"
    assert load_config(written(MICROPHONE + "node: {id: attic}\n"), {}).node.id == "attic"
    assert load_config(written(MICROPHONE + "node:\n"), {}).node.id == "living-room_pi"


def test_flags_beat_environment_beats_file_beats_defaults(written: Write) -> None:
    path = written(MICROPHONE + "mqtt: {host: file.lan}\n")
    assert load_config(written(MICROPHONE), {}).mqtt.host == "localhost"
    path = written(MICROPHONE + "mqtt: {host: file.lan}\n")
    assert load_config(path, {}).mqtt.host == "file.lan"
    environ = {"EARSHOT_MQTT_HOST": "environment.lan"}
    assert load_config(path, environ).mqtt.host == "environment.lan"
    assert load_config(path, environ, {"mqtt.host": "flag.lan"}).mqtt.host == "flag.lan"


def test_environment_values_have_the_type_of_their_key(written: Write) -> None:
    environ = {
        "EARSHOT_MQTT_PASSWORD": "0123",
        "EARSHOT_MQTT_PORT": "1884",
        "EARSHOT_MQTT_TLS_CA_FILE": "/etc/ca.pem",
        "EARSHOT_LABELS": "siren, horn",
        "EARSHOT_HOME_ASSISTANT_ENABLED": "false",
        "EARSHOT_SOURCE_HALLWAY_GAIN_DB": "6",
        "EARSHOT_MQTT_PROTOCOL": "5",
        "EARSHOT_LOG_LEVEL": "debug",
        "EARSHOT_MQTT_USERNAME": "",
        "EARSHOT_DATA": "/data",
        "HOME": "/root",
    }
    config = load_config(written(MICROPHONE), environ)
    assert config.mqtt.password.get_secret_value() == "0123"
    assert config.mqtt.port == 1884
    assert config.mqtt.tls is not None
    assert config.mqtt.tls.ca_file == "/etc/ca.pem"
    assert config.mqtt.effective_port == 1884
    assert config.labels == ("siren", "horn")
    assert config.home_assistant.enabled is False
    assert config.sources[0].gain_db == 6
    assert config.log_level == "debug"


def test_every_environment_name_reaches_a_key() -> None:
    names = dict(environment_names())
    assert len(names) > 30
    assert "EARSHOT_MQTT_TLS_KEY_FILE" in names
    for location in names.values():
        assert schema_at(location) is not None


def test_misspelt_environment_variable_is_named(written: Write) -> None:
    assert "EARSHOT_MQTT_PASWORD" in problem(written(MICROPHONE), {"EARSHOT_MQTT_PASWORD": "x"})
    assert "did you mean 'EARSHOT_MQTT_PASSWORD'" in problem(written(MICROPHONE), {"EARSHOT_MQTT_PASWORD": "x"})
    assert "EARSHOT_SOURCE_HALL_NAME" in problem(written(MICROPHONE), {"EARSHOT_SOURCE_HALL_NAME": "x"})


def test_wrong_value_from_the_environment_names_the_variable(written: Write) -> None:
    said = problem(written(MICROPHONE), {"EARSHOT_MQTT_PORT": "many"})
    assert said == "environment variable EARSHOT_MQTT_PORT: mqtt.port: expected a valid integer, found 'many'"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sources:\n  - {id: a, type: microphone, devic: x}\n", ":2: sources[0].devic: unknown key; did you mean 'dev"),
        ("sources:\n  - {id: a, type: mikrophone}\n", ":2: sources[0]: type 'mikrophone' is unknown"),
        ("sources:\n  - {id: a}\n", ":2: sources[0]: needs a `type`"),
        ("sources:\n  - {id: a, type: file}\n", ":2: sources[0].path: is missing"),
        ("sources:\n  - {id: a, type: url, url: 5}\n", ":2: sources[0].url: expected a text"),
        ("sources: []\n", ":1: sources: list at least one source"),
        ("node: {id: a}\n", "sources: is missing; list what to listen to"),
        ("", "sources: is missing"),
        ("sources:\n  - {id: A b, type: microphone}\n", ":2: sources[0].id: 'A b' is not a valid id"),
        (MICROPHONE + "mqtt:\n  port: 99999\n", ":3: mqtt.port: expected less than or equal to 65535, found 99999"),
        (MICROPHONE + "mqtt:\n  prot: 1\n", ":3: mqtt.prot: unknown key; did you mean 'port'?"),
        (MICROPHONE + "detection:\n  preset: loud\n", ":3: detection.preset: expected 'quiet', 'balanced' or 'sens"),
        (MICROPHONE + "detection:\n  sensitivity: 150\n", ":3: detection.sensitivity: unknown key; known are preset, "),
        (MICROPHONE + "labels: [Siren]\n", ":2: labels[0]: 'Siren' is not a valid label"),
        (MICROPHONE + "labels: siren\n", ":2: labels: expected a valid"),
        (MICROPHONE + "node:\n  id: 12\n", ":3: node.id: expected a text, found 12; put it in quotes"),
        (MICROPHONE + "mqtt: localhost\n", ":2: mqtt: expected `key: value` lines, found 'localhost'"),
        ("sources: [{id: a, type: stdin}, {id: a, type: stdin}]\n", "two sources have the id 'a'"),
        (MICROPHONE + "mqtt: {host: a}\nmqtt: {host: b}\n", ":3: 'mqtt' stands here and in line 2; keep one"),
        (MICROPHONE + "mqtt:\n  host: a\n  host: b\n", ":4: 'host' stands here and in line 3"),
        ("sources: [\n", ": not valid YAML"),
        ("sources:\n\t- a\n", ":2: not valid YAML"),
        ("- a\n", "expected `key: value` lines at the top"),
        ("a: &a [*a]\n", "an alias contains itself"),
        ("a: !!python/object:os.system {}\n", "not valid YAML"),
    ],
)
def test_mistake_is_one_line_with_place_key_and_expectation(written: Write, text: str, expected: str) -> None:
    said = problem(written(text))
    assert "node.yaml" in said
    assert expected in said


def test_operating_point_that_contradicts_itself_is_refused(written: Write) -> None:
    point = "{enter: 0.4, leave: 0.6, min_length_s: 1, bridging_s: 1, cooldown_s: 1}"
    text = MICROPHONE + "detection:\n  operating_points:\n    siren: " + point + "\n"
    assert ":4: detection.operating_points.siren: leave (0.6) must not exceed enter (0.4)" in problem(written(text))
    text = text.replace("leave: 0.6", "leave: 0.3, certain: 0.35")
    assert ":4: detection.operating_points.siren: enter (0.4) must not exceed certain (0.35)" in problem(written(text))


def test_all_mistakes_are_listed_and_the_first_is_told(written: Write) -> None:
    path = written("sources: [{id: a, type: microfone}]\nmqtt: {prot: 1, hots: b}\n")
    with pytest.raises(ConfigProblemsError) as caught:
        load_config(path, {})
    assert len(caught.value.problems) == 3
    assert "(2 more;" in str(caught.value)


def test_missing_unreadable_and_binary_files_are_told_in_a_line(tmp_path: Path) -> None:
    assert "no such file" in problem(tmp_path / "absent.yaml")
    assert "cannot be read" in problem(tmp_path)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00\x01")
    assert "is not UTF-8 text" in problem(binary)
    binary.write_bytes(b"a: \x00")
    assert "not valid YAML" in problem(binary)


def test_wrong_secret_is_not_shown(written: Write) -> None:
    assert "hunter2" not in problem(written(MICROPHONE + "mqtt: {password: [hunter2]}\n"))
    assert "hunter2" not in problem(written("sources: [{id: a, type: url, url: [rtsp://u:hunter2@h/]}]\n"))


def test_relative_paths_start_at_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "secret").write_text("hunter2\n")
    path = folder / "node.yaml"
    path.write_text(
        "node: {state_dir: state}\n"
        "sources: [{id: a, type: file, path: a.wav}, {id: b, type: file, path: /b.wav}]\n"
        "mqtt: {password_file: secret, tls: {ca_file: ca.pem}}\nclips: {dir: ~/clips}\n"
    )
    config = load_config(path, {})
    assert [source.path for source in config.sources if source.type == "file"] == [str(folder / "a.wav"), "/b.wav"]
    assert config.node.state_dir == str(folder / "state")
    assert config.mqtt.tls is not None
    assert config.mqtt.tls.ca_file == str(folder / "ca.pem")
    assert config.clips.dir == str(Path.home() / "clips")
    assert config.mqtt.password_file == str(folder / "secret")


def test_password_file_that_cannot_be_read_is_named(written: Write) -> None:
    said = problem(written(MICROPHONE + "mqtt:\n  password_file: absent\n"))
    assert ":3: mqtt.password_file: cannot read" in said
    said = problem(written(MICROPHONE + "mqtt: {password_file: absent, password: x}\n"))
    assert "keep one of them" in said


def test_masked_yaml_loads_again_and_holds_no_secret(written: Write) -> None:
    source = "sources: [{id: a, type: url, url: 'rtsp://u:hunter2@cam.lan/'}]\n"
    text = source + "mqtt: {password: hunter3}\nhttp: {token: hunter4}\n"
    shown = masked_yaml(load_config(written(text), {}))
    assert "hunter" not in shown
    assert shown.count(MASK) == 3
    assert load_config(written(shown), {}).mqtt.host == "localhost"


def test_label_that_the_model_lacks_is_named_with_its_line(written: Write) -> None:
    path = written(MICROPHONE + "labels:\n  - siren\n  - hron\n")
    config = load_config(path, {})
    with pytest.raises(ConfigError, match=r"node.yaml:4: labels: the model does not know 'hron', it hears siren, horn"):
        check_labels(config, ("siren", "horn"), path)
    check_labels(config, ("siren", "hron"))


def test_operating_point_of_a_label_that_the_model_lacks_is_refused(written: Write) -> None:
    point = "{enter: 0.6, leave: 0.4, min_length_s: 1, bridging_s: 1, cooldown_s: 1}"
    path = written(MICROPHONE + "detection:\n  operating_points:\n    sirene: " + point + "\n")
    with pytest.raises(ConfigError, match=r":4: detection: .*'sirene'.*did you mean 'siren'"):
        check_labels(load_config(path, {}), ("siren",), path)


def test_assignments_take_the_type_of_their_key() -> None:
    parsed = parse_assignments(["mqtt.port=1884", "mqtt.username=007", "http.enabled=no"])
    assert parsed == {"mqtt.port": 1884, "mqtt.username": "007", "http.enabled": False}
    with pytest.raises(ConfigError, match="expected key=value"):
        parse_assignments(["mqtt.port"])


def test_unknown_flag_key_is_refused(written: Write) -> None:
    said = problem(written(MICROPHONE), None, **{"mqtt.hots": "x"})
    assert said == "command line: mqtt.hots: unknown key; did you mean 'host'?"


def test_state_folder_is_configured_or_systemds_or_in_the_home_folder(written: Write) -> None:
    config = load_config(written(MICROPHONE), {})
    assert state_folder(config, {"STATE_DIRECTORY": "/var/lib/earshot:/x"}) == Path("/var/lib/earshot")
    assert state_folder(config, {"XDG_STATE_HOME": "/s"}) == Path("/s/earshot")
    assert state_folder(config, {}) == Path.home() / ".local/state/earshot"
    configured = load_config(written(MICROPHONE + "node: {state_dir: /srv/earshot}\n"), {})
    assert state_folder(configured, {"STATE_DIRECTORY": "/var/lib/earshot"}) == Path("/srv/earshot")


def test_ffmpeg_arguments_may_hold_a_secret_and_are_masked(tmp_path: Path) -> None:
    path = tmp_path / "node.yaml"
    path.write_text(
        "node: {id: hall}\nsources:\n"
        "  - {id: cam, type: url, url: 'rtsp://x/y', ffmpeg_args: [-headers, 'Authorization: Bearer SECRET']}\n"
    )
    config = load_config(path, {})
    assert "SECRET" not in masked_yaml(config)
    assert "SECRET" not in repr(config)
