"""The review page shows nothing without its cookie, does nothing for other pages, and labels what waits."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request
from support.kept_recordings import keep_recording
from support.recording_parts import BEGIN
from support.sounds import wail
from support.trainer_home import make_home

from earshot_node.contract.recordings import Candidate, Labelling, RecordingInfo
from earshot_trainer.catalogue.library import Library
from earshot_trainer.catalogue.opening import open_catalogue
from earshot_trainer.fleet.server import TrainerServer
from earshot_trainer.home.folder import Home
from earshot_trainer.labelling.review_login import LASTS_S, ReviewLogin, review_link, review_token
from earshot_trainer.labelling.review_page import ReviewPage

Client = TestClient[web.Request, web.Application]
UNCERTAIN = Candidate(reason="uncertain", label="siren", posterior=0.4, model="2026.11.1")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "home")


@pytest.fixture
def recordings(home: Home) -> list[RecordingInfo]:
    return [keep_recording(home, 1, None, UNCERTAIN, wail(1, 2.0)), keep_recording(home, 0)]


@pytest.fixture
async def stranger(home: Home, recordings: list[RecordingInfo]) -> AsyncIterator[Client]:
    app = web.Application(client_max_size=8192)
    app.add_routes(ReviewPage(home, open_catalogue(home.catalogue_url)).routes())
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest.fixture
async def person(home: Home, stranger: Client) -> Client:
    answer = await stranger.post("/review/login", data={"token": review_token(home)}, allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (303, "/review")
    return stranger


def titles(home: Home) -> list[str]:
    infos = Library(open_catalogue(home.catalogue_url)).all()
    return [info.labelling.title if info.labelling else "" for info in infos]


async def form_of(client: Client, path: str = "/review") -> dict[str, str]:
    """The hidden fields of a page's form for words."""
    text = await (await client.get(path)).text()
    form = text[text.index('class="words"') :]
    return dict(re.findall(r'name="(form_token|sha256|after)" value="([^"]*)"', form)[:3])


PATHS = ("/review", "/review/audio/{0}.flac", "/review/picture/{0}.png")


@pytest.mark.parametrize("cookie", ["", "x", "9999999999.abc.def", f"{2**40}..", "é.é.é"])
async def test_nothing_is_shown_without_the_cookie(
    stranger: Client, recordings: list[RecordingInfo], cookie: str, home: Home
) -> None:
    headers = {"Cookie": f"earshot_review={cookie}"} if cookie else {}
    first = await stranger.get("/review", headers=headers, allow_redirects=False)
    assert (first.status, first.headers["Location"]) == (303, "/review/login")
    for path in PATHS[1:]:
        answer = await stranger.get(path.format(recordings[0].sha256), headers=headers)
        assert answer.status == 401
    for path in ("/review/say", "/review/undo"):
        answer = await stranger.post(path, headers=headers, data={"sha256": recordings[0].sha256, "words": "siren"})
        assert answer.status == 401
    assert titles(home) == ["", ""]


async def test_wrong_token_lets_nobody_in_and_too_many_are_not_listened_to(stranger: Client, home: Home) -> None:
    for _ in range(10):
        answer = await stranger.post("/review/login", data={"token": "guess"}, allow_redirects=False)
        assert answer.status == 403
        assert "Set-Cookie" not in answer.headers
    answer = await stranger.post("/review/login", data={"token": review_token(home)}, allow_redirects=False)
    assert answer.status == 429


async def test_cookie_is_for_this_page_alone_and_no_secret_is_in_it(stranger: Client, home: Home) -> None:
    answer = await stranger.post("/review/login", data={"token": review_token(home)}, allow_redirects=False)
    cookie = answer.headers["Set-Cookie"]
    assert all(word in cookie for word in ("HttpOnly", "SameSite=Strict", "Path=/review", "Max-Age=604800"))
    assert review_token(home) not in cookie


def test_cookie_expires_and_another_token_ends_it(home: Home) -> None:
    now = [1000.0]
    login = ReviewLogin("token", is_https=True, clock=lambda: now[0])
    response = web.Response()

    assert login.let_in(make_mocked_request("POST", "/review/login"), "token", response)
    morsel = response.cookies["earshot_review"]
    assert morsel["secure"]
    asked = make_mocked_request("GET", "/review", headers={"Cookie": f"earshot_review={morsel.value}"})
    assert login.is_in(asked)
    assert not ReviewLogin("other", is_https=True, clock=lambda: now[0]).is_in(asked)
    now[0] += LASTS_S + 1
    assert not login.is_in(asked)


async def test_page_shows_what_waits_with_the_models_view(person: Client, recordings: list[RecordingInfo]) -> None:
    answer = await person.get("/review")
    text = await answer.text()
    assert "2 to label" in text
    assert "kept unasked, the model was not sure; model 2026.11.1 gave siren 0.40" in text
    assert re.search(r"model 20\d\d\.\d+\.\d+ hears siren \d\.\d\d", text)
    assert f"/review/audio/{recordings[0].sha256}.flac" in text
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["Cache-Control"] == "no-store"
    assert not re.search(r"\son\w+=|<script>|style=", text)  # nothing that the policy would forbid


