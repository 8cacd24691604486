"""docs/topics.md and docs/entities.md are what the contract says."""

import subprocess
import sys
from pathlib import Path


def test_pages_about_topics_and_entities_are_current(repository: Path) -> None:
    command = [sys.executable, repository / "scripts/generate_docs.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_pages_name_every_kind_of_entity_and_topic(repository: Path) -> None:
    entities = (repository / "docs/entities.md").read_text()
    topics = (repository / "docs/topics.md").read_text()
    for entity in ("binary_sensor.hall_street_siren`", "event.hall_street_siren`", "update.hall_model`"):
        assert entity in entities
    assert entities.count("\n| ") > 25
    for topic in ("earshot/<node>/status`", "earshot/<node>/source/<source>/<label>/onset`"):
        assert topic in topics
    assert topics.count("\n| `earshot/") > 25
