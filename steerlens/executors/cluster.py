"""The executor that uses Ray. Each worker has one model, and workers run on this machine or on a cluster.

Results are sent to the calling process as soon as they are ready, so workers need no shared folder. If a worker dies, another
worker repeats its work. If a task raises an error, the calling process raises the same error.
"""

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from types import TracebackType
from typing import Any, Self

from steerlens.errors import ModelError, SettingsError
from steerlens.executors.workers import SECONDS, Told, Worker
from steerlens.provenance import provenance

log = logging.getLogger("steerlens")

Reported = Callable[[Any, Callable[[float], None]], Any]
"""A function that takes a value and a callback. The function reports its progress to the callback, as the amount of work that it
has done since the last report."""


def ray(
    address: str | None = None,
    *,
    workers: int | None = None,
    num_gpus: float | None = None,
    num_cpus: float = 1,
    retries: int = 2,
) -> "RayExecutor":
    """Returns an executor that runs tasks in workers of Ray. Give it to any function of steerlens that has the argument
    ``executor``. The extra ``ray`` installs the package ``ray``.

    Args:
        address: the address of a cluster. ``auto`` joins the cluster to which this machine belongs, ``host:port`` joins another
            cluster, and ``local`` starts Ray on this machine. ``None`` joins the cluster whose address is in the environment
            variable ``RAY_ADDRESS``, or the cluster to which this machine belongs. If there is no cluster, ``None`` starts Ray on
            this machine. If the program already called ``ray.init``, the address is ignored.
        workers: the largest number of workers. ``None`` starts as many workers as the cluster has room for when work begins. Give
            a number on a cluster that grows on demand. Workers without room then wait and start when there is room.
        num_gpus: the number of GPUs of each worker. With a number below 1, workers share a GPU. ``None`` means 1 if the cluster
            has a GPU, and 0 otherwise. With 0, workers put their model on the CPU. With another number, workers put their model
            on a GPU. The device of the calling process has no influence.
        num_cpus: the number of cores of each worker, which is also the number of PyTorch threads of the worker.
        retries: the largest number of times that the work of a dead worker is given to another worker.

    Raises:
        SettingsError: Ray is not installed, there is no cluster at the address, or a number is out of range.
    """
    ranges = {"workers": (workers, 1), "num_gpus": (num_gpus, 0), "num_cpus": (num_cpus, 0), "retries": (retries, 0)}
    for name, (number, least) in ranges.items():
        if number is not None and number < least:
            raise SettingsError(f"{name} {number} given for workers of Ray: expected {least} or more.")
    if num_gpus is not None and num_gpus > 1 and num_gpus != int(num_gpus):
        raise SettingsError(
            f"num_gpus {num_gpus} given for workers of Ray: expected a fraction of one GPU (below 1), or a whole number of GPUs."
        )
    package = _package()
    own = not package.is_initialized()
    if own:
        try:
            package.init(address=address)
        except Exception as error:  # the type of the error depends on the cause
            raise SettingsError(
                f"Ray cannot be reached at {address or 'this machine'} ({_short(error)}). Expected the address of a running "
                "cluster. Start a cluster with `ray start --head`, or give no address to start Ray on this machine."
            ) from error
    elif address not in (None, "auto", package.get_runtime_context().gcs_address):
        log.warning("This program has already started Ray, so its workers are used, and the address %s is ignored", address)
    gpus = num_gpus if num_gpus is not None else min(1, package.cluster_resources().get("GPU", 0))
    return RayExecutor(workers, gpus, num_cpus, retries, owns_ray=own)


def _package() -> Any:
    try:
        import ray as package
    except ImportError as error:
        raise SettingsError(
            f"Ray cannot be imported ({error}), because the package ray is not installed or does not work. Install it with: "
            "pip install 'steerlens[ray]'"
        ) from error
    return package


@dataclass(eq=False)
class _Round:
    """The state of one call of ``run``: the remaining values, the results and the errors."""

    number: int
    function: Reported
    values: list[Any]
    report: Callable[[int, float], None]
    keep: Callable[[int, Any], Any]
    todo: deque[int] = field(default_factory=deque)
    done: dict[int, Any] = field(default_factory=dict)
    errors: list[BaseException] = field(default_factory=list)
    """The errors of this call of ``run``. An error comes from the called function, or says that too many workers died."""
    over: bool = False
    """Whether the caller of ``run`` has stopped waiting for the results."""
    deaths: Counter[int | None] = field(default_factory=Counter)
    """The number of workers that died while they worked on a value, by the number of the value. The entry for ``None`` is the
    number of workers that died during their start, since the last successful start."""


