"""Signing in with a real OpenID provider: there and back, who becomes what, and what is refused.

One journey in chromium, the others as a browser would make them, by requests with cookies.
"""
import base64
import hashlib
import hmac
import http.cookiejar
import json
import pathlib
import re
import shutil
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import browser as pages
import harness
from harness import PASSWORD
from selenium.webdriver.common.by import By

MODULES = pathlib.Path(sys.executable).parent.parent / "node"


class Names(threading.Thread):
    """A resolver that knows TXT records only."""

    def __init__(self):
        super().__init__(daemon=True)
        self.records, self.socket = {}, socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.start()

    def run(self):
        while True:
            question, client = self.socket.recvfrom(512)
            labels, at = [], 12
            while question[at]:
                labels.append(question[at + 1:at + 1 + question[at]].decode())
                at += 1 + question[at]
            text = self.records.get(".".join(labels).lower())
            head = question[:2] + struct.pack(">HHHHH", 0x8180 if text else 0x8183, 1, 1 if text else 0, 0, 0)
            answer = b""
            if text:
                answer = b"\xc0\x0c" + struct.pack(">HHIHB", 16, 1, 1, len(text) + 1, len(text)) + text.encode()
            self.socket.sendto(head + question[12:at + 5] + answer, client)


class Provider:
    """oidc-provider on a loopback port."""

    def __init__(self, parts, redirect_uri):
        self.parts, self.redirect_uri, self.port = parts, redirect_uri, harness.free_port()
        self.issuer = f"http://localhost:{self.port}"  # Another site than the console's 127.0.0.1.
        self.start()

    def start(self):
        script = harness.ROOT / "tests/e2e/oidc_provider.mjs"
        node = shutil.which("node")
        self.process = self.parts.start([node, script, self.port, self.redirect_uri, MODULES], "oidc.log")
        document = f"{self.issuer}/.well-known/openid-configuration"
        harness.wait_until("the provider answering", lambda: urllib.request.urlopen(document, timeout=2).status == 200)

    def stop(self):
        self.process.kill()
        self.process.wait()

    def lie(self, what):
        request = urllib.request.Request(f"{self.issuer}/lie?what={what}", method="POST")
        assert urllib.request.urlopen(request, timeout=10).status == 204


class Visitor:
    """A browser without script: cookies, redirects, forms."""

    def __init__(self, stage):
        self.stage = stage
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))

    def open(self, url, **fields):
        """Address, status and text of the page where it ends."""
        url = url if url.startswith("http") else self.stage.house.url + url
        data = urllib.parse.urlencode(fields).encode() if fields else None
        try:
            with self.opener.open(url, data, timeout=60) as answer:
                return answer.url, answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.url, error.code, error.read().decode()

    def start(self, email):
        return self.open(f"/sign-in/start?email={urllib.parse.quote(email)}")

    def sign_in(self, person, email="ann@example.com"):
        """All the way there and back, as one of the provider's people."""
        url, status, text = self.start(email)
        assert url.startswith(self.stage.provider.issuer), (url, status, text)
        return self.open(url, login=person)

    def password(self, email, password=PASSWORD):
        return self.open("/sign-in", email=email, password=password)

    def press(self, page, action, **fields):
        """Sends a form of a page of the organisation, with the page's token."""
        _, _, text = self.open(page)
        csrf = re.search(r'name="csrf" value="([^"]+)"', text).group(1)
        assert f'action="{page}/{action}"' in text, (page, action, text)
        return self.open(f"{page}/{action}", csrf=csrf, **fields)

    def is_in(self):
        url, status, _ = self.open("/me")
        return status == 200 and urllib.parse.urlsplit(url).path == "/me"


