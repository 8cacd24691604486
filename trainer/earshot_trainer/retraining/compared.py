"""Whose operating points the candidate's are made comparable to."""

from earshot_node.errors import OperatorError
from earshot_node.inference.bundle import Bundle
from earshot_trainer.retraining.parts import added_labels, base_of
from earshot_trainer.retraining.run_folder import RunFolder
from earshot_trainer.retraining.run_values import base_bundle


def compared_with(run: RunFolder, active: Bundle) -> list[tuple[Bundle, list[str]]]:
    """Return the models whose thresholds are moved, each with the labels for which that is so.

    The active one, and for what it does not hear yet the one that the candidate began with.

    Raises:
        OperatorError: the run begins with a model that hears more, and that is not at hand.
    """
    base, added = base_of(run), added_labels(run)
    here = active.manifest.presets.balanced
    compared = [(active, [label for label in here if label not in added])]
    new = [label for label in base.values["config"]["labels"] if label not in here and label not in added]
    if not new:
        return compared
    began_with = base_bundle(run, base)
    if began_with is None:
        raise OperatorError(
            f"no operating points are known for {', '.join(new)}; begin anew with the bundle of model "
            f"{base.pin.version} as --active, or with a base that hears less"
        )
    known = began_with.manifest.decided_labels()
    return [*compared, (began_with, [label for label in new if label in known])]
