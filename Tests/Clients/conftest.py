import itertools
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

from browser_page import browser  # noqa: E402
from gateway_kit import anthropic_of, openai_of, script, serving  # noqa: E402
from reeve_server import BINARY, ENGINES, STORES, Server  # noqa: E402

_numbers = itertools.count(1)


def pytest_collection(session):
    if not Path(BINARY).exists():
        pytest.exit(f"{BINARY} is not there: build it with `swift build`, or name another one in REEVE_TEST_BINARY.", 2)


# Files that take longest come first, so that none of them is what everybody waits for in the end.
LONGEST = [
    "test_alert_rules", "test_openapi", "test_drills", "test_batches", "test_judge", "test_model_outage",
    "test_fault_postgres", "test_budgets", "test_demo", "test_continuation", "test_metrics", "test_export",
    "test_trace_pages", "test_browser", "test_fault_disk", "test_gateway_metrics",
]  # fmt: skip


def pytest_collection_modifyitems(items):
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.module.__name__, len(ranks)))


def pytest_generate_tests(metafunc):
    """A test that takes `engine` (most do, through `server`) runs on each engine that its module names."""
    if "engine" in metafunc.fixturenames:
        wanted = getattr(metafunc.module, "ON_ENGINES", ENGINES)
        metafunc.parametrize("engine", [name for name in wanted if name in STORES], scope="session")


@pytest.fixture(scope="session")
def server(engine, tmp_path_factory):
    """One server per engine for all tests that do not disturb others."""
    server = Server(tmp_path_factory.mktemp(f"server-{engine}"), engine).start()
    yield server
    assert server.stop() == 0


@pytest.fixture(autouse=True)
def nobody_kills_the_server(request):
    """A test that brings the shared server down is the one that fails; those after it get it back."""
    shared = request.getfixturevalue("server") if "server" in request.fixturenames else None
    yield
    if shared and shared.process.poll() is not None:
        end = f"the server ended with {shared.process.returncode}: {shared.tail()}"
        shared.start()
        pytest.fail(end)


@pytest.fixture
def own_server(engine, tmp_path):
    """A server of the test's own, started by the test, to be killed and restarted at will."""
    server = Server(tmp_path / "data", engine)
    yield server
    if server.process and server.process.poll() is None:
        server.kill()


@pytest.fixture
def name(request):
    """A name that no other test uses, for queues, projects and agents."""
    return f"{request.function.__name__.removeprefix('test_')[:40]}-{next(_numbers)}-{id(request) % 10_000}"


@pytest.fixture(scope="session")
def admin(server):
    return server.api()


def _role(role):
    @pytest.fixture(scope="session", name=role)
    def fixture(server):
        return server.api(server.make_key(role))

    return fixture


operator, viewer, ingest = _role("operator"), _role("viewer"), _role("ingest")


@pytest.fixture
def agent(server, name):
    """An agent of the test's own; `agent.agent` is its name."""
    return server.make_agent(f"agent-{name}")


@pytest.fixture
def other(server, name):
    return server.make_agent(f"other-{name}")


# --- The model gateway: a module that has a `reeve` of its own, before these two models, gets the rest from here ------


@pytest.fixture(scope="module")
def main():
    """The address of a scripted model."""
    with serving() as address:
        yield address


@pytest.fixture(scope="module")
def backup():
    with serving() as address:
        yield address


@pytest.fixture
def plain(main, backup):
    """Both models answer without a script, whatever the test before told them."""
    script(main)
    script(backup)


@pytest.fixture(scope="module")
def key(reeve):
    return reeve.make_agent("writer").key


@pytest.fixture(scope="module")
def chat(reeve, key):
    """OpenAI's client, as the agent `writer`."""
    return openai_of(reeve, key)


@pytest.fixture(scope="module")
def claude(reeve, key):
    """Anthropic's client, as the same agent."""
    return anthropic_of(reeve, key)


# --- The pages --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    driver = browser(tmp_path_factory.mktemp("chromium"))
    yield driver
    driver.quit()
