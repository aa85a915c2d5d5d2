"""The native API of collections: making and listing them, and search by text or vector with an equality filter."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from indexmill.domain.splitting import WHOLE, Splitting
from indexmill.http.answers import json_answer
from indexmill.http.auth import Need, needs
from indexmill.http.body import BodyReader
from indexmill.http.fields import Identifier, StorableText
from indexmill.http.jobs_wire import JobView, job_view
from indexmill.http.openapi import NATIVE_ERRORS, json_body, problems
from indexmill.http.problems import NativeRoute
from indexmill.http.service import Door

__all__ = ["CollectionRequest", "SearchRequest", "search_router"]

_EXAMPLE: Final[dict[str, Any]] = {"collection": "embed-123", "text": "neural networks", "limit": 3}
_COLLECTION: Final[dict[str, Any]] = {
    "name": "reports",
    "model": "embed-123",
    "chunk_tokens": 256,
    "chunk_overlap": 32,
}
_MAX_TEXT: Final = 65_536
Collection = Annotated[
    Identifier,
    Path(description="The collection's name.", openapi_examples={"collection": {"value": "wordllama-256"}}),
]
_MAX_DIMENSION: Final = 16_000

# Beyond this a sum of squares leaves 32-bit floats.
Component = Annotated[float, Field(ge=-1e15, le=1e15, allow_inf_nan=False)]
#: What a filter compares with; a larger integer is compared as a float.
Scalar = StorableText | bool | Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] | FiniteFloat | None


class SearchRequest(BaseModel):
    model_config = ConfigDict(extra="ignore", json_schema_extra={"example": _EXAMPLE})

    collection: Identifier = Field(description="Its name, see `GET /collections`: that of its model by default.")
    text: Annotated[StorableText, Field(min_length=1, max_length=_MAX_TEXT)] | None = Field(
        default=None, description="What to look for; the collection's model embeds it. This or `vector`."
    )
    vector: Annotated[list[Component], Field(min_length=1, max_length=_MAX_DIMENSION)] | None = Field(
        default=None, description="What to look for, of the collection's dimension; of any length but 0."
    )
    limit: int = Field(default=10, ge=1, le=1000, description="Maximum number of documents to return.")
    filter: dict[StorableText, Scalar] | None = Field(
        default=None, description="Payload fields that must equal these values.", max_length=64
    )

    @model_validator(mode="after")
    def _one_query(self) -> SearchRequest:
        if (self.text is None) == (self.vector is None):
            raise ValueError("expected exactly one of `text` and `vector`")
        if self.vector is not None and not any(self.vector):
            raise ValueError("vector: expected a direction, got only zeros")
        return self


class HitView(BaseModel):
    document_id: str = Field(description="The `object_id` of an upsertion task.")
    score: float | None = Field(description="Cosine similarity, 1 for the same direction.")
    text: str | None = Field(description="What was embedded; of a document in several chunks, the best one.")
    payload: dict[str, Any] | None = Field(description="As it was sent.")


class SearchAnswer(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "hits": [
                    {
                        "document_id": "doc-1",
                        "score": 0.83,
                        "text": "neural nets basics",
                        "payload": {"text": "neural nets basics"},
                    }
                ]
            }
        }
    )

    hits: list[HitView]


class CollectionRequest(BaseModel):
    """Fixed once it is made: other chunks would need every document again."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": _COLLECTION})

    name: Identifier
    model: Identifier = Field(description="A deployed model, see `GET /models`.")
    chunk_tokens: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="The longest chunk, in the model's tokens; none: documents stay whole.",
    )
    chunk_overlap: int = Field(default=0, ge=0, description="How many tokens neighbouring chunks share.")

    @property
    def splitting(self) -> str:
        """
        Raises:
            InvalidRequest: the overlap is not smaller than the chunk.
        """
        return WHOLE if self.chunk_tokens is None else Splitting(self.chunk_tokens, self.chunk_overlap).name


