"""The supervisor: starts workers, survives their deaths, and knows when it is done."""

from __future__ import annotations

import io
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from rich.console import Console
from sweep_fakes import FINGERPRINT, SEARCH, FakeEngine, diverged

from segbench.config.expand import search_space
from segbench.config.experiment import Experiment
from segbench.errors import ResultsError, TrialError
from segbench.plan.plan import Planner
from segbench.records import FailureKind, State
from segbench.store import trials
from segbench.store.layout import ExperimentFolder
from segbench.store.queue import Queue, QueuedTrial
from segbench.sweep.display import PlainDisplay, SweepView
from segbench.sweep.launchers import Exit, Launcher, Request
from segbench.sweep.process import ask, only_supervisor
from segbench.sweep.search import is_over, read_past
from segbench.sweep.sources import FixedTrials, SearchRun
from segbench.sweep.supervisor import Supervisor
from segbench.sweep.worker import Crew, Worker
from segbench.trial.limits import OUT_OF_TIME, Deadline, StopRequest, TimeLimit, Watchdog
from segbench.trial.run import Resources


class Death(BaseException):
    """Ends a worker as SIGKILL would."""


class ThreadPool(Launcher):
    """Stands for `LocalLauncher`: real workers, in threads instead of processes."""

    has_events = True
    log = Path("log.txt")

    def __init__(self, make_worker: Callable[[StopRequest], Worker], num_slots: int = 1) -> None:
        super().__init__()
        self._make, self._num_slots = make_worker, num_slots
        self._said: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        self._stops: dict[int, StopRequest] = {}
        self.num_started = 0
        self.killed = threading.Event()

    @property
    def num_running(self) -> int:
        return len(self._stops)

    @property
    def num_free(self) -> int:
        return self._num_slots - len(self._stops)

    @property
    def size(self) -> int:
        return self._num_slots

    @classmethod
    def open(cls, request: Request) -> Self:
        raise NotImplementedError

    def describe(self) -> list[str]:
        return []

    def start(self, count: int) -> list[int]:
        return [self._start() for _ in range(count)]

    def _start(self) -> int:
        self.num_started += 1
        pid, stop = 1000 + self.num_started, StopRequest()
        self._stops[pid] = stop
        threading.Thread(target=self._work, args=(pid, stop), daemon=True).start()
        return pid

    def poll(self, timeout_s: float) -> Iterator[tuple[int, Any]]:
        while True:
            try:
                pid, said = self._said.get(timeout=timeout_s)
            except queue.Empty:
                return
            timeout_s = 0.0
            if isinstance(said, Exit):
                del self._stops[pid]
            yield pid, said

    def signal(self, number: int) -> None:
        for stop in self._stops.values():
            stop.set()

    def kill(self, pid: int) -> None:
        self.killed.set()

    def _work(self, pid: int, stop: StopRequest) -> None:
        worker = self._make(stop)
        worker.on_event = lambda event: self._said.put((pid, event))
        try:
            worker.work()
            code = OUT_OF_TIME if worker.is_out_of_time else 0
        except Death:
            code = -9
        except RuntimeError:
            code = 1
        self._said.put((pid, Exit(pid, code)))


class Sweep:
    """A supervisor with its surroundings."""

    def __init__(
        self, experiment: Experiment, folder: ExperimentFolder, queued: list[QueuedTrial], **options: Any
    ) -> None:
        folder.root.mkdir(parents=True, exist_ok=True)
        self.out = io.StringIO()
        num_slots = options.pop("num_slots", 1)
        self.pool = ThreadPool(
            options.pop("make_worker", None)
            or (lambda stop: Worker(experiment.project, folder, Resources(device="cpu", threads=1), stop)),
            num_slots,
        )
        source = options.pop("search", None) or FixedTrials(queued)
        view = SweepView(total=len(queued), done=0, waiting={t.hash: 4 for t in queued}, workers=num_slots)
        self.supervisor = Supervisor(
            folder=folder,
            source=source,
            launcher=self.pool,
            display=PlainDisplay(view, Console(file=self.out, width=200)),
            stop=StopRequest(),
            **options,
        )

    def run(self) -> str:
        self.supervisor.run()
        return self.out.getvalue()


