"""Whether a data source can be read as it is described, as far as that is known without contacting anybody."""

from __future__ import annotations

from indexmill.domain.knowledge_base import DataSourceKind, NewDataSource
from indexmill.errors import InvalidRequest, SourceError, SourceRefused
from indexmill.settings import Settings
from indexmill.sources.bucket_listing import open_data_source_bucket
from indexmill.sources.crawl_definition import CrawlDefinition
from indexmill.sources.upload_store import UploadStore, belongs_to, checked_object_key
from indexmill.sources.uri import Sources

__all__ = ["check_data_source"]


def check_data_source(
    wanted: NewDataSource, settings: Settings, sources: Sources, uploads: UploadStore, tenant: int
) -> None:
    """
    Raises:
        InvalidRequest: it cannot; says what was expected.
        TransientError: whether its file was uploaded cannot be known now.
    """
    if wanted.kind in {DataSourceKind.SPACES, DataSourceKind.AWS}:
        try:
            open_data_source_bucket(wanted.kind, wanted.settings, wanted.secrets, settings).close()
        except SourceError as error:
            raise InvalidRequest(error.sentence) from error
    elif wanted.kind is DataSourceKind.WEB_CRAWLER:
        definition = CrawlDefinition.from_settings(wanted.settings)
        try:
            sources.check_uri(definition.base_url)
        except SourceRefused as error:
            raise InvalidRequest(f"base_url: {error}") from error
    elif wanted.kind is DataSourceKind.FILE_UPLOAD:
        _check_upload(wanted, uploads, tenant)


def _check_upload(wanted: NewDataSource, uploads: UploadStore, tenant: int) -> None:
    for name in ("original_file_name", "stored_object_key"):
        if not isinstance(wanted.settings.get(name), str) or not wanted.settings[name]:
            raise InvalidRequest(f"file_upload_data_source.{name}: expected a string, got nothing")
    object_key = checked_object_key(wanted.settings["stored_object_key"])
    if not belongs_to(object_key, tenant) or uploads.stat(object_key) is None:
        raise InvalidRequest(
            "file_upload_data_source.stored_object_key: expected the key of a file that has been uploaded, got one "
            "of which no bytes have come; send them with PUT to its presigned URL first"
        )
