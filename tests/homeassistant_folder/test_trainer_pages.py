"""The trainer's page behind Home Assistant's login: recordings are labelled there, and a training is begun."""

import http.client
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from support.apps import SOON_S, App, options, supervisor_with
from support.kept_recordings import keep_recording
from support.mosquitto import Mosquitto, free_port
from support.waiting import wait_until

from earshot_node.contract.recordings import RecordingInfo
from earshot_trainer.catalogue.library import Library
from earshot_trainer.catalogue.opening import open_catalogue
from earshot_trainer.home.folder import Home, open_home

pytestmark = [pytest.mark.mosquitto, pytest.mark.torch, pytest.mark.timeout(900)]
LONG_S = 600.0
PREFIX = "/api/hassio_ingress/Abc_1-2"


class Page:
    """The app's page, as Home Assistant asks for it."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.home: Home = open_home(app.data / "trainer")

    def ask(
        self, path: str, form: dict[str, str] | None = None, **headers: str
    ) -> tuple[int, bytes, http.client.HTTPMessage]:
        """Return status, body and headers; no redirection is followed."""
        connection = http.client.HTTPConnection("127.0.0.1", self.app.port, timeout=SOON_S)
        body = urlencode(form) if form is not None else None
        sent = {"X-Ingress-Path": PREFIX, **headers}
        if body is not None:
            sent |= {"Content-Type": "application/x-www-form-urlencoded", "Origin": "http://homeassistant.local:8123"}
        try:
            connection.request("GET" if form is None else "POST", path, body, sent)
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers
        finally:
            connection.close()

    def labels(self) -> list[str]:
        infos: list[RecordingInfo] = Library(open_catalogue(self.home.catalogue_url)).all()
        return [info.labelling.title if info.labelling else "" for info in infos]


@pytest.fixture
def page(broker: Mosquitto, tmp_path: Path) -> Iterator[Page]:
    """A running trainer's app."""
    with supervisor_with(broker) as supervisor:
        wanted = options("trainer", host="127.0.0.1")
        app = App("trainer", tmp_path, wanted, supervisor, EARSHOT_APP_TRAINER_PORT=str(free_port()))
        with app.running():
            wait_until(lambda: "listening on" in app.log(), SOON_S, "a trainer")
            yield Page(app)


def test_recordings_are_heard_and_labelled_without_another_login(page: Page) -> None:
    recording = keep_recording(page.home, 0)
    status, body, headers = page.ask("/review")
    text = body.decode()
    assert (status, "1 to label" in text) == (200, True), text
    assert '="/review' not in text
    assert f'href="{PREFIX}/review/static/review.css"' in text
    assert "frame-ancestors 'self'" in headers["Content-Security-Policy"]
    audio = f"/review/audio/{recording.sha256}.flac"
    assert f'src="{PREFIX}{audio}"' in text
    assert page.ask(audio)[1].startswith(b"fLaC")
    assert page.ask(audio, Range="bytes=0-9")[::2][0] == 206
    said = {"sha256": recording.sha256, "words": "siren", "after": ""}
    assert page.ask("/review/say", {**said, "form_token": "guessed"})[0] == 403
    token = re.search(r'name="form_token" value="([^"]+)"', text)
    assert token is not None
    status, _, headers = page.ask("/review/say", {**said, "form_token": token[1]})
    assert (status, headers["Location"]) == (303, f"{PREFIX}/review?said={recording.sha256}")
    assert page.labels() == ["siren"]
    assert page.ask("/review", **{"X-Ingress-Path": '"><script>'})[0] == 400


def test_training_is_begun_and_its_end_is_told(page: Page) -> None:
    assert "None has run" in page.ask("/train")[1].decode()
    status, _, headers = page.ask("/train", {})
    assert (status, headers["Location"]) == (303, "train")
    wait_until(lambda: "Training has failed" in page.ask("/train")[1].decode(), LONG_S, "the end", 0.5)
    assert "error:" in page.ask("/train")[1].decode()  # there is nothing to learn from
    text = page.ask("/")[1].decode()
    assert "Listen and label" in text
    assert "Train now" in text
