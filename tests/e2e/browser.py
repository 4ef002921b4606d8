"""The console in a real browser: sign in, see usage, open a statement, trace a line to its records.

Screenshots, light and dark, wide and narrow, are kept in target/screenshots.
"""
import base64
import datetime
import hmac
import json
import os
import re
import subprocess
import sys
import time
import urllib.request

import harness
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

SHOTS = harness.TARGET / "screenshots"
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", "--force-color-profile=srgb"]


class Stage:
    def __init__(self):
        self.parts = harness.Parts()
        log = self.parts.folder / "demo.log"
        self.process = self.parts.start([harness.BINARY, "demo", "--data-dir", self.parts.folder / "demo"], "demo.log")
        harness.wait_until("the demo's bill", lambda: "S3 at" in log.read_text() and "KeyCount" in log.read_text(), 180)
        self.text = log.read_text()
        self.url = re.search(r"console  (http://\S+)", self.text).group(1)
        self.people = dict(re.findall(r"(provider admin|department head)\s+(\S+@\S+)", self.text))
        self.password = re.search(r"password (\S+)", self.text).group(1)
        SHOTS.mkdir(parents=True, exist_ok=True)

    def browser(self, width=1280, dark=False):
        return chromium(self.parts, width, dark)

    def sign_in(self, browser, who):
        browser.get(self.url)
        assert browser.current_url.endswith("/sign-in"), browser.current_url
        browser.find_element(By.NAME, "email").send_keys(self.people[who])
        browser.find_element(By.NAME, "password").send_keys(self.password)
        click(browser, browser.find_element(By.CSS_SELECTOR, "main form button"))
        harness.wait_until("the overview", lambda: "/overview" in browser.current_url)


def chromium(parts, width=1280, dark=False):
    options = webdriver.ChromeOptions()
    for flag in FLAGS + [f"--user-data-dir={parts.folder}/profile-{harness.free_port()}"]:
        options.add_argument(flag)
    browser = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False})
    scheme = "dark" if dark else "light"
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    return browser


def click(browser, element):
    """Clicks and waits until the next page stands: the driver may come back before a redirect has."""
    before = browser.find_element(By.TAG_NAME, "html")
    element.click()

    def next_page():
        try:
            before.is_enabled()
            return False
        except StaleElementReferenceException:
            pass
        except WebDriverException as error:  # Between two pages the driver may have neither.
            if "does not belong to the document" not in str(error):
                raise
        try:
            return browser.execute_script("return document.readyState") == "complete"
        except WebDriverException:
            return False

    harness.wait_until("the next page", next_page)


def shoot(browser, name):
    height = browser.execute_script("return document.documentElement.scrollHeight")
    width = browser.execute_script("return window.innerWidth")
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                            {"width": width, "height": min(height, 4000), "deviceScaleFactor": 1, "mobile": False})
    browser.save_screenshot(str(SHOTS / f"{name}.png"))


def fits(browser):
    """No page scrolls sideways."""
    wide = browser.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0, f"{browser.current_url} is {wide} pixels too wide"


def follow(browser, text):
    click(browser, browser.find_element(By.PARTIAL_LINK_TEXT, text))


def main_text(browser):
    return browser.find_element(By.TAG_NAME, "main").text


def test_wrong_password_says_so(stage):
    browser = stage.browser()
    browser.get(stage.url + "/sign-in")
    browser.find_element(By.NAME, "email").send_keys(stage.people["provider admin"])
    browser.find_element(By.NAME, "password").send_keys("wrong")
    click(browser, browser.find_element(By.CSS_SELECTOR, "main form button"))
    assert "wrong" in main_text(browser)
    shoot(browser, "sign-in-wrong")
    browser.quit()


def test_from_overview_to_the_records_behind_a_line(stage):
    for width, dark in ((1280, False), (1280, True), (360, False), (360, True)):
        name = f"{width}-{'dark' if dark else 'light'}"
        browser = stage.browser(width, dark)
        stage.sign_in(browser, "provider admin")
        browser.get(browser.current_url.split("?")[0] + "?month=" + month_of(stage))
        assert "Research" in main_text(browser) and browser.find_elements(By.CSS_SELECTOR, "main svg")
        fits(browser)
        shoot(browser, f"overview-{name}")
        org = re.search(r"/o/(org_\w+)/", browser.current_url).group(1)
        for page in ("usage", "papers", "prices", "tree", "children", "people", "keys", "sources", "buckets", "audit", "quarantine"):
            browser.get(f"{stage.url}/o/{org}/{page}" + ("?month=" + month_of(stage) if page == "usage" else ""))
            assert browser.find_elements(By.TAG_NAME, "h1"), page
            fits(browser)
            shoot(browser, f"{page}-{name}")
        browser.get(f"{stage.url}/o/{org}/papers")
        rows = browser.find_elements(By.CSS_SELECTOR, "main table.data tr")
        click(browser, next(row for row in rows if "INV-" in row.text).find_element(By.CSS_SELECTOR, "a"))
        text = main_text(browser)
        assert "Acme Biotech" in text or "Blue Harbor" in text
        fits(browser)
        shoot(browser, f"invoice-{name}")
        click(browser, browser.find_element(By.CSS_SELECTOR, "main table.data a[href*='/lines/']"))
        assert "Why this amount" in main_text(browser)
        fits(browser)
        shoot(browser, f"line-{name}")
        browser.quit()


