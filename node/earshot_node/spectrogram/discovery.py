"""The picture's entity in Home Assistant."""

from typing import Any

from earshot_node.contract.config import NodeConfig
from earshot_node.contract.topics import NodeTopics

CONTENT_TYPE = "image/png"


def spectrogram_parts(config: NodeConfig, topics: NodeTopics, source: str) -> dict[str, dict[str, Any]]:
    """Return the components of a source's device; none when the picture is switched off."""
    if not config.spectrogram.enabled:
        return {}
    return {
        "spectrogram": {
            "platform": "image",
            "name": "Spectrogram",
            "icon": "mdi:chart-histogram",
            "image_topic": topics.spectrogram(source).name,
            "content_type": CONTENT_TYPE,
        }
    }
