"""A broker on a Debian host, set up by the lines of mosquitto.conf and docs/fleet.md, with a trainer that is nobody."""

import configparser
import grp
import os
import pwd
import re
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from support.deployed_broker import BROKER_USER, REPOSITORY, Client, Installation, folder_for_all
from support.waiting import wait_until

from earshot_node.errors import OperatorError
from earshot_trainer.fleet.broker_accounts import BrokerAccounts
from earshot_trainer.home.config import AccountsSection

pytestmark = [pytest.mark.mosquitto, pytest.mark.root]
TRAINER = "nobody"
ONCE, CHANGE, USER = "once;", "after every change", "A user later"
# Stands for systemd: of all that is asked for, only the reload of the broker can be done here.
SYSTEMCTL = 'systemctl() { case "$*" in *reload*mosquitto*) kill -HUP "$BROKER" ;; esac }'


class Host(Installation):
    """A host in a folder: what its operator is told to type runs there as root; nobody stands for earshot-trainer."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.etc, self.home = folder / "etc", folder / "home"
        for path in (self.etc, self.home, folder / "units", folder / "deploy"):
            path.mkdir()
        os.chown(self.home, pwd.getpwnam(TRAINER).pw_uid, -1)
        (folder / "deploy/broker").symlink_to(self.folder)
        for unit in REPOSITORY.glob("deploy/*.*"):
            (folder / "deploy" / unit.name).symlink_to(unit)
        self._root = folder

    def configuration(self) -> str:
        return (self.etc / "mosquitto.conf").read_text()

    def run(self, lines: list[str], systemctl: str = SYSTEMCTL) -> None:
        """Run lines of the docs; a failure fails the test."""
        script = "\n".join(["set -e", systemctl, *(self.here(line) for line in lines)])
        environ = os.environ | {"BROKER": str(self.process_id) if self._process else ""}
        done = subprocess.run(["bash", "-c", script], cwd=self._root, env=environ, capture_output=True, text=True)
        assert done.returncode == 0, (script, done.stderr)

    def here(self, line: str) -> str:
        """The line with the folders, and the users, of this host."""
        line = line.replace("sudo ", "").replace("/usr/bin/systemctl", "systemctl")
        for path, own in {
            "/etc/mosquitto": "etc",
            "/var/lib/mosquitto": "broker/data",
            "/etc/systemd/system": "units",
        }.items():
            line = line.replace(path, str(self._root / own))
        return re.sub(r"earshot-trainer(?=[: ])", TRAINER, line)

    def accounts(self) -> BrokerAccounts:
        """Those of a trainer with the settings of docs/fleet.md."""
        (block,) = re.findall(r"^ {4}broker_accounts:\n(?: {6}.*\n)+", fleet_section(), re.MULTILINE)
        settings = yaml.safe_load(self.here(block))["broker_accounts"]
        return BrokerAccounts(AccountsSection.model_validate(settings), self.home / "lock")

    def lets_in(self, user: str, password: str) -> bool:
        client = Client(self, user, password)
        client.close()
        assert client.connect_code is not None
        return not client.connect_code.is_failure


def fleet_section() -> str:
    text = (REPOSITORY / "docs/fleet.md").read_text()
    return text.partition("## Accounts at the broker")[2].partition("\n## ")[0]


def lines_of_the_fleet_page() -> list[str]:
    lines = re.findall(r"^ {4}(sudo .*)$", fleet_section(), re.MULTILINE)
    assert len(lines) == 5
    return lines


def lines_of_the_configuration(heading: str) -> list[str]:
    """The commands below a sentence in the head of mosquitto.conf."""
    head = (REPOSITORY / "deploy/broker/config/mosquitto.conf").read_text().partition("\n\n")[0]
    below = re.sub(r"\\\n# +", "", head).partition(heading)[2]
    block = re.match(r".*\n((?:#   .*\n?)+)", below)
    assert block, heading
    lines = [line.removeprefix("#   ").partition("     ")[0] for line in block[1].splitlines()]
    assert len(lines) >= 2
    return lines


def lines_of_the_service() -> list[str]:
    text = (REPOSITORY / "deploy/earshot-broker-reload.service").read_text()
    return re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)


@contextmanager
def acting_as_the_trainer() -> Iterator[None]:
    """This process has the rights of nobody while the context lasts."""
    about, groups = pwd.getpwnam(TRAINER), os.getgroups()
    os.setgroups([])
    os.setegid(about.pw_gid)
    os.seteuid(about.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@pytest.fixture
def host() -> Iterator[Host]:
    with folder_for_all() as folder:
        made = Host(folder)
        made.run(lines_of_the_configuration(ONCE))
        made.run(lines_of_the_configuration(CHANGE))
        made.start()
        try:
            yield made
        finally:
            made.stop()


@pytest.fixture
def fleet_host(host: Host) -> Host:
    """With the accounts given into the trainer's hands."""
    host.run(lines_of_the_fleet_page())
    return host


