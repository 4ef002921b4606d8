"""The console in a real browser: sign in, see usage, open a statement, trace a line to its records.

Screenshots, light and dark, wide and narrow, are kept in target/screenshots.
"""
import re
import subprocess
import sys

import harness
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

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
        options = webdriver.ChromeOptions()
        for flag in FLAGS + [f"--user-data-dir={self.parts.folder}/profile-{harness.free_port()}"]:
            options.add_argument(flag)
        browser = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False})
        scheme = "dark" if dark else "light"
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
        return browser

    def sign_in(self, browser, who):
        browser.get(self.url)
        assert browser.current_url.endswith("/sign-in"), browser.current_url
        browser.find_element(By.NAME, "email").send_keys(self.people[who])
        browser.find_element(By.NAME, "password").send_keys(self.password)
        click(browser, browser.find_element(By.CSS_SELECTOR, "main form button"))
        harness.wait_until("the overview", lambda: "/overview" in browser.current_url)


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

    for before, after in (("active", "suspended"), ("suspended", "active")):
        assert row().find_element(By.CSS_SELECTOR, ".badge").text == before
        row().find_element(By.TAG_NAME, "summary").click()
        click(browser, row().find_element(By.CSS_SELECTOR, "details button"))
        assert row().find_element(By.CSS_SELECTOR, ".badge").text == after
        shoot(browser, f"child-{after}")
    # The list leads on: to the people of a child, and up to the parent that one may see.
    click(browser, browser.find_element(By.CSS_SELECTOR, "main tbody a[href$='/children']"))
    assert "Parent: Northwind Cloud" in main_text(browser)
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
