"""An evaluation as tables for a terminal. The JSON beside it is `Evaluation.to_dict`."""

from rich.console import Console
from rich.table import Table

from earshot_trainer.evaluate.console import say
from earshot_trainer.evaluate.evaluation import Evaluation, LabelFigures
from earshot_trainer.evaluate.false_alarms import FalseAlarms
from earshot_trainer.evaluate.operating_points import Choice
from earshot_trainer.evaluate.point_settings import CERTAIN_MEANS, SETTINGS, settings_of
from earshot_trainer.evaluate.tagging import Decisions, Tagging

Gaps = dict[str, dict[str, float]]
MOST_ALARMS_SHOWN = 20
MOST_CLASSES_SHOWN = 15


def print_evaluation(console: Console, evaluation: Evaluation) -> None:
    """Print protocol, then figures label by label."""
    _print_protocol(console, evaluation)
    for label, figures in evaluation.labels.items():
        if figures.tagging is not None:
            _print_tagging(console, label, figures.tagging)
        else:
            say(console, f"{label}: no clip tagging; the selection needs clips with and without {label}")
        _print_long(console, label, figures)
    for problem in evaluation.problems:
        say(console, f"not read: {problem}")


def print_comparison(console: Console, first: Evaluation, second: Evaluation, gaps: Gaps) -> None:
    """Print two models side by side with the difference in points (hundredths)."""
    titles = (first.subject["title"], second.subject["title"])
    for label, figures in first.labels.items():
        if label not in second.labels:
            continue
        rows = _comparable_rows(figures, second.labels[label])
        if not rows:
            continue
        table = Table(title=f"{label}: {titles[0]} against {titles[1]}, same recordings", title_justify="left")
        for column in ("figure", *titles, "difference, points"):
            table.add_column(column)
        for name, (mine, theirs) in rows.items():
            table.add_row(name, f"{mine:.4f}", f"{theirs:.4f}", f"{100 * (mine - theirs):+.2f}")
        console.print(table)
        for title, one in zip(titles, (figures, second.labels[label]), strict=True):
            _print_alarm_rates(console, title, one)
        if label in gaps:
            gap = gaps[label]
            say(console, f"posteriors differ by {gap['mean']:.4f} on average, by {gap['largest']:.4f} at most")
    say(console, f"{titles[1]} decides by: {second.subject['presets_origin']}")
    sizes = (first.subject["model_bytes"], second.subject["model_bytes"])
    say(console, f"model: {sizes[0] / 1000:.0f} kB against {sizes[1] / 1000:.0f} kB")


def _comparable_rows(first: LabelFigures, second: LabelFigures) -> dict[str, tuple[float, float]]:
    rows: dict[str, tuple[float, float]] = {}
    mine, theirs = first.tagging, second.tagging
    if mine is not None and theirs is not None:
        rows["AUC"] = (mine.auc, theirs.auc)
        rows["average precision"] = (mine.average_precision, theirs.average_precision)
        rows["best F1"] = (mine.at_best.f1, theirs.at_best.f1)
        for preset in mine.at_presets:
            rows[f"clip recall, {preset}"] = (mine.at_presets[preset].recall, theirs.at_presets[preset].recall)
            rows[f"clip precision, {preset}"] = (mine.at_presets[preset].precision, theirs.at_presets[preset].precision)
    if first.long_recall is not None and second.long_recall is not None:
        for preset, count in first.long_recall.detected.items():
            other = second.long_recall.detected[preset] / second.long_recall.recordings
            rows[f"long recordings found, {preset}"] = (count / first.long_recall.recordings, other)
    return rows


def _print_alarm_rates(console: Console, title: str, figures: LabelFigures) -> None:
    for preset, found in figures.false_alarms.items():
        low, high = found.per_hour_interval
        say(
            console,
            f"{title}, {preset}: {found.count} false alarms in {found.hours:.2f} h, {found.per_hour:.2f} per hour "
            f"(95 % {low:.2f} to {high:.2f})",
        )


def print_choices(console: Console, choices: dict[str, dict[str, Choice]], title: str) -> None:
    """Print chosen operating points with what they gave on the recordings they were chosen on."""
    for label, presets in choices.items():
        table = Table(title=f"{label}: operating points chosen for {title} on these recordings", title_justify="left")
        results = ("recall", "events", "clip alarms", "false alarms", "per hour (95 %)")
        for column in ("preset", *SETTINGS, *results):
            table.add_column(column)
        for name, choice in presets.items():
            alarms = f"{choice.false_alarms} in {choice.hours:.2f} h" + ("" if choice.budget_met else ", over budget")
            low, high = choice.per_hour_interval
            rate = f"{choice.per_hour:.2f} ({low:.2f} to {high:.2f})"
            table.add_row(
                name,
                *settings_of(choice.point),
                f"{choice.recall:.3f}",
                "-" if choice.event_recall is None else f"{choice.event_recall:.3f}",
                f"{choice.clip_alarms:.3f}",
                alarms,
                rate,
            )
        console.print(table)
    say(console, CERTAIN_MEANS)


