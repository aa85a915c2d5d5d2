"""Pages of front door 3: `page` and `per_page` as clients send them, `meta` and absolute links as they read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.datastructures import QueryParams
from starlette.requests import Request

from indexmill.http.links import MakeLink

__all__ = ["DEFAULT_PER_PAGE", "MAX_PER_PAGE", "Links", "Meta", "Page", "PageNumber", "PerPage", "page_of"]

DEFAULT_PER_PAGE: Final = 20
MAX_PER_PAGE: Final = 200
#: So that the offset stays far below what a 64-bit OFFSET can hold; there are no jobs beyond it.
_MAX_PAGE: Final = 2**40


def _without_empty(value: object) -> object:
    return None if value == "" else value


PageNumber = Annotated[
    int | None, BeforeValidator(_without_empty), Query(description="From 1; 0 and less mean 1.", examples=[1])
]
PerPage = Annotated[
    int | None,
    BeforeValidator(_without_empty),
    Query(description=f"At most {MAX_PER_PAGE}; 0 and less mean {DEFAULT_PER_PAGE}.", examples=[DEFAULT_PER_PAGE]),
]


class Pages(BaseModel):
    """Absolute; only those that there are. `prev` is `previous` as some clients call it."""

    first: str | None = None
    previous: str | None = None
    prev: str | None = None
    next: str | None = None
    last: str | None = None


class Links(BaseModel):
    model_config = ConfigDict(json_schema_extra={"example": {"pages": {}}})

    pages: Pages


class Meta(BaseModel):
    model_config = ConfigDict(json_schema_extra={"example": {"page": 1, "pages": 1, "total": 1}})

    page: int
    pages: int = Field(description="1 where there is nothing.")
    total: int = Field(description="How many there are on all pages, exactly.")


@dataclass(frozen=True)
class Page:
    """Which page was asked for."""

    number: int
    size: int

    @property
    def offset(self) -> int:
        return (self.number - 1) * self.size

    def answer(self, request: Request, total: int, link: MakeLink) -> dict[str, Any]:
        """`links` and `meta` of the answer."""
        pages = max(1, -(-total // self.size))
        links: dict[str, str] = {}
        if self.number > 1:
            before = self._link(request, min(self.number - 1, pages), link)
            links |= {"first": self._link(request, 1, link), "previous": before, "prev": before}
        if self.number < pages:
            links |= {"next": self._link(request, self.number + 1, link), "last": self._link(request, pages, link)}
        return {"links": {"pages": links}, "meta": {"page": self.number, "pages": pages, "total": total}}

    def _link(self, request: Request, number: int, link: MakeLink) -> str:
        others = [each for each in request.query_params.multi_items() if each[0] not in ("page", "per_page")]
        query = QueryParams([*others, ("page", str(number)), ("per_page", str(self.size))])
        return link(request, request.url.path, str(query))


def page_of(number: int | None, size: int | None) -> Page:
    wanted = number if number is not None and number > 0 else 1
    per_page = size if size is not None and size > 0 else DEFAULT_PER_PAGE
    return Page(min(wanted, _MAX_PAGE), min(per_page, MAX_PER_PAGE))
