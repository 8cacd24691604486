"""What a step frees stays with the process for the next one."""

import subprocess
import sys

import pytest

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

STEPS = """
import resource, sys, torch
from earshot_trainer.training.memory import keep_freed_memory

def step():
    activations = [torch.ones(16_000_000) for _ in range(4)]  # 64 MB each
    return sum(float(one[0]) for one in activations)

if sys.argv[1] == "keep":
    keep_freed_memory()
for _ in range(8):  # until every block has found its place
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def new_pages(what: str) -> int:
    """Return how many pages a step gets from the system after some others."""
    done = subprocess.run([sys.executable, "-c", STEPS, what], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc alone is asked")
def test_a_step_gets_no_memory_anew() -> None:
    assert new_pages("keep") < 1000
    assert new_pages("leave") > 10_000
