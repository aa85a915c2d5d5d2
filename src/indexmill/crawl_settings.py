"""Settings of how sites are crawled."""

from __future__ import annotations

from pydantic import Field, model_validator

from indexmill.settings_section import MIB, SettingsSection

__all__ = ["CrawlSettings"]


class CrawlSettings(SettingsSection):
    """How sites are crawled."""

    #: None: `Indexmill/<version>`. It begins with the name that robots.txt may address.
    user_agent: str | None = Field(default=None, pattern=r"^[A-Za-z_-]{1,50}([/ ][ -~]{0,200})?$")
    max_pages: int = Field(default=5500, ge=1, le=5500)
    #: Between two requests to one host, where its robots.txt does not ask for more.
    delay_seconds: float = Field(default=0.2, ge=0, le=60)
    max_delay_seconds: float = Field(default=30, ge=0, le=3600)
    #: For one page in all. Below `worker.window_deadline_seconds`, after which the whole worker is replaced.
    timeout_seconds: float = Field(default=30, gt=0, le=600)
    max_page_bytes: int = Field(default=10 * MIB, ge=1024)

    @model_validator(mode="after")
    def _longest_delay(self) -> CrawlSettings:
        if self.max_delay_seconds < self.delay_seconds:
            raise ValueError(
                f"crawl.max_delay_seconds: expected at least crawl.delay_seconds ({self.delay_seconds:g}), "
                f"got {self.max_delay_seconds:g}"
            )
        return self
