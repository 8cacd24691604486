"""What a node keeps unasked, as it happens, over HTTP: for `node-cli record --auto`."""

import contextlib
import json

from aiohttp import web

from earshot_node.errors import EarshotError
from earshot_node.http.json_body import refuse
from earshot_node.http.recordings_api import API
from earshot_node.recordings.budget import Unasked
from earshot_node.recordings.candidates import Candidates


class CandidatesApi:
    """Lets a client follow what is kept unasked."""

    def __init__(self, candidates: Candidates) -> None:
        self._candidates = candidates

    def routes(self) -> list[web.RouteDef]:
        """Return the paths."""
        return [web.get(f"{API}/candidates", self._follow)]

    async def _follow(self, request: web.Request) -> web.StreamResponse:
        """Answer with one JSON object a line until the client goes; `Candidates.follow` says when."""
        async with contextlib.aclosing(self._candidates.follow()) as following:
            try:
                first = await anext(following)
            except EarshotError as error:
                return refuse(error)
            response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
            await response.prepare(request)
            await response.write(_line(first))
            async for news in following:
                await response.write(_line(news))
            await response.write_eof()
            return response


def _line(news: Unasked) -> bytes:
    kept = None if news.kept is None else news.kept.model_dump(mode="json", by_alias=True)
    fact = {"kept_s": news.kept_s, "per_day_s": news.per_day_s, "problem": news.problem, "recording": kept}
    return json.dumps(fact).encode() + b"\n"
