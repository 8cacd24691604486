"""Whose signatures count on this node."""

from pathlib import Path

from earshot_node.contract.config import NodeConfig


def trusted_keys(config: NodeConfig, _state_dir: Path) -> tuple[str, ...]:
    """Return the public keys of `model.trusted_keys`, base64."""
    return config.model.trusted_keys
