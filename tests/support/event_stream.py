"""A node that publishes numbered events for ever, to be killed: `python event_stream.py STATE PORT FIRST`.

Prints the number of each event once it is committed. Events alternate between two sources.
"""

import asyncio
import itertools
import sys
from contextlib import closing
from pathlib import Path

from earshot_node.mqtt.client import BackOff
from earshot_node.mqtt.publisher import Publisher
from earshot_node.mqtt.store import StateStore
from support.mqtt_node import event, node_config, node_info

SOURCES = ("street", "yard")


async def publish_for_ever(state: Path, port: int, first: int) -> None:
    config = node_config(port, "stream", home_assistant={"enabled": False})
    with closing(StateStore(state)) as store:
        publisher = Publisher(config, node_info(config), store, lambda *_: None, back_off=BackOff(0.05, 0.2))
        await publisher.start()
        for number in itertools.count(first):
            await publisher.publish_event(event(number, source=SOURCES[number % 2], node="stream"))
            print(number, flush=True)
            await asyncio.sleep(0.002)


if __name__ == "__main__":
    asyncio.run(publish_for_ever(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
