from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from segbench.store import lease as lease_module
from segbench.store.layout import TrialFolder
from segbench.store.lease import Lease, LeaseLost, holder, is_leased, place, process_start

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def folder(tmp_path: Path) -> TrialFolder:
    return TrialFolder(tmp_path / "trials" / "0123456789ab")


def files(folder: TrialFolder) -> list[str]:
    return sorted(p.name for p in folder.path.iterdir())


def plant(folder: TrialFolder, *, generation: int = 1, counter: int = 7, **changes: object) -> Path:
    """Leave the claim of somebody else."""
    import json

    head = {"token": "other", "place": "elsewhere", "pid": 1, "pid_start": "1", **changes}
    folder.path.mkdir(parents=True, exist_ok=True)
    path = folder.lease(generation)
    path.write_text(json.dumps({**head, "counter": str(counter).zfill(12)}) + "\n")
    return path


def test_a_claim_excludes_others_until_it_is_released(folder: TrialFolder) -> None:
    assert not is_leased(folder)
    with Lease.acquire(folder) or pytest.fail("nobody holds it") as first:
        assert Lease.acquire(folder) is None
        assert is_leased(folder)
        found = holder(folder)
        assert found is not None
        assert (found.token, found.pid, found.counter) == (first.token, os.getpid(), 0)
        first.beat()
        first.check()
        assert (holder(folder) or pytest.fail("held")).counter == 1
    assert files(folder) == []
    assert holder(folder) is None
    with pytest.raises(LeaseLost, match="another worker has taken this trial over"):
        first.check()
    first.release()
    second = Lease.acquire(folder)
    assert second is not None
    second.release()


def test_the_heartbeat_raises_the_counter_by_itself(folder: TrialFolder) -> None:
    with Lease.acquire(folder, heartbeat_s=0.01) or pytest.fail("free"):
        deadline = time.monotonic() + 20
        while (holder(folder) or pytest.fail("held")).counter == 0:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_foreign_claim_goes_stale_by_the_observers_clock_alone(
    folder: TrialFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(lease_module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(lease_module.time, "time", lambda: pytest.fail("a wall clock was read"))
    path = plant(folder)
    os.utime(path, (0, 0))  # ages that a clock of another host would show
    assert Lease.acquire(folder, stale_after_s=60) is None
    now[0] += 59
    assert Lease.acquire(folder, stale_after_s=60) is None
    plant(folder, counter=8)  # it lives
    now[0] += 59
    assert Lease.acquire(folder, stale_after_s=60) is None
    now[0] += 59
    assert Lease.acquire(folder, stale_after_s=60) is None
    now[0] += 2
    taken = Lease.acquire(folder, stale_after_s=60)
    assert taken is not None
    assert files(folder) == ["lease.2"]
    taken.release()


def test_the_claim_of_a_dead_process_of_this_host_is_taken_at_once(folder: TrialFolder) -> None:
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    plant(folder, place=place(), pid=int(dead.stdout), pid_start="1")
    taken = Lease.acquire(folder)
    assert taken is not None
    taken.release()


def test_a_process_number_used_again_is_not_taken_for_the_holder(folder: TrialFolder) -> None:
    plant(folder, place=place(), pid=os.getpid(), pid_start="1")
    taken = Lease.acquire(folder)
    assert taken is not None
    taken.release()
    plant(folder, place=place(), pid=os.getpid(), pid_start=process_start(os.getpid()))
    assert Lease.acquire(folder) is None


def test_an_old_owner_notices_and_cannot_touch_its_successor(folder: TrialFolder) -> None:
    old = Lease.acquire(folder)
    assert old is not None
    plant(folder, generation=2)
    folder.lease(1).unlink()
    before = folder.lease(2).read_bytes()
    old.beat()
    with pytest.raises(LeaseLost):
        old.check()
    old.release()
    assert files(folder) == ["lease.2"]
    assert folder.lease(2).read_bytes() == before


def test_an_owner_notices_a_successor_that_has_not_removed_the_old_claim_yet(folder: TrialFolder) -> None:
    old = Lease.acquire(folder)
    assert old is not None
    plant(folder, generation=2)
    assert not old.is_held()
    old.release()


def test_a_late_taker_of_a_number_used_before_withdraws(
    folder: TrialFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(folder, generation=3)
    assert Lease._create(folder, 2) is None  # as one would that looked when there was only number 1
    assert files(folder) == ["lease.3"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"token": 1}'])
def test_a_claim_that_is_being_written_counts_as_held(folder: TrialFolder, content: str) -> None:
    folder.path.mkdir(parents=True)
    folder.lease(1).write_text(content)
    assert Lease.acquire(folder) is None
    assert is_leased(folder)


def race(root: Path, me: int, start: object, wins: Connection) -> None:
    won = []
    for number in range(200):
        start.wait()  # type: ignore[attr-defined]
        folder = TrialFolder(root / f"{number:012x}")
        # Odd rounds have a dead holder's claim to take over.
        lease = Lease.acquire(folder, stale_after_s=60)
        if lease is not None:
            lease.check()
            won.append((number, lease._generation))
        start.wait()  # type: ignore[attr-defined]
        if lease is not None:
            lease.release()
    wins.send((me, won))
    wins.close()


def test_two_processes_race_for_200_trials_and_each_has_one_winner(tmp_path: Path) -> None:
    for number in range(1, 200, 2):
        plant(TrialFolder(tmp_path / f"{number:012x}"), place=place(), pid=2**22 + 1, pid_start="1")
    start = SPAWN.Barrier(2)
    pipes = [SPAWN.Pipe(duplex=False) for _ in range(2)]
    racers = [SPAWN.Process(target=race, args=(tmp_path, i, start, pipes[i][1])) for i in range(2)]
    for racer in racers:
        racer.start()
    won = [pipe.recv()[1] for pipe, _ in pipes]
    for racer in racers:
        racer.join(timeout=60)
    both = sorted(won[0] + won[1])
    assert both == [(number, 2 if number % 2 else 1) for number in range(200)]
    assert all(not list((tmp_path / f"{number:012x}").iterdir()) for number in range(200))


def hold(root: Path, link: Connection) -> None:
    lease = Lease.acquire(TrialFolder(root), stale_after_s=0.3, heartbeat_s=0.05)
    assert lease is not None
    link.send("held")
    link.recv()  # the question comes after the process was stopped and woken
    link.send((lease.is_held(), lease._counter))
    lease.release()


def test_a_stopped_owner_loses_its_claim_and_notices(folder: TrialFolder) -> None:
    mine, theirs = SPAWN.Pipe()
    owner = SPAWN.Process(target=hold, args=(folder.path, theirs))
    owner.start()
    assert mine.recv() == "held"
    assert owner.pid is not None
    os.kill(owner.pid, signal.SIGSTOP)
    try:
        deadline = time.monotonic() + 60
        taken = None
        while taken is None and time.monotonic() < deadline:
            taken = Lease.acquire(folder, stale_after_s=0.3)
            time.sleep(0.02)
        assert taken is not None
    finally:
        os.kill(owner.pid, signal.SIGCONT)
    mine.send("well?")
    is_held, _ = mine.recv()
    owner.join(timeout=60)
    assert not is_held
    taken.check()
    assert files(folder) == ["lease.2"]
    taken.release()
