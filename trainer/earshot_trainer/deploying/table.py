"""Deployments and releases as tables and lines for people."""

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from earshot_trainer.catalogue.releases import Offer, Release
from earshot_trainer.deploying.progress import NodeProgress
from earshot_trainer.fleet.table import clean

_TEXTS = {
    "pending": "waits",
    "offered": "offered",
    "away": "away; gets it when it is back",
    "working": "installs",
    "installed": "installed",
    "shadowed": "in the shadow",
    "refused": "refused",
    "rolled_back": "went back",
    "same": "has it already",
    "stopped": "not offered",
    "late": "no answer yet",
}
_STYLES = {"installed": "green", "shadowed": "green", "same": "green", "refused": "red", "rolled_back": "red"}
_GATES = {"": "not asked", "passed": "passed", "failed": "failed", "synthetic": "synthetic only"}


def progress_line(one: NodeProgress) -> str:
    """Return one node's state as a line."""
    percent = f" {one.percent} %" if one.percent is not None else ""
    state = "away" if one.state == "away" and one.reason else _TEXTS[one.state]
    return clean(f"{one.node}: {state}{percent}{': ' if one.reason else ''}{one.reason}")


def progress_table(nodes: Sequence[NodeProgress]) -> Table:
    """Return all nodes' states for a terminal."""
    table = Table(box=None, header_style="bold")
    for name in ("node", "state", "", "reason"):
        table.add_column(name, overflow="fold")
    for one in nodes:
        style = _STYLES.get(one.state, "yellow")
        bar = "" if one.percent is None else f"{'━' * (one.percent // 10):<10} {one.percent:3d} %"
        state = "away" if one.state == "away" and one.reason else _TEXTS[one.state]
        table.add_row(escape(one.node), f"[{style}]{state}[/]", bar, escape(clean(one.reason)))
    return table


def release_rows(
    releases: Sequence[Release], offers: Sequence[Offer], running: dict[str, str]
) -> list[tuple[str, ...]]:
    """Return a line of texts for each release, newest first; `forced` is one that was made or deployed so.

    Args:
        releases: oldest first.
        offers: all.
        running: version that each node decides with.
    """
    rows = []
    for one in reversed(releases):
        on = sorted(node for node, version in running.items() if version == one.version)
        forced = one.is_forced or any(offer.is_forced for offer in offers if offer.sha256 == one.sha256)
        gate = _GATES.get(one.gate, one.gate) + (", forced" if forced else "")
        deployed = sorted({offer.offered[:10] for offer in offers if offer.sha256 == one.sha256})
        rows.append(
            (
                one.version,
                one.registered[:10],
                one.made_by,
                gate,
                ", ".join(on) or "-",
                deployed[-1] if deployed else "never",
                one.summary or one.gate_reason or "-",
            )
        )
    return [tuple(clean(text) for text in row) for row in rows]


RELEASE_COLUMNS = ("version", "made", "by", "gate", "runs on", "deployed", "about")


def offer_lines(releases: Sequence[Release], offers: Sequence[Offer]) -> list[str]:
    """Return what nodes said no to, or have not answered, a line each; only each node's last offer counts."""
    versions = {one.sha256: one.version for one in releases}
    latest = {offer.node: offer for offer in offers}
    lines = []
    for node, offer in sorted(latest.items()):
        if offer.state in ("installed", "kept", "shadowed"):
            continue
        why = offer.reason or offer.withdrawn_why
        lines.append(f"{node}: {versions.get(offer.sha256, '?')} {offer.state}{': ' if why else ''}{why}")
    return [clean(line) for line in lines]
