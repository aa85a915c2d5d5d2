"""What the HTTP layer needs of the composition root, and how it calls the synchronous engine from the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, ParamSpec, Protocol, TypeVar
from uuid import UUID

from indexmill.domain.job import Job, Submission, Submitted
from indexmill.domain.pending import Pending
from indexmill.http.identity import current_principal
from indexmill.http.job_ends import JobEnds
from indexmill.http.problems import RETRY_AFTER, Problem, ProblemError
from indexmill.http.uploads import UploadReader
from indexmill.settings import Settings

if TYPE_CHECKING:
    from indexmill.dialects.indexing_jobs.verbs import KnowledgeBaseVerbs
    from indexmill.dialects.list_jobs.verbs import CorpusVerbs
    from indexmill.engine import Engine
    from indexmill.security.authentication import Authenticator
    from indexmill.security.limits import Limits
    from indexmill.security.page_keys import PageKeys
    from indexmill.security.signed_urls import UrlSigner
    from indexmill.sources.spool import Spool
    from indexmill.sources.upload_store import UploadStore
    from indexmill.sources.uri import Sources
    from indexmill.vectors.chunk_search import ChunkHit
from indexmill.vectors.vector_store import Hit

__all__ = ["Door", "Service"]

P = ParamSpec("P")
T = TypeVar("T")

#: Submissions that one commit stores at most, and bytes of their requests; a larger request is stored alone.
_MAX_TOGETHER: Final = 64
_MAX_TOGETHER_BYTES: Final = 4 * 1024 * 1024
_GATHER_SECONDS: Final = 0.002


class Service(Protocol):
    """The running service; whoever built it starts and closes it."""

    @property
    def settings(self) -> Settings: ...

    @property
    def engine(self) -> Engine: ...

    @property
    def spool(self) -> Spool: ...

    @property
    def sources(self) -> Sources: ...

    @property
    def knowledge_bases(self) -> KnowledgeBaseVerbs: ...

    @property
    def corpora(self) -> CorpusVerbs: ...

    @property
    def page_keys(self) -> PageKeys: ...

    @property
    def url_signer(self) -> UrlSigner: ...

    @property
    def upload_store(self) -> UploadStore: ...

    @property
    def authenticator(self) -> Authenticator: ...

    @property
    def limits(self) -> Limits: ...

    def readiness(self) -> dict[str, str | None]:
        """Each part of the service: None where it is ready, else a sentence that says what is missing."""

    def metrics(self) -> bytes:
        """Everything measured, in Prometheus' text format."""


@dataclass(frozen=True)
class _Waiting:
    """A submission that is to be stored, the bytes of its request, and who waits for it."""

    submission: Submission
    size: int
    future: asyncio.Future[Submitted]