def month_of(stage):
    return re.search(r"closed (\d{4}-\d{2})", stage.text).group(1)


def test_a_line_reaches_its_requests(stage):
    browser = stage.browser()
    stage.sign_in(browser, "department head")
    org = re.search(r"/o/(org_\w+)/", browser.current_url).group(1)
    browser.get(f"{stage.url}/o/{org}/papers")
    shoot(browser, "head-papers")
    follow(browser, month_of(stage))
    rows = browser.find_elements(By.CSS_SELECTOR, "main table.data tr")
    row = next(row for row in rows if "requests" in row.text.lower())
    click(browser, row.find_element(By.CSS_SELECTOR, "a[href*='/lines/']"))
    assert "req_" in main_text(browser)
    shoot(browser, "head-line")
    browser.quit()


def test_a_head_sees_his_department_only(stage):
    browser = stage.browser()
    stage.sign_in(browser, "department head")
    text = browser.find_element(By.TAG_NAME, "body").text
    assert "Research" in text
    for name in ("Imaging", "Finance", "Blue Harbor", "Northwind"):
        assert name not in text, name
    assert not browser.find_elements(By.PARTIAL_LINK_TEXT, "Sources")
    shoot(browser, "head-overview")
    admin = stage.browser()
    stage.sign_in(admin, "provider admin")
    foreign = re.search(r"/o/(org_\w+)/", admin.current_url).group(1)
    for page in ("overview", "usage", "papers", "prices", "people"):
        browser.get(f"{stage.url}/o/{foreign}/{page}")
        assert "Not found" in browser.find_element(By.TAG_NAME, "body").text, page
    browser.get(stage.url + "/me")
    fits(browser)
    shoot(browser, "me")
    browser.get(stage.url + "/me/factors")
    assert "Second factors" in main_text(browser)
    fits(browser)
    shoot(browser, "factors")
    browser.quit()
    admin.quit()


def test_a_child_is_suspended_and_resumed(stage):
    browser = stage.browser()
    stage.sign_in(browser, "provider admin")
    org = re.search(r"/o/(org_\w+)/", browser.current_url).group(1)
    browser.get(f"{stage.url}/o/{org}/children")

    def row():
        return next(row for row in browser.find_elements(By.CSS_SELECTOR, "main tbody tr") if "Blue Harbor" in row.text)

    for before, after, act in (("active", "suspended", "Suspend"), ("suspended", "active", "Resume")):
        assert row().find_element(By.CSS_SELECTOR, ".badge").text == before
        click(browser, row().find_element(By.LINK_TEXT, act))
        send(browser, act)
        opened(browser, stage, f"/o/{org}/children")
        assert row().find_element(By.CSS_SELECTOR, ".badge").text == after
        shoot(browser, f"child-{after}")
    # The list leads on: to the people of a child, and up to the parent that one may see.
    click(browser, browser.find_element(By.CSS_SELECTOR, "main tbody a[href$='/children']"))
    assert "Parent: Northwind Cloud" in main_text(browser)
    browser.quit()


def org_of(browser):
    return re.search(r"/o/(org_\w+)/", browser.current_url).group(1)


def fill(browser, form, **fields):
    """Fills the fields of the form whose button has this text, by name, and sends it."""
    form = next(found for found in browser.find_elements(By.CSS_SELECTOR, "main form")
                if any(form in button.get_attribute("textContent") for button in found.find_elements(By.TAG_NAME, "button")))
    for details in form.find_elements(By.XPATH, "ancestor::details[not(@open)]"):
        details.find_element(By.TAG_NAME, "summary").click()
    for name, value in fields.items():
        field = form.find_element(By.NAME, name)
        if field.tag_name == "select":
            options = Select(field)
            found = next(option for option in options.options if value in option.text or value == option.get_attribute("value"))
            options.select_by_value(found.get_attribute("value"))
        elif field.get_attribute("type") == "checkbox":
            if field.is_selected() != value:
                field.click()
        else:
            browser.execute_script("arguments[0].value = arguments[1]", field, value)
    return form


def send(browser, form, button=None, **fields):
    found = fill(browser, form, **fields)
    label = button or form
    press = next(one for one in found.find_elements(By.TAG_NAME, "button") if label in one.get_attribute("textContent"))
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", press)
    click(browser, press)


def says(browser, text):
    assert text in main_text(browser), f"{text!r} is not said at {browser.current_url}:\n{main_text(browser)[:3000]}"


def opened(browser, stage, path):
    browser.get(stage.url + path)
    return browser


def admin_at(stage, width=1280, dark=False):
    browser = stage.browser(width, dark)
    stage.sign_in(browser, "provider admin")
    return browser, org_of(browser)


