"""Runs a bundle's self-test in a process of its own: a graph that crashes, hangs or eats memory takes only that along.

python -m earshot_node.deployment.proving FILE     prints JSON: {"deviation": ..., "real_time_factor": ...}
"""

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Final

from earshot_node.errors import BundleError, EarshotError, RetryError
from earshot_node.inference.self_test import SelfTest

TIME_LIMIT_S: Final = 120.0
MEMORY_LIMIT_BYTES: Final = 2 << 30
_LEARNED: Final = 10
"""Exit code with which the child says that it has printed a reason."""


def prove(path: Path, time_limit_s: float = TIME_LIMIT_S) -> SelfTest:
    """Load a verified bundle and run its reference clips, elsewhere.

    Raises:
        BundleError: it fails, crashes, takes too long, or is slower than real time.
        RetryError: no process can be started.
    """
    command = [sys.executable, "-m", "earshot_node.deployment.proving", str(path)]
    try:
        child = subprocess.run(
            command, capture_output=True, timeout=time_limit_s, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        raise BundleError(f"{path.name}: its self-test did not end within {time_limit_s:.0f} s") from error
    except OSError as error:
        raise RetryError(f"{path.name}: its self-test cannot be started: {error.strerror}") from error
    try:
        answer = json.loads(child.stdout)
    except ValueError:
        answer = {}
    if child.returncode == _LEARNED and "reason" in answer:
        raise BundleError(str(answer["reason"]))
    if child.returncode != 0 or not {"deviation", "real_time_factor"} <= set(answer):
        how = f"was killed by signal {-child.returncode}" if child.returncode < 0 else "failed"
        raise BundleError(f"{path.name}: its self-test {how}; this machine cannot run it")
    result = SelfTest(float(answer["deviation"]), float(answer["real_time_factor"]))
    if result.real_time_factor >= 1:
        raise BundleError(f"{path.name}: slower than real time here ({result.real_time_factor:.1f} s per second)")
    return result


def _main(path: Path) -> int:
    from earshot_node.inference.bundle import load_bundle_unsigned
    from earshot_node.inference.model import StreamingModel
    from earshot_node.inference.self_test import self_test

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        bundle = load_bundle_unsigned(path)
        result = self_test(bundle, StreamingModel(bundle.manifest, bundle.model))
    except EarshotError as error:
        print(json.dumps({"reason": str(error)}))  # noqa: T201 - the answer
        return _LEARNED
    print(json.dumps({"deviation": result.deviation, "real_time_factor": result.real_time_factor}))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1])))
