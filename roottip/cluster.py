"""The Dask engine: a run's images on many machines. The only file that imports Dask."""

from __future__ import annotations

import logging
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from itertools import islice
from typing import Any

from distributed import Client, LocalCluster, Worker, WorkerPlugin, as_completed, get_worker
from distributed.protocol.pickle import dumps, loads

from roottip import engine
from roottip.engine import Engine
from roottip.errors import InputError
from roottip.task import Result, Results, Task

_COMMANDS = {"slurm": "sbatch", "pbs": "qsub"}


def dask(
    address: str | None = None,
    workers: int | None = None,
    time_limit: float = 300.0,
    queue: str | None = None,
    job: dict[str, Any] | None = None,
) -> Engine:
    """A Dask cluster. All its machines must see the input under the same path or address.

    Parameters
    ----------
    address : str, optional
        Of a running scheduler, such as ``tcp://10.0.0.1:8786``; else a cluster is started.
    workers : int, optional
        Processes on this machine, or jobs in the queue; one for each processor, or 4 jobs,
        where not given.
    time_limit : float
        Seconds after which an image is given up.
    queue : str, optional
        ``slurm`` or ``pbs``: workers are jobs of that queue.
    job : dict, optional
        What a job asks for: arguments of dask-jobqueue's ``SLURMCluster`` or ``PBSCluster``.
    """
    engine.check_limits(workers, time_limit, least=1)
    if queue not in (None, "slurm", "pbs"):
        raise InputError(
            f"engine.queue={queue}: there is slurm and pbs; a queue's partition is engine.job.queue"
        )

    def work(task: Task, names: Sequence[str]) -> Results:
        with connect(address, workers, queue, job or {}) as client:
            yield from run(client, task, names, time_limit)

    return work


class _Holder(WorkerPlugin):
    """Keeps the task, weights included, in each worker: sent once, to late ones too."""

    def __init__(self, task: Task) -> None:
        # runs on one scheduler at a time have a task each
        self.name = f"roottip-{uuid.uuid4()}"
        self._packed = dumps(task)

    def setup(self, worker: Worker) -> None:
        import cv2

        cv2.setNumThreads(max(1, worker.state.nthreads))
        self.task  # noqa: B018 - a net is opened now, with as many threads as are set

    @cached_property
    def task(self) -> Task:
        """Of a worker that came late and could not open it: asked for an image, it says why."""
        with _opening():
            return loads(self._packed)  # type: ignore[no-any-return]


@contextmanager
def _opening() -> Iterator[None]:
    """What a worker cannot open, of a worker without roottip too, is said as `InputError`."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # whatever is raised where other packages are than here
        raise InputError(
            f"a worker cannot open the detector ({type(error).__name__}: {error}); install there "
            "what is installed here"
        ) from error


class _Client(Client):
    """Closes itself if it cannot begin.

    Else it would whenever it is collected, and if that is while another one begins, each waits for
    the other.
    """

    def start(self, **settings: Any) -> None:
        try:
            super().start(**settings)
        except BaseException:
            self.close()
            raise


@contextmanager
def connect(
    address: str | None, workers: int | None, queue: str | None, job: dict[str, Any]
) -> Iterator[Client]:
    """A client of the scheduler at `address`, or of a cluster that ends with it.

    Raises
    ------
    InputError
        Nobody answers there, or no job can be submitted here.
    """
    with ExitStack() as stack:
        if address is not None:
            target: Any = address
        elif queue is not None:
            if shutil.which(_COMMANDS[queue]) is None:
                raise InputError(
                    f"engine={queue} submits jobs with {_COMMANDS[queue]}, which is not on this "
                    "machine; start roottip where jobs can be submitted"
                )
            target = stack.enter_context(queue_cluster(queue, job))
            target.scale(jobs=workers or 4)
        else:
            # Ctrl-C is this process's to handle, also of workers that threads from here begin later
            with engine.deaf():
                target = stack.enter_context(
                    LocalCluster(
                        n_workers=workers or engine.processors(),
                        threads_per_worker=1,
                        dashboard_address=None,
                        silence_logs=logging.CRITICAL,  # a worker that ends is no news to the user
                    )
                )
        try:
            client = _Client(target)
        except (OSError, TimeoutError, ValueError) as error:
            if address is None:
                raise
            raise InputError(
                f"engine.address={address}: no Dask scheduler answers there ({error})"
            ) from error
        yield stack.enter_context(client)


def queue_cluster(queue: str, job: dict[str, Any]) -> Any:
    """A cluster whose workers are jobs of a queue; none is started yet.

    ``print(queue_cluster("slurm", job).job_script())`` shows what would be submitted.

    Raises
    ------
    InputError
        dask-jobqueue is missing, or the job lacks something or asks for what there is not.
    """
    try:
        from dask_jobqueue.pbs import PBSCluster
        from dask_jobqueue.slurm import SLURMCluster

        # any free port for the dashboard: others on a login node have the usual one
        options = {"scheduler_options": {"dashboard_address": ":0"}} | job
        return {"slurm": SLURMCluster, "pbs": PBSCluster}[queue](**options)
    except ImportError as error:
        raise InputError(
            f"engine={queue} needs {error.name}; pip install 'roottip[dask]'"
        ) from error
    except (TypeError, ValueError) as error:
        raise InputError(f"engine.job does not fit the queue {queue}: {error}") from error


def run(client: Client, task: Task, names: Sequence[str], time_limit: float) -> Results:
    """The task on each name, on whatever workers there are.

    Dask gives the images of a worker that ended to others. One that ends several workers in a
    row is given up, and says so in its row.

    Raises
    ------
    InputError
        A worker cannot open the detector.
    """
    with _held(client, task) as plugin:
        yield from _answers(client, task, plugin, names, time_limit)


@contextmanager
def _held(client: Client, task: Task) -> Iterator[str]:
    """The task in each worker, by the name of the plugin that holds it."""
    holder = _Holder(task)
    try:
        with _opening():
            client.register_plugin(holder)
        yield holder.name
    finally:  # late workers would fail with it too
        client.unregister_worker_plugin(holder.name)


def _answers(
    client: Client, task: Task, plugin: str, names: Sequence[str], time_limit: float
) -> Results:
    pending = iter(names)
    asked = {}

    def ask(count: int) -> list[Any]:
        futures = []
        for name in islice(pending, count):
            future = client.submit(_work, plugin, name, time_limit, pure=False)
            asked[future.key] = name
            futures.append(future)
        return futures

    def missing() -> int:
        # enough waiting for every worker, late ones too, to read on; few enough that memory does
        # not grow
        threads: int = sum(client.nthreads().values())
        return max(0, 2 * max(threads, 4) - len(asked))

    answers = as_completed(ask(missing()), raise_errors=False)
    for future in answers:
        name = asked.pop(future.key)
        if future.status == "finished":
            yield future.result()
        elif isinstance(error := future.exception(), InputError):  # a late worker's, of all images
            raise error
        else:
            yield task.failure(name, f"{name}: {error}")
        for following in ask(missing()):
            answers.add(following)


def _work(plugin: str, name: str, time_limit: float) -> Result:
    holder: Any = get_worker().plugins[plugin]
    return engine.one(holder.task, name, time_limit)
