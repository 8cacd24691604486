"""Whose signatures count on this node."""

from pathlib import Path

from earshot_node.contract.config import NodeConfig
from earshot_node.deployment.membership import load_membership


def trusted_keys(config: NodeConfig, state_dir: Path) -> tuple[str, ...]:
    """Return the public keys that are pinned: those of `model.trusted_keys` and the joined trainer's, base64."""
    membership = load_membership(state_dir)
    joined = (membership.public_key,) if membership is not None else ()
    return tuple(dict.fromkeys((*config.model.trusted_keys, *joined)))