class Stage:
    def __init__(self):
        self.parts = harness.Parts()
        self.names = Names()
        self.context = {"METERHOUSE_CONTEXT": str(self.parts.folder / "context.json")}
        self.house = harness.Meterhouse(self.parts, {"METERHOUSE_NETWORK_RESOLVER": self.names.address}).serve()
        self.house.sign_in()
        (self.parts.folder / "password").write_text(PASSWORD)
        self.shell(f"meterhouse login {self.house.url} --email admin@example.com --password-file password")
        self.org = self.house.child(self.house.root, "Works", "customer")
        self.provider = Provider(self.parts, f"{self.house.url}/sign-in/callback")
        self.groups = {name: self.api("POST", "/groups", {"name": name})["id"] for name in ("Everybody", "Staff", "Admins")}
        self.set_idp()
        self.api("POST", "/domains", {"domain": "example.com"})

    def api(self, method, path, body=None, status=None):
        return self.house.api(method, f"/v1/orgs/{self.org}{path}", body, status)

    def set_idp(self, status=None, org=None, **settings):
        body = {
            "name": "Works login", "issuer": self.provider.issuer, "client_id": "meterhouse",
            "client_secret": "a fixed secret: of tests", "groups_claim": "groups", "authoritative": True,
            "group_map": {"staff": [self.groups["Staff"]], "cloud-admins": [self.groups["Admins"]]},
            "default_groups": [self.groups["Everybody"]], **settings,
        }
        return self.house.api("PUT", f"/v1/orgs/{org or self.org}/idp", body, status)

    def shell(self, script):
        """Runs commands as an operator would who stands in the folder of the configuration."""
        shutil.copy(self.house.config, self.parts.folder / "meterhouse.toml")
        path = f"{harness.BINARY.parent}:{self.house.environment['PATH']}"
        done = subprocess.run(["bash", "-euc", script], cwd=self.parts.folder, capture_output=True,
                              env={**self.house.environment, **self.context, "PATH": path})
        assert done.returncode == 0, f"{script}\n{done.stdout.decode()}\n{done.stderr.decode()}"
        return done.stdout.decode()

    def member(self, email):
        return next((row for row in self.api("GET", "/users?limit=100")["data"] if row["email"] == email), None)

    def groups_of(self, email):
        found = self.api("GET", "/groups?limit=100")["data"]
        user = self.member(email)["id"]
        return {group["name"] for group in found if any(user in member for member in group["members"])}

    def audited(self, action):
        return len(self.house.api("GET", f"/v1/orgs/{self.house.root}/audit?action={action}&limit=100")["data"])

    def close(self):
        self.house.stop()
        self.parts.close()


def totp(secret):
    key = base64.b32decode(secret.replace(" ", "") + "=" * (-len(secret.replace(" ", "")) % 8))
    digest = hmac.new(key, struct.pack(">Q", int(time.time()) // 30), hashlib.sha1).digest()
    at = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[at:at + 4])[0] & 0x7FFFFFFF) % 1_000_000:06}"


def look(stage, name):
    """The page in four looks; it never scrolls sideways."""
    pages.SHOTS.mkdir(parents=True, exist_ok=True)
    for width, dark in ((1280, False), (1280, True), (360, False), (360, True)):
        browser = pages.chromium(stage.parts, width, dark)
        browser.get(f"{stage.house.url}/sign-in")
        browser.find_element(By.NAME, "email").send_keys("admin@example.com")
        browser.find_element(By.NAME, "password").send_keys(PASSWORD)
        pages.click(browser, browser.find_element(By.CSS_SELECTOR, "main form button"))
        for shot, org in ((name, stage.org), ("emergencies", stage.house.root)):
            browser.get(f"{stage.house.url}/o/{org}/identity")
            pages.fits(browser)
            pages.shoot(browser, f"{shot}-{width}-{'dark' if dark else 'light'}")
        browser.quit()


