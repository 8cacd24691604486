"""The apps: what Home Assistant's rules ask of their files; their run scripts beside a Supervisor and real programs."""

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.apps import APPS, SOON_S, App, Supervisor, load_app_module, missing_options, options, supervisor_with
from support.mosquitto import Mosquitto, free_port
from support.mqtt_subscriber import Subscriber
from support.waiting import wait_until

from earshot_node import __version__
from earshot_node.configuration.file import load_config

NAMES = ("node", "trainer")
TYPES = r"^(str|bool|int|float|email|url|password|port|match|list|device)(\(.*\))?\??$"


@pytest.fixture
def supervisor(broker: Mosquitto) -> Iterator[Supervisor]:
    with supervisor_with(broker) as running:
        yield running


@pytest.mark.parametrize("app", NAMES)
def test_configuration_is_what_home_assistant_asks_for(app: str) -> None:
    config = yaml.safe_load((APPS / app / "config.yaml").read_text())
    assert config.keys() >= {"name", "version", "slug", "description", "arch", "options", "schema"}
    assert (config["arch"], config["services"], config["ingress"]) == (["aarch64", "amd64"], ["mqtt:need"], True)
    assert config["version"] == __version__
    assert config.get("audio", False) is (app == "node")
    assert not {"host_network", "privileged", "full_access", "docker_api"} & config.keys()
    assert not (APPS / app / "build.yaml").exists()
    assert config["options"].keys() <= config["schema"].keys()


@pytest.mark.parametrize("app", NAMES)
def test_supervisor_starts_an_app_with_its_first_options(app: str) -> None:
    config = yaml.safe_load((APPS / app / "config.yaml").read_text())
    assert missing_options(config["schema"], config["options"]) == []


def test_supervisor_misses_what_is_not_optional_at_any_depth() -> None:
    schema = {"a": "str", "b": "str?", "c": ["str?"], "d": {"e": "str?"}, "f": [{"g": "str", "h": "str?"}]}
    missed = ["Missing option 'a' in root", "Missing option 'd' in root", "Missing option 'g' in f"]
    assert missing_options(schema, {"f": [{"g": ""}, {}]}) == missed
    assert missing_options(schema, {"a": "", "d": {}, "f": []}) == []


@pytest.mark.parametrize("app", NAMES)
def test_schema_has_known_types_and_every_option_is_translated_and_documented(app: str) -> None:
    schema = yaml.safe_load((APPS / app / "config.yaml").read_text())["schema"]
    translated = yaml.safe_load((APPS / app / "translations/en.yaml").read_text())
    documented = (APPS / app / "DOCS.md").read_text()
    assert translated["configuration"].keys() == schema.keys()
    leaves = [leaf for value in schema.values() for leaf in leaves_of(value)]
    assert len(leaves) >= 6
    for leaf in leaves:
        assert re.match(TYPES, leaf), leaf
    undocumented = [key for key in schema if f"`{key}`" not in documented and key != "log_level"]
    assert undocumented == []