def test_an_organisation_from_its_making_to_its_end(stage):
    browser, root = admin_at(stage)
    opened(browser, stage, f"/o/{root}/children/new")
    send(browser, "Create", name="Delta = Cloud", kind="customer")
    says(browser, "must not contain")
    send(browser, "Create", name="Delta Cloud", kind="customer", address="Deichweg 1\n28195 Bremen")
    says(browser, "The organisation is created")
    delta = org_of(browser)
    send(browser, "Save", name="Delta @ Clouds", token_days="31")
    says(browser, "must not contain")
    assert browser.find_element(By.NAME, "token_days").get_attribute("value") == "31"
    send(browser, "Save", name="Delta Clouds", token_days="30")
    says(browser, "The settings are saved")
    send(browser, "Set visible costs")
    says(browser, "The settings are saved")
    send(browser, "Withhold", "Withhold")
    says(browser, "stop working until it is granted again")
    shoot(browser, "withhold-asked")
    send(browser, "Withhold", "Withhold")
    says(browser, "not granted here")
    shoot(browser, "settings-withheld")
    # Moving: choose, see what changes, confirm.
    opened(browser, stage, f"/o/{delta}/move")
    send(browser, "Show what would change", parent="Blue Harbor Media")
    says(browser, "Level afterwards")
    shoot(browser, "move-preview")
    send(browser, "Move under")
    says(browser, "The organisation has moved")
    assert "Blue Harbor" in browser.find_element(By.CSS_SELECTOR, "nav.crumbs").text
    send(browser, "Suspend", gateway="read_only")
    says(browser, "The organisation is suspended")
    send(browser, "Resume")
    says(browser, "The suspension is over")
    opened(browser, stage, f"/o/{delta}/delete")
    send(browser, "Delete", confirm="Delta")
    says(browser, "is not the name")
    shoot(browser, "delete-wrong-name")
    send(browser, "Delete", confirm="Delta Clouds", without_final_invoice=True)
    says(browser, "can be restored for thirty days")
    shoot(browser, "deleted")
    send(browser, "Restore")
    says(browser, "The organisation is restored")
    browser.quit()


def test_who_may_do_what_is_made_tried_and_explained(stage):
    browser, root = admin_at(stage)
    opened(browser, stage, f"/o/{root}/policies/new")
    send(browser, "Save", name="Invoice desk", s0_actions="invoice:viod")
    says(browser, "/statements/0/actions/0")
    says(browser, "has the fault named above")
    shoot(browser, "policy-fault")
    send(browser, "Save", "One more statement", s0_actions="invoice:read\npayment:read")
    send(browser, "Save", "Show as JSON", s1_effect="DENY", s1_actions="invoice:void", s1_c0_key="user:email",
         s1_c0_operator="StringNotEquals", s1_c0_values=stage.people["provider admin"])
    document = browser.find_element(By.NAME, "document").get_attribute("value")
    assert '"invoice:void"' in document and '"StringNotEquals"' in document, document
    shoot(browser, "policy-json")
    send(browser, "Save", "Show as a form")
    assert browser.find_element(By.NAME, "s1_c0_values").get_attribute("value") == stage.people["provider admin"]
    shoot(browser, "policy-form")
    send(browser, "Save", "Save")
    says(browser, "The policy is saved")
    # What allows something bounds everything else: as a guard-rail it would lock everybody out.
    opened(browser, stage, f"/o/{root}/policies")
    send(browser, "Lay it on", policy="Invoice desk")
    says(browser, "nobody could run the organisation or lift it again")
    opened(browser, stage, f"/o/{root}/policies/new")
    send(browser, "Save", name="No voids", s0_effect="DENY", s0_actions="invoice:void")
    opened(browser, stage, f"/o/{root}/policies")
    send(browser, "Lay it on", policy="No voids")
    shoot(browser, "guarded")
    send(browser, "Lift")
    says(browser, "None lies on the way")
    opened(browser, stage, f"/o/{root}/access?action=invoice:void")
    says(browser, "ALLOW by Organization Admin at Northwind Cloud: holds")
    before = main_text(browser)
    send(browser, "Show who could", draft=document, holder="Nora North")
    assert "this draft" in main_text(browser) and "this draft" not in before
    shoot(browser, "access-draft")
    # A group gives its members a policy.
    opened(browser, stage, f"/o/{root}/groups")
    send(browser, "Make a group", name="Desk")
    send(browser, "Put into the group", user="Nora North")
    send(browser, "Give", button="Show what would change", policy="Invoice desk")
    says(browser, "Nothing is changed yet")
    for details in browser.find_elements(By.CSS_SELECTOR, "main details"):
        browser.execute_script("arguments[0].open = true", details)
    shoot(browser, "preview")
    send(browser, "Do it")
    says(browser, "Invoice desk at Northwind Cloud")
    shoot(browser, "group-full")
    opened(browser, stage, f"/o/{root}/policies")
    send(browser, "Delete Invoice desk")
    says(browser, "have it; detach it first")
    browser.quit()