@pytest.fixture
def sweep(
    experiment: Experiment, folder: ExperimentFolder, queued: list[QueuedTrial], fake_engine: FakeEngine
) -> Sweep:
    return Sweep(experiment, folder, queued)


def states(folder: ExperimentFolder, queued: list[QueuedTrial]) -> list[str]:
    return [str(trials.read_trial(folder.trial(t.hash)).state) for t in queued]


def test_sweep_runs_everything_and_takes_its_queue_away(
    sweep: Sweep, folder: ExperimentFolder, queued: list[QueuedTrial]
) -> None:
    text = sweep.run()
    assert states(folder, queued) == ["complete"] * 4
    assert set(sweep.supervisor.states.values()) == {State.COMPLETE}
    assert sweep.pool.num_started == 1, "one worker stays warm"
    assert not folder.queue.exists()
    assert "[4/4] complete batch, seed 1: val 0.4000, test dice 0.3000" in text


def test_two_workers_share_the_queue(
    experiment: Experiment, folder: ExperimentFolder, queued: list[QueuedTrial], fake_engine: FakeEngine
) -> None:
    sweep = Sweep(experiment, folder, queued, num_slots=2)
    sweep.run()
    assert states(folder, queued) == ["complete"] * 4
    assert sweep.pool.num_started == 2
    assert len([e for e in fake_engine.events if e.startswith("build")]) == 4


def test_a_dead_worker_s_trial_goes_on_from_its_last_epoch(
    sweep: Sweep, folder: ExperimentFolder, queued: list[QueuedTrial], fake_engine: FakeEngine
) -> None:
    dead: set[int] = set()

    def die_once_an_epoch(epoch: int) -> None:
        if epoch not in dead:
            dead.add(epoch)
            raise Death

    fake_engine.before_epoch = die_once_an_epoch
    text = sweep.run()
    assert states(folder, queued) == ["complete"] * 4
    record = trials.read_trial(folder.trial(queued[0].hash))
    assert record.attempts == 5, "dying is no failure as long as epochs are made"
    assert "a worker died (signal 9 (SIGKILL)); batch, seed 0 goes on after epoch 3" in text


def test_a_trial_that_kills_its_workers_is_given_up(
    sweep: Sweep, folder: ExperimentFolder, queued: list[QueuedTrial], fake_engine: FakeEngine
) -> None:
    def die(epoch: int) -> None:
        last = [e for e in fake_engine.events if e.startswith("build")][-1]
        if epoch == 2 and last == "build seed 0" and len(folder.trial(queued[0].hash).log.read_text()) > 0:
            record = trials.read_trial(folder.trial(queued[0].hash))
            if record.state is State.RUNNING:
                raise Death

    fake_engine.before_epoch = die
    text = sweep.run()
    record = trials.read_trial(folder.trial(queued[0].hash))
    assert (record.state, record.failure) == (State.FAILED, FailureKind.LOST)
    assert record.reason == "its worker died 3 times after epoch 1, by signal 9 (SIGKILL)"
    assert record.attempts == 3
    assert states(folder, queued[1:]) == ["complete"] * 3
    assert "failed (lost) batch, seed 0: its worker died 3 times after epoch 1" in text


def test_failures_do_not_end_a_sweep_unless_asked(
    experiment: Experiment, folder: ExperimentFolder, queued: list[QueuedTrial], fake_engine: FakeEngine
) -> None:
    fake_engine.raise_at = {1: ValueError("bug")}
    sweep = Sweep(experiment, folder, queued)
    sweep.run()
    assert states(folder, queued) == ["failed"] * 4
    for trial in queued:
        folder.trial(trial.hash).record.unlink()
    limited = Sweep(experiment, folder, queued, max_failures=2)
    text = limited.run()
    assert "2 trials have failed: the sweep stops (--max-failures)" in text
    assert len(limited.supervisor.states) in (2, 3)  # one may have begun meanwhile


