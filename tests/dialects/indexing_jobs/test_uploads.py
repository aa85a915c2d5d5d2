"""Uploads: addresses for files, and the files, exactly as announced."""

from __future__ import annotations

from typing import Any

import pytest

from tests.dialects.indexing_jobs import vendor_models as vendor
from tests.dialects.indexing_jobs.conftest import MAX_FILE, Checked, check_headers
from tests.dialects.indexing_jobs.fake_knowledge_bases import FakeIndexingService

PRESIGN = "knowledge_bases/data_sources/file_upload_presigned_urls"


def _presigned(send: Checked, **file: Any) -> vendor.Upload:
    (upload,) = send(vendor.Uploads, "POST", PRESIGN, {"files": [file]}).uploads
    return upload


@pytest.mark.parametrize("size", [0, 5, 2_000_000])
def test_a_file_goes_to_its_address(send: Checked, service: FakeIndexingService, size: int) -> None:
    data = b"x" * size
    upload = _presigned(send, file_name="über mich.pdf", file_size=str(size))
    assert upload.original_file_name == "über mich.pdf"
    url = str(upload.presigned_url)
    assert url.startswith(f"http://localhost:8080/v2/gen-ai/uploads/{upload.object_key}?")
    answer = send.http.put(url, content=data, headers={"Content-Type": "application/pdf"})
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"object_key": upload.object_key, "size_in_bytes": str(size)}
    assert service.uploaded(upload.object_key) == data
    check_headers(answer)


def test_several_files_get_an_address_each(send: Checked) -> None:
    files = [{"file_name": f"{n}.txt", "file_size": n} for n in range(3)]
    answer = send.http.post(f"/v2/gen-ai/{PRESIGN}", json={"files": files})
    uploads = vendor.Uploads.model_validate(answer.json())
    assert uploads.request_id == answer.headers["x-request-id"]
    assert [each.original_file_name for each in uploads.uploads] == ["0.txt", "1.txt", "2.txt"]
    assert len({each.object_key for each in uploads.uploads}) == 3


def test_an_upload_is_replaced_by_its_key(send: Checked, service: FakeIndexingService) -> None:
    first = _presigned(send, file_name="a.txt", file_size=3)
    send.http.put(str(first.presigned_url), content=b"old")
    again = _presigned(send, file_name="a.txt", file_size=4, object_key=first.object_key)
    assert again.object_key == first.object_key
    send.http.put(str(again.presigned_url), content=b"newe")
    assert service.uploaded(first.object_key) == b"newe"
    for key, status in (("0" * 32, 404), ("../../secret_key", 400)):
        unknown = {"files": [{"file_name": "a", "file_size": 1, "object_key": key}]}
        send.refused(status, "POST", PRESIGN, unknown)


@pytest.mark.parametrize(("content", "status"), [(b"four", 400), (b"sixsix", 413), (b"", 400), (b"x" * 4_000_000, 413)])
def test_other_sizes_than_announced_are_refused(
    send: Checked, service: FakeIndexingService, content: bytes, status: int
) -> None:
    upload = _presigned(send, file_name="a.txt", file_size=5)
    answer = send.http.put(str(upload.presigned_url), content=content)
    assert answer.status_code == status, answer.text
    vendor.Problem.model_validate(answer.json())
    assert service.uploaded(upload.object_key) is None


def test_an_address_is_good_for_nothing_else(send: Checked, service: FakeIndexingService) -> None:
    upload = _presigned(send, file_name="a.txt", file_size=5)
    url = str(upload.presigned_url)
    for wrong in (url.partition("?")[0], url.replace("size=5", "size=6"), url.replace(str(upload.object_key), "other")):
        answer = send.http.put(wrong, content=b"other!")
        assert (answer.status_code, answer.json()["id"]) == (403, "forbidden")
    assert service.uploaded(upload.object_key) is None


@pytest.mark.parametrize(
    ("files", "status"),
    [
        ([], 400),
        ([{"file_name": "", "file_size": "1"}], 400),
        ([{"file_name": "a"}], 400),
        ([{"file_name": "a", "file_size": "-1"}], 400),
        ([{"file_name": "a", "file_size": "many"}], 400),
        ([{"file_name": "a", "file_size": str(MAX_FILE + 1)}], 413),
        ([{"file_name": "a", "file_size": 1}] * 101, 400),
    ],
)
def test_wrong_files_get_no_address(send: Checked, files: Any, status: int) -> None:
    send.refused(status, "POST", PRESIGN, {"files": files})
