"""What the recorder of a node can be set to over MQTT: the label of the next sample, and its source."""

from earshot_node.contract.config import NodeConfig
from earshot_node.contract.messages import NodeInfo
from earshot_node.contract.recordings import BACKGROUND
from earshot_node.contract.topics import RecorderSetting


def recorder_options(config: NodeConfig, info: NodeInfo) -> dict[RecorderSetting, tuple[str, ...]]:
    """Return what can be chosen, by setting; the first of each holds until somebody chooses."""
    labels = tuple(dict.fromkeys((*(info.recording_labels or config.labels), BACKGROUND)))
    return {"label": labels, "source": tuple(source.id for source in config.sources)}
