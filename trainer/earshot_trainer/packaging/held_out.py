"""Is what is called held out really held out? A card must not claim it otherwise."""

import hashlib
from typing import Any, Literal

from earshot_node.errors import OperatorError
from earshot_trainer.packaging.figures import HELD_OUT
from earshot_trainer.packaging.run_record import RunRecord

Whose = Literal["none", "this", "other", "other_unchecked"]


def check_held_out(metrics: dict[str, Any], model: bytes, run: RunRecord, other_run: RunRecord | None) -> Whose:
    """Return whose figures the held-out ones are: nobody's, this model's, or another's (checked against its run).

    Args:
        metrics: by name; `held_out` is an evaluation report.
        model: the graph to be packaged.
        run: the run that trained it.
        other_run: the run of the model that was measured, when it is not `run`.

    Raises:
        OperatorError: the measured model was trained on what it was measured on.
    """
    report = metrics.get(HELD_OUT)
    if report is None:
        return "none"
    is_this = report.get("subject", {}).get("model_sha256") == hashlib.sha256(model).hexdigest()
    trained = run if is_this else other_run
    if trained is None:
        return "other_unchecked"
    protocol = report.get("protocol", {})
    folds, sources = set(protocol.get("folds", ())), set(protocol.get("sources", ()))
    if not folds | sources:
        raise OperatorError("--metrics held_out: it was measured on everything; evaluate with --fold or --source")
    seen = sorted((folds & set(trained.trained_on.folds)) | (sources & set(trained.trained_on.sources)))
    if seen:
        raise OperatorError(
            f"--metrics held_out: its model was trained on {', '.join(seen)}; evaluate what training left out"
        )
    return "this" if is_this else "other"
