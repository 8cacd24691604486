"""An operating point's settings as tables show them."""

from earshot_node.contract.operating_point import OperatingPoint

SETTINGS = ("enter", "leave", "certain", "min length", "bridging", "cooldown")
"""Columns."""
CERTAIN_MEANS = "Certain: an event is told at once when a posterior reaches it, else after its minimum length"


def settings_of(point: OperatingPoint) -> list[str]:
    """Return the texts of the columns; "-" at 1, where the minimum length alone decides."""
    certain = f"{point.certain:g}" if point.certain < 1 else "-"
    seconds = (f"{value:g} s" for value in (point.min_length_s, point.bridging_s, point.cooldown_s))
    return [f"{point.enter:g}", f"{point.leave:g}", certain, *seconds]
