"""A trainer's home with members whose nodes are pretended."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from earshot_trainer.catalogue.members import Member, Members
from earshot_trainer.catalogue.opening import open_catalogue
from earshot_trainer.catalogue.releases import Release, Releases
from earshot_trainer.deploying.command import deploy_release
from earshot_trainer.deploying.deployment import Deployed, DeployRequest
from earshot_trainer.deploying.progress import NodeProgress
from earshot_trainer.deploying.registering import GateVerdict, register_release
from earshot_trainer.home.folder import Home
from support.deploying import release_file
from support.mosquitto import Mosquitto
from support.pretended_node import PretendedNode
from support.trainer_home import make_home

NAMES = ("attic", "hall", "street")


class Household:
    """A trainer's home whose nodes are pretended; every household has a prefix of its own at the broker."""

    def __init__(self, folder: Path, broker: Mosquitto) -> None:
        self.folder = folder
        self.prefix = f"home-{folder.name[-30:]}".replace(".", "-")
        self.port = broker.port
        mqtt = {"host": "127.0.0.1", "port": broker.port, "prefix": self.prefix}
        self.home: Home = make_home(folder / "home", mqtt=mqtt)
        self.engine: Engine = open_catalogue(self.home.catalogue_url)
        self.releases = Releases(self.engine)
        self.said: list[str] = []
        now = datetime.now(UTC)
        for name in NAMES:
            Members(self.engine).add_invite(f"{name:0>64}", name, now, now + timedelta(hours=1))
            Members(self.engine).admit(f"{name:0>64}", Member(name, f"token-of-{name}", "", "1", "", ""), now)

    def release(self, version: str = "2099.1.0", *, verdict: GateVerdict | None = None, **options: Any) -> Release:
        """Register a bundle."""
        path = release_file(self.home, self.folder, version, **options)
        return register_release(self.home, self.releases, path, verdict=verdict or GateVerdict())

    def node(self, name: str, **options: Any) -> PretendedNode:
        """A node of the household."""
        return PretendedNode(name, self.port, self.prefix, **options)

    def deploy(
        self,
        release: Release,
        tell: Callable[[Sequence[NodeProgress]], None] = lambda _: None,
        say: Callable[[str], None] | None = None,
        **options: Any,
    ) -> Deployed:
        """Deploy to all nodes unless others are named; what is said without `say` is kept in `said`."""
        request = DeployRequest(**{"release": release, "nodes": NAMES, "wait_s": 60.0, **options})
        return deploy_release(self.home, self.engine, request, tell, say or self.said.append)
