"""All checks in the order in which somebody would look."""

import stat
from collections.abc import Iterator
from pathlib import Path

from earshot_node.configuration.file import load_config, state_folder
from earshot_node.configuration.problems import ConfigProblemsError
from earshot_node.contract.config import NodeConfig
from earshot_node.doctor.audio import check_pyaudio, check_sound_access, check_sources
from earshot_node.doctor.broker import check_broker
from earshot_node.doctor.finding import Finding, fail, ok, warn
from earshot_node.doctor.hearing import check_hearing
from earshot_node.doctor.house import check_house
from earshot_node.doctor.machine import check_clock, check_http, check_state_folder, running_node_state
from earshot_node.doctor.model import check_model
from earshot_node.errors import ConfigError


def diagnose(path: Path | None) -> Iterator[Finding]:
    """Yield findings as they are made; without a configuration only the machine, its microphones and the model."""
    config = None
    if path is not None:
        config, findings = check_config(path)
        yield from findings
    if config is not None:
        found = check_sources(config.sources)
        yield from found
        node_runs = bool(running_node_state(config.http))
        yield from check_hearing(config.sources, found, node_runs=node_runs)
        yield from check_broker(config)
        yield from check_house(config)
    else:
        yield check_pyaudio()
        yield from check_sound_access()
    yield from check_model(config, path)
    yield check_clock()
    if config is not None:
        yield from check_state_folder(state_folder(config), config.clips)
        yield check_http(config.http)


def check_config(path: Path) -> tuple[NodeConfig | None, list[Finding]]:
    """Load the configuration; every problem is a finding."""
    help_line = "correct that line; `node-cli config schema` tells every key"
    try:
        config = load_config(path)
    except ConfigProblemsError as error:
        return None, [fail("configuration", problem, help_line) for problem in error.problems]
    except ConfigError as error:
        return None, [fail("configuration", str(error), help_line)]
    ids = ", ".join(source.id for source in config.sources)
    findings = [ok("configuration", f"{path} is valid: node {config.node.id}, sources {ids}")]
    mode = path.stat().st_mode
    if _holds_secret(config) and mode & (stat.S_IRGRP | stat.S_IROTH):
        findings.append(warn("secrets", f"{path} holds a password and others can read it", f"`chmod 600 {path}`"))
    return config, findings


def _holds_secret(config: NodeConfig) -> bool:
    secrets = [config.mqtt.password, config.http.token]
    urls = [source.url.get_secret_value() for source in config.sources if source.type == "url"]
    return any(one.get_secret_value() for one in secrets) or any("@" in url for url in urls)
