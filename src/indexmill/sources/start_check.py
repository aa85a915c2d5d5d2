"""What must work before a service starts: the folders of sources, and the spool."""

from __future__ import annotations

from indexmill.errors import ServiceError, SettingsError, TransientError
from indexmill.settings import Settings
from indexmill.sources.spool import open_spool
from indexmill.sources.uri import open_sources

__all__ = ["check_sources"]


def check_sources(settings: Settings) -> None:
    """Make the folders, and write, read and delete something in the spool.

    With a spool in a bucket, a process that has called this may start programs, but no forks that use the spool: the
    client's threads do not survive.

    Raises:
        SettingsError: `data_folder` or what is below `sources` cannot be used.
    """
    spool = open_spool(settings)
    try:
        open_sources(settings).prepare()
        spool.check()
    except (ServiceError, TransientError) as error:
        where = "" if settings.sources.spool_url else "data_folder: "
        raise SettingsError(f"{where}{error}") from error
