"""A microphone without a sound card: ALSA's file PCM, named in an asoundrc of the test's own."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FILE_PCM = """
pcm.{name} {{
    type file
    slave.pcm {{ type null }}
    file /dev/null
    infile "{path}"
    format raw
}}
"""


class VirtualAlsa:
    """Writes `.asoundrc` in a home folder.

    A PCM delivers its samples as fast as they are read; after its end the last period comes again for ever, as from a
    frozen driver.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        (home / ".asoundrc").write_text("")

    def add(self, name: str, samples: NDArray[np.int16]) -> None:
        """Add a capture PCM that delivers int16[n] at whatever rate it is opened."""
        raw = self.home / f"{name.replace('!', '')}.raw"
        samples.astype("<i2").tofile(raw)
        with (self.home / ".asoundrc").open("a") as file:
            file.write(FILE_PCM.format(name=name, path=raw))