def test_people_come_change_and_go(stage):
    browser, root = admin_at(stage)
    opened(browser, stage, f"/o/{root}/people")
    send(browser, "Make an invitation", email="new@northwind.example", policy="Auditor", reach="self")
    says(browser, "It is shown this one time only")
    follow(browser, "Back to people")
    says(browser, "new@northwind.example")
    send(browser, "Cancel")
    assert "new@northwind.example" not in main_text(browser)
    # The last admin cannot go.
    me = browser.find_element(By.CSS_SELECTOR, ".account a").text
    click(browser, browser.find_element(By.LINK_TEXT, me))
    opened(browser, stage, f"/o/{root}/people")
    click(browser, browser.find_element(By.CSS_SELECTOR, "main tbody").find_element(By.LINK_TEXT, me))
    send(browser, "Remove " + me)
    says(browser, "Nobody who can sign in would be left to run the organisation")
    shoot(browser, "last-admin")
    opened(browser, stage, f"/o/{root}/people")
    ada = next(link for link in browser.find_elements(By.CSS_SELECTOR, "main tbody th a") if link.text.startswith("Ada"))
    click(browser, ada)
    shoot(browser, "person-from-above")
    opened(browser, stage, f"/o/{root}/people")
    send(browser, "Find", q="ADA@")
    assert [row.text for row in browser.find_elements(By.CSS_SELECTOR, "main tbody th")] == ["Ada"], main_text(browser)
    send(browser, "Find", q="nobody of this name")
    says(browser, "Nobody has nobody of this name in name or address")
    # A service, its policy, its token, and its end.
    opened(browser, stage, f"/o/{root}/tokens")
    send(browser, "Create the service", name="Exporter", description="writes usage to the warehouse")
    send(browser, "Give", policy="Auditor")
    says(browser, "The policy is given")
    opened(browser, stage, f"/o/{root}/tokens")
    send(browser, "Make a token", name="warehouse", days="30", actions="usage:read")
    says(browser, "mh_svc_")
    shoot(browser, "service-token")
    follow(browser, "Done")
    says(browser, "warehouse")
    shoot(browser, "tokens-full")
    send(browser, "Revoke")
    says(browser, "revoked by an admin")
    browser.quit()


def test_an_invitation_is_read_and_declined(stage):
    browser, root = admin_at(stage)
    opened(browser, stage, f"/o/{root}/people")
    send(browser, "Make an invitation", email="guest@northwind.example", policy="Auditor", reach="self")
    link = re.search(r"http\S+/join\?secret=\S+", main_text(browser)).group(0)
    for width, dark in ((1280, False), (360, True)):
        guest = stage.browser(width, dark)
        guest.get(link)
        for text in ("Northwind Cloud", "guest@northwind.example", "Auditor, here only", "Nora"):
            says(guest, text)
        fits(guest)
        shoot(guest, f"join-{width}")
        if dark:
            send(guest, "Decline")
            says(guest, "You declined the invitation to Northwind Cloud")
            guest.get(link)
            says(guest, "this invitation was used, withdrawn or is too old")
        guest.quit()
    opened(browser, stage, f"/o/{root}/people")
    assert "guest@northwind.example" not in main_text(browser)
    browser.quit()


def test_whoever_left_is_found_and_erased(stage):
    browser, root = admin_at(stage)
    opened(browser, stage, f"/o/{root}/people")
    send(browser, "Make an invitation", email="short@northwind.example", policy="Member", reach="self")
    link, name = re.search(r"http\S+/join\?secret=\S+", main_text(browser)).group(0), "Short Stay"
    guest = stage.browser()
    guest.get(link)
    send(guest, "Join", name=name, password="a long and unusual phrase")
    guest.quit()
    opened(browser, stage, f"/o/{root}/people")
    click(browser, browser.find_element(By.CSS_SELECTOR, "main tbody").find_element(By.LINK_TEXT, name))
    send(browser, "Remove " + name)
    opened(browser, stage, f"/o/{root}/people")
    follow(browser, "People without an organisation")
    says(browser, name)
    shoot(browser, "unattached-one")
    send(browser, "Erase")
    says(browser, f"Erase {name}?")
    send(browser, "Erase")
    says(browser, "Everybody belongs to an organisation")
    browser.quit()


def test_another_organisation_is_found_and_marked(stage):
    browser, root = admin_at(stage)
    browser.find_element(By.CSS_SELECTOR, ".switcher summary").click()
    shoot(browser, "switcher-open")
    browser.find_element(By.ID, "switch-q").send_keys("acme")
    click(browser, browser.find_element(By.CSS_SELECTOR, ".switcher button"))
    assert [row.text for row in browser.find_elements(By.CSS_SELECTOR, "main tbody th")] == ["Acme Biotech"], main_text(browser)
    send(browser, "Make a favourite")
    assert "★" in main_text(browser)
    opened(browser, stage, f"/o/{root}/overview")
    browser.find_element(By.CSS_SELECTOR, ".switcher summary").click()
    click(browser, browser.find_element(By.CSS_SELECTOR, ".switcher li a"))
    assert browser.find_element(By.CSS_SELECTOR, ".scope").text == "Acme Biotech"
    assert re.search(r"★\s*Northwind Cloud", browser.find_element(By.CSS_SELECTOR, "nav.crumbs").text)
    shoot(browser, "parent-with-a-star")
    browser.quit()


