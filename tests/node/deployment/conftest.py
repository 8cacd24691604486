"""What tests of installing and starting models share."""

import pytest
from support.deployed import without_proof

from earshot_node.deployment import installer


@pytest.fixture
def _unproven(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install without the self-test, which takes a second and writes nothing."""
    monkeypatch.setattr(installer, "prove", without_proof)
