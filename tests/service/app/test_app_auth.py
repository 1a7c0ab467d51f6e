"""Who asks: keys, sessions, administrators; how often one may."""

from __future__ import annotations

from http.cookiejar import Cookie, CookieJar
from typing import Any

import httpx
import pytest

PASSWORD = "a long password"


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Basic eA==", "sk-kinora-nope", "Bearer sk-kinora-nope", "Bearer a.b.c"],
)
def test_without_valid_credentials_nothing_is_told(served: Any, header: str | None) -> None:
    answer = served.nobody().get("/api/account", headers={} if header is None else {"Authorization": header})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "unauthenticated"
    assert answer.headers["www-authenticate"] == "Bearer"


def test_the_scheme_is_written_as_one_likes(served: Any, tenant: Any) -> None:
    for scheme in ("bearer", "BEARER", "Bearer "):
        answer = served.nobody().get("/api/account", headers={"Authorization": f"{scheme} {tenant.secret}"})
        assert answer.json()["account"]["id"] == str(tenant.account.id)


def test_a_session_is_a_cookie_that_scripts_cannot_read(served: Any) -> None:
    tenant = served.tenant(password=PASSWORD)
    browser = served.nobody()
    wrong = browser.post("/api/session", json={"name": tenant.account.name, "password": "something else"})
    assert wrong.status_code == 401
    assert "set-cookie" not in wrong.headers
    answer = browser.post("/api/session", json={"name": tenant.account.name, "password": PASSWORD})
    assert answer.status_code == 201
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "secure" not in cookie.replace("kinora_session", "")
    assert browser.get("/api/account").json()["account"]["name"] == tenant.account.name


def test_a_session_changes_nothing_without_our_header(served: Any) -> None:
    tenant = served.tenant(password=PASSWORD)
    browser = served.nobody()
    browser.post("/api/session", json={"name": tenant.account.name, "password": PASSWORD})
    wish = {"kind": "text_to_video", "prompt": "a ball"}
    answer = browser.post("/api/tasks", json=wish)
    assert answer.status_code == 403
    assert "x-kinora" in answer.json()["error"]["message"]
    assert browser.post("/api/tasks", json=wish, headers={"x-kinora": "1"}).status_code == 201
    # A key beside the cookie is what counts, and needs no header.
    key = {"authorization": f"Bearer {tenant.secret}"}
    assert browser.post("/api/tasks", json=wish, headers=key).status_code == 201
    assert browser.delete("/api/session").status_code == 403
    assert browser.delete("/api/session", headers={"x-kinora": "1"}).status_code == 200
    assert browser.get("/api/account").status_code == 401


def test_a_form_of_another_site_does_not_log_anybody_in(served: Any) -> None:
    tenant = served.tenant(password=PASSWORD)
    body = f'{{"name": "{tenant.account.name}", "password": "{PASSWORD}"}}'
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = served.nobody().post("/api/session", content=body, headers={"content-type": kind})
        assert answer.status_code == 400


def test_a_password_is_changed_by_a_session_only_with_the_old_one(served: Any) -> None:
    tenant = served.tenant(password=PASSWORD)
    browser = served.nobody(headers={"x-kinora": "1"})
    browser.post("/api/session", json={"name": tenant.account.name, "password": PASSWORD})
    assert browser.patch("/api/account", json={"password": "another password"}).status_code == 401
    changed = {"password": "another password", "current_password": PASSWORD}
    assert browser.patch("/api/account", json=changed).status_code == 200
    assert browser.get("/api/account").status_code == 401
    login = {"name": tenant.account.name, "password": "another password"}
    assert browser.post("/api/session", json=login).status_code == 201


def test_administration_is_for_administrators(served: Any, tenant: httpx.Client, boss: httpx.Client) -> None:
    spec = boss.get("/api/openapi.json").json()
    checked = 0
    for path, operations in spec["paths"].items():
        if not path.startswith("/api/admin"):
            continue
        for method in operations:
            answer = tenant.request(method, path.replace("{account_id}", "1").replace("{task_id}", "1"))
            assert answer.status_code == 403, (method, path)
            assert served.nobody().request(method, path).status_code == 401
            checked += 1
    assert checked >= 12
    assert boss.get("/api/admin/accounts").status_code == 200


def test_a_suspended_account_may_do_nothing(served: Any, boss: httpx.Client) -> None:
    tenant = served.tenant()
    assert tenant.get("/api/account").status_code == 200
    path = f"/api/admin/accounts/{tenant.account.id}"
    assert boss.patch(path, json={"state": "suspended"}).json()["state"] == "suspended"
    answer = tenant.get("/api/account")
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "suspended"
    assert boss.patch(path, json={"state": "active"}).status_code == 200
    assert tenant.get("/api/account").status_code == 200


def test_an_administrator_does_not_lock_himself_out(boss: Any) -> None:
    answer = boss.patch(f"/api/admin/accounts/{boss.account.id}", json={"role": "member"})
    assert answer.status_code == 400
    assert boss.get("/api/admin/accounts").status_code == 200


def test_an_account_asks_as_often_as_its_plan_allows(serve: Any) -> None:
    served = serve(requests_per_minute=60)
    tenant, other = served.tenant(plan="free"), served.tenant(plan="free")
    codes = [tenant.get("/api/models").status_code for _ in range(65)]
    assert codes.count(200) == 60
    late = tenant.get("/api/models")
    assert late.status_code == 429
    assert late.json()["error"]["code"] == "too_many_requests"
    assert 1 <= int(late.headers["retry-after"]) <= 60
    kling = tenant.get("/kling/v1/videos/text2video")
    assert (kling.status_code, kling.json()["code"]) == (429, 1302)
    assert "retry-after" in kling.headers
    openai = tenant.get("/openai/v1/videos")
    assert openai.status_code == 429
    assert openai.json()["error"]["message"]
    assert other.get("/api/models").status_code == 200


def test_who_fails_too_often_is_slowed_and_valid_keys_go_on(serve: Any) -> None:
    served = serve()
    tenant = served.tenant(password=PASSWORD)
    nobody = served.nobody(headers={"authorization": "Bearer sk-kinora-guess"})
    codes = [nobody.get("/api/account").status_code for _ in range(65)]
    assert codes == [401] * 60 + [429] * 5
    login = {"name": tenant.account.name, "password": "a guess at it"}
    codes = [served.nobody().post("/api/session", json=login).status_code for _ in range(12)]
    assert codes == [401] * 10 + [429] * 2
    assert tenant.get("/api/account").status_code == 200


def _insecure(jar: CookieJar) -> Cookie:
    """The session's cookie as if it had come by https to a client that speaks http."""
    [cookie] = list(jar)
    cookie.secure = False
    return cookie


def test_accounts_are_made_by_anyone_only_where_the_operator_says_so(served: Any, serve: Any) -> None:
    wish = {"name": "somebody", "password": PASSWORD, "language": "en"}
    assert served.nobody().post("/api/accounts", json=wish).status_code == 403
    browser = serve(open_accounts=True, public_url="https://films.example").nobody()
    made = browser.post("/api/accounts", json=wish)
    # The world reaches this one by https.
    assert "; secure" in made.headers["set-cookie"].lower()
    assert made.headers["strict-transport-security"].startswith("max-age=")
    browser.cookies.jar.set_cookie(_insecure(made.cookies.jar))
    assert made.status_code == 201
    assert (made.json()["role"], made.json()["plan"]) == ("member", "free")
    assert browser.get("/api/account").json()["balance"]["available"] == 66
    assert browser.post("/api/accounts", json=wish).status_code == 409
