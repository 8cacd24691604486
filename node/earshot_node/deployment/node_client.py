"""Asks the running node on this machine to change its model: HTTP with the node's token."""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, Final

from earshot_node.deployment.installer import Progress
from earshot_node.deployment.slots import Slots
from earshot_node.errors import BundleError, OperatorError, RetryError
from earshot_node.http.address import read_address
from earshot_node.http.certificate import client_context
from earshot_node.http.token import read_token

FIND_WITHIN_S: Final = 5.0
SILENT_FOR_S: Final = 300.0
_API: Final = "/api/v1/models"


class NodeClient:
    """A node that runs.

    Args:
        address: `http://host:port`.
        token: its bearer token.
        tls: how its certificate is checked; None for plain HTTP.
    """

    def __init__(self, address: str, token: str, tls: ssl.SSLContext | None = None) -> None:
        self._address = address
        self._token = token
        self._tls = tls

    def install(self, wanted: dict[str, Any], on_progress: Progress) -> Slots:
        """Have a staged file installed; see `InstallRequest`.

        Raises:
            BundleError: the node refuses it.
            RetryError: the node did not answer to the end.
        """
        with self._open("/install", wanted) as response:
            for text in response:
                line = json.loads(text)
                if "error" in line:
                    raise BundleError(line["error"])
                if "slots" in line:
                    return Slots.model_validate(line["slots"])
                on_progress(line["stage"], line["done"])
        raise RetryError("the node stopped before it was done; `node-cli model list` shows what came of it")

    def roll_back(self) -> Slots:
        """Go back to the previous model.

        Raises:
            OperatorError: there is none.
            RetryError: the node does not answer.
        """
        with self._open("/rollback", {}) as response:
            return Slots.model_validate(json.load(response)["slots"])

    @contextmanager
    def _open(self, path: str, body: dict[str, Any]) -> Iterator[HTTPResponse]:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        url = f"{self._address}{_API}{path}"
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310 - of our own making
        try:
            with urllib.request.urlopen(request, timeout=SILENT_FOR_S, context=self._tls) as response:  # noqa: S310
                yield response
        except urllib.error.HTTPError as error:
            raise OperatorError(_reason(error)) from error
        except (OSError, HTTPException, ValueError, KeyError) as error:
            raise RetryError(f"the node at {self._address} broke off: {error}") from error


def find_node(state_dir: Path, configured_token: str) -> NodeClient | None:
    """Return the running node that uses this state folder, None if there is none that answers.

    Raises:
        OperatorError: its token cannot be read.
    """
    try:
        address = read_address(state_dir)
        token = read_token(state_dir, configured_token) if address else ""
        tls = client_context(state_dir)
    except PermissionError as error:
        raise OperatorError(
            f"{state_dir}: permission denied; run this as the service's user, such as sudo -u earshot"
        ) from error
    if not address:
        return None
    try:
        url = f"{address}/healthz"
        urllib.request.urlopen(url, timeout=FIND_WITHIN_S, context=tls).close()  # noqa: S310 - of our own making
    except urllib.error.HTTPError:
        pass  # it answers, though it is not well
    except (OSError, HTTPException):
        return None
    return NodeClient(address, token, tls)


def _reason(error: urllib.error.HTTPError) -> str:
    text = error.read(4096).decode("utf-8", "replace")
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        hint = "; EARSHOT_HTTP_TOKEN or http.token must be the running node's" if error.code == 401 else ""
        return f"the node answers {error.code} {' '.join(text.split())}{hint}"
