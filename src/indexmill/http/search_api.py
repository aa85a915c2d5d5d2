"""The native API of collections: what there is, and search by text or vector with an equality filter."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Final

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from indexmill.http.answers import json_answer
from indexmill.http.body import BodyReader
from indexmill.http.fields import Identifier, StorableText
from indexmill.http.openapi import NATIVE_ERRORS, json_body, problems
from indexmill.http.problems import NativeRoute
from indexmill.http.service import Door

__all__ = ["SearchRequest", "search_router"]

_EXAMPLE: Final[dict[str, Any]] = {"collection": "embed-123", "text": "neural networks", "limit": 3}
_MAX_TEXT: Final = 65_536
_MAX_DIMENSION: Final = 16_000

# Beyond this a sum of squares leaves 32-bit floats.
Component = Annotated[float, Field(ge=-1e15, le=1e15, allow_inf_nan=False)]
#: What a filter compares with; a larger integer is compared as a float.
Scalar = StorableText | bool | Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] | FiniteFloat | None


class SearchRequest(BaseModel):
    model_config = ConfigDict(extra="ignore", json_schema_extra={"example": _EXAMPLE})

    collection: Identifier
    text: Annotated[StorableText, Field(min_length=1, max_length=_MAX_TEXT)] | None = None
    vector: Annotated[list[Component], Field(min_length=1, max_length=_MAX_DIMENSION)] | None = None
    limit: int = Field(default=10, ge=1, le=1000)
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
    document_id: str
    score: float | None = Field(description="Cosine similarity, 1 for the same direction.")
    text: str | None
    payload: dict[str, Any] | None


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


class CollectionView(BaseModel):
    name: str
    model: str
    documents: int
    chunks: int
    generation: int


class CollectionList(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "collections": [
                    {"name": "embed-123", "model": "embed-123", "documents": 1, "chunks": 1, "generation": 1}
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
        response_model=CollectionList,
        responses=problems(NATIVE_ERRORS, 403, 503),
    )
    async def collections() -> Response:
        found = await door.call(door.engine.collections)
        return json_answer({"collections": [_collection_view(each) for each in found]})

    @router.post(
        "/search",
        operation_id="search",
        summary="Search a collection",
        description="The nearest documents, best first, by `text` (the collection's model embeds it) or by `vector`.",
        response_model=SearchAnswer,
        responses=problems(NATIVE_ERRORS, 400, 403, 404, 408, 413, 422, 503),
        openapi_extra=json_body(SearchRequest, _EXAMPLE),
    )
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
