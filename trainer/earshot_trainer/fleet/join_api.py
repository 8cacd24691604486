"""`POST /api/v1/join`, as docs/joining.md says. The only path that needs no token: the invite's secret is one."""

import asyncio
import logging
from typing import Final

from aiohttp import web

from earshot_node.contract.joining import JOIN_PATH, JoinRequest
from earshot_node.errors import MessageError, OperatorError
from earshot_node.http.json_body import answer, read_body
from earshot_node.http.limits import RateLimit
from earshot_trainer.catalogue.members import InviteError, Members, TakenError
from earshot_trainer.fleet.invites import let_in
from earshot_trainer.home.folder import Home

_log = logging.getLogger(__name__)

ATTEMPTS_PER_S: Final = 0.2
ATTEMPTS_BURST: Final = 10
_RETRY_S: Final = "5"


class JoinApi:
    """Lets nodes in.

    An address that asks too often is not listened to for a while, so that a secret cannot be guessed.

    Args:
        home: whose key signs the grants.
        members: where invites and nodes are.
    """

    def __init__(self, home: Home, members: Members) -> None:
        self._home = home
        self._members = members
        self._attempts = RateLimit(ATTEMPTS_PER_S, ATTEMPTS_BURST)

    def routes(self) -> list[web.RouteDef]:
        """Return the paths."""
        return [web.post(JOIN_PATH, self._join)]

    async def _join(self, request: web.Request) -> web.StreamResponse:
        remote = request.remote or ""
        if not self._attempts.take(remote):  # before the secret is looked at
            return _slow_down()
        try:
            wanted = await read_body(request, JoinRequest)
            signed = await asyncio.to_thread(let_in, self._home, self._members, wanted, remote)
        except MessageError as error:
            return answer({"error": str(error)}, 400)
        except InviteError as error:
            _log.warning("join from %s refused: %s", remote, error)
            return answer({"error": str(error)}, 403)
        except TakenError as error:
            _log.warning("join from %s refused: %s", remote, error)
            return answer({"error": str(error)}, 409)
        except OperatorError as error:
            _log.error("join from %s failed: %s", remote, error)
            return answer({"error": "the trainer cannot keep anything now; see its log"}, 503)
        _log.info("node %s has joined from %s", wanted.node, remote)
        return web.Response(body=signed.encode(), content_type="application/json")


def _slow_down() -> web.Response:
    body = {"error": "too many attempts from this address; wait a while"}
    response = answer(body, 429)
    response.headers["Retry-After"] = _RETRY_S
    return response
