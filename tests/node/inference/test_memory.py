"""What a loaded model takes is what it needs, not what loading it took."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
from earshot_node.inference.bundle import load_bundled
from earshot_node.inference.model import StreamingModel

def resident_mb():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096 / 1e6

bundle = load_bundled()
before = resident_mb()
model = StreamingModel(bundle.manifest, bundle.model)
print(resident_mb() - before)
"""
MOST_MB = 60


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps what was freed, by megabytes")
def test_shipped_model_takes_little_once_it_is_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert float(done.stdout) < MOST_MB
