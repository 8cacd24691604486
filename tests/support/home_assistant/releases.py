"""Which Home Assistant is tested, and what it runs on."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Release:
    """A released Home Assistant.

    Attributes:
        version: as the Python index knows it.
        python: lowest Python that it takes.
        suite: Debian release that has such a Python.
        overrides: requirements that replace its own: pinned ones that have no wheel for that Python.
        wheels: requirements by what replaces them, for the same reason.
    """

    version: str
    python: tuple[int, int, int]
    suite: str
    overrides: tuple[str, ...] = ()
    wheels: tuple[tuple[str, str], ...] = ()

    @property
    def short(self) -> str:
        """Year and month."""
        return self.version.rpartition(".")[0]

    @property
    def interpreter(self) -> str:
        """Name of its Python as a program."""
        return f"python{self.python[0]}.{self.python[1]}"


_WHEELS: Final = (("pymicro-vad", "pymicro-vad>=1.0.1"), ("pyspeex-noise", "pyspeex-noise>=1.0.2"))

RELEASES: Final = {
    "2026.9": Release("2026.9.4", (3, 14, 2), "forky", wheels=_WHEELS),
    "2026.2": Release("2026.2.3", (3, 13, 2), "trixie", ("lru-dict>=1.3.0",), _WHEELS),
}
NEWEST: Final = "2026.9"