def _print_protocol(console: Console, evaluation: Evaluation) -> None:
    subject, protocol = evaluation.subject, evaluation.protocol
    chosen = [
        *(f"fold {name}" for name in protocol["folds"]),
        *(f"source {name}" for name in protocol["sources"]),
        *(f"without group {name}" for name in protocol["excluded_groups"]),
    ]
    say(console, f"model     {subject['title']}, sha256 {subject['model_sha256'][:12]}")
    say(
        console,
        f"data      {protocol['recordings']} recordings ({protocol['clips']} clips, "
        f"{protocol['long_recordings']} long), sha256 {protocol['data_sha256'][:12]}",
    )
    say(console, f"selected  {', '.join(chosen) or 'everything in the manifests'}")
    for run in subject.get("runs", ()):
        say(console, f"          {run['run']}: {run['recordings']} recordings, sha256 {run['model_sha256'][:12]}")
    if not subject.get("one_recipe", True):
        say(console, "          note: the runs have different recipes")
    say(console, f"score     {protocol['clip_score']}")
    say(console, f"decision  {protocol['clip_decision']}; points: {subject['presets_origin']}")
    for preset, points in subject["presets"].items():
        for label, point in points.items():
            settings = ", ".join(f"{key} {value:g}" for key, value in point.items())
            say(console, f"          {preset} {label}: {settings}")


def _print_tagging(console: Console, label: str, tagging: Tagging) -> None:
    low, high = tagging.auc_interval
    say(
        console,
        f"\n{label}: {tagging.positives} clips of {tagging.positive_groups} recordings against "
        f"{tagging.negatives} others: AUC {tagging.auc:.4f} (95 % {low:.3f} to {high:.3f} over recordings), "
        f"average precision {tagging.average_precision:.4f}",
    )
    table = Table(title=f"{label}: clips at operating points", title_justify="left")
    for column in ("decided by", "precision", "recall", "F1", "hits", "misses", "false alarms"):
        table.add_column(column)
    for name, decisions in tagging.at_presets.items():
        _add_decisions(table, name, decisions)
    _add_decisions(table, f"score >= {tagging.best_threshold:.3f} (best F1 on these clips)", tagging.at_best)
    console.print(table)
    _print_classes(console, label, tagging)


def _add_decisions(table: Table, name: str, decisions: Decisions) -> None:
    figures = (f"{value:.3f}" for value in (decisions.precision, decisions.recall, decisions.f1))
    table.add_row(name, *figures, str(decisions.hits), str(decisions.misses), str(decisions.false_alarms))


def _print_classes(console: Console, label: str, tagging: Tagging) -> None:
    table = Table(title=f"{label}: which sounds fool it", title_justify="left")
    for column in ("class", "clips", "mean score", "above best threshold", "alarmed quiet / balanced / sensitive"):
        table.add_column(column)
    for row in tagging.classes[:MOST_CLASSES_SHOWN]:
        name = f"{row.name} (is {label})" if row.is_positive else row.name
        alarmed = " / ".join(str(count) for count in row.alarmed.values())
        table.add_row(name, str(row.clips), f"{row.mean_score:.3f}", str(row.above_best), alarmed)
    console.print(table)
    rest = len(tagging.classes) - MOST_CLASSES_SHOWN
    if rest > 0:
        say(console, f"and {rest} classes that fool it less; all are in --json")


def _print_long(console: Console, label: str, figures: LabelFigures) -> None:
    if figures.long_recall is not None:
        long = figures.long_recall
        found = ", ".join(f"{preset} {count}" for preset, count in long.detected.items())
        say(console, f"long recordings with {label} (weak label), found of {long.recordings}: {found}")
    if not figures.false_alarms:
        say(console, f"{label}: no false alarm rate; the selection has no long recording without {label}")
        return
    table = Table(title=f"{label}: false alarms on long recordings without it", title_justify="left")
    for column in ("preset", "alarms", "hours", "per hour", "95 % (exact Poisson)", "classes"):
        table.add_column(column)
    for preset, alarms in figures.false_alarms.items():
        low, high = alarms.per_hour_interval
        classes = ", ".join(f"{name} {count}" for name, (count, _) in alarms.by_class.items())
        table.add_row(
            preset,
            str(alarms.count),
            f"{alarms.hours:.2f}",
            f"{alarms.per_hour:.2f}",
            f"{low:.2f} to {high:.2f}",
            classes,
        )
    console.print(table)
    _print_alarms(console, "balanced", figures.false_alarms["balanced"])


def _print_alarms(console: Console, preset: str, found: FalseAlarms) -> None:
    worst = sorted(found.alarms, key=lambda alarm: -alarm.peak)
    for alarm in worst[:MOST_ALARMS_SHOWN]:
        say(
            console,
            f"  {preset}: {alarm.file} ({alarm.source}, {alarm.kind_of_sound}) at {alarm.onset_s:.2f} to "
            f"{alarm.offset_s:.2f} s, peak {alarm.peak:.3f}",
        )
    if len(worst) > MOST_ALARMS_SHOWN:
        say(console, f"  and {len(worst) - MOST_ALARMS_SHOWN} more; all are in --json")
