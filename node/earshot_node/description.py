"""What a node says about itself."""

from collections.abc import Sequence
from datetime import datetime

from earshot_node import __version__
from earshot_node.contract.config import NodeConfig
from earshot_node.contract.manifest import BundleManifest
from earshot_node.contract.messages import ModelInfo, NodeInfo, SourceInfo
from earshot_node.contract.recordings import BACKGROUND


def describe_node(
    config: NodeConfig, manifest: BundleManifest, started: datetime, recording_labels: Sequence[str]
) -> NodeInfo:
    """Return who a node with this configuration, model and labels for recordings is, running since `started`."""
    return NodeInfo(
        node=config.node.id,
        name=config.node.name or config.node.id,
        version=__version__,
        model=ModelInfo(name=manifest.name, version=manifest.version, labels=manifest.labels),
        labels=config.labels,
        recording_labels=(*recording_labels, BACKGROUND),
        sources=tuple(
            SourceInfo(id=one.id, name=one.name or one.id, type=one.type, area=one.area or config.node.area)
            for one in config.sources
        ),
        started=started,
    )
