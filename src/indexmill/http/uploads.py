"""Reading requests that may carry a large file: JSON with one in a string, or a form. Memory stays small."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

from starlette.requests import Request

from indexmill.domain.failure import FailureCode
from indexmill.errors import ItemError, TransientError
from indexmill.http.body_stream import BodyStream
from indexmill.http.form_data import FILE_FIELD, FormData, FormFile, boundary_of
from indexmill.http.holding_file import HoldingFile, decode_base64
from indexmill.http.json_lists import TooLarge
from indexmill.http.json_strings import JsonStrings, LongString
from indexmill.http.json_values import parse_json
from indexmill.http.problems import RETRY_AFTER, Problem, ProblemError, invalid_value
from indexmill.sources.spool import Spool, SpooledFile

__all__ = ["FILE_FIELD", "FormFile", "LongString", "Upload", "UploadReader"]

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)

#: Strings above this size are written aside; a body of no more is simply parsed.
_INLINE: Final = 256 * 1024
#: What a body may have besides: JSON around the long strings, or fields of a form.
_REST: Final = 1024 * 1024
_PIECE: Final = 512 * 1024
#: Each may fill a temporary file as large as the limit.
_AT_ONCE: Final = 8
_PLACE_SECONDS: Final = 60.0
_THREADS: Final = 4


class Upload:
    """A request that was read. What is long in it can be spooled until the `with` block of the reader ends."""

    def __init__(self, value: Any, size: int, spool: Callable[[Iterable[bytes]], Any], holding: HoldingFile) -> None:
        #: JSON with a `LongString` for each long string; or a form's fields, strings but for the `FormFile`.
        self.value = value
        #: Bytes of the body.
        self.size = size
        self._spool = spool
        self._holding = holding

    async def spool_text(self, text: str | LongString) -> SpooledFile:
        """The text's UTF-8.

        Raises:
            ProblemError: too large (413), or it cannot be stored now (503).
        """
        return await self._write(self._pieces(text))

    async def spool_base64(self, text: str | LongString) -> SpooledFile:
        """The bytes that the text stands for.

        Raises:
            ProblemError: as `spool_text`, or it is not base64 (400).
        """
        return await self._write(decode_base64(self._pieces(text)))

    async def spool_file(self, file: FormFile) -> SpooledFile:
        """
        Raises:
            ProblemError: as `spool_text`.
        """
        return await self._write(self._holding.pieces(file.begin, file.size))

    def _pieces(self, text: str | LongString) -> Iterator[bytes]:
        if isinstance(text, LongString):
            return self._holding.pieces(text.begin, text.size)
        return iter([text.encode()])

    async def _write(self, chunks: Iterable[bytes]) -> SpooledFile:
        written: SpooledFile = await self._spool(chunks)
        return written


class UploadReader:
    """Reads bodies of at most `limit_bytes`; eight at once that are over `inline_bytes`.

    Args:
        folder: for temporary files.
        inline_bytes: strings above this size are written aside.
    """

    def __init__(self, limit_bytes: int, spool: Spool, folder: Path, inline_bytes: int = _INLINE) -> None:
        self._limit = limit_bytes
        self._spool = spool
        self._folder = folder
        self._inline = inline_bytes
        self._places = asyncio.Semaphore(_AT_ONCE)
        # They end with the app itself.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="upload")

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[Upload]:
        """The request; its temporary file is gone when the block ends.

        Raises:
            ProblemError: not JSON or not a form (400), too large (413), too slow (408), too many large ones (503).
        """
        stream = BodyStream(request, self._limit, "server.upload_limit_bytes")
        await stream.check_declared()
        boundary = _boundary(request)
        holding = HoldingFile(self._folder)
        first = await stream.read(self._inline + 1)
        if boundary is None and stream.is_complete and stream.size <= self._inline:
            yield Upload(_parsed(first), stream.size, self._write, holding)
            return
        await self._take_place(stream)
        try:
            form = FormData(boundary, holding, _REST) if boundary is not None else None
            scanner = form or JsonStrings(holding.append, self._inline, _REST)
            value = await self._collect(stream, first, scanner)
            del first
            yield Upload(value, stream.size, self._write, holding)
        finally:
            try:
                await self._run(holding.close)
            finally:
                self._places.release()

    async def receive(self, request: Request, limit: int, store: Callable[[Iterable[bytes]], T]) -> T:
        """The body as it is, given to `store` when all of it is there; what `store` answers.

        Raises:
            ProblemError: over `limit` (413), too slow (408), too many at once, or it cannot be stored now (503).
        """
        stream = BodyStream(request, limit, "file_size")
        await stream.check_declared()
        await self._take_place(stream)
        holding = HoldingFile(self._folder)
        try:
            while not stream.is_complete:
                await self._run(holding.append, await stream.read(_PIECE))
            return await self._stored(store, holding.pieces(0, stream.size))
        except TransientError as error:
            await stream.drain()
            raise _unavailable(error) from error
        finally:
            try:
                await self._run(holding.close)
            finally:
                self._places.release()

    async def _collect(self, stream: BodyStream, piece: bytes, scanner: FormData | JsonStrings) -> Any:
        try:
            await self._run(scanner.feed, piece)
            while not stream.is_complete:
                piece = await stream.read(_PIECE)
                await self._run(scanner.feed, piece)
            return await self._run(scanner.finish)
        except TooLarge as error:
            await stream.drain()
            raise ProblemError(Problem(413, "body_too_large", str(error), {"Connection": "close"})) from error
        except ValueError as error:
            await stream.drain()
            raise _malformed(error, is_form=isinstance(scanner, FormData)) from error
        except TransientError as error:
            await stream.drain()
            raise _unavailable(error) from error

    async def _take_place(self, stream: BodyStream) -> None:
        try:
            async with asyncio.timeout(_PLACE_SECONDS):
                await self._places.acquire()
        except TimeoutError as error:
            await stream.drain()
            message = f"Other large requests are being read, and none ended within {_PLACE_SECONDS:.0f} s. Try again"
            headers = {"Retry-After": str(RETRY_AFTER), "Connection": "close"}
            raise ProblemError(Problem(503, "busy", message, headers)) from error

    async def _write(self, chunks: Iterable[bytes]) -> SpooledFile:
        try:
            return await self._stored(self._spool.write, chunks)
        except ValueError as error:
            message = f"expected base64 (the alphabet with `+` and `/`, padded with `=`): {error}"
            raise ProblemError(Problem(400, "invalid_base64", message, inputs=[invalid_value(message)])) from error

    async def _stored(self, store: Callable[[Iterable[bytes]], T], chunks: Iterable[bytes]) -> T:
        try:
            return await self._run(store, chunks)
        except ItemError as error:
            if error.code is not FailureCode.TOO_LARGE:
                raise _unavailable(error) from error
            raise ProblemError(Problem(413, "file_too_large", str(error))) from error
        except TransientError as error:
            raise _unavailable(error) from error

    async def _run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """In a thread: neither disk nor parsing keeps other requests waiting."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(function, *args, **kwargs))


def _boundary(request: Request) -> bytes | None:
    try:
        return boundary_of(request.headers.get("content-type"))
    except ValueError as error:
        raise _malformed(error, is_form=True) from error


def _parsed(body: bytes) -> Any:
    try:
        return parse_json(body)
    except ValueError as error:
        raise _malformed(error if body else ValueError("expected a JSON body, got nothing"), is_form=False) from error


def _malformed(error: Exception, *, is_form: bool) -> ProblemError:
    message = f"Invalid form: {error}" if is_form else f"Invalid JSON: {error}"
    kind = "form_invalid" if is_form else "json_invalid"
    inputs = [{**invalid_value(message), "type": kind}]
    return ProblemError(Problem(400, f"invalid_{'form' if is_form else 'json'}", message, inputs=inputs))


def _unavailable(error: Exception) -> ProblemError:
    # For operators: what it says may be of this machine alone.
    _log.warning("an upload could not be stored: %s", error)
    message = "Uploads cannot be stored now: the spool is full or does not answer. Try again later"
    return ProblemError(Problem(503, "spool_unavailable", message, {"Retry-After": str(RETRY_AFTER)}))
