"""Pages of corpora and documents for both versions: a page key repeats what was asked for, and says where to go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from indexmill.security.page_keys import PageKeys

__all__ = ["Paging"]

T = TypeVar("T")


@dataclass(frozen=True)
class Paging:
    """`listing`: its name; a page key of another one is refused."""

    keys: PageKeys
    listing: str

    def page(
        self,
        tenant: int,
        page_key: str | None,
        wanted: dict[str, Any],
        read: Callable[[dict[str, Any]], Sequence[T]],
        place: Callable[[T], Any],
    ) -> tuple[Sequence[T], str]:
        """What the page shows, and the key of the next one; `""`: it is the last.

        Args:
            wanted: what the first page is asked for, its `limit` included; where there is a key, that says it.
            read: what follows `after`, at most `limit` of it.
            place: where the page after this entry goes on.

        Raises:
            InvalidRequest: not a key of this listing.
        """
        said = self.keys.open(self.listing, tenant, page_key) if page_key else {**wanted, "after": None}
        limit = said["limit"]
        # One more than asked for says whether there is another page.
        found = read({**said, "limit": limit + 1})
        shown = found[:limit]
        if not shown:
            return shown, ""
        after = {**said, "after": place(shown[-1])}
        # A page of large entries is cut by their bytes, so that a short one need not be the last.
        if len(found) == len(shown) and not read({**after, "limit": 1}):
            return shown, ""
        return shown, self.keys.seal(self.listing, tenant, after)
