"""A page of Reeve in headless Chromium, with the few questions that the tests ask of it."""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.by import By

from reeve_server import until

SCREENSHOTS = os.environ.get("REEVE_SCREENSHOTS")


class Page:
    """What a browser shows of the server at `url`."""

    def __init__(self, driver, url):
        self.driver, self.url = driver, url

    def open(self, path):
        self.driver.get(self.url + path)
        # Live updates come only once the stream is open.
        until(
            lambda: self.script("return document.querySelector('#live-status')?.dataset.live") != "connecting",
            15,
            f"the live connection on {path}",
        )

    def script(self, source, *arguments):
        return self.driver.execute_script(source, *arguments)

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def attribute(self, selector, name):
        """An attribute of an element that may be replaced at any moment; None where it is not there."""
        try:
            return self.find(selector).get_attribute(name)
        except (NoSuchElementException, StaleElementReferenceException):
            return None

    def has(self, selector):
        return self.attribute(selector, "tagName") is not None

    def keys(self, *keys):
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    def chord(self, held, key):
        webdriver.ActionChains(self.driver).key_down(held).send_keys(key).key_up(held).perform()

    def click(self, selector):
        def try_it():
            try:
                self.find(selector).click()
                return True
            except (NoSuchElementException, StaleElementReferenceException):
                return False

        until(try_it, 10, f"a click on {selector}")

    def shot(self, name):
        if SCREENSHOTS:
            Path(SCREENSHOTS).mkdir(parents=True, exist_ok=True)
            self.driver.save_screenshot(str(Path(SCREENSHOTS) / f"{name}.png"))

    def complaints(self):
        """What the browser itself objected to: script errors, refused policies, missing files."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def size(self, width, height):
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )

    def scheme(self, value):
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": value}]}
        )

    def log_in(self, api):
        """By a fresh one-time link of `api`'s."""
        link = api.post("/api/v1/login-links", {}, 201)["url"]
        self.driver.get(link if link.startswith("http") else self.url + link)
        until(lambda: self.has("#main"), 15, lambda: f"the page after the login (it is {self.driver.current_url})")
        self.complaints()


def forget(driver):
    """Nobody is logged in. The page goes first: an open one that finds its session gone moves to the login by
    itself, and would take the place of the page that is asked for next."""
    driver.get("about:blank")
    driver.execute_cdp_cmd("Network.clearBrowserCookies", {})


@contextmanager
def logged_in(driver, server, width=1360):
    """A page, light and as wide as a desk's unless told otherwise, that nothing may be wrong with in the end."""
    forget(driver)
    page = Page(driver, server.url)
    page.size(width, 900)
    page.scheme("light")
    page.log_in(server.api())
    yield page
    assert page.complaints() == []


def browser(folder):
    """Chromium without a window, its profile in `folder`."""
    options = webdriver.ChromeOptions()
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--window-size=1360,900",
        "--disable-background-networking",
        f"--user-data-dir={folder}",
    ):
        options.add_argument(argument)
    options.binary_location = shutil.which("chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