class RayExecutor:
    """An executor with workers of Ray. Each worker keeps its last model until the executor is closed or deleted."""

    def __init__(self, workers: int | None, num_gpus: float, num_cpus: float, retries: int, *, owns_ray: bool = False) -> None:
        """Stores the settings of the workers. A worker starts only when there is work.

        Args:
            workers, num_gpus, num_cpus, retries: the arguments of ``sl.ray`` with the same names.
            owns_ray: whether ``close`` also shuts down Ray.
        """
        self.workers, self.num_gpus, self.num_cpus, self.retries = workers, num_gpus, num_cpus, retries
        self._owns_ray, self._ray = owns_ray, _package()
        self._made = self._ray.remote(Worker).options(num_cpus=num_cpus, num_gpus=num_gpus)
        self._free: list[Any] = []
        self._waited: dict[Any, tuple[Any, _Round, int | None]] = {}
        """The running tasks. The key is Ray's reference of the task. The value contains the worker, the call of ``run``, and the
        number of the value, which is ``None`` while the worker starts."""
        self._told: Any = None
        """The actor to which workers report their progress."""
        self._answer: Any = None
        """Ray's reference of the last request for progress reports. ``None`` means that no request waits for an answer."""
        self._rounds = count()

    @property
    def device(self) -> str:
        """The device of the workers' models, ``cuda`` or ``cpu``."""
        return "cuda" if self.num_gpus else "cpu"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the workers. Ray is also shut down if ``sl.ray`` started Ray or joined the cluster."""
        for actor in (*self._free, *(worker for worker, _, _ in self._waited.values()), self._told):
            self._end(actor)
        self._free, self._waited, self._told, self._answer = [], {}, None, None
        if self._owns_ray:
            self._ray.shutdown()

    def map(self, function: Callable[[Any], Any], values: Iterable[Any]) -> Iterator[Any]:
        """Applies a ``function`` to all ``values``, and yields the results in their order."""
        return self.run(partial(_untold, function), values)

    def run(
        self,
        function: Reported,
        values: Iterable[Any],
        *,
        report: Callable[[int, float], None] = lambda _number, _done: None,
        keep: Callable[[int, Any], Any] = lambda _number, found: found,
    ) -> Iterator[Any]:
        """Applies a function to every value in the workers, and yields the results in the order of the values.

        Args:
            function: a function that is called with a value and a callback. The function reports its progress to the callback, as
                the amount of work that it has done since the last report.
            values: the values.
            report: a function that is called a few times a second with the number of a value and the total amount of work
                done on this value.
            keep: a function that is called with the number of a value and its result as soon as the result is ready. The results
                can be ready in any order. ``run`` yields the return values of this function.

        Raises:
            ModelError: the number of workers that died while they computed the same value, or while they started, is larger than
                ``retries``.
            SettingsError: the cluster has no room for a worker, its machines have other versions of packages than the calling
                process, or the executor was closed.
        """
        if not self._ray.is_initialized():
            raise SettingsError(
                "work was given to workers of Ray that are already closed. Call sl.ray again to start new workers."
            )
        own = _Round(next(self._rounds), function, list(values), report, keep)
        own.todo.extend(range(len(own.values)))
        workers = self.workers or self._room()
        try:
            for number in range(len(own.values)):
                while number not in own.done:
                    if own.errors:
                        raise own.errors[0]
                    self._start(own, workers)
                    self._hand_out(own)
                    self._collect(own)
                yield own.done.pop(number)
        finally:
            own.over = True

    def _room(self) -> int:
        """Returns the number of workers for which the cluster has room. The room is counted for each machine separately.

        Raises:
            SettingsError: no machine has room for a worker.
        """
        machines = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        each = {name: own for name, own in (("GPU", self.num_gpus), ("CPU", self.num_cpus)) if own}
        room = sum(min((int(has.get(name, 0) / own + 1e-9) for name, own in each.items()), default=1) for has in machines)
        if room < 1:
            there = sorted({f"{has.get('GPU', 0):g} and {has.get('CPU', 0):g}" for has in machines})
            raise SettingsError(
                f"workers with {self.num_gpus:g} GPUs and {self.num_cpus:g} cores each were requested, but the machines of Ray "
                f"have {'; '.join(there)}: expected room for at least one worker on one machine. Request fewer GPUs or cores. "
                "On a cluster that adds machines when needed, give workers=…."
            )
        return room

    def _start(self, own: _Round, workers: int) -> None:
        """Starts workers until there is a worker for each remaining value or the largest number of workers is reached."""
        if self._told is None:
            self._told = self._ray.remote(Told).options(num_cpus=0, max_restarts=-1).remote()
        busy = len(self._waited)
        for _ in range(min(workers, len(own.todo) + busy) - busy - len(self._free)):
            worker = self._made.remote()
            self._waited[worker.ready.remote(max(1, int(self.num_cpus)), provenance()["versions"])] = (worker, own, None)

    def _hand_out(self, own: _Round) -> None:
        while self._free and own.todo:
            worker, number = self._free.pop(), own.todo.popleft()
            given = worker.run.remote(own.function, own.values[number], self._told, (own.number, number))
            self._waited[given] = (worker, own, number)

    def _collect(self, own: _Round) -> None:
        """Waits for a short time, and then processes all results that have arrived, for all calls of ``run``."""
        self._ray.wait(list(self._waited), timeout=SECONDS)
        ready, _ = self._ray.wait(list(self._waited), num_returns=len(self._waited), timeout=0)
        self._ask(own)
        for given in ready:
            self._take(given)

    def _take(self, given: Any) -> None:
        """Processes the answer of one worker. The answer is a result, an error, or the information that the worker died."""
        worker, of, number = self._waited.pop(given)
        try:
            found = self._ray.get(given)
        except self._ray.exceptions.RayTaskError as error:
            if number is None:
                self._end(worker)
            else:
                self._free.append(worker)
            of.errors.append(_cause(error))
            return
        except self._ray.exceptions.RayError as error:
            self._end(worker)
            self._died(of, number, error)
            return
        self._free.append(worker)
        if number is None:
            of.deaths[None] = 0
        elif not of.over:
            try:
                of.done[number] = of.keep(number, found)
            except Exception as error:  # such as a full disk
                of.errors.append(error)

    def _died(self, of: _Round, number: int | None, error: BaseException) -> None:
        """Gives the work of a dead worker to another worker. Records an error if workers died too often."""
        if of.over:
            return
        of.deaths[number] += 1
        if of.deaths[number] <= self.retries:
            log.warning("A worker of Ray died, and another worker continues its work (%s)", _short(error))
            if number is not None:
                of.todo.appendleft(number)
            return
        what = "when they started" if number is None else f"at the same piece of work, number {number + 1} of {len(of.values)}"
        of.errors.append(
            ModelError(
                f"{of.deaths[number]} workers of Ray died {what} (the last error: {_short(error)}). Expected enough memory in "
                "each worker for a model and its batches, and steerlens on every machine. Use fewer workers on a machine, or "
                "a smaller batch_size. The logs of Ray on the worker's machine have details."
            )
        )

    def _ask(self, own: _Round) -> None:
        """Passes the progress reports of the workers on to the caller, and requests new reports. The method does not wait for
        reports, because a lost report does not change the results."""
        if self._answer is None:
            self._answer = self._told.taken.remote()
        elif self._ray.wait([self._answer], timeout=0)[0]:
            given, self._answer = self._answer, None
            with suppress(self._ray.exceptions.RayError):
                for (of, number), done in self._ray.get(given).items():
                    if of == own.number:
                        own.report(number, done)

    def _end(self, actor: Any) -> None:
        with suppress(Exception):  # the actor may be None or already dead
            self._ray.kill(actor)


def _untold(function: Callable[[Any], Any], value: Any, _: Callable[[float], None]) -> Any:
    """Calls a function with a value. The function does not report progress, so the callback is not used."""
    return function(value)


def _cause(error: Any) -> BaseException:
    """Returns the error that the called function raised. The ``__cause__`` of the error shows the traceback in the worker."""
    cause = error.cause
    if not isinstance(cause, BaseException):
        return error
    cause.__cause__ = error
    return cause


def _short(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].strip() if len(lines) == 1 else f"{lines[0].strip()} … {lines[-1].strip()}"
