"""What a household has besides Earshot: a phone, a lamp, a radio, counters; and two nodes and a house."""

import json
import secrets
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

from earshot_node.contract.house import HouseEvent
from earshot_node.contract.house_topics import HouseTopics
from earshot_node.house.discovery import house_device
from earshot_node.mqtt.discovery import encode
from support.home_assistant.instance import HomeAssistant
from support.home_assistant.told_node import ToldNode
from support.mqtt_subscriber import Subscriber
from support.waiting import wait_until

PACKAGE: Final = """
mobile_app:
counter:
  sirens:
  false_alarms:
input_boolean:
  playing:
input_text:
  told:
    max: 255
media_player:
  - platform: universal
    name: Radio
    unique_id: radio
    state_template: "{{ 'playing' if is_state('input_boolean.playing', 'on') else 'paused' }}"
    commands:
      media_pause: {action: input_boolean.turn_off, target: {entity_id: input_boolean.playing}}
      media_play: {action: input_boolean.turn_on, target: {entity_id: input_boolean.playing}}
"""
"""Configuration of Home Assistant that these parts need."""
SOON_S: Final = 120.0


class Phone:
    """A phone with Home Assistant's app: takes notifications over HTTP, answers by events on the bus.

    Attributes:
        notifications: what it was sent, in order.
        device: its id in the device registry.
    """

    def __init__(self, home_assistant: HomeAssistant) -> None:
        self.notifications: list[dict[str, Any]] = []
        self.device = ""
        self._home_assistant = home_assistant
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._receiver())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        name = f"Phone {secrets.token_hex(4)}"
        app = {"push_token": "token", "push_url": f"http://127.0.0.1:{self._server.server_port}/push"}
        registration = {
            "app_id": "test",
            "app_name": "Test",
            "app_version": "1",
            "device_id": secrets.token_hex(8),
            "device_name": name,
            "manufacturer": "Test",
            "model": "Test",
            "os_name": "Android",
            "os_version": "16",
            "supports_encryption": False,
            "app_data": app,
        }
        self._home_assistant.api.json("POST", "/api/mobile_app/registrations", body=registration)

        def registered() -> list[str]:
            listed = self._home_assistant.api.command("config/device_registry/list")
            return [device["id"] for device in listed if device["name"] == name]

        wait_until(registered, SOON_S, "the phone's device")
        self.device = registered()[0]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait_for(self, count: int) -> None:
        """Return when it has `count` notifications."""
        wait_until(lambda: len(self.notifications) >= count, SOON_S, f"{count} notifications")

    def answer(self, action: str) -> None:
        """Tap an action."""
        self._home_assistant.api.json("POST", "/api/events/mobile_app_notification_action", body={"action": action})

    def _receiver(phone) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the request below
        class Receiver(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                phone.notifications.append(json.loads(body))
                self.send_response(201)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                return

        return Receiver


class Lamp:
    """A lamp over MQTT."""

    def __init__(self, broker: Subscriber, object_id: str) -> None:
        self.entity = f"light.{object_id}"
        self._broker = broker
        self._base = f"test/{object_id}"
        self._done = 0
        self.state: dict[str, Any] = {
            "state": "ON",
            "brightness": 100,
            "color_mode": "rgb",
            "color": {"r": 0, "g": 255, "b": 0},
        }
        config = {
            "schema": "json",
            "unique_id": object_id,
            "default_entity_id": self.entity,
            "name": None,
            "device": {"identifiers": [object_id], "name": object_id},
            "state_topic": f"{self._base}/state",
            "command_topic": f"{self._base}/set",
            "brightness": True,
            "supported_color_modes": ["rgb"],
        }
        broker.say(f"homeassistant/light/{object_id}/config", json.dumps(config), retain=True)

    def obey(self) -> list[dict[str, Any]]:
        """Say the state that the last command wants; return all commands so far."""
        commands = [heard.json for heard in self._broker.on(f"{self._base}/set")]
        if len(commands) > self._done:
            self._done = len(commands)
            self.state |= commands[-1]
            self.tell()
        return commands

    def tell(self) -> None:
        """Say its state."""
        self._broker.say(f"{self._base}/state", json.dumps(self.state), retain=True)


class Household:
    """Everything together, and what tests do with it."""

    def __init__(self, home_assistant: HomeAssistant, broker: Subscriber, phone: Phone) -> None:
        suffix = secrets.token_hex(2)
        self._broker = broker
        self._house = HouseTopics("earshot")
        self.home_assistant = home_assistant
        self.phone = phone
        self.lamp = Lamp(broker, f"lamp_{suffix}")
        self.hall = ToldNode(broker, f"hall_{suffix}", {"street": "Street", "yard": "Yard"})
        self.attic = ToldNode(broker, f"attic_{suffix}", {"front": "Attic"})

    def begin(self) -> None:
        """Let Home Assistant know all of it."""
        wait_until(lambda: self.home_assistant.state(self.lamp.entity), SOON_S, "the lamp")
        self.lamp.tell()
        self.home_assistant.wait_for(self.lamp.entity, "on", SOON_S)
        self.hall.announce(self.home_assistant)
        self.attic.announce(self.home_assistant)

    def announce_house(self) -> str:
        """Let Home Assistant know the house's device; return its event entity."""
        self._broker.say(
            self._house.device("homeassistant").name, encode(house_device(self._house, "told")), retain=True
        )
        self.home_assistant.wait_for("event.earshot_house_siren", "unavailable", SOON_S)
        self._broker.say(self._house.alive("told").name, "online", retain=True)
        self.home_assistant.wait_for("event.earshot_house_siren", "unknown", SOON_S)
        return "event.earshot_house_siren"

    def house_hears(self, rooms: list[str], microphones: list[str], confidence: int) -> None:
        """Let a siren begin for the house."""
        event = HouseEvent(
            id=uuid.uuid4().hex,
            event_type="siren",
            began=datetime.now(UTC),
            rooms=tuple(rooms),
            loudest_room=rooms[0],
            microphones=tuple(microphones),
            confidence=confidence,
        )
        self._broker.say(self._house.onset().name, event.encode())

    def say(self, text: str) -> None:
        """Write what automations write here over."""
        self.home_assistant.call("input_text.set_value", "input_text.told", value=text)
        self.home_assistant.wait_for("input_text.told", text, SOON_S)

    def wait_for_calm(self, seconds: float) -> None:
        """Return when no siren has sounded for so long."""

        def calm() -> bool:
            sirens = [siren for entity, siren in self.home_assistant.states.items() if entity.endswith("_siren")]
            times = [siren["attributes"].get(name) for siren in sirens for name in ("decided", "offset")]
            known = [datetime.fromisoformat(time) for time in times if time]
            return not known or datetime.now(UTC) - max(known) > timedelta(seconds=seconds)

        wait_until(calm, SOON_S, "calm")

    def wait_for_runs(self, automation: str, count: int) -> None:
        """Return when an automation was triggered `count` times and has decided each time what to do."""
        unique_id = self.home_assistant.attributes(automation)["id"]

        def decided() -> bool:
            traces = self.home_assistant.traces(unique_id)
            return len([trace for trace in traces if "condition/0" in trace["trace"]]) >= count

        wait_until(decided, SOON_S, f"{count} runs of {automation}")

    def wait_for_step(self, automation: str, step: str) -> None:
        """Return when a run has come to a step, such as `action/0`."""
        unique_id = self.home_assistant.attributes(automation)["id"]

        def reached() -> bool:
            return any(step in trace["trace"] for trace in self.home_assistant.traces(unique_id))

        wait_until(reached, SOON_S, f"{step} of {automation}")

    @staticmethod
    def in_seconds(seconds: float) -> tuple[str, str]:
        """Return a time of day soon, and its day of the week, in Home Assistant's zone."""
        then = datetime.now(UTC) + timedelta(seconds=seconds)
        return then.strftime("%H:%M:%S"), then.strftime("%a").lower()


@contextmanager
def household(home_assistant: HomeAssistant) -> Iterator[Household]:
    """A household that Home Assistant knows. Restarts Home Assistant the first time, which then has `PACKAGE`."""
    package = home_assistant.process.config / "packages/household.yaml"
    if not package.exists():
        package.write_text(PACKAGE)
        home_assistant.stop()
        home_assistant.start()
    with Subscriber(home_assistant.broker.port) as broker, Phone(home_assistant) as phone:
        home = Household(home_assistant, broker, phone)
        home.begin()
        yield home
