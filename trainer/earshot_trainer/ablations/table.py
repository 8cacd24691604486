"""The table: every variant's mean and spread, and whether its difference from the base is more than seeds make.

Average precision (of the half-second mean) decides. A variant's spread is the greatest difference between two of its
runs on one part, which differ by their seeds alone. Its difference from the base is the mean over the parts and seeds
that both ran: parts are harder or easier for all, and one seed draws the same segments for all. A difference is called
a gain or a loss only where there are two runs of the variant or more and it is greater than the spread, the variant's
or the base's, whichever is greater.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from statistics import mean

from earshot_trainer.ablations.results import Result
from earshot_trainer.ablations.variants import BASE, VARIANTS

HEAD = (
    "variant",
    "runs",
    "parameters",
    "AUC, AP (half second)",
    "AP's spread",
    "AP against the base",
    "recall at 1, 4, 12 alarms an hour",
    "ms a hop",
    "training",
)
LEGEND = """\
Means over a variant's runs (part and seed). Spread: the greatest difference between two seeds of a variant on one part.
Against the base: mean over the parts and seeds that both ran; beyond the greater of the two spreads it is a gain or a
loss, with one run or without a spread there is no verdict. ms a hop: CPU time of one thread for a call with 40 ms, the
torch module without the log-mel, and as a multiple of the base's in turns; not onnxruntime's time on a node."""


def spread(results: Sequence[Result]) -> float | None:
    """Greatest difference in AP between two results of one variant on one part; None if no part was run twice."""
    by_part: dict[str, list[float]] = defaultdict(list)
    for result in results:
        by_part[result.part].append(result.ap_half_second)
    return max((abs(a - b) for values in by_part.values() for a, b in combinations(values, 2)), default=None)


def difference(results: Sequence[Result], base: Sequence[Result]) -> float | None:
    """Mean difference in AP over the parts and seeds that both ran; None if there are none."""
    of_base = {(result.part, result.seed): result.ap_half_second for result in base}
    return _mean(
        result.ap_half_second - of_base[result.part, result.seed]
        for result in results
        if (result.part, result.seed) in of_base
    )


def verdict(results: Sequence[Result], base: Sequence[Result]) -> str:
    """Say what the difference from the base is worth."""
    by = difference(results, base)
    if by is None:
        return "no run of the base beside it"
    spreads = [value for value in (spread(results), spread(base)) if value is not None]
    if len(results) < 2 or not spreads:
        return f"{_signed(by)}: one seed, no verdict" if len(results) < 2 else f"{_signed(by)}: no spread, no verdict"
    if abs(by) <= max(spreads):
        return f"{_signed(by)}: within the spread"
    return f"{_signed(by)}: {'gain' if by > 0 else 'loss'}"


def markdown(results: Sequence[Result]) -> str:
    """Return the table of all variants that ran, the base first, and what its columns mean."""
    by_variant = {name: [result for result in results if result.variant == name] for name in VARIANTS}
    base = by_variant[BASE]
    rows = [HEAD, ("---",) * len(HEAD)]
    rows += [_row(VARIANTS[name].title, found, base) for name, found in by_variant.items() if found]
    versions = sorted({result.code_version for result in results})
    return "\n".join(
        [
            *(f"| {' | '.join(row)} |" for row in rows),
            "",
            LEGEND,
            *([f"The runs were made by different code: {', '.join(versions)}."] if len(versions) > 1 else []),
        ]
    )


def _row(title: str, results: Sequence[Result], base: Sequence[Result]) -> tuple[str, ...]:
    def average(figure: Callable[[Result], float | None]) -> float | None:
        return _mean(value for result in results if (value := figure(result)) is not None)

    times_base = average(lambda one: one.ms_per_hop / one.base_ms_per_hop)
    recalls = (lambda one: one.recall_at_1, lambda one: one.recall_at_4, lambda one: one.recall_at_12)
    return (
        title,
        ", ".join(f"{result.part} {result.seed}" for result in sorted(results, key=lambda one: (one.part, one.seed))),
        ", ".join(sorted({f"{result.parameters:,}" for result in results})),
        f"{_share(average(lambda one: one.auc_half_second))}, {_share(average(lambda one: one.ap_half_second))}",
        _share(spread(results)),
        "" if results[0].variant == BASE else verdict(results, base),
        ", ".join(_share(average(recall), 2) for recall in recalls),
        f"{average(lambda one: one.ms_per_hop):.2f} (x {times_base:.2f})",
        f"{average(lambda one: one.trained_s):.0f} s",
    )


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return mean(found) if found else None


def _share(value: float | None, digits: int = 3) -> str:
    """A number between 0 and 1 without its leading zero; "-" for None."""
    return "-" if value is None else f"{value:.{digits}f}".removeprefix("0")


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("0.", ".", 1)
