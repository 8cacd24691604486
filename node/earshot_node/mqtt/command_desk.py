"""Acts on commands one after the other: keeps, applies and echoes settings, runs node commands, answers refusals."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from earshot_node.contract.config import NodeConfig
from earshot_node.contract.messages import Command, RecordCommand, Reply
from earshot_node.errors import EarshotError
from earshot_node.mqtt.board import Board, Message
from earshot_node.mqtt.commands import (
    FeedbackRequest,
    NodeRequest,
    RecorderRequest,
    Refusal,
    SettingRequest,
    read_command,
)
from earshot_node.mqtt.connection import Received
from earshot_node.mqtt.kept_settings import KeptSettings
from earshot_node.mqtt.settings import SettingChange, with_value

_log = logging.getLogger(__name__)
CommandAction = Callable[[Command], Awaitable[None] | None]
FeedbackAction = Callable[[FeedbackRequest], Awaitable[None]]

MAX_WAITING: Final = 100
MAX_RUNNING: Final = 8
MAX_WARNED: Final = 100


class CommandDesk:
    """Takes what arrives on command topics.

    Args:
        config: which sources and labels there are.
        board: holds the settings; changed by accepted commands only.
        kept: keeps them.
        send: publishes echoes and replies.
        on_setting: called in the loop after a setting was changed.
        actions: the node's commands by name; one that raises an `EarshotError` is answered with its text. One that
            returns an awaitable goes on beside the next commands and is answered when it is done.
        on_feedback: what is done about feedback; None refuses it.
    """

    def __init__(
        self,
        config: NodeConfig,
        board: Board,
        kept: KeptSettings,
        *,
        send: Callable[[list[Message]], None],
        on_setting: Callable[[str, str, SettingChange], None],
        actions: Mapping[str, CommandAction],
        on_feedback: FeedbackAction | None = None,
    ) -> None:
        self._config = config
        self._board = board
        self._kept = kept
        self._send = send
        self._on_setting = on_setting
        self._actions = actions
        self._on_feedback = on_feedback
        self._running: set[asyncio.Task[None]] = set()
        self._waiting: asyncio.Queue[Received] = asyncio.Queue(MAX_WAITING)
        self._warned: set[str] = set()
        self.refused = 0

    def take(self, message: Received) -> None:
        """Accept a message for `run`; while `MAX_WAITING` are waiting, further ones are dropped."""
        try:
            self._waiting.put_nowait(message)
        except asyncio.QueueFull:
            self._warn("commands", "come faster than they can be done; some are dropped")

    async def run(self) -> None:
        """Work for ever."""
        try:
            while True:
                await self._do(await self._waiting.get())
        finally:
            for task in self._running:
                task.cancel()

    async def _do(self, message: Received) -> None:
        try:
            options = self._board.recorder_options
            match read_command(self._config, self._board.topics, self._actions, message, options):
                case SettingRequest() as setting:
                    await self._change(setting)
                case RecorderRequest() as choice:
                    self._board.recorder[choice.setting] = choice.value
                    self._send(self._board.recorder_echo())
                case FeedbackRequest(message=command) | NodeRequest(command=command) as request if self._is_busy:
                    self._refuse(Refusal(request.name, "too much is being done already; try again", id=command.id))
                case FeedbackRequest() as feedback:
                    self._take_feedback(feedback)
                case NodeRequest() as request:
                    self._act(request)
                case Refusal() as refusal:
                    self._refuse(refusal)
                case None:
                    pass
        except Exception:  # noqa: BLE001 - around one command
            _log.exception("MQTT: command on %s failed", message.topic)

    @property
    def _is_busy(self) -> bool:
        return len(self._running) >= MAX_RUNNING

    async def _change(self, request: SettingRequest) -> None:
        key = (request.source, request.label)
        settings = with_value(self._board.settings[key], request.value)
        if settings != self._board.settings[key]:
            await self._kept.keep(key, request.value)
            self._board.settings[key] = settings
            _log.info("%s of %s on %s set to %s over MQTT", request.name, request.label, request.source, request.value)
            self._on_setting(*key, SettingChange(request.name, settings))
        self._send(self._board.setting(key) + ([] if settings.enabled else self._board.close(key)))

    def _act(self, request: NodeRequest) -> None:
        command = request.command
        if isinstance(command, RecordCommand):
            chosen: dict[str, str] = {
                name: value for name, value in self._board.recorder.items() if getattr(command, name) is None
            }
            command = command.model_copy(update=chosen)
        try:
            going = self._actions[request.name](command)
        except EarshotError as error:
            self._refuse(Refusal(request.name, str(error), id=command.id))
            return
        if going is None:
            self._reply(Reply(id=command.id, command=request.name, ok=True))
        else:
            self._finish_later(request.name, command.id, going)

    def _take_feedback(self, request: FeedbackRequest) -> None:
        if self._on_feedback is None:
            self._refuse(Refusal(request.name, "this node keeps no recordings", id=request.message.id))
        else:
            self._finish_later(request.name, request.message.id, self._on_feedback(request))

    def _finish_later(self, name: str, command_id: str, going: Awaitable[None]) -> None:
        """Go on with the next command, and answer this one when it is done."""

        async def finish() -> None:
            try:
                await going
            except EarshotError as error:
                self._refuse(Refusal(name, str(error), id=command_id))
            except Exception:  # noqa: BLE001 - around one command
                _log.exception("MQTT: command %s failed", name)
            else:
                self._reply(Reply(id=command_id, command=name, ok=True))

        task = asyncio.create_task(finish(), name=f"command {name}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def _refuse(self, refusal: Refusal) -> None:
        self.refused += 1
        self._warn(refusal.command, refusal.reason)
        if refusal.setting is not None:
            self._send(self._board.setting((refusal.setting.source, refusal.setting.label)))
        self._reply(Reply(id=refusal.id, command=refusal.command, ok=False, reason=refusal.reason))

    def _reply(self, reply: Reply) -> None:
        self._send([(self._board.topics.reply(), reply.encode())])

    def _warn(self, command: str, reason: str) -> None:
        first = command not in self._warned and len(self._warned) < MAX_WARNED
        self._warned.add(command)
        _log.log(logging.WARNING if first else logging.DEBUG, "MQTT: command %r refused: %s", command, reason)
