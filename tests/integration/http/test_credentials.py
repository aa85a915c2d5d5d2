"""Credentials that open nothing, at every front door, each in its own words; and those that open."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from vectara import Vectara, VectaraEnvironment
from vectara.core.api_error import ApiError
from vectara.errors import ForbiddenError

from indexmill.access_settings import AuthSettings, IssuerSettings, LimitSettings
from indexmill.domain.api_key import key_id_of, new_api_key
from indexmill.errors import Unauthorized
from indexmill.security.failed_logins import FailedLogins
from indexmill.security.issuers import ExternalIssuer
from indexmill.security.keyring import Keyring
from indexmill.settings import Settings
from tests.served_app import served
from tests.tenants import Tenanted, shared_settings, tenanted

ISSUER = "https://login.example.com/"
AUDIENCE = "https://indexmill.example.com"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC_PEM = RSA_KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
JWKS = [
    {**jwt.algorithms.RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True), "kid": "rsa", "use": "sig"},
    {**jwt.algorithms.ECAlgorithm.to_jwk(EC_KEY.public_key(), as_dict=True), "kid": "ec"},
]


@dataclass(frozen=True)
class DoorCase:
    """A path of a front door, and how it answers whom it does not let in."""

    path: str
    is_own: Callable[[Any], bool]
    method: str = "GET"
    status: int = 401

    def knock(self, service: Tenanted, **headers: str | bytes) -> Any:
        named = {
            name.replace("_", "-").encode(): value.encode() if isinstance(value, str) else value
            for name, value in headers.items()
        }
        return service.http.request(self.method, self.path, headers=named)


DOORS = [
    DoorCase(
        "/internal/upsertion-tasks/list", lambda body: list(body) == ["detail"] and isinstance(body["detail"], str)
    ),
    DoorCase("/v1/artifacts/list", lambda body: list(body) == ["detail"] and isinstance(body["detail"], str)),
    DoorCase(
        "/v2/gen-ai/knowledge_bases",
        lambda body: (
            list(body) == ["id", "message", "request_id"] and body["id"] in ("unauthorized", "too_many_requests")
        ),
    ),
    DoorCase(
        "/v1/list-jobs",
        lambda body: list(body) == ["code", "message", "details"] and body["code"] in (16, 8) and body["details"] == [],
        method="POST",
    ),
    DoorCase(
        "/v2/jobs", lambda body: list(body) == ["messages", "request_id"] and len(body["messages"]) == 1, status=403
    ),
    DoorCase("/jobs", lambda body: list(body) == ["error"] and list(body["error"]) == ["code", "message"]),
]


@pytest.fixture(scope="module")
def service(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenanted]:
    """For all tests that need no other settings."""
    issuers = (
        IssuerSettings(
            issuer=ISSUER, audience=AUDIENCE, jwks_url="https://login.example.com/keys", tenant_claim="org",
            role_claim="roles",
        ),
    )  # fmt: skip
    with (
        shared_settings(postgres_url, tmp_path_factory.mktemp("credentials")) as settings,
        tenanted(settings, auth=AuthSettings(issuers=issuers, failed_logins=1000)) as made,
    ):
        issuer = ExternalIssuer(issuers[0], lambda: JWKS)
        made.service.authenticator.issuers = {ISSUER: issuer}
        yield made


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    said = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "org": "acme", "roles": ["write"], "exp": now + 600}
    return {name: value for name, value in (said | changes).items() if value is not None}


def external(key: Any = RSA_KEY, algorithm: str = "RS256", kid: str | None = "rsa", **changes: Any) -> str:
    headers = {} if kid is None else {"kid": kid}
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers=headers)


def forged(header: dict[str, Any], said: dict[str, Any], secret: bytes | None) -> str:
    """A token that no library would make."""
    parts = [base64.urlsafe_b64encode(json.dumps(each).encode()).decode().rstrip("=") for each in (header, said)]
    text = ".".join(parts)
    mac = b"" if secret is None else hmac.digest(secret, text.encode(), hashlib.sha256)
    return f"{text}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


def own(service: Tenanted, **changes: Any) -> str:
    """A token of ours, signed as ours are."""
    tokens = service.service.authenticator.tokens
    kid, secret = next(iter(tokens._keys.items()))
    key = service.service.ledger.api_keys.find(key_id_of(service.key("acme", "write")) or "")
    assert key is not None
    now = int(time.time())
    said = {
        "iss": "indexmill", "aud": "indexmill", "sub": key.key.id, "tenant": key.key.tenant, "role": "write",
        "iat": now, "nbf": now, "exp": now + 600,
    }  # fmt: skip
    said = {name: value for name, value in (said | changes).items() if value is not None}
    return jwt.encode(said, secret, algorithm="HS256", headers={"kid": kid})


def bad_credentials(service: Tenanted) -> dict[str, str | None]:
    now = int(time.time())
    good, expired, disabled = service.key("acme"), service.key("acme", seconds=0.0), service.key("acme")
    service.service.ledger.api_keys.disable(key_id_of(disabled) or "")
    token, theirs = own(service), external()
    stranger = new_api_key().text
    return {
        "none": None,
        "empty": "",
        "nonsense": "nonsense",
        "unknown key": stranger,
        "another secret": stranger.replace(key_id_of(stranger) or "", key_id_of(good) or ""),
        "truncated key": good[:-1],
        "changed key": good[:-10] + "AAAAAAAAAA",
        "expired key": expired,
        "disabled key": disabled,
        "truncated token": token[:-5],
        "token without signature": token.rpartition(".")[0] + ".",
        "expired token": own(service, exp=now - 60, nbf=now - 600),
        "token for others": own(service, aud="others"),
        "token of others": own(service, iss="others"),
        "token of tomorrow": own(service, nbf=now + 86_400),
        "token of another tenant": own(service, tenant=1),
        "token of no key": own(service, sub="aaaaaaaaaaaa"),
        "token without end": own(service, exp=None),
        "own: none": forged({"alg": "none"}, claims(iss="indexmill", aud="indexmill"), None),
        "own: another key": jwt.encode(claims(iss="indexmill", aud="indexmill"), b"x" * 32, algorithm="HS256"),
        "their: truncated": theirs[:-3],
        "their: expired": external(exp=now - 60),
        "their: without end": external(exp=None),
        "their: another audience": external(aud="https://others.example.com"),
        "their: no audience": external(aud=None),
        "their: another issuer": external(iss="https://evil.example.com/"),
        "their: of tomorrow": external(nbf=now + 86_400),
        "their: none": forged({"alg": "none", "kid": "rsa"}, claims(), None),
        "their: None": forged({"alg": "None", "kid": "rsa"}, claims(), None),
        "their: HS256 with the public key": forged({"alg": "HS256", "kid": "rsa"}, claims(), PUBLIC_PEM),
        "their: another key type": forged({"alg": "ES256", "kid": "rsa"}, claims(), PUBLIC_PEM),
        "their: RS512": external(algorithm="RS512"),
        "their: another key": external(key=rsa.generate_private_key(public_exponent=65537, key_size=2048)),
        "their: a key that is not published": external(kid="other"),
        "their: no tenant": external(org=None),
        "their: an embedded key": jwt.encode(
            claims(), EC_KEY, algorithm="ES256", headers={"jwk": JWKS[1], "kid": "mine"}
        ),
        "their: a crit header": jwt.encode(
            claims(), RSA_KEY, algorithm="RS256", headers={"kid": "rsa", "crit": ["exp"]}
        ),
    }


def test_what_opens_nothing_is_refused_at_every_door_in_its_own_words(service: Tenanted) -> None:
    for what, credential in bad_credentials(service).items():
        for door in DOORS:
            for headers in ({"x_api_key": credential or ""}, {"Authorization": f"Bearer {credential or ''}"}):
                answer = door.knock(service, **(headers if credential is not None else {}))
                assert answer.status_code == door.status, (what, door.path, answer.text)
                assert door.is_own(answer.json()), (what, door.path, answer.text)
                ways = answer.headers["www-authenticate"]
                assert ways.startswith("Basic" if door.path.startswith("/v1/artifacts") else "Bearer")
                assert 'Bearer realm="indexmill"' in ways
                assert not credential or credential not in answer.text


def test_who_shows_many_that_open_nothing_waits_at_every_door(
    service: Tenanted, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its clock stands still.
    logins = FailedLogins(3, 60.0, lambda: 1000.0)
    app: Any = service.http.app
    monkeypatch.setattr(app.state.gate, "failed_logins", logins)
    refused, throttled = _failures(service)
    good, late = service.key("acme"), service.key("acme")
    assert DOORS[-1].knock(service, x_api_key=good).status_code == 200
    known = {"client_id": key_id_of(good), "client_secret": good, "grant_type": "client_credentials"}
    assert service.http.post("/oauth/token", json=known).status_code == 200
    wrong = [new_api_key().text for _ in range(4)]
    for key in wrong:
        for _ in range(3):
            assert DOORS[-1].knock(service, x_api_key=key).status_code == 401, "the same one again is no other one"
    for door in DOORS:
        answer = door.knock(service, x_api_key=new_api_key().text)
        assert answer.status_code == 429, (door.path, answer.text)
        assert door.is_own(answer.json()), (door.path, answer.text)
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert door.knock(service, x_api_key=late).status_code == 429, "nobody looks whether it would open"
        service.service.authenticator._remembered.clear()
        assert door.knock(service, x_api_key=good).status_code == 200, "it has opened before"
    client = {"client_id": key_id_of(late), "client_secret": late, "grant_type": "client_credentials"}
    answer = service.http.post("/oauth/token", json=client)
    assert (answer.status_code, answer.json()["error"]) == (429, "slow_down")
    assert int(answer.headers["retry-after"]) >= 1
    answer = service.http.post("/oauth/token", json=known)
    assert answer.status_code == 200, "this client has come in before"
    token = answer.json()["access_token"]
    assert DOORS[-1].knock(service, Authorization=f"Bearer {token}").status_code == 200, "and so may its new token"
    logins.clock = lambda: 1060.0
    assert DOORS[-1].knock(service, x_api_key=late).status_code == 200

    said = [each.getMessage() for each in caplog.records if each.name == "indexmill.http.auth"]
    assert len(said) == 4
    for line, key in zip(said, wrong, strict=True):
        assert f"im_{key_id_of(key)} from " in line
        assert not any(secret[16:] in line for secret in wrong)
    until = time.monotonic() + 30
    while _failures(service) != (refused + 12, throttled + 13):
        assert time.monotonic() < until, _failures(service)
        time.sleep(0.1)


def _failures(service: Tenanted) -> tuple[int, int]:
    """As the metrics say, when all are counted."""
    app: Any = service.http.app
    until = time.monotonic() + 30
    while any(app.state.gate._uncounted.values()):
        assert time.monotonic() < until
        time.sleep(0.05)
    text = service.ask(service.key("default"), "GET", "/metrics").text
    found = dict(re.findall(r'indexmill_login_failures_total{what="([a-z]+)"} ([0-9.]+)', text))
    return int(float(found["refused"])), int(float(found["throttled"]))


def test_a_door_takes_keys_in_its_own_way(service: Tenanted) -> None:
    key = service.key("acme")
    basic = {"Authorization": "Basic " + base64.b64encode(f"secret:{key}".encode()).decode()}
    for door in DOORS:
        assert door.knock(service, x_api_key=key).status_code == 200
        assert door.knock(service, Authorization=f"Bearer {key}").status_code == 200
        expected = 200 if door.path.startswith("/v1/artifacts") else door.status
        assert door.knock(service, **basic).status_code == expected, door.path
        # As the original compares the header with its secret.
        assert door.knock(service, Authorization=key).status_code == expected, door.path
        for nothing in (b"Basic \xff", b"Basic /w==", b"Basic !"):
            assert door.knock(service, Authorization=nothing).status_code == door.status, (door.path, nothing)


def test_client_credentials_give_a_token_that_does_what_the_key_may(service: Tenanted) -> None:
    key = service.key("acme", "read")
    client = {"client_id": key_id_of(key), "client_secret": key, "grant_type": "client_credentials"}
    tokens = []
    for answer in (
        service.http.post("/oauth/token", json=client),
        service.http.post("/oauth2/token", data=client),
        service.http.post(
            "/oauth2/token", data={"grant_type": "client_credentials"}, auth=(client["client_id"] or "", key)
        ),
    ):
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        assert (answer.json()["token_type"], answer.json()["expires_in"]) == ("Bearer", 1800)
        tokens.append(answer.json()["access_token"])
    for token in tokens:
        assert service.ask(token, "GET", "/jobs").status_code == 200
        answer = service.ask(None, "POST", "/collections", {}, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 403
        assert "role `write`" in answer.json()["error"]["message"]
    service.service.ledger.api_keys.disable(key_id_of(key) or "")
    service.forget()
    assert service.ask(tokens[0], "GET", "/jobs").status_code == 401


@pytest.fixture
def url(service: Tenanted) -> Iterator[str]:
    """The same service on a port of its own, for clients that make their own connections."""
    with served(service.service) as found:
        yield found


def test_the_vendors_client_comes_in_by_key_and_by_client_credentials(service: Tenanted, url: str) -> None:
    key = service.key("vendor", "read")
    environment, client_of = VectaraEnvironment(default=url, auth=url), cast("Any", Vectara)
    with httpx.Client(timeout=60) as connections:
        by_key = client_of(api_key=key, environment=environment, httpx_client=connections)
        assert list(by_key.jobs.list()) == []
        with pytest.raises(ForbiddenError) as refused:
            by_key.corpora.create(key="handbook")
        assert "role `write`" in refused.value.body.messages[0]
        for wrong in (new_api_key().text, "zwt_old"):
            stranger = client_of(api_key=wrong, environment=environment, httpx_client=connections)
            with pytest.raises(ForbiddenError) as refused:
                list(stranger.jobs.list())
            assert len(refused.value.body.messages) == 1

        for secret in (key, new_api_key().text):
            client = client_of(
                client_id=key_id_of(key), client_secret=secret, environment=environment, httpx_client=connections
            )
            try:
                if secret == key:
                    assert [each.key for each in client.corpora.list()] == ["wordllama-256"]
                else:
                    with pytest.raises(ApiError) as failed:
                        list(client.jobs.list())
                    assert (failed.value.status_code, failed.value.body["error"]) == (401, "invalid_client")
            finally:
                # It never closes the connection that it got its token by.
                tokens = client._client_wrapper._token.__self__
                tokens._auth_client._client_wrapper.httpx_client.httpx_client.close()


def test_other_grants_and_other_clients_get_none(service: Tenanted) -> None:
    key, other = service.key("acme"), service.key("acme")
    good = {"client_id": key_id_of(key), "client_secret": key, "grant_type": "client_credentials"}
    for change, status, error in (
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        # As if left out.
        ({"grant_type": None}, 400, "invalid_request"),
        ({"client_id": key_id_of(other)}, 401, "invalid_client"),
        ({"client_secret": key[:-1]}, 401, "invalid_client"),
        ({"client_secret": "\ud800"}, 400, "invalid_request"),
    ):
        answer = service.http.post("/oauth/token", content=json.dumps(good | change))
        assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
        assert "error_description" in answer.json()
    for body in (b"", b"[]", b"{", b"x" * 100_000, b'{"client_id": 1}'):
        answer = service.http.post("/oauth/token", content=body)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    twice = service.http.post(
        "/oauth2/token",
        content="grant_type=a&grant_type=b",
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert twice.status_code == 400
    for nothing in (b"Basic \xff", b"Basic /w==", b"Basic !"):
        answer = service.http.post("/oauth2/token", data=good, headers={b"Authorization": nothing})
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_tokens_of_another_issuer_are_for_the_tenant_and_role_that_they_say(service: Tenanted) -> None:
    for token in (
        external(org="theirs"),
        external(EC_KEY, "ES256", "ec", org="theirs"),
        external(EC_KEY, "ES256", None, org="theirs"),
    ):
        assert service.ask(token, "GET", "/jobs").status_code == 200
    task = {"embedding_model_id": "wordllama-256", "items": [{"object_id": "a", "payload": {"text": "x"}}]}
    assert service.ask(external(org="theirs"), "POST", "/internal/upsertion-tasks/run", task).status_code == 200
    assert service.ask(external(roles="admin read", org="theirs"), "GET", "/jobs").json()["total"] == 1
    assert service.ask(service.key("theirs"), "GET", "/jobs").json()["total"] == 1
    assert service.ask(external(org="other"), "GET", "/jobs").json()["total"] == 0
    reader = external(roles=["nothing", 3])
    assert service.ask(reader, "POST", "/internal/upsertion-tasks/run", task).status_code == 403
    now = int(time.time())
    assert service.ask(external(exp=now - 10, nbf=now + 10), "GET", "/jobs").status_code == 200, (
        "clocks differ a little"
    )


def test_roles_may_do_what_they_say(service: Tenanted) -> None:
    read, write, admin = (service.key("acme", role) for role in ("read", "write", "admin"))
    search = {"collection": "wordllama-256", "text": "x"}
    delete = {"embedding_model_id": "wordllama-256", "object_ids": ["a"]}
    model = {"id": "mine", "provider": "static", "settings": {}}
    for key, expected in ((read, (200, 403, 403)), (write, (200, 200, 403)), (admin, (200, 200, 201))):
        assert (
            service.ask(key, "POST", "/search", search).status_code,
            service.ask(key, "POST", "/internal/deletion-tasks/run", delete).status_code,
            service.ask(key, "POST", "/models", model).status_code,
        ) == expected


@pytest.mark.parametrize("change", ["disabled", "expired"])
def test_a_key_that_ends_opens_nothing_after_a_few_seconds(service: Tenanted, change: str) -> None:
    key = service.key("acme")
    assert service.ask(key, "GET", "/jobs").status_code == 200
    service.service.ledger.api_keys.disable(key_id_of(key) or "", 0 if change == "disabled" else 0.001)
    until = time.monotonic() + 30
    while service.ask(key, "GET", "/jobs").status_code == 200:
        assert time.monotonic() < until
        time.sleep(0.2)
    assert change in service.ask(key, "GET", "/jobs").json()["error"]["message"]


def test_without_any_key_loopback_is_open_and_afterwards_never_again(settings: Settings) -> None:
    with tenanted(settings) as service:
        assert service.ask(None, "GET", "/jobs").status_code == 200
        assert service.ask("whatever clients send", "GET", "/jobs").status_code == 200
        assert service.http.get("/jobs", headers={"host": "evil.example.com"}).status_code == 403
        key = service.key("default", "read")
        assert service.ask(None, "GET", "/jobs").status_code == 401
        assert service.ask(key, "GET", "/jobs").status_code == 200
        assert service.http.get("/jobs", headers={"host": "mill.example.com", "x-api-key": key}).status_code == 200
        service.service.ledger.api_keys.disable(key_id_of(key) or "")
        service.forget()
        assert service.ask(None, "GET", "/jobs").status_code == 401
        assert service.ask(None, "GET", "/healthz").status_code == 200


def test_always_required_is_required_without_any_key(settings: Settings) -> None:
    with tenanted(settings, auth=AuthSettings(required="always")) as service:
        assert service.ask(None, "GET", "/jobs").status_code == 401
        assert service.ask(None, "GET", "/readyz").json()["parts"]["database"] is None
        assert service.ask(None, "GET", "/openapi.json").status_code == 200


def test_requests_over_the_limit_wait_at_every_door(settings: Settings) -> None:
    with tenanted(settings, limits=LimitSettings(requests_per_minute=4)) as service:
        keys = {door.path: service.key(door.path.strip("/").replace("/", " ")) for door in DOORS}
        for door in DOORS:
            answers = [door.knock(service, x_api_key=keys[door.path]) for _ in range(6)]
            assert [each.status_code for each in answers] == [200] * 4 + [429] * 2, door.path
            assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
            assert "4 requests a minute" in answers[-1].text
            assert door.is_own(answers[-1].json()), (door.path, answers[-1].text)
            if door.path.startswith("/v2/gen-ai"):
                left = [int(each.headers["ratelimit-remaining"]) for each in answers[:4]]
                assert left == [3, 2, 1, 0]
        service.service.ledger.tenants.update("jobs", allowance=_allowance(requests_per_minute=0))
        service.forget()
        assert all(service.ask(keys["/jobs"], "GET", "/jobs").status_code == 200 for _ in range(10))


def test_items_and_bytes_over_the_limit_are_refused(settings: Settings) -> None:
    with tenanted(settings, limits=LimitSettings(queued_items=3)) as service:
        key = service.key("acme")

        def submit(count: int) -> Any:
            items = [{"object_id": str(number), "payload": {"text": "x"}} for number in range(count)]
            return service.ask(
                key, "POST", "/internal/upsertion-tasks/run", {"embedding_model_id": "wordllama-256", "items": items}
            )

        assert submit(4).status_code == 429
        assert [submit(2).status_code, submit(2).status_code, submit(1).status_code] == [200, 429, 200]
        assert "3 items" in submit(1).json()["detail"]
        assert service.ask(service.key("other"), "GET", "/jobs").status_code == 200
        jobs = service.ask(key, "GET", "/jobs").json()["jobs"]
        assert service.ask(key, "POST", f"/jobs/{jobs[0]['id']}/cancel").status_code == 200
        service.service.ledger.tenants.update("acme", allowance=_allowance(queued_items=0, bytes_per_day=400))
        service.forget()
        codes = [submit(2).status_code for _ in range(6)]
        assert codes[0] == 200
        assert codes[-1] == 429
        assert service.ask(key, "GET", "/jobs").status_code == 200, "reads bring nothing"


def _allowance(**limits: int) -> Any:
    from indexmill.domain.tenant import Allowance

    return Allowance(**limits)


def test_tokens_outlive_a_change_of_the_secret_key(service: Tenanted) -> None:
    key = service.key("acme")
    found = service.service.ledger.api_keys.find(key_id_of(key) or "")
    assert found is not None
    tokens = service.service.authenticator.tokens
    token = tokens.issue(found.key)
    header = jwt.get_unverified_header(token)
    old, new = b"k" * 32, b"n" * 32
    rotated, others = type(tokens)(Keyring((new, old))), type(tokens)(Keyring((new,)))
    assert rotated.claims(token, header)["sub"] == found.key.id
    assert jwt.get_unverified_header(rotated.issue(found.key))["kid"] != header["kid"]
    with pytest.raises(Unauthorized):
        others.claims(token, header)
