"""What the runs gave: one JSON line each, in the order in which they ended."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from earshot_node.atomic_file import write_atomically
from earshot_node.errors import OperatorError

RESULTS_NAME = "results.jsonl"


class Result(BaseModel):
    """One run: what was trained, what it costs, and training's own figures on the part that was held out.

    Attributes:
        recipe: file name; `settings` are its values that were replaced for all variants.
        auc, ap: of clips by their greatest posterior; `..._half_second` by that of its half-second mean.
        recall_at_1: share of siren clips found at one alarm an hour; None where nothing was there to count alarms on.
        ms_per_hop: CPU time of one thread for a call with one hop of 40 ms, the torch module alone in float32.
        base_ms_per_hop: of the network as it is, timed in turns with it.
        trained_s: by the clock, over all sessions of the run.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    variant: str
    seed: int
    part: str
    steps: int
    recipe: str
    settings: tuple[str, ...] = ()
    parameters: int
    auc: float
    ap: float
    auc_half_second: float
    ap_half_second: float
    recall_at_1: float | None
    recall_at_4: float | None
    recall_at_12: float | None
    ms_per_hop: float
    base_ms_per_hop: float
    trained_s: float
    dataset_sha256: str
    code_version: str


def read_results(path: Path) -> list[Result]:
    """Return all results in a file; none if there is no file.

    Raises:
        OperatorError: a line is damaged or of another version; names file and line.
    """
    results = []
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            results.append(Result.model_validate_json(line))
        except ValidationError as error:
            raise OperatorError(
                f"{path}, line {number}, is no result; delete the line to have that run again"
            ) from error
    return results


def write_results(path: Path, results: Sequence[Result]) -> None:
    """Replace the file whole, so that a kill leaves no half line."""
    write_atomically(path, "".join(f"{result.model_dump_json()}\n" for result in results).encode())
