"""Keeps Home Assistant's discovery topics as the configuration wants them, and remembers what it put there.

Discovery messages go out at least `SPACING_S` apart: Home Assistant drops components of two that come within
milliseconds. A device that a person deleted in Home Assistant stays deleted until its configuration changes or
`revive` is called. When a component is removed that a person had disabled, Home Assistant empties the device's topic
and drops all of the device: it is announced again. The ledger is written before a message is sent, so a kill in
between leaves nothing unknown behind. What was removed is removed once more when Home Assistant has started, because it
does not see what goes while it is down.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

from earshot_node.contract.topics import Topic
from earshot_node.mqtt import discovery
from earshot_node.mqtt.connection import Delivery, Outcome
from earshot_node.mqtt.departed import departed_components, departed_device
from earshot_node.mqtt.disk_thread import DiskThread
from earshot_node.mqtt.remembered import Announcement
from earshot_node.mqtt.store import StateStore

_log = logging.getLogger(__name__)
Publish = Callable[[Topic, bytes], Awaitable[Delivery]]

SPACING_S: Final = 1.2
SETTLE_SPACINGS: Final = 3
ECHO_S: Final = 30.0  # for so long after a removal an empty topic is Home Assistant's doing


class Announcer:
    """Announces the devices of one node."""

    def __init__(
        self,
        wanted: Mapping[Topic, discovery.Payload],
        store: StateStore,
        publish: Publish,
        disk: DiskThread,
        *,
        spacing_s: float = SPACING_S,
    ) -> None:
        self._wanted = wanted
        self._topics = {topic.name: topic for topic in wanted}
        self._store = store
        self._publish = publish
        self._disk = disk
        self._spacing_s = spacing_s
        self._lock = asyncio.Lock()
        self._ledger = store.announcements()
        self._departed = store.departed()
        self._echo_until_s: dict[str, float] = {}
        self._echoed: set[str] = set()

    async def announce(self) -> bool:
        """Clear what is no longer wanted, announce what is; True if the broker acknowledged all of it."""
        async with self._lock:
            for name in [name for name in self._ledger if name not in self._topics]:
                if not await self._clear(name):
                    return False
            return await self._announce_each(self._wanted)

    def want(self, wanted: Mapping[Topic, discovery.Payload]) -> list[Topic]:
        """From now on want something else of the same devices; return those that differ, for `announce_only`.

        Args:
            wanted: by topic, the same topics as before.
        """
        changed = [topic for topic, payload in wanted.items() if payload != self._wanted[topic]]
        self._wanted = wanted
        return changed

    async def announce_only(self, topics: Iterable[Topic]) -> None:
        """Announce what is wanted on some topics; what the broker does not take is left to the next `announce`."""
        async with self._lock:
            await self._announce_each(topics)

    async def remove_again(self) -> None:
        """Home Assistant has started: what was removed before it may have missed; remove it before its eyes."""
        async with self._lock:
            for name, gone in list(self._departed.items()):
                topic = self._topics.get(name)
                if topic is None:
                    done = await self._remove_device_again(name, gone)
                elif self._is_deleted(name, self._wanted[topic]):
                    done = True
                else:
                    done = await self._remove_components_again(topic, gone)
                if not done:
                    return
                await self._bury(name, {})

    async def heard(self, name: str, payload: bytes) -> None:
        """Take note of a message on a discovery topic; an empty one that nobody here sent is a person's deletion."""
        entry = self._ledger.get(name)
        if payload or entry is None or entry.deleted or name not in self._topics:
            return
        if asyncio.get_running_loop().time() < self._echo_until_s.get(name, 0.0):
            await self._announce_after_echo(self._topics[name])
            return
        _log.info("MQTT: %s was deleted in Home Assistant; it stays so until its configuration changes", name)
        wanted = discovery.fingerprint(self._wanted[self._topics[name]])
        await self._remember(name, Announcement(wanted, entry.components, deleted=True))

    async def _announce_after_echo(self, topic: Topic) -> None:
        """Announce a device again, once for all echoes of its removed components."""
        if topic.name in self._echoed:
            return
        self._echoed.add(topic.name)
        try:
            await asyncio.sleep(SETTLE_SPACINGS * self._spacing_s)
        finally:
            self._echoed.discard(topic.name)
        async with self._lock:
            await self._announce(topic, self._wanted[topic])

    async def revive(self) -> None:
        """Forget deletions made in Home Assistant: the next `announce` brings everything back."""
        for name, entry in list(self._ledger.items()):
            if entry.deleted:
                await self._forget(name)

    async def _announce_each(self, topics: Iterable[Topic]) -> bool:
        for topic in topics:
            payload = self._wanted[topic]
            if not self._is_deleted(topic.name, payload) and not await self._announce(topic, payload):
                return False
        return True

    def _is_deleted(self, name: str, payload: discovery.Payload) -> bool:
        entry = self._ledger.get(name)
        return entry is not None and entry.deleted and entry.fingerprint == discovery.fingerprint(payload)

    async def _announce(self, topic: Topic, payload: discovery.Payload) -> bool:
        components = discovery.platforms(payload)
        wanted = discovery.fingerprint(payload)
        entry = self._ledger.get(topic.name)
        before = dict(entry.components) if entry is not None else {}
        gone = {key: platform for key, platform in before.items() if key not in components}
        await self._remember(topic.name, Announcement(wanted, {**before, **components}))
        if gone:
            self._echo_until_s[topic.name] = asyncio.get_running_loop().time() + ECHO_S
            if not await self._sent(topic, discovery.encode(discovery.removing(payload, gone))):
                return False
        if not await self._sent(topic, discovery.encode(payload)):
            return False
        await self._remember(topic.name, Announcement(wanted, components))
        departed = {**self._departed.get(topic.name, {}), **gone}
        await self._bury(topic.name, {key: platform for key, platform in departed.items() if key not in components})
        return True

    async def _clear(self, name: str) -> bool:
        if not await self._sent(Topic(name, 1, retain=True), b""):
            return False
        entry = self._ledger[name]
        if not entry.deleted:
            await self._bury(name, {**self._departed.get(name, {}), **entry.components})
        await self._forget(name)
        return True

    async def _remove_device_again(self, name: str, gone: Mapping[str, str]) -> bool:
        passing = Topic(name, 1, retain=False)  # nothing is left of it should the node end here
        if not await self._sent(passing, discovery.encode(departed_device(name, gone)), SETTLE_SPACINGS):
            return False
        return await self._sent(Topic(name, 1, retain=True), b"")

    async def _remove_components_again(self, topic: Topic, gone: Mapping[str, str]) -> bool:
        payload = self._wanted[topic]
        once_more = {**payload["components"], **departed_components(topic.name, gone)}
        passing = Topic(topic.name, 1, retain=False)
        self._echo_until_s[topic.name] = asyncio.get_running_loop().time() + ECHO_S
        if not await self._sent(passing, discovery.encode({**payload, "components": once_more}), SETTLE_SPACINGS):
            return False
        if not await self._sent(passing, discovery.encode(discovery.removing(payload, dict(gone)))):
            return False
        return await self._sent(topic, discovery.encode(payload))

    async def _sent(self, topic: Topic, payload: bytes, spacings: int = 1) -> bool:
        delivery = await self._publish(topic, payload)
        await asyncio.sleep(spacings * self._spacing_s)
        return delivery.outcome is Outcome.ACKNOWLEDGED

    async def _remember(self, name: str, entry: Announcement) -> None:
        if self._ledger.get(name) != entry:
            self._ledger[name] = entry
            await self._disk.attempt(lambda: self._store.save_announcement(name, entry))

    async def _bury(self, name: str, gone: Mapping[str, str]) -> None:
        """Keep what is to be removed again; nothing more if `gone` is empty."""
        if self._departed.get(name, {}) == gone:
            return
        if gone:
            self._departed[name] = dict(gone)
        else:
            del self._departed[name]
        await self._disk.attempt(lambda: self._store.save_departed(name, gone))

    async def _forget(self, name: str) -> None:
        del self._ledger[name]
        await self._disk.attempt(lambda: self._store.forget_announcement(name))
