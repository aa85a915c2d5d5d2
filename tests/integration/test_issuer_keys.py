"""The keys of another issuer, fetched over HTTP: limited, cached, and used on while the issuer is away."""

from __future__ import annotations

import base64
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from indexmill.access_settings import IssuerSettings
from indexmill.domain.principal import Role
from indexmill.errors import ServiceError, SourceRefused, Unauthorized
from indexmill.security import issuers
from indexmill.security.issuers import ExternalIssuer, fetch_keys
from indexmill.settings import SourceSettings
from indexmill.sources.http_client import HttpClient

KEY = ec.generate_private_key(ec.SECP256R1())
SETTINGS = IssuerSettings(
    issuer="https://a/", audience="mill", jwks_url="https://a/keys", tenant="acme", role=Role.WRITE
)


def token(kid: str = "one", key: Any = KEY, algorithm: str = "ES256") -> tuple[str, dict[str, Any]]:
    claims = {"iss": "https://a/", "aud": "mill", "sub": "bob", "exp": int(time.time()) + 60}
    text = jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid})
    return text, jwt.get_unverified_header(text)


def published(*names: str) -> list[dict[str, Any]]:
    return [{**jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True), "kid": each} for each in names]


class Issuer:
    """What it publishes now; an exception: it does not answer."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked = 0

    def __call__(self) -> list[dict[str, Any]]:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        found: list[dict[str, Any]] = self.answer
        return found


def test_keys_are_kept_and_fetched_again_for_one_that_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    issuer = Issuer(published("one"))
    external = ExternalIssuer(SETTINGS, issuer)
    identity = external.identify(*token())
    assert (identity.tenant, identity.role, identity.subject) == ("acme", Role.WRITE, "https://a/|bob")
    external.identify(*token())
    assert issuer.asked == 1
    issuer.answer = published("one", "two")
    for _ in range(5):
        with pytest.raises(Unauthorized):
            external.identify(*token("two"))
    assert issuer.asked == 1, "tokens of unknown keys are no way to make this service ask"
    monkeypatch.setattr(issuers, "_PAUSE_SECONDS", 0.0)
    assert external.identify(*token("two")).tenant == "acme"


def test_keys_are_used_on_while_the_issuer_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    issuer = Issuer(published("one"))
    external = ExternalIssuer(SETTINGS, issuer)
    external.identify(*token())
    issuer.answer = ServiceError("away")
    monkeypatch.setattr(issuers, "_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(issuers, "_KEPT_SECONDS", 0.0)
    assert external.identify(*token()).tenant == "acme"
    assert issuer.asked == 2
    monkeypatch.setattr(issuers, "_STALE_SECONDS", 0.0)
    with pytest.raises(ServiceError, match="cannot be fetched"):
        external.identify(*token())


def test_a_slow_issuer_holds_up_only_who_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answer = threading.Event(), threading.Event()
    issuer = Issuer(published("one"))

    def fetch() -> list[dict[str, Any]]:
        if issuer.asked:
            asked.set()
            assert answer.wait(60)
        return issuer()

    external = ExternalIssuer(SETTINGS, fetch)
    external.identify(*token())
    issuer.answer = published("one", "two")
    monkeypatch.setattr(issuers, "_PAUSE_SECONDS", 0.0)
    with ThreadPoolExecutor(2) as threads:
        new = [threads.submit(external.identify, *token("two"))]
        assert asked.wait(60)
        new.append(threads.submit(external.identify, *token("two")))
        while external._keys._waiting._value:
            time.sleep(0.001)
        assert external.identify(*token()).tenant == "acme", "its key is known"
        with pytest.raises(ServiceError, match="too many"):
            external.identify(*token("three"))
        monkeypatch.setattr(issuers, "_KEPT_SECONDS", 0.0)
        assert external.identify(*token()).tenant == "acme", "an old key is used until there is a newer one"
        monkeypatch.setattr(issuers, "_KEPT_SECONDS", 600.0)
        answer.set()
        assert [each.result(10).tenant for each in new] == ["acme", "acme"]
    assert issuer.asked == 2, "one fetch serves all who wait"


@pytest.mark.parametrize(
    "broken",
    [
        {"kty": "EC", "crv": "P-256", "x": 3, "y": None},
        {"kty": "EC", "crv": "P-256", "x": "!!", "y": "!!"},
        {"kty": "EC", "crv": "P-256"},
        jwt.algorithms.ECAlgorithm.to_jwk(KEY, as_dict=True) | {"x": "AAAA"},
    ],
)
def test_a_key_that_is_published_broken_opens_nothing(broken: dict[str, Any]) -> None:
    with pytest.raises(Unauthorized):
        ExternalIssuer(SETTINGS, Issuer([{**broken, "kid": "one"}])).identify(*token())


@pytest.mark.parametrize(
    "claim", [{"exp": float("inf")}, {"exp": 10**400}, {"exp": "soon"}, {"nbf": float("inf")}, {"iat": {}}, {"aud": 3}]
)
def test_a_token_whose_claims_are_of_no_kind_opens_nothing(claim: dict[str, Any]) -> None:
    said = {"iss": "https://a/", "aud": "mill", "sub": "bob", "exp": int(time.time()) + 60, **claim}
    body = base64.urlsafe_b64encode(json.dumps(said).encode()).rstrip(b"=")
    head = base64.urlsafe_b64encode(json.dumps({"alg": "ES256", "kid": "one"}).encode()).rstrip(b"=")
    signature = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256).sign(head + b"." + body, KEY)
    text = b".".join([head, body, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()
    with pytest.raises(Unauthorized):
        ExternalIssuer(SETTINGS, Issuer(published("one"))).identify(text, {"alg": "ES256", "kid": "one"})


def test_short_and_private_keys_are_not_taken() -> None:
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - it is refused
    jwk = {**jwt.algorithms.RSAAlgorithm.to_jwk(short.public_key(), as_dict=True), "kid": "one"}
    claims = {"iss": "https://a/", "aud": "mill", "exp": int(time.time()) + 60}
    # A library would not sign with it either.
    text, header = token()
    header["alg"] = "RS256"
    with pytest.raises(Unauthorized):
        ExternalIssuer(SETTINGS, Issuer([jwk])).identify(text, header)
    octets = [{"kty": "oct", "k": "c2VjcmV0", "kid": "one", "alg": "HS256"}]
    symmetric = jwt.encode(claims, b"secret" * 8, algorithm="HS256", headers={"kid": "one"})
    with pytest.raises(Unauthorized):
        ExternalIssuer(SETTINGS, Issuer(octets)).identify(symmetric, jwt.get_unverified_header(symmetric))


def test_an_address_that_is_not_public_is_not_asked() -> None:
    with pytest.raises(SourceRefused):
        fetch_keys(HttpClient(SourceSettings()), "http://127.0.0.1:1/keys")


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"keys": 1}', b"no json", b'{"keys": [' + b" " * 300_000 + b"]}"])
def test_what_is_no_set_of_keys_is_refused(httpserver_of: Any, body: bytes) -> None:
    with pytest.raises(ValueError, match=r"expected|JSON|Expecting"):
        fetch_keys(*httpserver_of(body))


def test_only_keys_for_signatures_are_read(httpserver_of: Any) -> None:
    body = json.dumps({"keys": [*published("one"), {"kty": "EC", "use": "enc"}, "nothing"]}).encode()
    assert [each["kid"] for each in fetch_keys(*httpserver_of(body))] == ["one"]


@pytest.fixture
def httpserver_of() -> Any:
    import threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    made = []

    def serve(body: bytes) -> tuple[HttpClient, str]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=partial(server.serve_forever, 0.05), daemon=True).start()
        made.append(server)
        port = server.server_address[1]
        return HttpClient(SourceSettings(allowed_hosts=[f"127.0.0.1:{port}"])), f"http://127.0.0.1:{port}/keys"

    yield serve
    for server in made:
        server.shutdown()
        server.server_close()
