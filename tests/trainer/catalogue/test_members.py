"""An invite lets in one node, once; a member is replaced by none but an invite of its own."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text, update

from earshot_node.errors import OperatorError
from earshot_trainer.catalogue.members import InviteError, Member, Members, TakenError
from earshot_trainer.catalogue.opening import open_catalogue
from earshot_trainer.catalogue.schema import schema_version

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
HALL = Member("hall", "t" * 20, "http://10.0.0.2:8765", "2026.11.0", "", "")


def invited(engine: Engine, secret: str = "a", node: str = "") -> Members:
    members = Members(engine)
    members.add_invite(secret * 64, node, NOW, NOW + timedelta(hours=1))
    return members


def test_invite_makes_a_member_once(engine: Engine) -> None:
    members = invited(engine)
    members.admit("a" * 64, HALL, NOW)
    (found,) = members.all()
    assert (found.id, found.token, found.address) == ("hall", HALL.token, HALL.address)
    with pytest.raises(InviteError, match="was used"):
        members.admit("a" * 64, Member("attic", "t", "", "", "", ""), NOW)
    assert [one.id for one in members.all()] == ["hall"]


@pytest.mark.parametrize(("secret", "hours"), [("b", 0), ("a", 1), ("a", 48)])
def test_unknown_and_expired_invites_let_nobody_in(engine: Engine, secret: str, hours: float) -> None:
    members = invited(engine)
    with pytest.raises(InviteError):
        members.admit(secret * 64, HALL, NOW + timedelta(hours=hours))
    assert members.all() == []


def test_stranger_cannot_take_a_members_place_and_keeps_its_invite(engine: Engine) -> None:
    members = invited(engine)
    members.admit("a" * 64, HALL, NOW)
    invited(engine, "b")
    with pytest.raises(TakenError, match="'hall' has joined already"):
        members.admit("b" * 64, Member("hall", "stranger", "", "", "", ""), NOW)
    assert members.all()[0].token == HALL.token
    members.admit("b" * 64, Member("attic", "x", "", "", "", ""), NOW)
    assert [one.id for one in members.all()] == ["attic", "hall"]


def test_invite_made_for_a_node_replaces_it(engine: Engine) -> None:
    members = invited(engine)
    members.admit("a" * 64, HALL, NOW)
    invited(engine, "c", node="hall")
    members.admit("c" * 64, Member("hall", "new", "", "", "", ""), NOW)
    assert [one.token for one in members.all()] == ["new"]


def test_removal_forgets_the_token_and_revokes_open_invites(engine: Engine) -> None:
    members = invited(engine)
    members.admit("a" * 64, HALL, NOW)
    invited(engine, "c", node="hall")
    members.remove("hall", NOW)
    assert members.all() == []
    with pytest.raises(InviteError, match="revoked"):
        members.admit("c" * 64, HALL, NOW)
    with pytest.raises(OperatorError, match="no node 'hall' has joined"):
        members.remove("hall", NOW)
    with pytest.raises(OperatorError, match="no node 'hall'"):
        members.chosen(("hall",))


def test_eight_that_use_one_invite_at_once_make_one_member(engine: Engine) -> None:
    members = invited(engine)

    def join(number: int) -> bool:
        try:
            members.admit("a" * 64, Member(f"node{number}", "t", "", "", "", ""), NOW)
        except InviteError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(join, range(8))) == 1
    assert len(members.all()) == 1


def test_database_that_breaks_off_is_one_line(engine: Engine) -> None:
    members = invited(engine)
    with engine.begin() as connection:
        cascade = " CASCADE" if engine.dialect.name == "postgresql" else ""
        connection.execute(text(f"DROP TABLE nodes{cascade}"))
    with pytest.raises(OperatorError, match="is the database up") as caught:
        members.all()
    assert "\n" not in str(caught.value)


def test_token_does_not_show_in_a_repr() -> None:
    assert HALL.token not in repr(HALL)


def test_tables_of_a_later_version_are_refused(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(update(schema_version).values(version=99))
    with pytest.raises(OperatorError, match="has schema 99"):
        open_catalogue(engine.url.render_as_string(hide_password=False))


@pytest.mark.parametrize(
    "url", ["postgresql://u:hunter2@127.0.0.1:1/x", "no url, hunter2", "sqlite:////nowhere/at/all.sqlite"]
)
def test_database_that_cannot_be_used_is_one_line_without_its_password(url: str) -> None:
    with pytest.raises(OperatorError) as caught:
        open_catalogue(url)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)