def test_divergence_is_no_failure(
    experiment: Experiment, folder: ExperimentFolder, queued: list[QueuedTrial], fake_engine: FakeEngine
) -> None:
    fake_engine.raise_at = {2: diverged(2)}
    sweep = Sweep(experiment, folder, queued, max_failures=1)
    sweep.run()
    assert states(folder, queued) == ["diverged"] * 4
    assert sweep.supervisor.display.view.failed == 0


def test_stop_lets_epochs_end_and_keeps_the_queue(
    sweep: Sweep, folder: ExperimentFolder, queued: list[QueuedTrial], fake_engine: FakeEngine
) -> None:
    stopped = threading.Event()

    def stop_in_epoch_2(epoch: int) -> None:
        if epoch == 2:
            sweep.supervisor.stop.set()
        if epoch == 3:
            stopped.set()

    fake_engine.before_epoch = stop_in_epoch_2
    fake_engine.objective = slow_objective(sweep)
    text = sweep.run()
    assert "stopping: each running trial finishes its epoch and saves; once more stops at once" in text
    assert trials.read_trial(folder.trial(queued[0].hash)).state is State.INTERRUPTED
    assert folder.queue.exists()
    assert not folder.trial(queued[1].hash).record.exists()


def slow_objective(sweep: Sweep) -> Any:
    """Give the supervisor time to pass the request on within epoch 2."""
    import time

    def objective(config: Any, seed: int, epoch: int) -> float:
        if epoch == 2:
            time.sleep(0.6)
        return 0.1 * epoch

    return objective


def test_trials_that_others_end_are_noticed(
    experiment: Experiment, folder: ExperimentFolder, queued: list[QueuedTrial], fake_engine: FakeEngine
) -> None:
    Queue(experiment="exp", trials=tuple(queued)).write(make(folder).queue)
    by_hand = Worker(experiment.project, folder, Resources(device="cpu", threads=1), StopRequest())
    by_hand.work()
    sweep = Sweep(experiment, folder, queued)
    sweep.run()
    assert set(sweep.supervisor.states.values()) == {State.COMPLETE}


def make(folder: ExperimentFolder) -> ExperimentFolder:
    folder.root.mkdir(parents=True, exist_ok=True)
    return folder


def test_a_hanging_worker_is_killed_and_its_trial_tried_again(
    experiment: Experiment, folder: ExperimentFolder, queued: list[QueuedTrial], fake_engine: FakeEngine
) -> None:
    sweep = Sweep(experiment, folder, queued, hang_timeout_s=0.5)
    hung: list[int] = []

    def hang(epoch: int) -> None:
        seed_0 = len([e for e in fake_engine.events if e.startswith("build")]) - len(hung) == 1
        if epoch == 2 and seed_0 and len(hung) < 3:
            hung.append(epoch)
            assert sweep.pool.killed.wait(20)
            sweep.pool.killed.clear()
            raise Death

    fake_engine.before_epoch = hang
    text = sweep.run()
    record = trials.read_trial(folder.trial(queued[0].hash))
    assert hung == [2, 2, 2]
    assert (record.state, record.failure) == (State.FAILED, FailureKind.LOST)
    assert record.reason is not None
    assert record.reason.endswith("died 3 times after epoch 1, by 1 s without a sign of life")
    assert states(folder, queued[1:]) == ["complete"] * 3
    assert "batch, seed 0: no sign of life for 1 s; its worker is killed" in text
    assert "a worker died (1 s without a sign of life); batch, seed 0 goes on after epoch 1" in text


