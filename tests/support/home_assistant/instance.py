"""What tests do with a running Home Assistant: read entities and devices, call actions, follow what happens."""

import contextlib
import math
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp

from support.home_assistant.connection import ApiError, Connection, Happened
from support.home_assistant.place import Place
from support.home_assistant.process import START_S, HomeAssistantProcess, LogLine
from support.mosquitto import Mosquitto
from support.waiting import wait_until

USER, PASSWORD = "tester", "tester-password"
SOON_S = 120.0
POLL_S = 0.25

OWN_LOGGERS = ("haffmpeg", "homeassistant.components.websocket_api", "homeassistant.util.logging")
"""Of the bare installation, of wrong requests, and of Home Assistant's count of its own lines."""


class HomeAssistant:
    """An onboarded Home Assistant that is connected to `broker`.

    Use it as a context; `stop`, `kill` and `start` again keep what it knows. All states are followed live in `states`,
    all events in `happened`, both also over restarts.

    Attributes:
        states: as Home Assistant tells them, by entity id.
        happened: every event since the first start, in order.
        start_s: how long the last start took until everything was set up.
    """

    def __init__(self, place: Place, broker: Mosquitto, packages: Mapping[str, str] | None = None) -> None:
        self.process = HomeAssistantProcess(place, packages)
        self.broker = broker
        self.url = f"http://127.0.0.1:{self.process.port}"
        self.token = ""
        self.states: dict[str, dict[str, Any]] = {}
        self.happened: list[Happened] = []
        self.start_s = 0.0
        self._api: Connection | None = None

    @property
    def api(self) -> Connection:
        """The API; it is another one after each start."""
        assert self._api is not None, "Home Assistant is not started"
        return self._api

    def start(self) -> None:
        """Start it, wait until it runs and, the first time, set it up."""
        began_s = time.monotonic()
        self.process.start()
        self._wait_for_answer("/manifest.json", Connection(self.url))
        if not self.token:
            self._onboard()
        self._api = Connection(self.url, self.token, self._take)
        wait_until(lambda: self._asked("get_config")["state"] == "RUNNING", START_S, "a running Home Assistant", POLL_S)
        if not self.api.command("config_entries/get", domain="mqtt"):
            self._confirm_port()
            self._configure_mqtt()
        self.states = {state["entity_id"]: state for state in self.api.command("get_states")}
        self.start_s = time.monotonic() - began_s

    def stop(self) -> None:
        """Stop it cleanly."""
        self._disconnect()
        self.process.stop()

    def kill(self) -> None:
        """SIGKILL it."""
        self._disconnect()
        self.process.kill()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.process.discard()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._disconnect()
        self.process.discard()

    # Reading

    def state(self, entity: str) -> str:
        """Return the state, '' if there is no such entity."""
        return str(self.states.get(entity, {}).get("state", ""))

    def number(self, entity: str) -> float:
        """Return the state as a number, minus infinity when it is none."""
        try:
            return float(self.state(entity))
        except ValueError:
            return -math.inf

    def attributes(self, entity: str) -> dict[str, Any]:
        """Return the attributes, {} if there is no such entity."""
        return dict(self.states.get(entity, {}).get("attributes", {}))

    def wait_for(self, entity: str, state: str, timeout_s: float = SOON_S) -> None:
        """Return when an entity has a state."""
        wait_until(lambda: self.state(entity) == state, timeout_s, f"{state!r} of {entity}")

    def changes(self, entity: str, since: int = 0) -> list[tuple[float, dict[str, Any]]]:
        """Return when an entity's state was told, and what; `since` is an earlier length of `happened`."""
        return [
            (one.at, one.data["new_state"] or {})
            for one in self.happened[since:]
            if one.type == "state_changed" and one.data["entity_id"] == entity
        ]

    def devices(self) -> dict[str, dict[str, Any]]:
        """Return the devices of MQTT by their first identifier, as the registry has them."""
        listed = self.api.command("config/device_registry/list")
        ours = [(key, device) for device in listed for domain, key in device["identifiers"][:1] if domain == "mqtt"]
        return dict(ours)

    def entities(self, device: str = "") -> dict[str, dict[str, Any]]:
        """Return the registry's entities of MQTT by their unique id; only those of the device with an identifier."""
        wanted = self.devices()[device]["id"] if device else None
        listed = self.api.command("config/entity_registry/list")
        return {
            entity["unique_id"]: entity
            for entity in listed
            if entity["platform"] == "mqtt" and (wanted is None or entity["device_id"] == wanted)
        }

    def problems(self, since: int = 0) -> list[LogLine]:
        """Return what the log warns of from byte `since` on, but for this bare installation and wrong requests."""
        return [
            line
            for line in self.process.log_lines(since)
            if line.level in {"WARNING", "ERROR", "CRITICAL"}
            and not line.logger.startswith(OWN_LOGGERS)
            and "Skipping pip installation" not in line.text
        ]

    # Acting

    def call(self, action: str, entity: str | None = None, **data: Any) -> None:
        """Run an action such as `switch.turn_on`."""
        domain, _, service = action.partition(".")
        target = {"target": {"entity_id": entity}} if entity else {}
        self.api.command("call_service", domain=domain, service=service, service_data=data, **target)

    def delete_device(self, identifier: str) -> None:
        """Delete a device as a person does in the settings."""
        device = self.devices()[identifier]["id"]
        try:
            self.api.command("config/device_registry/remove", device_id=device)
        except ApiError as error:
            if "unknown_command" not in str(error):
                raise
            entry = self.api.command("config_entries/get", domain="mqtt")[0]["entry_id"]
            old = "config/device_registry/remove_config_entry"
            self.api.command(old, device_id=device, config_entry_id=entry)

    def save_blueprint(self, path: str, text: str, domain: str = "automation") -> dict[str, Any]:
        """Upload a blueprint such as `earshot/siren.yaml`; return its metadata.

        Raises:
            ApiError: Home Assistant does not take it.
        """
        self.api.command("blueprint/save", domain=domain, path=path, yaml=text, allow_override=True)
        listed = self.api.command("blueprint/list", domain=domain)[path]
        if "error" in listed:
            raise ApiError(f"{path}: {listed['error']}")
        return dict(listed["metadata"])

    def save_automation(self, unique_id: str, config: Mapping[str, Any]) -> str:
        """Make or replace an automation; return its entity id when it is there and on."""
        self.api.json("POST", f"/api/config/automation/config/{unique_id}", body=dict(config))

        def found() -> list[str]:
            return [
                entity
                for entity, state in self.states.items()
                if entity.startswith("automation.")
                and (state["attributes"].get("id"), state["state"]) == (unique_id, "on")
            ]

        wait_until(found, SOON_S, f"the automation {unique_id}")
        return found()[0]

    def traces(self, unique_id: str, domain: str = "automation") -> list[dict[str, Any]]:
        """Return the whole traces of an automation's or script's runs, the oldest first."""
        listed = self.api.command("trace/list", domain=domain, item_id=unique_id)
        return [
            self.api.command("trace/get", domain=domain, item_id=unique_id, run_id=one["run_id"])
            for one in sorted(listed, key=lambda one: one["timestamp"]["start"])
        ]

    def render(self, template: str) -> str:
        """Return what a template makes."""
        return self.api.request("POST", "/api/template", body={"template": template}).decode()

    def image(self, entity: str) -> bytes:
        """Return what an image entity shows."""
        return self.api.request("GET", self.attributes(entity)["entity_picture"])

    # Setting up

    def _onboard(self) -> None:
        with contextlib.closing(Connection(self.url)) as stranger:
            client = self.url + "/"
            person = {"client_id": client, "name": "Tester", "username": USER, "password": PASSWORD, "language": "en"}
            code = stranger.json("POST", "/api/onboarding/users", body=person)["auth_code"]
            grant = {"grant_type": "authorization_code", "code": code, "client_id": client}
            token = stranger.json("POST", "/auth/token", form=grant)["access_token"]
        with contextlib.closing(Connection(self.url, token)) as owner:
            lasting = {"client_name": "tests", "lifespan": 3650}
            self.token = owner.command("auth/long_lived_access_token", **lasting)

    def _confirm_port(self) -> None:
        """Confirm that the port works: newer releases else go back to 8123 after five minutes and restart."""
        with contextlib.suppress(ApiError):  # older ones know no such command
            self.api.command("http/config/promote")

    def _configure_mqtt(self) -> None:
        """Fill in the form for MQTT; whatever else it asks keeps its default."""
        path = "/api/config/config_entries/flow"
        step = self.api.json("POST", path, body={"handler": "mqtt", "show_advanced_options": True})
        answers = {"broker": "127.0.0.1", "port": self.broker.port}
        while step["type"] in {"form", "menu"}:
            assert not step.get("errors"), step
            is_menu = step["type"] == "menu"
            body = {"next_step_id": step["menu_options"][0]} if is_menu else _fill(step["data_schema"], answers)
            step = self.api.json("POST", f"{path}/{step['flow_id']}", body=body)
        assert step["type"] == "create_entry", step

    def _wait_for_answer(self, path: str, stranger: Connection) -> None:
        def answers() -> bool:
            self.process.check()
            with contextlib.suppress(aiohttp.ClientError, ApiError, TimeoutError):
                stranger.request("GET", path)
                return True
            return False

        with contextlib.closing(stranger):
            wait_until(answers, START_S, "an answer of Home Assistant", POLL_S)

    def _asked(self, kind: str) -> Any:
        self.process.check()
        return self.api.command(kind)

    def _disconnect(self) -> None:
        if self._api is not None:
            self._api.close()
            self._api = None

    def _take(self, event: Happened) -> None:
        self.happened.append(event)
        if event.type == "state_changed":
            entity, state = event.data["entity_id"], event.data["new_state"]
            if state is None:
                self.states.pop(entity, None)
            else:
                self.states[entity] = state


def _fill(schema: list[dict[str, Any]], answers: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a form: with `answers`, else with its own defaults."""
    filled: dict[str, Any] = {}
    for one in schema:
        name, selector = one["name"], one.get("selector", {})
        suggested = (one.get("description") or {}).get("suggested_value")
        if one.get("type") == "expandable":
            filled[name] = _fill(one["schema"], answers)
        elif name in answers:
            filled[name] = answers[name]
        elif "default" in one or suggested is not None:
            filled[name] = one.get("default", suggested)
        elif one.get("required") and "boolean" in selector:
            filled[name] = False
        elif one.get("required") and "select" in selector:
            first = selector["select"]["options"][0]
            filled[name] = first["value"] if isinstance(first, Mapping) else first
    return filled