def test_a_domain_that_nobody_proved_leads_nowhere(stage):
    """Claimed is not enough, and a domain that is unknown tells nothing of others."""
    for email in ("ann@example.com", "dora@elsewhere.example"):
        _, status, text = Visitor(stage).open(f"/sign-in/organisation?email={email}")
        assert status == 404 and "No organisation has set up sign-in for this domain" in text, text
        url, _, _ = Visitor(stage).start(email)
        assert url.startswith(stage.house.url), "nobody is sent to the provider"
    failure = stage.api("POST", "/domains/example.com/verify", status=502)
    assert "_meterhouse.example.com" in failure["detail"], failure
    assert stage.api("POST", "/domains", {"domain": "EXAMPLE.com"}, status=409)["code"] == "domain_taken"
    claim = stage.api("GET", "/domains")["data"][0]
    stage.names.records[claim["record"]] = "meterhouse-domain=somebody-elses"
    assert "somebody-elses" in stage.api("POST", "/domains/example.com/verify", status=502)["detail"]
    stage.names.records[claim["record"]] = claim["challenge"]
    assert stage.api("POST", "/domains/example.com/verify")["verified_at"]
    assert stage.audited("domain.verify") == 1


def test_the_first_sign_in_makes_a_member_with_groups(stage):
    browser = pages.chromium(stage.parts)
    browser.get(f"{stage.house.url}/sign-in")
    pages.follow(browser, "Sign in with your organisation")
    browser.find_element(By.NAME, "email").send_keys("ann@example.com")
    pages.click(browser, browser.find_element(By.CSS_SELECTOR, "main form button"))
    assert "Works login" in pages.main_text(browser)
    pages.follow(browser, "Go on to Works login")
    assert browser.current_url.startswith(stage.provider.issuer), browser.current_url
    browser.find_element(By.NAME, "login").send_keys("ann")
    pages.click(browser, browser.find_element(By.TAG_NAME, "button"))
    harness.wait_until("the console", lambda: browser.current_url.startswith(stage.house.url))
    assert "Ann Example" in browser.find_element(By.TAG_NAME, "body").text
    browser.quit()
    assert stage.member("ann@example.com")["state"] == "active"
    assert stage.groups_of("ann@example.com") == {"Everybody", "Staff", "Admins"}
    assert stage.audited("idp.new_user") == 1


def test_the_second_sign_in_is_the_same_person(stage):
    before = stage.member("ann@example.com")["id"]
    stage.set_idp(group_map={"staff": [stage.groups["Staff"]]})
    visitor = Visitor(stage)
    visitor.sign_in("ann")
    assert visitor.is_in()
    assert stage.member("ann@example.com")["id"] == before
    assert stage.groups_of("ann@example.com") == {"Everybody", "Staff"}, "what the provider's word no longer leads to"
    assert stage.audited("idp.new_user") == 1


def test_an_answer_counts_in_its_browser_only(stage):
    url, _, _ = Visitor(stage).start("ann@example.com")
    thief = Visitor(stage)
    _, status, text = thief.open(url, login="ann")
    assert status == 400, text  # The provider itself knows another browser.
    code = f"/sign-in/callback?code=x&state=y&iss={urllib.parse.quote(stage.provider.issuer)}"
    _, status, text = thief.open(code)
    assert status == 401 and "was not begun in this browser" in text, text
    assert not thief.is_in()


def test_who_is_not_spoken_for_waits(stage):
    """An address that is not checked, and one of a domain that is not the organisation's."""
    for person, said in (("carl", "carl@example.com"), ("dora", "dora@elsewhere.example")):
        visitor = Visitor(stage)
        _, status, text = visitor.sign_in(person)
        assert status == 403 and "must let you in" in text, (person, status, text)
        assert not visitor.is_in() and not stage.member(said)
        rows = [row for row in stage.api("GET", "/waiting")["data"] if row["said_email"] == said]
        assert len(rows) == 1, rows
    look(stage, "waiting")
    carl, dora = stage.api("GET", "/waiting")["data"]
    if carl["said_email"] != "carl@example.com":
        carl, dora = dora, carl
    boss, page = Visitor(stage), f"/o/{stage.org}/identity"
    boss.password("admin@example.com")
    assert "Let in" in boss.press(page, f"waiting/{carl['user']}/let-in")[2]
    stage.api("DELETE", f"/waiting/{dora['user']}")
    visitor = Visitor(stage)
    visitor.sign_in("carl")
    assert visitor.is_in()
    assert not stage.api("GET", "/waiting")["data"]


