"""https://: the connection goes to the checked address, and the certificate is that of the host's name all the same."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from indexmill.errors import ItemError
from indexmill.settings import SourceSettings
from indexmill.sources.http_source import HttpSource
from tests.web_server import WebServer, answer


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and self-signed certificate of good.example in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "good.example")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("good.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(encoded + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def server(certificate: Path) -> Iterator[WebServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with WebServer({"/": answer(body=b"hello")}, tls=context) as running:
        yield running


def _source(folder: Path, trusted: Path | None) -> HttpSource:
    settings = SourceSettings(allowed_hosts=["good.example", "bad.example"], timeout_seconds=10)
    context = ssl.create_default_context(cafile=trusted) if trusted else None
    return HttpSource(
        settings,
        folder,
        resolve=lambda host, port: [ipaddress.ip_address("127.0.0.1")],
        ssl_context=context,
    )


def test_the_certificate_of_the_name_is_accepted(server: WebServer, certificate: Path, tmp_path: Path) -> None:
    with _source(tmp_path, certificate).fetch(f"https://good.example:{server.port}/") as fetched:
        assert fetched.size == 5
    assert f"Host: good.example:{server.port}\r\n" in server.heads[0]


def test_that_of_another_name_is_not(server: WebServer, certificate: Path, tmp_path: Path) -> None:
    with pytest.raises(ItemError, match="certificate") as failure:
        _source(tmp_path, certificate).fetch(f"https://bad.example:{server.port}/")
    assert not failure.value.retryable
    assert server.heads == []


def test_nor_is_one_that_nobody_signed(server: WebServer, tmp_path: Path) -> None:
    with pytest.raises(ItemError, match="certificate"):
        _source(tmp_path, None).fetch(f"https://good.example:{server.port}/")


def test_a_server_without_tls_is_a_failure_in_words(tmp_path: Path) -> None:
    def answer_in_clear() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        plain = threading.Thread(target=answer_in_clear)
        plain.start()
        with pytest.raises(ItemError, match="encrypt"):
            _source(tmp_path, None).fetch(f"https://good.example:{listener.getsockname()[1]}/")
        plain.join()
