"""What joining left on the node: whose trainer it is, and how to reach it. One file, readable by its owner only."""

import logging
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_serializer

from earshot_node.contract.joining import PUBLIC_KEY, TRAINER_URL
from earshot_node.deployment.durable import make_folder, write_file
from earshot_node.errors import OperatorError

_log = logging.getLogger(__name__)

MEMBERSHIP_NAME: Final = "trainer.json"


class Membership(BaseModel):
    """The trainer that this node has joined.

    Attributes:
        url: its address, without a slash at the end.
        public_key: signs its bundles and answers; base64 of 32 bytes.
        token: names this node to it.
        ca: certificate that its HTTPS is checked with, PEM; '' for the system's.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    schema_: Literal[1] = Field(default=1, alias="schema")
    url: str = Field(pattern=TRAINER_URL, max_length=300)
    public_key: str = Field(pattern=PUBLIC_KEY)
    token: SecretStr
    ca: str = ""

    @field_serializer("token", when_used="json")
    def _reveal(self, token: SecretStr) -> str:
        return token.get_secret_value()


def load_membership(state_dir: Path) -> Membership | None:
    """Return what joining left, None for a node that has not joined or whose file makes no sense, which is logged."""
    path = state_dir / MEMBERSHIP_NAME
    try:
        return Membership.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not what `node-cli join` writes"
        _log.warning("%s: cannot be used (%s); join again", path, reason)
        return None


def save_membership(state_dir: Path, membership: Membership) -> None:
    """Keep it, in place of a former one.

    Raises:
        OperatorError: the folder cannot be written.
    """
    path = state_dir / MEMBERSHIP_NAME
    try:
        make_folder(state_dir)
        write_file(path, (membership.model_dump_json(by_alias=True, indent=1) + "\n").encode())
    except OSError as error:
        raise OperatorError(
            f"{path}: cannot be written ({error.strerror}); run this as the service's user, such as sudo -u earshot"
        ) from error