def test_who_was_provisioned_is_one_person(stage):
    token = stage.api("POST", "/scim-tokens", {"name": "directory"})["secret"]
    bob = {"userName": "bob@example.com", "displayName": "Bob", "active": True,
           "emails": [{"value": "bob@example.com", "primary": True}]}
    request = urllib.request.Request(f"{stage.house.url}/scim/v2/Users", json.dumps(bob).encode(), method="POST")
    request.add_header("content-type", "application/scim+json")
    request.add_header("authorization", f"Bearer {token}")
    made = json.loads(urllib.request.urlopen(request, timeout=60).read())["id"]
    visitor = Visitor(stage)
    visitor.sign_in("bob")
    assert visitor.is_in()
    assert stage.member("bob@example.com")["id"] == made
    assert stage.audited("idp.new_user") == 1, "Ann alone was made by a sign-in"


def test_tokens_that_lie_are_refused(stage):
    words = {"nonce": "nonce", "audience": "aud", "expired": "exp is over", "issuer": "iss", "key": "signature",
             "unsigned": "none"}
    refused = 0
    try:
        for lie, word in words.items():
            stage.provider.lie(lie)
            visitor = Visitor(stage)
            _, status, text = visitor.sign_in("ann")
            assert status == 502 and not visitor.is_in(), (lie, status, text)
            said = re.search(r'role="alert">([^<]*)', text).group(1)
            assert "Works login" in said and word in said, (lie, said)
            refused += 1
    finally:
        stage.provider.lie("")
    visitor = Visitor(stage)
    visitor.sign_in("ann")
    assert visitor.is_in(), "the truth still works"
    print(f"        {refused} of {len(words)} lies refused")


def test_a_required_provider_leaves_a_way_back(stage):
    invitation = stage.api("POST", "/invitations", {"email": "eve@example.com", "policy": "member"})
    Visitor(stage).open("/join", secret=invitation["secret"], name="Eve", password=PASSWORD)
    eve = {"email": "eve@example.com", "password": PASSWORD, "name": "t", "days": 1}
    house = stage.house
    assert house.api("POST", "/v1/tokens", eve)["secret"]
    assert stage.set_idp(status=409, enforced=True)["code"] == "sign_in_first", "with a secret that nobody has used"
    Visitor(stage).sign_in("ann")
    stage.set_idp(enforced=True, client_secret=None)
    assert house.api("POST", "/v1/tokens", eve, status=401)["code"] == "sso_required"
    visitor = Visitor(stage)
    _, status, text = visitor.password("eve@example.com")
    assert status == 401 and "by Works login only" in text and not visitor.is_in(), text
    visitor.sign_in("ann")
    assert visitor.is_in()

    # At the top: first an account for emergencies, and that one with a second factor.
    root = {"org": house.root, "group_map": {}, "default_groups": [], "authoritative": False, "enforced": True}
    top = stage.set_idp(**{**root, "enforced": False})["id"]
    root["client_secret"] = None
    assert stage.set_idp(status=409, **root)["code"] == "sign_in_first"
    admin = house.api("GET", "/v1/me")["id"]
    let_in(stage, top, admin)
    assert stage.set_idp(status=409, **root)["code"] == "break_glass_required"
    mark = f"/v1/orgs/{house.root}/break-glass/{admin}"
    assert "a second factor" in house.api("PUT", mark, status=409)["detail"]
    boss = Visitor(stage)
    boss.password("admin@example.com")
    csrf = re.search(r'name="csrf" value="([^"]+)"', boss.open("/me/factors")[2]).group(1)
    _, _, text = boss.open("/me/factors/totp", csrf=csrf, name="Phone")
    secret, factor = re.search(r"<code>([^<]+)</code>", text).group(1), re.search(r'name="factor" value="([^"]+)"', text).group(1)
    used = totp(secret)
    boss.open("/me/factors/totp/confirm", csrf=csrf, factor=factor, code=used)
    page = f"/o/{house.root}/identity"
    assert ">marked<" in boss.press(page, "break-glass", mark=admin)[2]
    assert ">not marked<" in boss.press(page, "break-glass", unmark=admin)[2]
    house.api("PUT", mark)
    stage.set_idp(**root)
    status, text = boss.press(page, "break-glass", unmark=admin)[1:]
    assert status == 409 and "nobody else could repair it" in text, text
    assert house.api("DELETE", mark, status=409)["code"] == "break_glass_required"
    code = harness.wait_until("another code", lambda: totp(secret) != used and totp(secret), 40)
    body = {"email": "admin@example.com", "password": PASSWORD, "name": "t", "days": 1, "code": code}
    assert house.api("POST", "/v1/tokens", body)["secret"]
    assert stage.audited("break_glass.use") >= 1, "each use is an alarm"
    stage.set_idp(**{**root, "enforced": False})
    stage.set_idp()


