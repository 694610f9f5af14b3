"""Secrets, and what holds for an agent, in a real browser: what is typed is kept, sealed, and shown nowhere."""

import pytest

from browser_page import logged_in
from reeve_server import until

ON_ENGINES = ["sqlite"]
VALUE = "typed-on-the-page-4711"


@pytest.fixture
def page(driver, server):
    with logged_in(driver, server) as page:
        yield page


def fits(page):
    return page.script("return document.documentElement.scrollWidth <= innerWidth")


def test_a_secret_is_written_granted_and_destroyed(page, admin, name):
    path = f"project/{name}/key"
    page.open("/secrets")
    page.click("[data-action=new-secret-menu]")
    page.find("#new-secret [name=path]").send_keys(path)
    page.find("#new-secret [name=value]").send_keys(VALUE)
    page.click("#new-secret [data-action=write-secret]")
    until(lambda: page.has(f'tr[data-secret-path="{path}"]'), 10, "the new secret in the list")
    assert admin.get(f"/api/v1/secrets/{path}/value")["data"] == {"value": VALUE}
    page.open(f"/secrets/{path}")
    page.click("[data-action=write-menu]")
    page.find("#secret-write [name=value]").send_keys(VALUE + "-2")
    page.click("[data-action=write-secret]")
    until(lambda: page.has('tr[data-version="2"]'), 10, "the second version")
    assert page.script("return document.querySelector('#secret-write [name=value]').value") == ""
    page.find("#grant-form [name=agent]").send_keys(name)
    page.click("[data-action=grant]")
    until(lambda: page.has(f'tr[data-grant="{name}"]'), 10, "the grant")
    page.script("window.confirm = () => true")
    page.click('tr[data-version="1"] [data-action=destroy-version]')
    until(lambda: page.attribute('tr[data-version="1"]', "data-state") == "failed", 10, "the destroyed version")
    page.click(f'tr[data-grant="{name}"] [data-action=revoke]')
    until(lambda: not page.has(f'tr[data-grant="{name}"]'), 10, "the revoked grant")
    assert VALUE not in page.driver.page_source and "?" not in page.driver.current_url
    assert admin.get(f"/api/v1/secrets/{path}/grants") == {"agents": []}
    for width in (1280, 390):
        page.size(width, 900)
        for address in ("/secrets", f"/secrets/{path}"):
            page.open(address)
            assert fits(page), (address, width)
            page.shot(f"{'secret' if path in address else 'secrets'}-{width}")


def test_a_value_is_set_against_what_was_read(page, admin, name):
    manifest = "models: {main: gpt-4o-2024-08-06}\nlimits: {maxTokens: 1000}\n"
    admin.post(f"/api/v1/agents/{name}/bundles", {"files": [{"path": "agent.yaml", "content": manifest}]})
    api = f"/api/v1/agents/{name}/config/values/limits.maxTokens"
    page.open(f"/agents/{name}/config?q=maxTokens&user=ann")
    row = 'tr[data-config-key="limits.maxTokens"] '
    form = f"{row}details[open] form[data-method=PUT] "
    page.click(f"{row}[data-action=edit-environment]")

    def put(value):
        field = page.find(f"{form}[name=value]")
        field.clear()
        field.send_keys(value)
        page.click(f"{form}button")

    admin.call("PUT", api, {"layer": "environment", "value": 900}, 200)
    put("700")
    until(lambda: "has changed since it was read" in page.find("#toasts").text, 10, "that somebody was faster")
    assert admin.get(api)["value"] == 900
    page.open(f"/agents/{name}/config?q=maxTokens&user=ann")
    page.click(f"{row}[data-action=edit-environment]")
    put("lots")
    until(lambda: "a whole number" in page.find("#toasts").text, 10, "what is wrong with it")
    put("700")
    until(lambda: admin.get(api)["value"] == 700, 10, "the new value")
    for width in (1280, 390):
        page.size(width, 900)
        page.open(f"/agents/{name}/config?user=ann")
        assert fits(page), width
        page.shot(f"config-{width}")
    # The browser itself tells of the two refusals, and of nothing else.
    refusals = page.complaints()
    assert len(refusals) == 2 and all("limits.maxTokens" in refusal for refusal in refusals), refusals


def test_a_value_is_replaced_step_by_step(page, admin, name):
    path = f"project/{name}/key"
    admin.call("PUT", f"/api/v1/secrets/{path}", {"value": VALUE}, 200)
    assert admin.get(f"/api/v1/secrets/{path}/value")["version"] == 1
    page.open(f"/secrets/{path}")
    page.click("[data-action=stage-menu]")
    page.find("#secret-stage [name=value]").send_keys(VALUE + "-2")
    page.click("[data-action=stage]")
    until(lambda: page.attribute("[data-rotation]", "data-rotation") == "scheduled", 10, "the staged value")
    assert admin.get(f"/api/v1/secrets/{path}/value")["version"] == 1
    page.click("[data-action=vouch-menu]")
    page.find("#secret-vouch [name=reason]").send_keys("called by hand")
    page.click("[data-action=vouch]")
    until(lambda: page.attribute("[data-rotation]", "data-rotation") == "ready", 10, "the verified value")
    page.script("window.confirm = () => true")
    page.click("[data-action=rotation-issue]")
    until(lambda: page.attribute("[data-rotation]", "data-rotation") == "running", 10, "the overlap")
    assert admin.get(f"/api/v1/secrets/{path}/value")["version"] == 2
    assert page.has("tr[data-rotation-user]") and page.has("[data-waits-for]")
    for width in (1280, 390):
        page.size(width, 900)
        page.open(f"/secrets/{path}")
        assert fits(page), width
        page.shot(f"secret-rotation-{width}")
    page.size(1280, 900)
    page.script("window.confirm = () => true")
    page.click("[data-action=compromise-menu]")
    page.find("#secret-compromise option[value='1']").click()
    page.find("#secret-compromise [name=reason]").send_keys("it stood in a ticket")
    page.click("[data-action=compromise]")
    until(lambda: admin.get(f"/api/v1/secrets/{path}/rotation")["compromised"], 10, "the cut")
    assert VALUE not in page.driver.page_source
