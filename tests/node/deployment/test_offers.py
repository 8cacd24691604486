"""A node installs what is offered to it as long as the offer stands, and what may only listen never decides."""

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiohttp import web
from support.async_waiting import until
from support.bundles import BUNDLED_VERSION
from support.deployed import without_proof
from support.offered_node import TOPICS, VERSION, OfferedNode, bundle
from support.trainer_server import TrainerServer, running

from earshot_node.deployment import installer as installer_module
from earshot_node.errors import BundleError, OperatorError
from earshot_node.inference_thread import Step


@pytest.fixture
def trainer() -> Iterator[TrainerServer]:
    with running(TrainerServer()) as server:
        yield server


@pytest.fixture
async def node(tmp_path: Path, trainer: TrainerServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OfferedNode]:
    monkeypatch.setattr(installer_module, "prove", without_proof)
    made = OfferedNode(tmp_path, trainer)
    yield made
    await made.offers.close()
    await made.deployer.close(crashed=False)


async def half_of_it(request: web.Request) -> web.StreamResponse:
    """A trainer that falls silent in the middle of a bundle."""
    response = web.StreamResponse(headers={"Content-Length": str(len(bundle(VERSION)))})
    await response.prepare(request)
    await response.write(bundle(VERSION)[: len(bundle(VERSION)) // 2])
    while request.transport is not None:  # noqa: ASYNC110 - aiohttp sets no event
        await asyncio.sleep(0.02)
    return response


async def test_candidate_for_the_shadow_is_no_update_and_cannot_be_installed(node: OfferedNode) -> None:
    node.offer("shadow")
    await until(lambda: node.actions == ["shadowed"])
    await node.idle()
    assert node.update["latest_version"] == node.update["installed_version"] == BUNDLED_VERSION
    assert node.update["release_summary"] == ""
    with pytest.raises(OperatorError, match=rf"{VERSION} may only run in the shadow; .* --force"):
        node.offers.install()
    await node.idle()
    assert (node.actions, node.active, node.beside) == (["shadowed"], BUNDLED_VERSION, VERSION)


async def test_install_before_the_candidate_is_in_the_shadow_does_not_disturb_it(node: OfferedNode) -> None:
    node.trainer.answer = half_of_it
    node.offer("shadow")
    await until(lambda: "downloading" in node.progress)
    with pytest.raises(OperatorError, match="may only run in the shadow"):
        node.offers.install()
    node.offers.try_again()
    node.trainer.answer = None
    await until(lambda: node.actions == ["shadowed"])


@pytest.mark.parametrize("end", ["kept", "failed", "fell back"])
async def test_candidate_for_the_shadow_waits_for_the_end_of_a_trial(node: OfferedNode, end: str) -> None:
    node.offer("install")
    await until(lambda: node.actions == ["installed"])
    await node.idle()
    assert node.store.load().watch is not None
    way_back = node.inference.companion
    node.offer("shadow", "second", "2099.1.1")
    await until(lambda: node.actions == ["installed", "shadowed"])
    await node.idle()
    assert node.inference.companion is way_back  # nobody has taken its place
    if end == "kept":
        node.deployer.hear(Step((), 1800.0, 0.1, 1, None))
    elif end == "failed":
        node.deployer.hear(Step((), 60.0, 61.0, 1, None))
    else:
        node.deployer.hear(Step((), 1.0, 0.1, 1, None, RuntimeError("it gave up")))
    await until(lambda: node.beside == "2099.1.1")
    assert node.actions[2:] == ["kept" if end == "kept" else "rolled_back"]
    assert (node.active, node.store.load().watch) == (VERSION if end == "kept" else BUNDLED_VERSION, None)


async def test_same_version_offered_to_decide_later_is_an_update_and_ends_its_shadow(node: OfferedNode) -> None:
    node.offer("shadow")
    await until(lambda: node.actions == ["shadowed"])
    await node.idle()
    node.offer("offer", "second")
    assert node.update["latest_version"] == VERSION
    node.offers.install()
    await until(lambda: node.actions == ["shadowed", "installed"])
    await node.idle()
    assert (node.active, node.update["installed_version"]) == (VERSION, VERSION)
    assert node.store.load().shadow is None


async def test_offer_can_be_installed_the_moment_the_work_on_another_ends(node: OfferedNode) -> None:
    node.offer("shadow")
    (work,) = (task for task in asyncio.all_tasks() if task.get_name() == "offer")
    while not work.done():  # noqa: ASYNC110 - before what waits for it is told
        await asyncio.sleep(0)
    node.offer("offer", "second")
    node.offers.install()
    await until(lambda: node.actions == ["shadowed", "installed"])


@pytest.mark.parametrize("successor", ["", "offer"])
async def test_offer_that_is_taken_back_or_replaced_while_it_is_fetched_is_not_installed(
    node: OfferedNode, successor: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    node.trainer.answer = half_of_it
    node.offer("install")
    await until(lambda: node.progress.count("downloading") > 1)
    if successor:
        node.offer(successor, "second", "2099.1.1")
    else:
        node.withdraw()
    await node.idle()
    assert (node.actions, node.active) == ([], BUNDLED_VERSION)
    assert not node.update["in_progress"]
    assert f"model {VERSION}: its offer is taken back" in caplog.text


async def test_what_was_fetched_of_an_offer_serves_the_next_offer_of_the_same_bundle(node: OfferedNode) -> None:
    node.trainer.answer = half_of_it
    node.offer("install")
    await until(lambda: node.progress.count("downloading") > 1)
    node.withdraw()
    await node.idle()
    (part,) = node.store.staging.iterdir()
    fetched_bytes = part.stat().st_size
    assert 0 < fetched_bytes < len(bundle(VERSION))
    node.trainer.answer = None
    node.offer("install", "second")
    await until(lambda: node.actions == ["installed"])
    assert node.trainer.ranges == [f"bytes={fetched_bytes}-"]


async def test_offer_that_is_taken_back_while_it_waits_to_be_tried_again_is_not_installed(node: OfferedNode) -> None:
    node.membership, joined = None, node.membership
    node.offer("install")
    await until(lambda: node.actions == ["refused"])
    node.withdraw()
    node.membership = joined
    await node.idle()
    assert node.actions == ["refused"]


async def test_offer_that_is_taken_back_during_its_self_test_is_not_installed(
    node: OfferedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, over = threading.Event(), threading.Event()

    def prove(path: Path) -> object:
        begun.set()
        over.wait(30)
        return without_proof(path)

    monkeypatch.setattr(installer_module, "prove", prove)
    node.offer("install")
    await until(begun.is_set)
    node.withdraw()
    over.set()
    await node.idle()
    assert (node.actions, node.beside) == ([], "")
    assert not node.update["in_progress"]
    monkeypatch.setattr(installer_module, "prove", without_proof)
    node.offer("install", "second")
    await until(lambda: node.actions == ["installed"])


async def test_offer_that_is_taken_back_while_it_warms_up_leaves_the_shadow_as_it_was(
    node: OfferedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.offer("shadow")
    await until(lambda: node.actions == ["shadowed"])
    monkeypatch.setattr(node.switchboard, "_warm_s", 60.0)
    node.offer("install", "second", "2099.1.1")
    await until(lambda: "warming" in node.progress)
    assert node.beside == "2099.1.1"
    node.withdraw()
    await node.idle()
    assert (node.actions, node.active, node.beside) == (["shadowed"], BUNDLED_VERSION, VERSION)
    assert not node.update["in_progress"]


@pytest.mark.parametrize("successor", ["", "offer", "install"])
async def test_switch_that_has_begun_is_finished_whatever_becomes_of_its_offer(
    node: OfferedNode, successor: str
) -> None:
    node.inference.is_slow = True
    node.offer("install")
    await until(lambda: node.inference.asked is not None)
    if successor:
        node.offer(successor, "second", "2099.1.1")
    else:
        node.withdraw()
    for _ in range(10):
        await asyncio.sleep(0)
    node.inference.is_slow = False
    assert node.inference.asked is not None
    node.inference.asked()
    expected = ["installed", "installed"] if successor == "install" else ["installed"]
    await until(lambda: node.actions == expected)
    await node.idle()
    assert node.update["installed_version"] == node.active == ("2099.1.1" if successor == "install" else VERSION)


async def test_switch_that_fails_after_its_offer_was_taken_back_is_not_tried_again(
    node: OfferedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("earshot_node.deployment.switchboard.SWITCH_WITHIN_S", 0.05)
    node.inference.is_slow = True
    node.offer("install")
    await until(lambda: node.inference.asked is not None)
    node.withdraw()
    await node.idle()
    assert node.actions == ["installed", "rolled_back", "refused"]


async def test_version_whose_switch_failed_is_tried_again_and_older_ones_are_still_refused(
    node: OfferedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.offer("install", "first", "2099.1.1", watch_s=0.0)
    await until(lambda: node.active == "2099.1.1")
    await node.idle()
    before = node.store.load()
    monkeypatch.setattr("earshot_node.deployment.switchboard.SWITCH_WITHIN_S", 0.5)
    node.offers._again_after_s = 30.0
    node.inference.is_slow = True
    node.offer("install", "second", "2099.1.2")
    await until(lambda: node.inference.asked is not None and node.inference.is_wanted())
    await until(lambda: node.actions == ["installed", "installed", "rolled_back", "refused"])
    assert not node.inference.is_wanted()  # where inference gets round to it later on, nothing changes
    after = node.store.load()
    assert after.model_copy(update={"history": before.history}) == before  # also its offer: a restart takes it up
    node.inference.is_slow = False
    node.offer("install", "third", "2099.1.0")
    await until(lambda: node.actions[4:] == ["refused"])
    assert "2099.1.0 is not newer than 2099.1.1" in node.store.load().history[-1].reason
    node.offer("install", "fourth", "2099.1.2")
    await until(lambda: node.actions[5:] == ["installed"])
    await node.idle()
    assert (node.active, node.update["installed_version"]) == ("2099.1.2", "2099.1.2")


@pytest.mark.parametrize("failing", ["prove", "move_file"])
async def test_version_that_failed_before_it_was_switched_to_may_be_offered_again(
    node: OfferedNode, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def fail(*_arguments: object) -> None:
        raise BundleError("self-test failed") if failing == "prove" else OSError(28, "No space left on device")

    with monkeypatch.context() as failure:
        failure.setattr(installer_module, failing, fail)
        node.offer("install")
        await until(lambda: node.actions[:1] == ["refused"])
    node.offer("install", "second")
    await until(lambda: node.actions[-1:] == ["installed"])
    assert node.active == VERSION


async def test_result_names_the_model_that_decides_once_the_switch_is_over(node: OfferedNode) -> None:
    def told() -> tuple[str, str]:
        result = json.loads(node.told[TOPICS.model_result().name])
        return result["outcome"], result["active"]

    node.offer("install")
    await until(lambda: node.update["installed_version"] == VERSION)
    await node.idle()
    assert told() == ("installed", VERSION)
    await node.deployer.roll_back()
    await until(lambda: node.update["installed_version"] == BUNDLED_VERSION)
    assert told() == ("rolled_back", BUNDLED_VERSION)


@pytest.mark.parametrize("on_trial", [True, False])
async def test_model_that_is_taken_back_gives_way_to_the_former_one_once(node: OfferedNode, *, on_trial: bool) -> None:
    node.offer("install", watch_s=1800.0 if on_trial else 0.0)
    await until(lambda: node.update["installed_version"] == VERSION)
    await node.idle()
    node.take_back()
    await until(lambda: node.update["installed_version"] == BUNDLED_VERSION)
    await node.idle()
    result = json.loads(node.told[TOPICS.model_result().name])
    assert (result["outcome"], result["version"], result["active"]) == ("rolled_back", VERSION, BUNDLED_VERSION)
    assert result["reason"] == "taken back by the trainer: the canary was stopped"
    slots = node.store.load()
    assert (node.active, node.beside, slots.previous, slots.watch) == (BUNDLED_VERSION, "", None, None)
    assert not list(node.store.folder.glob("*.earshot"))
    with pytest.raises(OperatorError, match="no model is offered"):
        node.offers.install()
    node.offers.try_again()  # it comes again with every connection
    await node.idle()
    assert node.actions == ["installed", "rolled_back"]


async def test_candidate_that_is_taken_back_does_not_hear_any_more(node: OfferedNode) -> None:
    node.offer("shadow")
    await until(lambda: node.actions == ["shadowed"])
    await node.idle()
    node.take_back()
    await until(lambda: node.beside == "")
    await node.idle()
    assert (node.store.load().shadow, node.active, node.actions) == (None, BUNDLED_VERSION, ["shadowed"])


async def test_taking_back_what_a_node_has_not_got_changes_nothing(node: OfferedNode) -> None:
    node.offer("install")
    await until(lambda: node.actions == ["installed"])
    await node.idle()
    before = node.store.load()
    node.take_back(version="2099.1.1")
    await until(lambda: node.store.load().offer == "back")
    assert node.store.load() == before.model_copy(update={"offer": "back"})


async def test_model_that_is_taken_back_while_it_is_fetched_is_not_installed(node: OfferedNode) -> None:
    node.trainer.answer = half_of_it
    node.offer("install")
    await until(lambda: node.progress.count("downloading") > 1)
    node.take_back()
    await node.idle()
    assert (node.actions, node.active, node.store.load().offer) == ([], BUNDLED_VERSION, "back")


async def test_model_that_is_taken_back_while_it_takes_its_place_goes_back_then(node: OfferedNode) -> None:
    node.inference.is_slow = True
    node.offer("install")
    await until(lambda: node.inference.asked is not None)
    node.take_back()
    for _ in range(10):
        await asyncio.sleep(0)
    node.inference.is_slow = False
    assert node.inference.asked is not None
    node.inference.asked()
    await until(lambda: node.actions == ["installed", "rolled_back"])
    await node.idle()
    assert node.update["installed_version"] == node.active == BUNDLED_VERSION