def let_in(stage, idp, user):
    """Writes past the program that a provider let somebody in: no domain of this stage is the highest organisation's."""
    store = sqlite3.connect(stage.house.folder / "store.db", timeout=20)
    with store:
        store.execute("insert into idp_identity (realm_id, idp_id, subject, user_id, created_us, seen_us)"
                      " select realm_id, ?, 'top', user_id, ?, ? from user_account where user_id = ?",
                      (idp, *[time.time_ns() // 1_000] * 2, user))
    store.close()


def test_the_commands_of_the_page_work(stage):
    page = (harness.ROOT / "docs/sign-in.md").read_text()
    house, org = stage.house, stage.house.child(stage.house.root, "Docs", "customer")
    group = house.api("POST", f"/v1/orgs/{org}/groups", {"name": "Admins"})["id"]
    words = {"/ORG": f"/{org}", "/ROOT": f"/{house.root}", "/USER": f"/{house.api('GET', '/v1/me')['id']}",
             "https://login.example.com": stage.provider.issuer, "example.com": "docs.example", "grp_...": group,
             "ann@docs.example": "admin@example.com"}

    def here(text):
        for word, value in words.items():
            text = text.replace(word, value)
        return text

    (stage.parts.folder / "provider.json").write_text(here(re.search(r"```json\n(.*?)```", page, re.S).group(1)))
    blocks = re.findall(r"```sh\n(.*?)```", page, re.S)
    assert len(blocks) == 6, blocks
    for block in blocks:
        stage.shell(here(block))
        for claim in house.api("GET", f"/v1/orgs/{org}/domains")["data"]:
            stage.names.records[claim["record"]] = claim["challenge"]
    how = [json.loads(row["detail"])["how"] if isinstance(row["detail"], str) else row["detail"]["how"]
           for row in house.api("GET", f"/v1/orgs/{org}/audit?action=domain.verify")["data"]]
    assert sorted(how) == ["dns", "operator"], how
    assert house.api("GET", f"/v1/orgs/{org}/idp")["group_map"] == {"cloud-admins": [group]}


def test_a_provider_that_is_down_is_named(stage):
    # It must not be remembered: an address of the document may have changed as well.
    stage.provider.stop()
    house = stage.house
    failure = stage.api("POST", "/idp/test", {"issuer": stage.provider.issuer}, status=502)
    assert "cannot connect to localhost" in failure["detail"], failure
    house.stop()
    house.serve()
    visitor = Visitor(stage)
    _, status, text = visitor.start("ann@example.com")
    assert status == 502 and "Works login" in text and "refused" in text, text
    _, status, _ = visitor.password("eve@example.com")
    assert visitor.is_in(), "passwords still work"
    stage.provider.start()
    visitor = Visitor(stage)
    visitor.sign_in("ann")
    assert visitor.is_in(), "and the provider, once it is back"


if __name__ == "__main__":
    stage = Stage()
    runner = harness.Runner("identity")
    runner.run(harness.tests_of(sys.modules[__name__]), stage)
    stage.close()
    runner.end()
