"""Dockerfile and compose file, as far as they can be judged without a container engine."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from earshot_node.configuration.file import load_config, state_folder


@pytest.fixture
def deploy(repository: Path, tmp_path: Path) -> Path:
    """A copy of deploy/ on which the commands in the head of compose.yaml were run."""
    folder = tmp_path / "deploy"
    shutil.copytree(
        repository / "deploy", folder, ignore=shutil.ignore_patterns("authority", "tls", "passwords", "*.env")
    )
    head = (folder / "compose.yaml").read_text().partition("services:")[0]
    commands = re.findall(r"^#   (broker/\S+ .*?)(?:   +.*)?$", head, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        subprocess.run(["bash", "-c", command], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def compose(deploy: Path) -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load((deploy / "compose.yaml").read_text())
    return parsed


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Return (instruction, arguments), continuation lines joined."""
    text = "\n".join(line for line in dockerfile.read_text().splitlines() if not line.startswith("#"))
    lines = text.replace("\\\n", " ").splitlines()
    return [(line.split()[0], " ".join(line.split()[1:])) for line in lines if line.strip()]


def test_every_mounted_file_exists_after_the_commands_in_the_head(deploy: Path, compose: dict[str, Any]) -> None:
    services = compose["services"].values()
    binds = [volume.split(":")[0] for one in services for volume in one["volumes"] if volume.startswith("./")]
    files = [*binds, *(one["env_file"] for one in services if "env_file" in one)]
    assert len(files) == 4
    assert [name for name in files if not (deploy / name).exists()] == []


def test_named_volumes_and_dependencies_are_declared(compose: dict[str, Any]) -> None:
    services = compose["services"]
    volumes = [volume.split(":")[0] for one in services.values() for volume in one["volumes"]]
    assert {name for name in volumes if not name.startswith(("./", "/dev/"))} == set(compose["volumes"])
    assert {name for one in services.values() for name in one.get("depends_on", [])} <= set(services)


def test_build_context_and_dockerfile_exist(repository: Path, compose: dict[str, Any]) -> None:
    build = compose["services"]["node"]["build"]
    context = repository / "deploy" / build["context"]
    assert (context / build["dockerfile"]).samefile(repository / "deploy/node.Dockerfile")


def test_node_runs_without_privileges(compose: dict[str, Any]) -> None:
    node = compose["services"]["node"]
    assert node["cap_drop"] == ["ALL"]
    assert node["read_only"] is True
    assert "privileged" not in node


def test_configuration_of_the_container_speaks_to_the_broker_of_the_compose_file(
    deploy: Path, compose: dict[str, Any]
) -> None:
    secret = dict(line.split("=", 1) for line in (deploy / "node.env").read_text().splitlines())
    config = load_config(deploy / "container.yaml", secret)
    assert config.mqtt.host in compose["services"]
    assert f"{config.mqtt.effective_port}:{config.mqtt.effective_port}" in compose["services"]["broker"]["ports"]
    assert config.mqtt.username == config.node.id
    assert config.mqtt.password.get_secret_value() == secret["EARSHOT_MQTT_PASSWORD"]
    assert f"\n{config.mqtt.username}:" in f"\n{(deploy / 'broker/config/passwords').read_text()}"
    assert config.mqtt.tls is not None
    mounted = Path(config.mqtt.tls.ca_file).relative_to(deploy)
    assert f"/etc/earshot/{mounted}" in [volume.split(":")[1] for volume in compose["services"]["node"]["volumes"]]


def test_image_copies_what_exists_and_what_is_not_ignored(repository: Path) -> None:
    allowed = (repository / "deploy/node.Dockerfile.dockerignore").read_text().split()
    copied = [
        source
        for name, arguments in instructions(repository / "deploy/node.Dockerfile")
        if name == "COPY" and not arguments.startswith("--from")
        for source in arguments.split()[:-1]
    ]
    assert len(copied) == 5
    assert [source for source in copied if not (repository / source).exists() or f"!{source}" not in allowed] == []


def test_image_runs_as_its_own_user_on_debian_and_knows_its_state_folder(repository: Path) -> None:
    steps = instructions(repository / "deploy/node.Dockerfile")
    bases = [arguments.split()[0] for name, arguments in steps if name == "FROM"]
    users = [arguments for name, arguments in steps if name == "USER"]
    environment = dict(pair.split("=", 1) for name, arguments in steps if name == "ENV" for pair in arguments.split())
    volumes = [arguments for name, arguments in steps if name == "VOLUME"]
    assert all(base.startswith("debian:") for base in bases)
    assert users == ["earshot"]
    config = load_config(repository / "deploy/container.yaml", {})
    assert [str(state_folder(config, environment))] == volumes


def test_command_of_the_image_is_a_command_of_the_program(repository: Path) -> None:
    steps = dict(instructions(repository / "deploy/node.Dockerfile"))
    command = [*json.loads(steps["ENTRYPOINT"]), *json.loads(steps["CMD"])]
    assert command == ["node-cli", "run", "--config", "/etc/earshot/node.yaml"]


@pytest.mark.parametrize(("status", "exit_code"), [(200, 0), (503, 1)])
async def test_health_check_follows_the_status(repository: Path, status: int, exit_code: int) -> None:
    check = dict(instructions(repository / "deploy/node.Dockerfile"))["HEALTHCHECK"].partition("CMD ")[2]
    program, flag, code = json.loads(check)
    assert (program, flag) == ("python3", "-c")
    assert "127.0.0.1:8765/healthz" in code

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status)

    app = web.Application()
    app.router.add_get("/healthz", answer)
    async with TestServer(app, host="127.0.0.1") as server:
        code = code.replace("8765", str(server.port))
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stderr=asyncio.subprocess.DEVNULL)
        assert await child.wait() == exit_code
