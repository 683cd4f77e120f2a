"""Freed memory is kept for the next tensor, goes back when asked, and changes no number."""

from __future__ import annotations

import json
import platform
import subprocess
import sys

import pytest

from segbench.engine import heap

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or not sys.platform.startswith("linux"), reason="glibc on Linux alone"
)

RESIDENT = """\
import json, resource
from pathlib import Path
import torch
from segbench.engine import heap

def resident_mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

HOLDS = {holds}
if HOLDS:
    assert heap.hold_freed_memory()
begin = resident_mib()
torch.ones(60 * 2**18), torch.ones(70 * 2**18)
freed = resident_mib() - begin
before = faults()
for _ in range(8):
    torch.ones(60 * 2**18)
again = faults() - before
heap.return_freed_memory()
print(json.dumps([freed, again, resident_mib() - begin]))
"""

TRAIN = """\
import json, torch
from blobs import blob_data, tiny_config
from segbench.config.trial import Choice
from segbench.engine import Run, heap

torch.set_num_threads(1)
if {holds}:
    heap.hold_freed_memory()
config = tiny_config(epochs=2, batch_size=4, model=Choice.of("model", "unet", width=24, depth=3))
run = Run(config, blob_data(size_px=64), seed=3, threads=1)
rows = [[record.train_loss, record.val["loss"], record.val["dice"]] for record in run]
print(json.dumps([rows, float(sum(w.double().sum() for w in run.weights("last").values()))]))
"""


def python(script: str, *, holds: bool) -> object:
    path = [p for p in sys.path if p]
    code = f"import sys; sys.path[:0] = {path!r}\n" + script.replace("{holds}", repr(holds))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_freed_tensors_stay_with_the_process_until_they_are_returned() -> None:
    held, held_again, returned = python(RESIDENT, holds=True)
    let_go, let_go_again, _ = python(RESIDENT, holds=False)
    assert let_go < 30 < 100 < held
    assert returned < 30
    assert held_again < 50 < let_go_again  # pages that Linux had to bring and fill with zeros


def test_numbers_are_those_without() -> None:
    assert python(TRAIN, holds=True) == python(TRAIN, holds=False)


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "_glibc", lambda: None)
    assert not heap.hold_freed_memory()
    assert not heap.return_freed_memory()