async def test_word_is_kept_shown_and_taken_back(person: Client, home: Home, recordings: list[RecordingInfo]) -> None:
    form = await form_of(person)
    assert form["sha256"] == recordings[0].sha256
    said = await person.post("/review/say", data={**form, "words": "siren"})
    text = await said.text()
    assert said.status == 200
    assert "1 to label" in text
    assert "09:30:00: <b>siren</b>" in text
    assert titles(home) == ["", "siren"]
    undone = await person.post("/review/undo", data=form)
    assert undone.url.query["show"] == recordings[0].sha256
    assert titles(home) == ["", ""]
    again = await person.post("/review/undo", data=form)
    assert again.status == 409
    assert "nothing was said here about recording" in await again.text()


async def test_skipping_goes_through_the_queue_and_round(person: Client, recordings: list[RecordingInfo]) -> None:
    first = await form_of(person)
    second = await form_of(person, f"/review?after={first['sha256']}")
    assert [first["sha256"], second["sha256"]] == [one.sha256 for one in recordings]
    assert (await form_of(person, f"/review?after={second['sha256']}"))["sha256"] == first["sha256"]


async def test_last_word_says_that_nothing_waits(person: Client, home: Home) -> None:
    for words in ("siren", "background"):
        answer = await person.post("/review/say", data={**await form_of(person), "words": words})
    assert "Nothing waits" in await answer.text()
    assert titles(home) == ["background", "siren"]


async def test_forms_of_other_pages_do_nothing(person: Client, home: Home) -> None:
    form = await form_of(person)
    without = {name: value for name, value in form.items() if name != "form_token"}
    refused = [
        await person.post("/review/say", data={**without, "words": "siren"}),
        await person.post("/review/say", data={**form, "form_token": "0" * 64, "words": "siren"}),
        await person.post(
            "/review/say", data={**form, "words": "siren"}, headers={"Origin": "http://elsewhere.example"}
        ),
        await person.post("/review/say", json={**form, "words": "siren"}),
        await person.post("/review/say", data={**form, "words": "s" * 9000}),
    ]
    assert [answer.status for answer in refused] == [403, 403, 403, 415, 413]
    assert titles(home) == ["", ""]


@pytest.mark.parametrize("words", ["", "glass", "siren+background", "<b>", "../x"])
async def test_words_that_are_no_labels_are_refused_and_shown_harmless(person: Client, home: Home, words: str) -> None:
    answer = await person.post("/review/say", data={**await form_of(person), "words": words})
    assert answer.status == 409
    assert "<b>'" not in await answer.text()
    assert titles(home) == ["", ""]


async def test_audio_comes_whole_and_in_ranges(person: Client, home: Home, recordings: list[RecordingInfo]) -> None:
    path = f"/review/audio/{recordings[0].sha256}.flac"
    whole = await (await person.get(path)).read()
    assert len(whole) == recordings[0].size_bytes
    part = await person.get(path, headers={"Range": "bytes=100-199"})
    assert (part.status, await part.read()) == (206, whole[100:200])
    assert part.headers["Content-Range"] == f"bytes 100-199/{len(whole)}"
    beyond = await person.get(path, headers={"Range": f"bytes={len(whole)}-"})
    assert beyond.status == 416


async def test_picture_is_a_png_and_unknown_names_are_nothing(person: Client, recordings: list[RecordingInfo]) -> None:
    png = await (await person.get(f"/review/picture/{recordings[0].sha256}.png")).read()
    assert png.startswith(b"\x89PNG\r\n")
    for path in ("/review/picture/%2e%2e%2fx.png", f"/review/audio/{'0' * 64}.flac", "/review/static/review.html.j2"):
        assert (await person.get(path)).status == 404


async def test_recording_whose_audio_is_gone_is_told_and_can_be_skipped(
    person: Client, home: Home, recordings: list[RecordingInfo]
) -> None:
    for path in (home.folder / "recordings").rglob(f"{recordings[0].sha256}.flac"):
        path.unlink()
    text = await (await person.get("/review")).text()
    assert "cannot be read" in text
    assert "skip" in text


async def test_feedback_of_home_assistant_is_confirmed_with_one_press(person: Client, home: Home) -> None:
    said = Labelling(absent=("siren",), by="home_assistant", time=BEGIN + timedelta(hours=1))
    info = keep_recording(home, 30, said)
    text = await (await person.get(f"/review?show={info.sha256}")).text()
    assert 'value="not_siren" data-key="y"' in text
    answer = await person.post(
        "/review/say", data={**await form_of(person), "sha256": info.sha256, "words": "not_siren"}
    )
    assert "2 to label" in await answer.text()


async def test_trainers_server_has_the_page_and_the_link_leads_there(home: Home) -> None:
    server = TrainerServer(home, open_catalogue(home.catalogue_url))
    await server.start()
    try:
        link, _, token = review_link(home).partition("#")
        assert token == review_token(home)
        async with aiohttp.ClientSession() as session, session.get(link) as answer:
            assert answer.status == 200
            assert token not in await answer.text()
    finally:
        await server.stop()
    assert (home.folder / "keys/http_token").stat().st_mode & 0o777 == 0o600
