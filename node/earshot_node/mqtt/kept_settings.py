"""Keeps commanded settings on disk, and goes on trying while the disk refuses them."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Final

from earshot_node.contract.topics import SettingName
from earshot_node.mqtt.disk_thread import DiskThread
from earshot_node.mqtt.settings import CommandedSettings, Key, LabelSettings, encode_setting, with_value
from earshot_node.mqtt.store import StateStore

_log = logging.getLogger(__name__)

SAVE_AGAIN_S: Final = 60.0


class KeptSettings:
    """What was commanded, by source and label.

    Only the commanded is kept: a sensitivity that nobody set follows the configuration's preset, also for a label
    that somebody switched off.

    Args:
        store: what an earlier process kept, and where it is kept.
        disk: the thread for that.
        save_again_s: how long after a failure to try again.
    """

    def __init__(self, store: StateStore, disk: DiskThread, *, save_again_s: float = SAVE_AGAIN_S) -> None:
        self._store = store
        self._disk = disk
        self._save_again_s = save_again_s
        self._commanded = store.settings()
        self._unsaved: dict[Key, CommandedSettings] = {}

    def over(self, default: LabelSettings, keys: Iterable[Key]) -> dict[Key, LabelSettings]:
        """Return what holds for `keys`; what differs from `default` is logged."""
        held = {key: self._commanded.get(key, CommandedSettings()).over(default) for key in keys}
        for (source, label), settings in held.items():
            if settings != default:
                _log.info("%s on %s: %s", label, source, _difference(settings, default))
        return held

    async def keep(self, key: Key, value: bool | float) -> None:
        """Keep a commanded switch (bool) or sensitivity (float), now or as soon as the disk takes it."""
        self._commanded[key] = with_value(self._commanded.get(key, CommandedSettings()), value)
        self._unsaved[key] = self._commanded[key]
        await self.save()

    async def save(self) -> None:
        """Write what is not on disk yet, if the disk takes it."""
        unsaved = dict(self._unsaved)
        if await self._disk.attempt(lambda: self._store.save_settings(unsaved)):
            self._unsaved = {key: value for key, value in self._unsaved.items() if unsaved.get(key) != value}

    async def run(self) -> None:
        """For ever: try again while the disk refuses writing."""
        while True:
            await asyncio.sleep(self._save_again_s)
            if self._unsaved or self._disk.problem:
                await self.save()


def _difference(settings: LabelSettings, default: LabelSettings) -> str:
    known: tuple[SettingName, ...] = ("enabled", "sensitivity")
    names = [name for name in known if getattr(settings, name) != getattr(default, name)]
    return ", ".join(
        f"{name} is {encode_setting(settings, name).decode()} as commanded over MQTT earlier "
        f"(the configuration says {encode_setting(default, name).decode()})"
        for name in names
    )