def test_a_request_to_stop_is_heeded(
    sweep: Sweep,
    folder: ExperimentFolder,
    queued: list[QueuedTrial],
    fake_engine: FakeEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("segbench.sweep.supervisor._POLL_S", 0.05)
    fake_engine.before_epoch = lambda epoch: ask(folder, is_now=False) if epoch == 2 else None
    fake_engine.objective = slow_objective(sweep)
    text = sweep.run()
    assert "asked to stop by `segbench stop`" in text
    assert sweep.supervisor.stop()
    assert trials.read_trial(folder.trial(queued[0].hash)).state is State.INTERRUPTED


def test_a_supervisor_that_was_taken_over_stops(
    experiment: Experiment,
    folder: ExperimentFolder,
    queued: list[QueuedTrial],
    fake_engine: FakeEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("segbench.sweep.supervisor._POLL_S", 0.05)
    with only_supervisor(make(folder)) as claim:
        sweep = Sweep(experiment, folder, queued, claim=claim)
        fake_engine.before_epoch = lambda epoch: claim.release() if epoch == 2 else None
        fake_engine.objective = slow_objective(sweep)
        text = sweep.run()
    assert "another supervisor has taken this experiment over: this one stops" in text
    assert sweep.supervisor.stop()


def test_a_time_limit_ends_a_sweep_like_a_request(
    experiment: Experiment, folder: ExperimentFolder, queued: list[QueuedTrial], fake_engine: FakeEngine
) -> None:
    deadline = Deadline(60)

    def worker(stop: StopRequest) -> Worker:
        limit = TimeLimit(deadline)
        limit.may_start = lambda shape: "epoch 4" not in fake_engine.events  # type: ignore[method-assign]
        resources = Resources(device="cpu", threads=1)
        return Worker(experiment.project, folder, resources, stop, limit=limit)

    sweep = Sweep(experiment, folder, queued, make_worker=worker, deadline=deadline)
    text = sweep.run()
    assert "the time limit is near: nothing more is begun, each running trial stops in time" in text
    assert sweep.supervisor.stop()
    assert sweep.pool.num_started == 1
    assert trials.read_trial(folder.trial(queued[0].hash)).state is State.COMPLETE
    assert not folder.trial(queued[1].hash).record.exists()
    assert folder.queue.exists(), "the same command goes on from here"


def test_a_crew_works_until_nothing_is_left(
    experiment: Experiment, folder: ExperimentFolder, queued: list[QueuedTrial], fake_engine: FakeEngine
) -> None:
    Queue(experiment="exp", trials=tuple(queued)).write(make(folder).queue)
    said: list[str] = []
    died: list[int] = []

    def die_once(epoch: int) -> None:
        if epoch == 2 and not died:
            died.append(epoch)
            raise Death

    fake_engine.before_epoch = die_once
    resources = Resources(device="cpu", threads=1)
    pool = ThreadPool(lambda stop: Worker(experiment.project, folder, resources, stop), 2)
    crew = Crew(pool, StopRequest(), said.append, Watchdog())  # type: ignore[arg-type]
    assert crew.run()
    assert states(folder, queued) == ["complete"] * 4
    assert crew.num_ended == 4
    assert "a worker died (signal 9 (SIGKILL))" in said


def test_a_crew_whose_workers_die_gives_up(
    experiment: Experiment, folder: ExperimentFolder, queued: list[QueuedTrial], fake_engine: FakeEngine
) -> None:
    Queue(experiment="exp", trials=tuple(queued)).write(make(folder).queue)

    def die(epoch: int) -> None:
        raise Death

    fake_engine.before_epoch = die
    resources = Resources(device="cpu", threads=1)
    pool = ThreadPool(lambda stop: Worker(experiment.project, folder, resources, stop), 1)
    assert not Crew(pool, StopRequest(), lambda text: None, Watchdog()).run()  # type: ignore[arg-type]
    assert pool.num_started == 3


def test_workers_that_cannot_start_end_the_sweep(
    experiment: Experiment, folder: ExperimentFolder, queued: list[QueuedTrial], tmp_path: Path
) -> None:
    class Broken(Worker):
        def work(self) -> int:
            raise RuntimeError("no torch")

    def broken(stop: StopRequest) -> Worker:
        return Broken(experiment.project, folder, Resources(device="cpu", threads=1), stop)

    sweep = Sweep(experiment, folder, queued, make_worker=broken)
    sweep.pool.log = tmp_path / "log.txt"
    sweep.pool.log.write_text("ImportError: no torch\n")
    with pytest.raises(TrialError) as error:
        sweep.run()
    assert str(error.value) == (
        "segbench worker: workers end without progress (exit code 1). "
        f"The end of {sweep.pool.log}:\nImportError: no torch."
    )
    assert sweep.pool.num_started == 3


def test_one_supervisor_at_a_time(folder: ExperimentFolder) -> None:
    with only_supervisor(folder):
        with pytest.raises(ResultsError) as error, only_supervisor(folder):
            pass
        assert str(error.value) == (
            f"{folder.root}: a sweep of this experiment is running already, process {os.getpid()}. "
            "`segbench status exp` shows it, `segbench worker exp` helps it, `segbench stop exp` ends it."
        )
    with only_supervisor(folder):
        pass


def test_a_dead_supervisor_s_lock_is_free(folder: ExperimentFolder) -> None:
    folder.root.mkdir(parents=True)
    child = os.fork()
    if child == 0:
        only_supervisor(folder).__enter__()
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert folder.lock.read_text() == f"{child}\n"
    with only_supervisor(folder):
        assert folder.lock.read_text() == f"{os.getpid()}\n"


# ---- search


@pytest.fixture
def search_experiment(make_experiment: Callable[..., Experiment]) -> Experiment:
    return make_experiment(SEARCH, "hunt")


def run_search(experiment: Experiment, **options: Any) -> tuple[Sweep, ExperimentFolder]:
    folder = make(ExperimentFolder(experiment.project.results / experiment.name))
    planner = Planner(experiment, fingerprint_of=lambda config: FINGERPRINT)
    search = SearchRun(experiment, folder, planner.trial, ahead=1)
    sweep = Sweep(experiment, folder, search.open_trials(), search=search, **options)
    sweep.run()
    return sweep, folder


def by_lr(config: Any, seed: int, epoch: int) -> float:
    """Best at a learning rate of 0.01; grows with the epoch."""
    import math

    lr = config.optimizer.knobs["lr"]
    return round(epoch / 10 - 0.05 * abs(math.log10(lr) + 2), 6)


def proposals_of(folder: ExperimentFolder, experiment: Experiment) -> dict[int, QueuedTrial]:
    assert experiment.search is not None
    return {past.number: past.trial for past in read_past(folder, search_space(experiment.search))}


def test_search_proposes_then_replicates_the_best(
    search_experiment: Experiment, fake_engine: FakeEngine
) -> None:
    fake_engine.objective = by_lr
    _, folder = run_search(search_experiment)
    past = proposals_of(folder, search_experiment)
    assert sorted(past) == list(range(8))
    assert {t.seed for t in past.values()} == {0}
    assert all(1e-4 <= t.search.parameters["lr"] <= 1e-1 for t in past.values())  # type: ignore[union-attr]
    assert all(t.config["optimizer"]["adam"]["lr"] == t.search.parameters["lr"] for t in past.values())  # type: ignore[union-attr]
    records = {f.hash: trials.read_trial(f) for f in folder.trial_folders()}
    assert len(records) == 9
    (replicate,) = [r for r in records.values() if r.search and r.search.replicate_of]
    complete = [r for r in records.values() if r.state is State.COMPLETE and r is not replicate]
    best = max(complete, key=lambda r: r.objective or 0)
    assert replicate.search.replicate_of == best.hash  # type: ignore[union-attr]
    assert (replicate.seed, replicate.config) == (1, best.config)
    assert is_over(search_experiment, folder)
    assert not folder.queue.exists()
    fake_engine.events.clear()
    run_search(search_experiment)
    assert fake_engine.events == []


def test_search_goes_on_with_the_same_proposals_after_a_stop(
    make_experiment: Callable[..., Experiment], fake_engine: FakeEngine
) -> None:
    # without a pruner, whose judgement comes as fast as the supervisor reads
    text = SEARCH.replace("  pruner: {median: {warmup_epochs: 1}}\n", "")
    fake_engine.objective = by_lr
    undisturbed = make_experiment(text, "undisturbed")
    _, folder = run_search(undisturbed)
    expected = {k: t.search.parameters for k, t in proposals_of(folder, undisturbed).items()}  # type: ignore[union-attr]

    disturbed = make_experiment(text, "disturbed")
    deaths = 0
    for after in (2, 5, 9, 14):
        count = 0

        def die(epoch: int, after: int = after) -> None:
            nonlocal count
            count += 1
            if count == after:
                raise SystemExit  # the thread ends without a word, as the supervisor below does

        fake_engine.before_epoch = die
        folder = make(ExperimentFolder(disturbed.project.results / disturbed.name))
        planner = Planner(disturbed, fingerprint_of=lambda config: FINGERPRINT)
        search = SearchRun(disturbed, folder, planner.trial, ahead=1)
        trials_ = search.trials + search.advance()
        Queue(experiment="disturbed", trials=tuple(trials_), closed=False).write(folder.queue)
        worker = Worker(disturbed.project, folder, Resources(device="cpu", threads=1), StopRequest())
        worker.on_event = search.handle
        while not search.is_closed:
            try:
                assert worker._run_next(Queue.read(folder.queue))
            except SystemExit:
                deaths += 1
                break
            search.advance()
            Queue(experiment="disturbed", trials=tuple(search.trials), closed=False).write(folder.queue)
    assert deaths == 4
    fake_engine.before_epoch = lambda epoch: None
    run_search(disturbed)
    found = {k: t.search.parameters for k, t in proposals_of(folder, disturbed).items()}  # type: ignore[union-attr]
    assert found == expected


def test_search_prunes_by_a_file(search_experiment: Experiment, fake_engine: FakeEngine) -> None:
    import time

    results = search_experiment.project.results / search_experiment.name

    def objective(config: Any, seed: int, epoch: int) -> float:
        number = len([e for e in fake_engine.events if e.startswith("build")])
        deadline = time.monotonic() + (0.05 if number <= 5 or seed == 1 or epoch == 1 else 20)
        while time.monotonic() < deadline and not list(results.glob("trials/*/stop")):
            time.sleep(0.01)  # the supervisor has time to judge
        return 0.5 + epoch / 100 if number <= 5 or seed == 1 else 0.1

    fake_engine.objective = objective
    sweep, folder = run_search(search_experiment)
    pruned = [trials.read_trial(f) for f in folder.trial_folders()]
    pruned = [r for r in pruned if r.state is State.PRUNED]
    assert len(pruned) == 3
    assert all(2 <= r.epochs_done <= 3 for r in pruned)
    assert not list(folder.root.glob("trials/*/stop"))
    assert list(sweep.supervisor.states.values()).count(State.PRUNED) == 3


def test_repeated_proposals_are_told_from_the_record(
    make_experiment: Callable[..., Experiment], fake_engine: FakeEngine
) -> None:
    text = SEARCH.replace(
        "{lr: {path: optimizer.lr, low: 1e-4, high: 1e-1, log: true}}",
        "{norm: {levels: {BN: batch, off: none}}}",
    ).replace("  sampler: {tpe: {seed: 3}}", "  sampler: {random: {seed: 3}}")
    experiment = make_experiment(text, "coins")
    _, folder = run_search(experiment)
    records = [trials.read_trial(f) for f in folder.trial_folders()]
    searched = [r for r in records if r.search and r.search.numbers]
    numbers = sorted(n for r in searched for n in r.search.numbers)  # type: ignore[union-attr]
    assert len(searched) == 2
    assert numbers == list(range(8))
    assert is_over(experiment, folder)
    assert len([e for e in fake_engine.events if e.startswith("build")]) == 3
