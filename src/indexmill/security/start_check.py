"""What must be so before the service listens: where others can reach it, nobody comes in without credentials."""

from __future__ import annotations

from indexmill.errors import SettingsError
from indexmill.ledger.api_keys import ApiKeys
from indexmill.settings import Settings, is_loopback

__all__ = ["check_address", "is_always_required"]


def is_always_required(settings: Settings) -> bool:
    """Whether callers have to show credentials even while there is no API key."""
    return settings.auth.required == "always" or bool(settings.auth.issuers) or not is_loopback(settings.server.host)


def check_address(settings: Settings, keys: ApiKeys) -> None:
    """
    Raises:
        SettingsError: the service would listen where others can reach it, and nobody could show anything to be let in.
    """
    if is_loopback(settings.server.host) or settings.auth.issuers or keys.has_good():
        return
    raise SettingsError(
        f"server.host: expected a loopback address (127.0.0.1, ::1 or localhost) as long as there is no API key, got "
        f"{settings.server.host!r}; make a key with `indexmill keys create --role admin` and the same settings, then "
        "start again"
    )