class CollectionView(BaseModel):
    name: str
    model: str
    documents: int = Field(description="Documents that are there now.")
    chunks: int = Field(description="Vectors: one or several a document.")
    generation: int = Field(description="Counts how often its vectors were laid down anew.")
    splitting: str = Field(description="`whole`, `tokens-SIZE-OVERLAP`, `sections-SIZE` or `fixed-SIZE`.")
    index: Literal["exact", "building", "hnsw"] = Field(
        description="How it is searched: exactly, also while an index is being built, or by that."
    )
    index_progress: float | None = Field(description="Of an index that is being built, 0 to 1.")
    recall: float | None = Field(description="What its index was found to find of the ten nearest chunks.")


class MadeCollection(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={"example": {"name": "reports", "model": "embed-123", "splitting": "tokens-256-32"}}
    )

    name: str
    model: str
    splitting: str


class CollectionList(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "collections": [
                    {
                        "name": "embed-123",
                        "model": "embed-123",
                        "documents": 1,
                        "chunks": 1,
                        "generation": 1,
                        "splitting": "whole",
                        "index": "exact",
                        "index_progress": None,
                        "recall": None,
                    }
                ]
            }
        }
    )

    collections: list[CollectionView]


def search_router(door: Door, bodies: BodyReader) -> APIRouter:
    router = APIRouter(route_class=NativeRoute, tags=["search"])

    @router.get(
        "/collections",
        operation_id="list_collections",
        summary="List the collections",
        description="With their sizes, and how each is searched.",
        response_model=CollectionList,
        responses=problems(NATIVE_ERRORS, 403, 503),
    )
    async def collections() -> Response:
        found = await door.call(door.engine.collections)
        return json_answer({"collections": [_collection_view(each) for each in found]})

    @router.post(
        "/collections",
        operation_id="make_collection",
        summary="Make a collection",
        description="With a model and a splitting of its own. Front doors make what they need by themselves, with "
        "their own settings; one that is made here before is used as it is. The same again answers 200.",
        status_code=201,
        response_model=MadeCollection,
        responses={
            200: {"model": MadeCollection, "description": "It is there already, with the same model and splitting."},
            **problems(NATIVE_ERRORS, 400, 403, 404, 408, 409, 413, 422, 503),
        },
        openapi_extra=json_body(CollectionRequest, _COLLECTION),
    )
    async def make_collection(request: Request) -> Response:
        async with bodies.read(request, CollectionRequest) as body:
            wanted = body.value
        made, created = await door.call(door.engine.make_collection, wanted.name, wanted.model, wanted.splitting)
        view = {"name": made.name, "model": made.deployment.id, "splitting": made.splitting}
        return json_answer(view, 201 if created else 200)

    @router.post(
        "/collections/{collection:path}/rebuild",
        operation_id="rebuild_collection",
        summary="Build the vector index of a collection anew",
        description="By a job, beside the one that is there: searches go on. It is measured against exact search and "
        "takes the place of the old one where it finds as well; the job's `result` says what was measured.",
        status_code=202,
        response_model=JobView,
        responses=problems(NATIVE_ERRORS, 403, 404, 422, 503),
    )
    async def rebuild(collection: Collection) -> Response:
        return json_answer(job_view(await door.call(door.engine.rebuild, collection)), 202)

    @router.post(
        "/search",
        operation_id="search",
        summary="Search a collection",
        description="The nearest documents, best first, by `text` (the collection's model embeds it) or by `vector`.",
        response_model=SearchAnswer,
        responses=problems(NATIVE_ERRORS, 400, 403, 404, 408, 413, 422, 503),
        openapi_extra=json_body(SearchRequest, _EXAMPLE),
    )
    @needs(Need.READ)
    async def search(request: Request) -> Response:
        async with bodies.read(request, SearchRequest) as body:
            wanted = body.value
            hits = await door.search(
                wanted.collection,
                text=wanted.text,
                vector=wanted.vector,
                limit=wanted.limit,
                equal=wanted.filter,
            )
        return json_answer({"hits": [asdict(hit) for hit in hits]})

    return router


def _collection_view(collection: Any) -> dict[str, Any]:
    return {name: getattr(collection, name) for name in CollectionView.model_fields}
