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

    def take_back(self) -> RecordingInfo | None:
        """Take back what was said last; return the recording as it is now, None if nothing was said.

        Raises:
            SaidMeanwhileError: somebody else, such as the node, has labelled it anew since; that stays.
        """
        with transaction(self._engine) as connection:
            last = connection.execute(select(labellings).order_by(labellings.c.id.desc()).limit(1)).first()
            if last is None:
                return None
            connection.execute(delete(labellings).where(labellings.c.id == last.id))
            known = _known(connection, last.sha256)
            is_as_said = _text(known.labelling) == last.after
            if is_as_said:
                before = Labelling.model_validate_json(last.before) if last.before else None
                known = known.model_copy(update={"labelling": before})
                replace_recording(connection, known)
        if not is_as_said:
            raise SaidMeanwhileError(f"recording {known.id} was labelled anew since; that stays")
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
