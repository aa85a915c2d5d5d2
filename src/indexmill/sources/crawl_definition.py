"""What the caller says of a web crawl: base URL, option, tags to leave out, media."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from indexmill.errors import InvalidRequest
from indexmill.sources.crawl_scope import CrawlOption, CrawlScope

__all__ = ["DEFAULT_EXCLUDED", "CrawlDefinition"]

#: What surrounds the content of most pages.
DEFAULT_EXCLUDED: Final = ("nav", "footer", "header", "aside", "script", "style", "form", "iframe", "noscript")
_MAX_EXCLUDED: Final = 100
_SELECTOR: Final = re.compile(r"(?=.{1,100}\Z)(?P<tag>[a-z][a-z0-9-]*)?(?:\.(?P<css_class>[\w-]+)|#(?P<id>[\w:.-]+))?")


@dataclass(frozen=True)
class CrawlDefinition:
    """`exclude_tags`: `nav`, `.class`, `#id` or `div.class`; their text is left out, their links are followed."""

    base_url: str
    option: CrawlOption = CrawlOption.SCOPED
    exclude_tags: tuple[str, ...] = DEFAULT_EXCLUDED
    embed_media: bool = False

    def __post_init__(self) -> None:
        """
        Raises:
            InvalidRequest: nothing that can be crawled.
        """
        CrawlScope(self.base_url, self.option)
        if len(self.exclude_tags) > _MAX_EXCLUDED:
            raise InvalidRequest(f"`exclude_tags`: expected at most {_MAX_EXCLUDED}, got {len(self.exclude_tags)}")
        for each in self.exclude_tags:
            if not each or not _SELECTOR.fullmatch(each):
                raise InvalidRequest(
                    f"`exclude_tags`: expected `tag`, `.class`, `#id` or `tag.class`, got {each!r:.80}"
                )

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> CrawlDefinition:
        """From a data source's settings, by their names on the wire; null, `""` and what is absent mean the default.

        Raises:
            InvalidRequest: a value that no crawl can have.
        """
        base_url, tags = settings.get("base_url"), settings.get("exclude_tags")
        if not isinstance(base_url, str) or not base_url:
            raise InvalidRequest("`base_url`: expected an http or https URL, got none")
        if tags is not None and not (isinstance(tags, list | tuple) and all(isinstance(each, str) for each in tags)):
            raise InvalidRequest("`exclude_tags`: expected a list of strings")
        named = DEFAULT_EXCLUDED if tags is None else tuple(dict.fromkeys(_selector(each) for each in tags if each))
        return cls(base_url, _option(settings.get("crawling_option")), named, bool(settings.get("embed_media")))


def _selector(tag: str) -> str:
    """Tags in lower case and without brackets, if they came with them; classes and ids are what they are."""
    stripped = tag.strip().removeprefix("<").removesuffix(">").strip()
    name = re.match(r"[A-Za-z0-9-]*", stripped)
    size = name.end() if name else 0
    return stripped[:size].lower() + stripped[size:]


def _option(value: object) -> CrawlOption:
    if not value or value == "UNKNOWN":
        return CrawlOption.SCOPED
    try:
        return CrawlOption(str(value).upper())
    except ValueError:
        known = ", ".join(CrawlOption)
        raise InvalidRequest(f"`crawling_option`: expected {known}, got {value!r:.80}") from None