def test_cloud_accounts_change_hands(stage):
    browser, root = admin_at(stage)
    opened(browser, stage, f"/o/{root}/cloud")
    send(browser, "Connect to", provider="aws", external_account="123456789012", name="Master payer")
    says(browser, "connected")
    send(browser, "Connect to", provider="aws", external_account="123456789012", name="Again")
    says(browser, "hand it over instead")
    opened(browser, stage, f"/o/{root}/cloud")
    send(browser, "Hand Master payer over", to="Acme Biotech")
    says(browser, "planned")
    shoot(browser, "cloud-handed-over")
    browser.quit()


def test_an_organisation_sets_how_its_people_sign_in(stage):
    browser, root = admin_at(stage)
    opened(browser, stage, f"/o/{root}/identity")
    says(browser, "No provider of its own")
    says(browser, "lacks a second factor")
    shoot(browser, "identity-empty")
    send(browser, "Claim the domain", domain="not a domain")
    says(browser, "is not a domain such as example.com")
    assert browser.find_element(By.NAME, "domain").get_attribute("value") == "not a domain"
    send(browser, "Claim the domain", domain="northwind.example")
    says(browser, "_meterhouse.northwind.example")
    follow(browser, "Set up a provider")
    typed = {"name": "Northwind login", "issuer": "https://169.254.169.254", "client_id": "meterhouse",
             "groups_claim": "groups", "group_map": "staff = Nobodys", "mfa_contexts": "gold"}
    send(browser, "Test the connection", **typed)
    says(browser, "169.254.169.254")
    send(browser, "Save", group_map="")
    says(browser, "metadata")
    send(browser, "Save", issuer="http://127.0.0.1:9/", group_map="staff = Nobodys")
    says(browser, "is neither a group of this organisation nor an id of one")
    shoot(browser, "provider-fault")
    for name, value in {**typed, "issuer": "http://127.0.0.1:9/"}.items():
        assert browser.find_element(By.NAME, name).get_attribute("value") == value, name
    send(browser, "Test the connection")
    says(browser, "refused")  # Nobody listens there.
    send(browser, "Save", group_map="", enforced=True)
    says(browser, "let an admin of")  # Nobody has signed in by it yet.
    send(browser, "Save", enforced=False)
    says(browser, "The provider is saved")
    says(browser, "in use")
    shoot(browser, "identity-full")
    follow(browser, "Change the provider")
    assert browser.find_element(By.NAME, "client_secret").get_attribute("value") == ""
    send(browser, "Delete Northwind login")
    says(browser, "The provider is deleted")
    send(browser, "Give up")
    says(browser, "No domain is claimed yet")
    # A child's own, for the pictures further down.
    acme = child_of(browser, stage, root, "Acme Biotech")
    opened(browser, stage, f"/o/{acme}/identity")
    send(browser, "Claim the domain", domain="a-rather-long-name-of-a-domain.acme-biotech.example")
    opened(browser, stage, f"/o/{acme}/identity/provider")
    send(browser, "Save", name="Acme", issuer="http://127.0.0.1:9/a/rather/long/issuer/of/a/tenant", client_id="meterhouse")
    says(browser, "The provider is saved")
    browser.quit()


def child_of(browser, stage, org, name):
    opened(browser, stage, f"/o/{org}/children")
    return next(link.get_attribute("href").split("/")[4]
                for link in browser.find_elements(By.CSS_SELECTOR, "main tbody th a") if link.text == name)


def test_my_own_things(stage):
    browser, root = admin_at(stage)
    opened(browser, stage, "/me/tokens")
    send(browser, "Make a token", name="laptop", days="7", actions="usage:read", scope="Northwind Cloud")
    says(browser, "mh_pat_")
    follow(browser, "Done")
    says(browser, "usage:read")
    opened(browser, stage, "/me/sessions")
    says(browser, "this one")
    opened(browser, stage, "/me/password")
    send(browser, "Change the password", old=stage.password, new="a quite new password 1", again="another one")
    says(browser, "is not the same as the new password")
    browser.quit()


PASSPHRASE = "a phrase of the tests 1"


def joined(stage, name):
    """Somebody new, invited on the page and signed in, in a browser that reaches the console by name: passkeys
    belong to names."""
    admin, root = admin_at(stage)
    opened(admin, stage, f"/o/{root}/people")
    send(admin, "Make an invitation", email=f"{name}@northwind.example", policy="Auditor", reach="self")
    link = re.search(r"https?://\S+/join\S+", admin.find_element(By.TAG_NAME, "main").text).group(0)
    admin.quit()
    browser = stage.browser()
    at_home = stage.url.replace("127.0.0.1", "localhost")
    browser.get(link.replace("127.0.0.1", "localhost"))
    send(browser, "Join", name=name.title(), password=PASSPHRASE)
    return browser, at_home


def password_in(browser, home, name):
    browser.get(home + "/sign-in")
    send(browser, "Sign in", email=f"{name}@northwind.example", password=PASSPHRASE)


def sign_out(browser):
    click(browser, browser.find_element(By.XPATH, "//button[contains(., 'Sign out')]"))