class Door:
    """The engine as routes see it: every call runs in one of the app's own threads.

    Own threads, not the server's shared ones: a slow probe or a large upload never takes the place of a submission.
    Searches have theirs, and leave at least half of the database connections to everything else.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self.sources = service.sources
        limit, folder = service.settings.server.upload_limit_bytes, service.settings.data_folder / "uploads"
        self.uploads = UploadReader(limit, service.spool, folder)
        # They end with the app itself. As many as there are database connections: one more would only wait for one.
        connections = service.settings.database.pool_size
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="engine-call")
        self._search_threads = ThreadPoolExecutor(connections // 2, thread_name_prefix="search")
        self._search_places = asyncio.Semaphore(connections // 2)
        self._search_seconds = service.settings.server.search_timeout_seconds
        self._waiting: list[_Waiting] = []
        self._storing: asyncio.Task[None] | None = None
        self._ends = JobEnds(self._over)

    @property
    def engine(self) -> Engine:
        """The engine of whoever asks: no other tenant's jobs, models or collections can be found with it."""
        principal = current_principal()
        return self.service.engine.of(principal.tenant, principal.handle)

    @property
    def knowledge_bases(self) -> KnowledgeBaseVerbs:
        """The verbs of knowledge bases of whoever asks."""
        principal = current_principal()
        return self.service.knowledge_bases.of(principal.tenant, principal.handle)

    @property
    def corpora(self) -> CorpusVerbs:
        """The verbs of corpora of whoever asks."""
        principal = current_principal()
        return self.service.corpora.of(principal.tenant, principal.handle)

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result; the database's own timeouts bound the wait."""
        return await self._run(self._threads, function, *args, **kwargs)

    async def _run(self, threads: ThreadPoolExecutor, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        # The thread acts for the same principal.
        context, work = copy_context(), partial(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(threads, context.run, work)

    async def ended(self, job: Job, seconds: float) -> Job:
        """The job when it has ended. Whoever waits holds no thread, and who goes away ends the wait, not the job.

        Raises:
            TimeoutError: it takes longer; it goes on.
            JobNotFound: somebody has deleted it.
        """
        async with asyncio.timeout(seconds):
            while not job.is_terminal:
                await self._ends.of(job.id)
                job = await self.call(self.engine.find, str(job.id))
        return job

    async def _over(self, job_ids: Sequence[UUID]) -> Sequence[UUID]:
        return await self.call(self.service.engine.over, job_ids)

    async def outcome(self, pending: Pending[T]) -> T:
        """What the verb answers when its job has ended.

        Raises:
            TimeoutError: it takes longer than it may; it goes on.
            What its verb says.
        """
        ended = None if pending.job is None else await self.ended(pending.job, pending.seconds)
        return await self.call(pending.finish, ended)

    async def search(self, collection: str, **query: Any) -> list[Hit]:
        """`Engine.search`, when it is its turn.

        Raises:
            ProblemError: the searches before it took too long (503).
        """
        return await self.in_turn(self.engine.search, collection, **query)

    async def search_chunks(self, collection: str, text: str, **query: Any) -> list[ChunkHit]:
        """`Engine.search_chunks`, when it is its turn.

        Raises:
            ProblemError: the searches before it took too long (503).
        """
        return await self.in_turn(self.engine.search_chunks, collection, text, **query)

    async def in_turn(self, search: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A search's result, when it is its turn.

        Raises:
            ProblemError: the searches before it took too long (503).
        """
        try:
            async with asyncio.timeout(self._search_seconds):
                await self._search_places.acquire()
        except TimeoutError as error:
            message = f"Other searches are running, and none ended within {self._search_seconds:g} s; try again"
            raise ProblemError(Problem(503, "busy", message, {"Retry-After": str(RETRY_AFTER)})) from error
        try:
            return await self._run(self._search_threads, search, *args, **kwargs)
        finally:
            self._search_places.release()

    async def submit(self, submission: Submission, size: int) -> Submitted:
        """Submit a small request, of `size` bytes, together with all that come while the ones before are being stored.

        One thread and one commit serve them all: a service under load stores more of them a second, an idle one
        each at once.
        """
        future: asyncio.Future[Submitted] = asyncio.get_running_loop().create_future()
        principal = current_principal()
        owned = replace(submission, tenant=principal.tenant, submitted_by=principal.handle)
        self._waiting.append(_Waiting(owned, size, future))
        if self._storing is None:
            self._storing = asyncio.create_task(self._store_waiting())
        return await future

    async def _store_waiting(self) -> None:
        while self._waiting:
            together = self._next_group()
            results: Sequence[Submitted | Exception]
            try:
                results = await self.call(self.service.engine.submit_together, [each.submission for each in together])
            except Exception as error:  # noqa: BLE001 - everybody who waits must be told, whatever it is
                results = [error] * len(together)
            for each, result in zip(together, results, strict=True):
                if each.future.cancelled():
                    continue
                if isinstance(result, Exception):
                    each.future.set_exception(result)
                else:
                    each.future.set_result(result)
            if len(together) > 1:
                # They were several: those that they answer are about to ask again. A moment gathers them.
                await asyncio.sleep(_GATHER_SECONDS)
        self._storing = None

    def _next_group(self) -> list[_Waiting]:
        """The first that wait, as many as one commit may store; at least one."""
        size = count = 0
        for each in self._waiting[:_MAX_TOGETHER]:
            size += each.size
            if count and size > _MAX_TOGETHER_BYTES:
                break
            count += 1
        together = self._waiting[:count]
        del self._waiting[:count]
        return together
