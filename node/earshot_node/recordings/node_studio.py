"""Records through the running node on this machine: HTTP with the node's token."""

import contextlib
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from earshot_node.contract.recordings import Labelling, RecordingInfo
from earshot_node.errors import OperatorError, RetryError, SourceError
from earshot_node.http.address import read_address
from earshot_node.http.certificate import client_context
from earshot_node.http.token import read_token
from earshot_node.recordings.budget import Unasked
from earshot_node.recordings.studio import StudioInfo, TakeMade
from earshot_node.recordings.take import Progress

ANSWER_S: Final = 15.0
_API: Final = "/api/v1"


class NodeStudio:
    """See `Studio`.

    Args:
        address: `http://host:port` of the node.
        token: its bearer token.
        tls: how its certificate is checked; None for plain HTTP.
    """

    def __init__(self, address: str, token: str, tls: ssl.SSLContext | None = None) -> None:
        self._address = address
        self._token = token
        self._tls = tls

    def describe(self) -> StudioInfo:
        """See `Studio.describe`."""
        told = self._call("GET", "/recorder")
        sources = {one["id"]: one["name"] for one in told["sources"]}
        return StudioInfo(told["node"], True, sources, tuple(told["labels"]), told["counts"], told["needed"])

    def record(self, source: str, seconds: float, countdown_s: float) -> Iterator[Progress | TakeMade]:
        """See `Studio.record`."""
        wanted = {"source": source, "seconds": seconds, "countdown_s": countdown_s}
        with self._open("POST", "/takes", wanted) as response, _as_errors():
            for line in response:
                told = json.loads(line)
                if told["phase"] == "failed":
                    raise SourceError(told["error"])
                if told["phase"] == "finished":
                    yield TakeMade(told["take"], RecordingInfo.model_validate(told["recording"]))
                    return
                yield Progress(told["phase"], told["at_s"], told["level_dbfs"], told["clipped"])
        raise RetryError("the node broke off in the middle of a take; is it being restarted?")

    def keep(self, take_id: str, labelling: Labelling) -> RecordingInfo:
        """See `Studio.keep`."""
        return RecordingInfo.model_validate(self._call("POST", f"/takes/{quote(take_id)}/keep", _said(labelling)))

    def drop(self, take_id: str) -> None:
        """See `Studio.drop`."""
        self._call("DELETE", f"/takes/{quote(take_id)}")

    def label_event(self, event_id: str, labelling: Labelling) -> RecordingInfo:
        """See `Studio.label_event`."""
        path = f"/events/{quote(event_id, safe='')}/recording"
        return RecordingInfo.model_validate(self._call("POST", path, _said(labelling)))

    def follow(self) -> Iterator[Unasked]:
        """See `Studio.follow`; the node keeps candidates whether somebody follows or not."""
        with self._open("GET", "/candidates") as response, _as_errors():
            for line in response:
                told = json.loads(line)
                kept = None if told["recording"] is None else RecordingInfo.model_validate(told["recording"])
                yield Unasked(told["kept_s"], told["per_day_s"], kept, told["problem"])
        raise RetryError("the node has ended; while it does not run, nothing is kept")

    def close(self) -> None:
        """See `Studio.close`."""

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        with self._open(method, path, body) as response, _as_errors():
            text = response.read()
            return json.loads(text) if text else None

    def _open(self, method: str, path: str, body: dict[str, Any] | None = None) -> HTTPResponse:
        headers = {"Authorization": f"Bearer {self._token}", "User-Agent": "node-cli"}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        url = f"{self._address}{_API}{path}"
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - of our own making
        try:
            response: HTTPResponse = urllib.request.urlopen(  # noqa: S310
                request, timeout=ANSWER_S, context=self._tls
            )
        except urllib.error.HTTPError as error:
            raise OperatorError(_reason(error)) from error
        except (OSError, HTTPException) as error:
            raise RetryError(f"the node at {self._address} does not answer: {error}") from error
        return response


def find_node(state_dir: Path, configured_token: str) -> NodeStudio | None:
    """Return the running node that uses this state folder, None if there is none.

    Raises:
        OperatorError: there is one, but its token cannot be read or is not accepted.
    """
    try:
        address = read_address(state_dir)
        if not address:
            return None
        token = read_token(state_dir, configured_token)
        tls = client_context(state_dir)
    except PermissionError as error:
        raise OperatorError(
            f"{state_dir} belongs to the user that the node runs as; run it as that user: "
            f"sudo -u {_owner(state_dir)} node-cli record ..."
        ) from error
    studio = NodeStudio(address, token, tls)
    try:
        studio.describe()
    except RetryError:
        return None
    return studio


def _said(labelling: Labelling) -> dict[str, Any]:
    said: dict[str, Any] = labelling.model_dump(mode="json", exclude={"time"})
    return said


def _reason(error: urllib.error.HTTPError) -> str:
    text = error.read(4096).decode("utf-8", "replace")
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        hint = "; EARSHOT_HTTP_TOKEN or http.token must be the running node's" if error.code == 401 else ""
        return f"the node answers {error.code} {' '.join(text.split())}{hint}"


@contextlib.contextmanager
def _as_errors() -> Iterator[None]:
    """Turn what goes wrong while an answer is read into a line."""
    try:
        yield
    except (OSError, HTTPException, ValueError, KeyError) as error:
        raise RetryError(f"the node's answer broke off ({type(error).__name__}); is it being restarted?") from error


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except (OSError, KeyError):
        return "earshot"
