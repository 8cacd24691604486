"""What the supervising thread of any source runs."""

from typing import Protocol


class Session(Protocol):
    """Opens a source and delivers until it is over; `run` may be called again and again."""

    def run(self) -> str:
        """Return when the node stops or a finite source is over, then with its problem, empty when there is none.

        Raises:
            EarshotError: the source could not be opened or broke off.
        """
        ...