def test_host_s_broker_reads_what_lies_in_etc_alone(host: Host) -> None:
    settings = [line for line in host.configuration().splitlines() if line and not line.startswith("#")]
    assert [line for line in settings if "/mosquitto/" in line.replace(str(host.etc), "")] == []
    assert host.lets_in("street", host.passwords["street"])
    assert not host.lets_in("street", "guess")


def test_trainer_without_rights_makes_an_account_and_takes_it_away(fleet_host: Host) -> None:
    with acting_as_the_trainer():
        password = fleet_host.accounts().create("hall", may_replace=False)
    assert not fleet_host.lets_in("hall", password)
    fleet_host.run(lines_of_the_service())
    wait_until(lambda: fleet_host.lets_in("hall", password), 20, "the new account")
    assert fleet_host.lets_in("street", fleet_host.passwords["street"])
    about = (fleet_host.etc / "accounts/passwords").stat()
    assert (pwd.getpwuid(about.st_uid).pw_name, grp.getgrgid(about.st_gid).gr_name) == (TRAINER, BROKER_USER)
    assert stat.S_IMODE(about.st_mode) == 0o640
    assert stat.S_IMODE((fleet_host.etc / "accounts").stat().st_mode) == 0o2750

    with acting_as_the_trainer():
        assert fleet_host.accounts().remove("hall")
    fleet_host.run(lines_of_the_service())
    wait_until(lambda: not fleet_host.lets_in("hall", password), 20, "the account's end")


def test_account_outlives_a_change_of_the_configuration_and_a_user_made_by_hand(fleet_host: Host) -> None:
    with acting_as_the_trainer():
        password = fleet_host.accounts().create("hall", may_replace=False)
    fleet_host.stop()
    fleet_host.run(lines_of_the_configuration(CHANGE))
    fleet_host.start()
    assert fleet_host.lets_in("hall", password)
    fleet_host.run(lines_of_the_configuration(USER))  # gives `street` a new password
    wait_until(lambda: not fleet_host.lets_in("street", fleet_host.passwords["street"]), 20, "the new password")
    assert fleet_host.lets_in("hall", password)
    with acting_as_the_trainer():
        fleet_host.accounts().create("porch", may_replace=False)


def test_account_changed_while_the_broker_is_told_makes_it_be_told_once_more(fleet_host: Host) -> None:
    (mark,) = re.findall(
        r"^PathExists=(.*)$", (REPOSITORY / "deploy/earshot-broker-reload.path").read_text(), re.MULTILINE
    )
    mark = fleet_host.here(mark)
    with acting_as_the_trainer():
        fleet_host.accounts().create("hall", may_replace=False)
    assert Path(mark).exists()
    fleet_host.run(lines_of_the_service(), systemctl=f"systemctl() {{ touch {mark}; }}")
    assert Path(mark).exists()
    fleet_host.run(lines_of_the_service())
    assert not Path(mark).exists()


def test_trainer_s_unit_may_write_where_the_accounts_are() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.read(REPOSITORY / "deploy/earshot-trainer.service")
    assert unit["Service"]["ReadWritePaths"] == "-/etc/mosquitto/accounts"
    assert "passwords_file: /etc/mosquitto/accounts/passwords\n" in fleet_section()


def test_file_in_a_folder_of_somebody_else_is_refused_with_what_to_change(host: Host) -> None:
    passwords = host.etc / "accounts/passwords"
    os.chown(passwords, pwd.getpwnam(TRAINER).pw_uid, -1)
    before = passwords.read_text()
    (host.etc / "accounts").chmod(0o755)
    with acting_as_the_trainer(), pytest.raises(OperatorError, match="has to own it and its folder"):
        host.accounts().create("hall", may_replace=False)
    assert passwords.read_text() == before