def code_at(secret, step):
    """The code of an authenticator app, RFC 6238 with the usual thirty seconds, six digits and SHA-1."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.new(key, step.to_bytes(8, "big"), "sha1").digest()
    at = digest[-1] & 15
    return f"{(int.from_bytes(digest[at:at + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06}"


def test_an_authenticator_app_from_its_code_to_its_end(stage):
    browser, home = joined(stage, "tilda")
    if "/sign-in" in browser.current_url:
        password_in(browser, home, "tilda")
    browser.get(home + "/me/factors")
    send(browser, "Show the QR code", name="Phone")
    assert browser.find_elements(By.CSS_SELECTOR, "main svg")
    shoot(browser, "totp")
    secret = browser.find_element(By.CSS_SELECTOR, "main code").text.replace(" ", "")
    step = int(time.time()) // 30
    wrong = f"{(int(code_at(secret, step)) + 1) % 1_000_000:06}"
    if wrong not in (code_at(secret, step - 1), code_at(secret, step + 1)):
        send(browser, "Confirm", code=wrong)
        says(browser, "code")
        assert not browser.find_elements(By.CSS_SELECTOR, "ul.codes"), "a wrong code adds nothing"
    step = int(time.time()) // 30
    used = code_at(secret, step)
    send(browser, "Confirm", code=used)
    codes = [code.text for code in browser.find_elements(By.CSS_SELECTOR, "ul.codes code")]
    assert len(set(codes)) == 10, codes
    shoot(browser, "recovery-codes")
    follow(browser, "I have kept them")
    says(browser, "Phone")
    says(browser, "10 of your recovery codes are unused")
    sign_out(browser)
    # The password alone opens nothing; a code that was used does not either.
    password_in(browser, home, "tilda")
    says(browser, "Second step")
    shoot(browser, "second-step")
    browser.get(home + "/me")
    assert "/sign-in" in browser.current_url
    password_in(browser, home, "tilda")
    send(browser, "Sign in", code=used)
    says(browser, "Second step")
    # A code of the next half minute is taken (clocks differ), once.
    send(browser, "Sign in", code=code_at(secret, step + 1))
    assert "/sign-in" not in browser.current_url, main_text(browser)
    sign_out(browser)
    for attempt in ("in", "refused"):
        password_in(browser, home, "tilda")
        send(browser, "Sign in", code=codes[3])
        assert ("/sign-in" in browser.current_url) == (attempt == "refused"), (attempt, main_text(browser))
        if attempt == "in":
            browser.get(home + "/me/factors")
            says(browser, "9 of your recovery codes are unused")
            sign_out(browser)
    password_in(browser, home, "tilda")
    send(browser, "Sign in", code=codes[4])
    browser.get(home + "/me/factors")
    click(browser, browser.find_element(By.CSS_SELECTOR, "button[aria-label='Remove Phone']"))
    says(browser, "You have none yet")
    sign_out(browser)
    password_in(browser, home, "tilda")
    assert "/sign-in" not in browser.current_url, "without a factor the password is enough again"
    browser.quit()


def test_who_lost_everything_gets_back_in(stage):
    browser, home = joined(stage, "vera")
    if "/sign-in" in browser.current_url:
        password_in(browser, home, "vera")
    sign_out(browser)
    admin, root = admin_at(stage)
    opened(admin, stage, f"/o/{root}/people?q=vera@")
    click(admin, admin.find_element(By.CSS_SELECTOR, "main tbody th a"))
    send(admin, "Make the link")
    says(admin, "It is shown this one time only")
    shoot(admin, "reset-made")
    by_admin = re.search(r"https?://\S+/reset\S+", main_text(admin)).group(0)
    admin.quit()
    done = subprocess.run([harness.BINARY, "admin", "reset-link", "VERA@northwind.example", "--data-dir",
                           stage.parts.folder / "demo"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    by_operator = re.search(r"/reset\?secret=\S+", done.stdout).group(0)
    browser.get(by_admin.replace("127.0.0.1", "localhost"))
    says(browser, "For vera@northwind.example")
    shoot(browser, "reset")
    send(browser, "Set the password", password="short")
    says(browser, "12 to 200 characters")
    send(browser, "Set the password", password="another phrase of the tests")
    says(browser, "The password is set")
    for used in (by_admin, stage.url + by_operator):
        browser.get(used.replace("127.0.0.1", "localhost"))
        says(browser, "ask for a new one")
    password_in(browser, home, "vera")
    assert "/sign-in" in browser.current_url, "the old password is gone"
    browser.get(home + "/sign-in")
    send(browser, "Sign in", email="vera@northwind.example", password="another phrase of the tests")
    assert "/sign-in" not in browser.current_url, main_text(browser)
    browser.quit()


def press(browser, text):
    """Presses a button whose answer comes after the browser has asked its authenticator."""
    button = next(one for one in browser.find_elements(By.CSS_SELECTOR, "main button") if text in one.text)
    click(browser, button)


def test_a_passkey_signs_in_without_a_password(stage):
    browser, home = joined(stage, "pascal")
    if "/sign-in" in browser.current_url:
        password_in(browser, home, "pascal")
    browser.execute_cdp_cmd("WebAuthn.enable", {})
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
               "isUserVerified": True, "automaticPresenceSimulation": True}
    device = browser.execute_cdp_cmd("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]
    browser.get(home + "/me/factors")
    follow(browser, "Add a passkey")
    shoot(browser, "passkey")
    press(browser, "Go on")
    if browser.find_elements(By.CSS_SELECTOR, "ul.codes"):
        follow(browser, "I have kept them")
    says(browser, "Passkey")
    kept = browser.execute_cdp_cmd("WebAuthn.getCredentials", {"authenticatorId": device})["credentials"]
    assert len(kept) == 1 and kept[0]["rpId"] == "localhost" and kept[0]["isResidentCredential"], kept
    sign_out(browser)
    browser.get(home + "/sign-in")
    press(browser, "Sign in with a passkey")
    assert "/sign-in" not in browser.current_url, main_text(browser)
    assert "Pascal" in browser.find_element(By.CSS_SELECTOR, ".account").text
    sign_out(browser)
    # After the password it is the second step.
    password_in(browser, home, "pascal")
    says(browser, "Second step")
    press(browser, "Use a passkey")
    assert "/sign-in" not in browser.current_url, main_text(browser)
    # One that does not verify its user, and one that somebody else has, open nothing.
    sign_out(browser)
    browser.execute_cdp_cmd("WebAuthn.setUserVerified", {"authenticatorId": device, "isUserVerified": False})
    browser.get(home + "/sign-in")
    button = next(one for one in browser.find_elements(By.CSS_SELECTOR, "main button") if "passkey" in one.text)
    button.click()
    harness.wait_until("the refusal", lambda: "No passkey was used" in main_text(browser))
    assert "/sign-in" in browser.current_url
    shoot(browser, "passkey-refused")
    browser.execute_cdp_cmd("WebAuthn.clearCredentials", {"authenticatorId": device})
    browser.execute_cdp_cmd("WebAuthn.setUserVerified", {"authenticatorId": device, "isUserVerified": True})
    stranger = {**kept[0], "userHandle": base64.b64encode(b"somebody else").decode(), "signCount": 1}
    browser.execute_cdp_cmd("WebAuthn.addCredential", {"authenticatorId": device, "credential": stranger})
    browser.get(home + "/sign-in")
    press(browser, "Sign in with a passkey")
    assert browser.find_elements(By.CSS_SELECTOR, "input[name=password]"), main_text(browser)
    browser.get(home + "/me")
    assert "/sign-in" in browser.current_url
    # The console by number offers none: a passkey belongs to a name.
    browser.get(stage.url + "/sign-in")
    assert "passkey" not in main_text(browser)
    browser.quit()


def test_the_log_and_the_costs_can_be_taken_along(stage):
    browser, root = admin_at(stage)
    opened(browser, stage, f"/o/{root}/audit?action=org.move")
    says(browser, "org.move")
    cookies = "; ".join(f"{cookie['name']}={cookie['value']}" for cookie in browser.get_cookies())

    token = browser.find_element(By.CSS_SELECTOR, "main form[action*='/audit/export/csv'] input[name=csrf]").get_attribute("value")

    def download(path, form=None):
        """A link that is followed, or a form that is sent."""
        request = urllib.request.Request(stage.url + path, data=form, headers={"cookie": cookies})
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert "attachment" in answer.headers["content-disposition"]
            return answer.read().decode()

    log = download(f"/o/{root}/audit/export/csv?action=org.move", f"csrf={token}".encode())
    assert log.startswith("seq,at,actor") and log.count("org.move") == log.count("\n") - 1, log
    lines = download(f"/o/{root}/audit/export/jsonl", f"csrf={token}".encode()).splitlines()
    assert all(json.loads(line)["seq"] for line in lines)
    acme = re.search(r"/o/(org_\w+)/", next(
        link for link in (found.get_attribute("href") for found in opened(browser, stage, f"/o/{root}/tree").find_elements(By.LINK_TEXT, "Acme Biotech")))).group(1)
    opened(browser, stage, f"/o/{acme}/costs?month={month_of(stage)}")
    shoot(browser, "costs-month")
    click(browser, browser.find_element(By.CSS_SELECTOR, "main thead a"))
    assert browser.find_elements(By.CSS_SELECTOR, "th[aria-sort]")
    table = download(f"/o/{acme}/costs/csv?month={month_of(stage)}")
    assert table.startswith("organisation,item,") and "charged_cost" in table.splitlines()[0]
    opened(browser, stage, f"/o/{acme}/costs?month={month_of(stage)}&column=charged&more_than=1000000")
    says(browser, "No entry matches")
    browser.quit()


def test_pages_of_the_tree_and_its_people_fit(stage):
    for width, dark in ((1280, False), (1280, True), (360, False), (360, True)):
        name = f"{width}-{'dark' if dark else 'light'}"
        browser, root = admin_at(stage, width, dark)
        acme = child_of(browser, stage, root, "Acme Biotech")
        paths = {f"acme-{page.replace('/', '-')}": f"/o/{acme}/{page}" for page in
                 ("children", "children/new", "settings", "move", "delete", "people", "groups", "policies", "policies/new",
                  "access", "tokens", "cloud", "audit", "tree", "identity", "identity/provider")}
        paths |= {f"root-{page}": f"/o/{root}/{page}" for page in ("people", "groups", "policies", "tokens", "cloud", "settings", "identity")}
        paths |= {"acme-costs": f"/o/{acme}/costs?month={month_of(stage)}"}
        paths |= {"organisation": "/sign-in/organisation", "organisation-unknown": "/sign-in/organisation?email=x@y.example"}
        paths |= {"switch": "/switch", "unattached": f"/o/{root}/unattached"}
        paths |= {f"my-{page}": f"/me/{page}" for page in ("tokens", "sessions", "password")}
        for shot, path in paths.items():
            opened(browser, stage, path)
            assert browser.find_elements(By.CSS_SELECTOR, "main h1"), path
            fits(browser)
            shoot(browser, f"{shot}-{name}")
        person = opened(browser, stage, f"/o/{acme}/people").find_element(By.CSS_SELECTOR, "main tbody th a")
        click(browser, person)
        for details in browser.find_elements(By.CSS_SELECTOR, "details"):
            browser.execute_script("arguments[0].open = true", details)
        fits(browser)
        shoot(browser, f"person-{name}")
        browser.quit()


def test_what_a_head_may_not_do_is_absent(stage):
    browser = stage.browser()
    stage.sign_in(browser, "department head")
    org = org_of(browser)
    opened(browser, stage, f"/o/{org}/people")
    text = browser.find_element(By.TAG_NAME, "body").text
    assert "Policies" not in browser.find_element(By.CSS_SELECTOR, "main nav").text if browser.find_elements(By.CSS_SELECTOR, "main nav") else True
    assert "Northwind" not in text and "Audit log" not in text
    for page in ("settings", "costs"):
        opened(browser, stage, f"/o/{org}/{page}")
        text = main_text(browser)
        assert "Northwind" not in text and "Decided from above" not in text and "Margin" not in text, page
    for page in ("audit", "policies", "access", "tokens", "children/new", "delete", "move", "identity", "identity/provider"):
        opened(browser, stage, f"/o/{org}/{page}")
        assert "Not allowed" in browser.find_element(By.TAG_NAME, "body").text, page
    browser.quit()


def test_a_closing_that_fails_is_seen(stage):
    """The sum of one edge is beyond what a paper can hold: page, command line and API name it."""
    def cli(*words, text=None):
        environment = {**os.environ, "METERHOUSE_CONTEXT": str(stage.parts.folder / "cli.json")}
        return subprocess.run([harness.BINARY, *words], input=text, env=environment, capture_output=True, text=True)

    done = cli("login", stage.url, "--email", stage.people["provider admin"], text=stage.password)
    assert done.returncode == 0, done.stderr
    ids = []
    for above, name, kind in (([], "Epsilon", "customer"), (ids, "Epsilon Lab", "department")):
        done = cli("org", "create", name, "--kind", kind, "-o", "json", *(["--org", above[0]] if above else []))
        assert done.returncode == 0, done.stderr
        ids.append(json.loads(done.stdout)["id"])
    now = datetime.datetime.now(datetime.timezone.utc)
    month = now.strftime("%Y-%m")
    assert cli("meter", "define", "gpu.hours", "--unit", "hour").returncode == 0
    book, events = stage.parts.folder / "book.json", stage.parts.folder / "events.json"
    book.write_text(json.dumps({"currency": "EUR", "items": [
        {"code": "gpu", "name": "GPU", "meter": "gpu.hours", "price": {"model": "per_unit", "rate": "1000000000"}}]}))
    done = cli("price", "set", str(book), "--month", month, "--org", ids[1])
    assert done.returncode == 0, done.stderr
    events.write_text(json.dumps({
        "specversion": "1.0", "id": "huge", "source": "/lab", "type": "gpu.hours", "subject": ids[1],
        "time": now.strftime("%Y-%m-%dT%H:%M:%SZ"), "data": {"quantity": "1000000000000"}}))
    done = cli("usage", "send", str(events))
    assert done.returncode == 0, done.stderr
    done = cli("bill", "close", "--month", month, "--org", ids[0])
    assert done.returncode == 7, done
    assert f"failed, not billed: Epsilon Lab ({ids[1]}): the result of a calculation is too large" in done.stderr, done.stderr
    browser, _ = admin_at(stage)
    opened(browser, stage, f"/o/{ids[0]}/papers")
    send(browser, "Make drafts", month=month)
    says(browser, f"Epsilon Lab ({ids[1]}): the result of a calculation is too large")
    says(browser, "These could not be billed")
    fits(browser)
    shoot(browser, "papers-failed")
    browser.quit()


def test_papers_download(stage):
    folder = stage.parts.folder / "demo" / "papers"
    pdfs = sorted(folder.glob("*.pdf"))
    assert len(pdfs) == 5, pdfs
    for pdf in pdfs:
        text = subprocess.run(["pdftotext", "-layout", pdf, "-"], capture_output=True, check=True).stdout.decode()
        assert "S3" in text or "Lab" in text
    pages = subprocess.run(["pdftoppm", "-png", "-r", "60", pdfs[0], str(SHOTS / "invoice-pdf")], check=True)
    assert pages.returncode == 0


if __name__ == "__main__":
    runner = harness.Runner("browser")
    runner.run(harness.tests_of(sys.modules[__name__]), Stage())
    runner.end()
