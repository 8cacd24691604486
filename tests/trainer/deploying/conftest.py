"""A household for each test."""

from pathlib import Path

import pytest
from support.household import Household
from support.mosquitto import Mosquitto


@pytest.fixture
def household(tmp_path: Path, broker: Mosquitto) -> Household:
    """See `Household`."""
    return Household(tmp_path, broker)
