"""What tests of blueprints share: where the files are, automations made of them, and what these tell."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from support.home_assistant.instance import HomeAssistant
from support.home_assistant.told_node import ToldNode

FOLDER: Final = Path(__file__).resolve().parents[3] / "homeassistant/blueprints/automation/earshot"
BLUEPRINTS: Final = sorted(FOLDER.glob("*.yaml"))
TOLD: Final = "input_text.told"
SOON_S: Final = 120.0
RADIO: Final = "homeassistant.components.media_player"  # 2026.2 warns of itself there when the radio is set up

Make = Callable[..., str]


@contextmanager
def automations(home_assistant: HomeAssistant) -> Iterator[Make]:
    """Make automations from blueprints; each call returns an entity. Removed at the end, when the log must be clean."""
    since = home_assistant.process.log_size()
    made: list[str] = []

    def one(blueprint: str, **inputs: Any) -> str:
        made.append(f"{blueprint}_{len(made)}_{uuid.uuid4().hex[:8]}")
        used = {"path": f"earshot/{blueprint}.yaml", "input": inputs}
        return home_assistant.save_automation(made[-1], {"alias": made[-1], "use_blueprint": used})

    yield one
    failed = [trace for uid in made for trace in home_assistant.traces(uid) if trace.get("error")]
    for uid in made:
        home_assistant.api.json("DELETE", f"/api/config/automation/config/{uid}")
    assert failed == []
    told = [line for line in home_assistant.problems(since) if not line.logger.startswith(RADIO)]
    assert told == []


def tell(text: str) -> list[dict[str, Any]]:
    """Actions that write `text` where a test reads it."""
    return [{"action": "input_text.set_value", "target": {"entity_id": TOLD}, "data": {"value": text}}]


def siren_entities(platform: str, *nodes: ToldNode, key: str = "siren") -> list[str]:
    return [node.entity(platform, source.id, key) for node in nodes for source in node.config.sources]
