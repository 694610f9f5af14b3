"""The page of logs in a real browser: found, followed, and led on from."""

import itertools

import pytest

from browser_page import logged_in
from reeve_server import until

# Logs are kept beside the store, so one engine tells as much as two.
ON_ENGINES = ["sqlite"]

_ids = itertools.count(1)


@pytest.fixture
def page(driver, server):
    with logged_in(driver, server) as page:
        yield page


@pytest.fixture
def correlation():
    return f"page-{next(_ids)}"


def messages(page):
    return page.script("return [...document.querySelectorAll('#log-list .about > span')].map((one) => one.textContent)")


def send(admin, correlation, *records):
    headers = {"X-Correlation-ID": correlation}
    admin.call("POST", "/api/v1/logs", [{"service": "writer"} | record for record in records], headers=headers)


def test_what_is_looked_for_is_there_and_what_comes_turns_up(page, admin, correlation):
    evil = "<script>document.title = 'owned'</script> & more"
    send(admin, correlation, {"message": "first"}, {"message": evil, "level": "error", "trace_id": "ab" * 16})
    page.open(f"/logs?correlationId={correlation}")
    until(lambda: len(messages(page)) == 2 or None, what="two records")
    assert set(messages(page)) == {"first", evil}
    assert page.script("return document.title") != "owned"
    assert page.script("return document.querySelector('#log-list [data-level=failed] .type').textContent") == "error"
    assert page.attribute("#log-list [href^='/traces/']", "href").endswith("ab" * 16)
    # Nobody loads the page again.
    send(admin, correlation, {"message": "later"})
    until(lambda: messages(page)[:1] == ["later"] or None, what="the record that comes")
    page.shot("logs")
    page.open(f"/logs?correlationId={correlation}&level=error")
    assert messages(page) == [evil]
    page.open(f"/logs?correlationId={correlation}&q=nowhere")
    assert messages(page) == []
    assert page.has("#log-list .empty")
    assert not page.complaints()


def test_pages_lead_back_in_time(page, admin, correlation):
    send(admin, correlation, *({"message": f"line {number}"} for number in range(130)))
    path = f"/api/v1/logs?correlationId={correlation}&limit=200"
    until(lambda: len(admin.get(path)["items"]) == 130 or None, what="all records")
    page.open(f"/logs?correlationId={correlation}")
    shown = messages(page)
    assert len(shown) == 100
    page.click("#log-list .pager a[rel=next], #log-list a[rel=next]")
    until(lambda: len(messages(page)) == 30 or None, what="the next page")
    assert sorted(shown + messages(page)) == sorted(f"line {number}" for number in range(130))


def test_a_filter_that_is_none_is_refused_as_a_page(admin):
    reply = admin.session.get(f"{admin.url}/logs?since=soon", headers={"accept": "text/html"})
    assert (reply.status_code, reply.headers["content-type"]) == (422, "text/html; charset=utf-8")