def leaves_of(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [leaf for one in value.values() for leaf in leaves_of(one)]
    if isinstance(value, list):
        return [leaf for one in value for leaf in leaves_of(one)]
    return [value]


@pytest.mark.parametrize("app", NAMES)
def test_pictures_have_the_wanted_sizes(app: str) -> None:
    for name, size in {"icon.png": (128, 128), "logo.png": (250, 100)}.items():
        content = (APPS / app / name).read_bytes()
        assert content[:8] == b"\x89PNG\r\n\x1a\n"
        assert struct.unpack(">II", content[16:24]) == size
    assert (APPS / app / "CHANGELOG.md").read_text().count(f"## {__version__}") == 1


@pytest.mark.parametrize("app", NAMES)
def test_image_is_debian_with_labels_and_without_a_given_base(app: str) -> None:
    text = (APPS / app / "Dockerfile").read_text()
    assert "BUILD_FROM" not in text
    assert {line.split()[1] for line in text.splitlines() if line.startswith("FROM")} == {"debian:trixie-slim"}
    assert all(f"io.hass.{label}=" in text for label in ("version", "type", "arch"))


@pytest.mark.mosquitto
@pytest.mark.ffmpeg
def test_node_runs_with_the_supervisors_broker_and_shows_its_page(
    supervisor: Supervisor, broker: Mosquitto, tmp_path: Path
) -> None:
    sources = [{"id": "gate", "name": "Gate", "url": "rtsp://127.0.0.1:1/none"}]
    app = App("node", tmp_path, options("node", id="apptest", sources=sources), supervisor)
    with Subscriber(broker.port, "earshot/apptest/#") as heard, app.running():
        wait_until(lambda: b"online" in heard.payloads("earshot/apptest/status"), SOON_S, "a node at the broker")
        wait_until(lambda: app.get("/alive")[0] == 200, SOON_S, "a living page")
        status, text = app.get("/")
        assert (status, "Earshot node" in text, "connected" in text) == (200, True, True), text
    assert heard.payloads("earshot/apptest/status")[-1] == b"offline"
    assert (app.data / "mqtt-password").stat().st_mode & 0o077 == 0
    assert (app.data / "node.yaml").stat().st_mode & 0o077 == 0
    assert (app.data / "state").is_dir()


@pytest.mark.mosquitto
@pytest.mark.torch
def test_trainer_runs_and_its_page_invites_a_node(supervisor: Supervisor, tmp_path: Path) -> None:
    port = free_port()
    wanted = options("trainer", host="127.0.0.1")
    app = App("trainer", tmp_path, wanted, supervisor, EARSHOT_APP_TRAINER_PORT=str(port))
    with app.running():
        wait_until(lambda: "listening on" in app.log(), SOON_S, "a trainer")
        status, text = app.get("/invite", b"node=hall")
        assert (status, "earshot1." in text) == (200, True), text
        assert "node-cli join" in text
    assert (app.data / "trainer/trainer.yaml").stat().st_mode & 0o077 == 0
    assert (app.data / "trainer/catalogue.sqlite").exists()


@pytest.mark.mosquitto
def test_page_is_for_home_assistant_alone(supervisor: Supervisor, tmp_path: Path) -> None:
    app = App("node", tmp_path, options("node", id="apppage"), supervisor, EARSHOT_APP_GATEWAY="172.30.32.2")
    with app.running():
        wait_until(lambda: app.get("/")[0] != 0, SOON_S, "an answer")
        assert app.get("/")[0] == 403


def test_options_become_the_configuration(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = load_run(monkeypatch, "node")
    monkeypatch.setenv("SUPERVISOR_URL", supervisor.url)
    monkeypatch.setenv("SUPERVISOR_TOKEN", supervisor.token)
    wanted = options(
        "node",
        area="Attic",
        sources=[{"id": "mic", "gain_db": 6}, {"id": "gate", "name": "Gate", "url": "rtsp://u:p@camera/1"}],
        preset="sensitive",
        collect=True,
        clip_links=True,
        host="hub.lan",
        house=True,
        weekly_drill="wed 11:00",
    )
    config = load_config(run.prepare(wanted, run.find_broker({}), tmp_path), {})
    assert [(one.id, one.type) for one in config.sources] == [("mic", "microphone"), ("gate", "url")]
    assert (config.sources[0].device, config.sources[0].gain_db) == ("default", 6)
    assert (config.detection.preset, config.http.host, config.house.enabled) == ("sensitive", "0.0.0.0", True)
    assert (config.clips.links, config.http.announce) == (True, "http://hub.lan:8765")
    assert (config.drill.weekly, config.node.area, config.mqtt.username) == ("wed 11:00", "Attic", "addons")
    assert Path(config.mqtt.password_file).read_text() == "p"


def test_trainer_collects_where_the_options_say_that_this_machine_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = load_run(monkeypatch, "node")
    broker = run.find_broker({"host": "broker.lan"})
    http = load_config(run.prepare(options("node", collect=True, host="hub.lan"), broker, tmp_path), {}).http
    assert (http.host, http.announce) == ("0.0.0.0", "http://hub.lan:8765")
    alone = load_config(run.prepare(options("node", host="hub.lan"), broker, tmp_path), {}).http
    assert (alone.host, alone.announce) == ("127.0.0.1", "")


@pytest.mark.parametrize("app", NAMES)
def test_default_options_make_a_valid_configuration(
    app: str, supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = load_run(monkeypatch, app)
    manual = {"host": "broker.lan", "tls": True, "username": "u", "password": "p"}
    broker = run.find_broker(manual)
    run.prepare(options(app, mqtt=manual), broker, tmp_path)
    assert supervisor.refused == []
    if app == "node":
        mqtt = load_config(tmp_path / "node.yaml", {}).mqtt
    else:
        from earshot_trainer.home.config import load_trainer_config

        trainer = load_trainer_config(tmp_path / "trainer.yaml")
        assert trainer.url == "http://homeassistant.local:8770"
        mqtt = trainer.mqtt
    assert (mqtt.host, mqtt.effective_port, mqtt.tls is not None) == ("broker.lan", 8883, True)


def test_own_configuration_gets_the_broker_by_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = load_run(monkeypatch, "node")
    monkeypatch.setattr(run, "CONFIG_FOLDER", tmp_path)
    wanted = options("node", config_file="own.yaml")
    broker = run.find_broker({"host": "broker.lan", "username": "u", "password": "p"})
    with pytest.raises(run.AppError, match=r"own\.yaml is not there"):
        run.prepare(wanted, broker, tmp_path)
    (tmp_path / "own.yaml").write_text("sources: [{id: mic, type: microphone}]\nnode: {id: own}\n")
    path = run.prepare(wanted, broker, tmp_path)
    config = load_config(path, run.broker_environ(wanted, broker))
    assert (config.node.id, config.mqtt.host, config.mqtt.username) == ("own", "broker.lan", "u")


@pytest.mark.parametrize(
    ("mqtt", "token", "told"),
    [
        (None, Supervisor.token, "error: no MQTT broker: install the app Mosquitto broker"),
        ({"host": "h", "port": 1}, "wrong", "error: the Supervisor refuses /services/mqtt: 401"),
    ],
)
def test_missing_broker_is_one_line(mqtt: dict[str, Any] | None, token: str, told: str, tmp_path: Path) -> None:
    supervisor = Supervisor(mqtt)
    try:
        done = App("node", tmp_path, options("node"), supervisor, SUPERVISOR_TOKEN=token).run()
    finally:
        supervisor.close()
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(told)
    assert done.stderr.count("\n") == 1


def load_run(monkeypatch: pytest.MonkeyPatch, app: str) -> Any:
    """Return an app's run script as a module."""
    for folder in ("common", app):
        monkeypatch.syspath_prepend(str(APPS / folder))
    return load_app_module(app, "run")
