"""The SoundFont that tests play with; Debian's package timgm6mb-soundfont."""

from pathlib import Path

SOUNDFONT = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")
