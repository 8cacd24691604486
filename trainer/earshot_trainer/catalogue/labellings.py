"""What is said at the trainer about recordings, one word after the other, so that each can be taken back."""

from datetime import datetime

from sqlalchemy import Connection, Engine, delete, insert, select

from earshot_node.contract.recordings import Labelling, RecordingInfo
from earshot_node.errors import OperatorError, RetryError
from earshot_trainer.catalogue.library import known_recording, replace_recording
from earshot_trainer.catalogue.opening import transaction
from earshot_trainer.catalogue.schema import labellings, stamp


class SaidMeanwhileError(RetryError):
    """The recording has got another labelling since; nothing was changed."""


class Labellings:
    """Labels recordings. Methods block on the database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def say(self, sha256: str, labelling: Labelling, now: datetime) -> RecordingInfo:
        """Give a recording a labelling, in place of whatever it had; return it as it is now.

        Raises:
            OperatorError: there is no such recording.
        """
        with transaction(self._engine) as connection:
            known = _known(connection, sha256)
            labelled = known.model_copy(update={"labelling": labelling})
            replace_recording(connection, labelled)
            values = {"sha256": sha256, "before": _text(known.labelling), "after": _text(labelling)}
            connection.execute(insert(labellings).values(**values, time=stamp(now)))
        return labelled

    def take_back(self, sha256: str) -> RecordingInfo:
        """Take back what was said last about a recording; return it as it is now.

        Raises:
            OperatorError: nothing was said about it here.
            SaidMeanwhileError: somebody else, such as its node, has labelled it anew since; that stays.
        """
        with transaction(self._engine) as connection:
            said = select(labellings).where(labellings.c.sha256 == sha256).order_by(labellings.c.id.desc()).limit(1)
            last = connection.execute(said).first()
            known = _known(connection, sha256)
            if last is None:
                raise OperatorError(f"nothing was said here about recording {known.id}")
            if _text(known.labelling) != last.after:
                raise SaidMeanwhileError(f"recording {known.id} was labelled anew since; that stays")
            connection.execute(delete(labellings).where(labellings.c.id == last.id))
            before = Labelling.model_validate_json(last.before) if last.before else None
            known = known.model_copy(update={"labelling": before})
            replace_recording(connection, known)
        return known

    def said(self) -> set[str]:
        """Return which recordings somebody has labelled at the trainer."""
        with transaction(self._engine) as connection:
            return set(connection.execute(select(labellings.c.sha256).distinct()).scalars())


def _known(connection: Connection, sha256: str) -> RecordingInfo:
    known = known_recording(connection, sha256)
    if known is None:
        raise OperatorError(f"there is no recording {sha256[:12]}; `trainer-cli label --list` shows what waits")
    return known


def _text(labelling: Labelling | None) -> str:
    return "" if labelling is None else labelling.model_dump_json()
