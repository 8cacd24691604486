"""JSON in and out of requests, and errors as JSON."""

import asyncio
import json
from typing import Final, NoReturn, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from earshot_node.errors import EarshotError, MessageError, RetryError
from earshot_node.recordings.errors import ConflictError, NoRoomError, NotTurnedOnError, UnknownRecordingError

BODY_WITHIN_S: Final = 10.0
ModelT = TypeVar("ModelT", bound=BaseModel)


def answer(body: object, status: int = 200) -> web.Response:
    """Return a JSON answer."""
    return web.Response(status=status, text=json.dumps(body) + "\n", content_type="application/json")


def refuse(error: EarshotError) -> web.Response:
    """Return an error as `{"error": "one line"}` with the status that fits."""
    status = 500
    for kind, code in _STATUSES:
        if isinstance(error, kind):
            status = code
            break
    return answer({"error": str(error)}, status)


async def read_body(request: web.Request, kind: type[ModelT]) -> ModelT:
    """Read a small JSON object.

    Raises:
        MessageError: it is not what `kind` describes.
        web.HTTPException: 408 too slow, 413 too large, 415 not JSON.
    """
    if request.content_type != "application/json":
        _raise(415, "send application/json")
    try:
        body = await asyncio.wait_for(request.read(), BODY_WITHIN_S)
    except TimeoutError:
        _raise(408, f"the body did not come within {BODY_WITHIN_S:.0f} s")
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise MessageError(f"{where}: {first['msg']}") from error


_STATUSES: Final[tuple[tuple[type[EarshotError], int], ...]] = (
    (NotTurnedOnError, 403),
    (UnknownRecordingError, 404),
    (ConflictError, 409),
    (NoRoomError, 507),
    (MessageError, 400),
    (RetryError, 503),
)
_EXCEPTIONS: Final = {408: web.HTTPRequestTimeout, 415: web.HTTPUnsupportedMediaType}


def _raise(status: int, text: str) -> NoReturn:
    raise _EXCEPTIONS[status](text=json.dumps({"error": text}) + "\n", content_type="application/json")
