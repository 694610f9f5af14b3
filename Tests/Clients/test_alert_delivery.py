"""Alerts come in from a real Prometheus and from amtool, and go out to a real Alertmanager, a mail server and others."""

import base64
import email
import http.server
import json
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from email.header import decode_header, make_header
from pathlib import Path

import pytest
import requests
import yaml
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult
from reeve_server import BINARY, Server, die_with_parent, environment, until
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

ON_ENGINES = ["sqlite"]

PROGRAMS = {name: shutil.which(name) for name in ("prometheus", "prometheus-alertmanager", "amtool", "openssl")}
if os.environ.get("CI") and not all(PROGRAMS.values()):
    raise RuntimeError(f"not all of these are there, and these tests are nothing without them: {PROGRAMS}")

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
PASSWORD = "correct horse"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Hooks(http.server.ThreadingHTTPServer):
    """Takes whatever is posted, and answers as it is told."""

    def __init__(self):
        self.taken, self.answers = [], []
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def at(self, path):
        return [(headers, body) for where, headers, body in list(self.taken) if where == path]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.taken.append((self.path, dict(self.headers), body))
        status, headers = self.server.answers.pop(0) if self.server.answers else (200, {})
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


class Mails:
    """A mail server that wants TLS and a password."""

    def __init__(self, folder):
        self.mails, self.logins = [], []
        self.cert = folder / "cert.pem"
        subprocess.run(
            [
                PROGRAMS["openssl"], "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout",
                str(folder / "key.pem"), "-out", str(self.cert),
            ],
            check=True, capture_output=True,
        )  # fmt: skip
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.cert, folder / "key.pem")
        outer = self

        class Safe(Controller):
            def factory(self):
                return SMTP(
                    self.handler, require_starttls=True, tls_context=context, auth_required=True,
                    authenticator=outer.check, auth_require_tls=True,
                )  # fmt: skip

        self.server = Safe(self, hostname="127.0.0.1", port=free_port())
        self.server.start()

    def check(self, server, session, envelope, mechanism, data):
        self.logins.append((mechanism, data.login, data.password))
        return AuthResult(success=data.password == PASSWORD.encode())

    async def handle_DATA(self, server, session, envelope):
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, email.message_from_bytes(envelope.content)))
        return "250 taken"


class Program:
    def __init__(self, command, url, ready):
        self.url = url
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(),
            preexec_fn=die_with_parent,
        )  # fmt: skip
        until(lambda: self.answers(ready), 30, command[0])

    def answers(self, path):
        try:
            return requests.get(self.url + path, timeout=2).status_code == 200
        except requests.ConnectionError:
            return False

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


def unpacked_alertmanager(folder, request):
    """Debian's Alertmanager looks for its templates where the package puts them when it is installed. Here it is
    unpacked alone, so a copy is made that looks where they are."""
    installed = b"/usr/share/prometheus/alertmanager"
    templates = Path(PROGRAMS["prometheus-alertmanager"]).parents[2] / "usr/share/prometheus/alertmanager"
    program = folder / "alertmanager"
    if Path(installed.decode()).exists() or not templates.exists():
        return PROGRAMS["prometheus-alertmanager"]
    # A name of the same length: slashes more or less are the same place.
    link = Path(tempfile.mkdtemp(prefix="am", dir="/tmp")) / "t"
    link.symlink_to(templates)
    request.addfinalizer(lambda: shutil.rmtree(link.parent))
    name = str(link).encode().ljust(len(installed), b"/")
    assert len(name) == len(installed), name
    content = Path(PROGRAMS["prometheus-alertmanager"]).read_bytes()
    program.write_bytes(content.replace(installed, name))
    program.chmod(0o755)
    return str(program)


@pytest.fixture(scope="module")
def place(tmp_path_factory, request):
    """Reeve with a receiver of each kind, each with something real behind it."""
    if not all(PROGRAMS.values()):
        pytest.skip("Alertmanager or Prometheus is not there")
    folder = tmp_path_factory.mktemp("delivery")
    hooks, mails = Hooks(), Mails(folder)
    (folder / "am.yml").write_text(
        yaml.safe_dump(
            {
                "route": {"receiver": "back", "group_wait": "0s", "group_interval": "1s", "group_by": ["..."]},
                "receivers": [{"name": "back", "webhook_configs": [{"url": f"{hooks.url}/from-alertmanager"}]}],
            }
        )
    )
    port = free_port()
    manager = Program(
        [
            unpacked_alertmanager(folder, request), f"--config.file={folder}/am.yml", f"--storage.path={folder}/am",
            f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
        ],
        f"http://127.0.0.1:{port}", "/-/ready",
    )  # fmt: skip
    for name, text in {"hook.secret": SECRET, "mail.password": PASSWORD, "slack.url": f"{hooks.url}/slack/T0"}.items():
        (folder / name).write_text(text + "\n")
    receivers = [
        {"name": "web", "kind": "webhook", "url": f"{hooks.url}/web", "secretFile": "hook.secret"},
        {"name": "other", "kind": "alertmanager", "url": manager.url},
        {"name": "pager", "kind": "pagerduty", "url": hooks.url, "routingKeyFile": "hook.secret"},
        {"name": "chat", "kind": "slack", "urlFile": "slack.url"},
        {"name": "push", "kind": "ntfy", "url": f"{hooks.url}/my-topic"},
        {
            "name": "mail", "kind": "smtp", "url": f"smtp://127.0.0.1:{mails.server.port}", "from": "reeve@example.org",
            "to": ["ann@example.org", "bob@example.org"], "username": "reeve", "passwordFile": "mail.password",
            "tls": "required", "caFile": "cert.pem",
        },
        {"name": "guarded", "kind": "webhook", "url": f"{hooks.url}/guarded", "allowPrivate": False},
    ]  # fmt: skip
    names = [receiver["name"] for receiver in receivers]
    config = folder / "reeve.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "alerts": {
                    "receivers": [{"allowPrivate": True, **receiver} for receiver in receivers],
                    "route": {
                        "receiver": "web", "groupWait": "0s", "groupInterval": "1s", "groupBy": ["alertname"],
                        "routes": [{"receiver": name, "continue": True} for name in names],
                    },
                }
            }
        )  # fmt: skip
    )
    server = Server(folder / "data", "sqlite", ["--config", str(config)]).start()
    server.hooks, server.mails, server.manager = hooks, mails, manager
    yield server
    assert server.stop() == 0
    manager.stop()
    mails.server.stop()
    hooks.shutdown()


def amtool(url, key, *arguments, check=True):
    if key:
        url = url.replace("http://", f"http://x:{key}@")
    done = subprocess.run(
        [PROGRAMS["amtool"], f"--alertmanager.url={url}", *arguments], capture_output=True, text=True, timeout=30,
        env=environment(),
    )  # fmt: skip
    assert not check or done.returncode == 0, done.stderr
    return done


def alerts(url, key, *filters):
    return json.loads(amtool(url, key, "alert", "query", "-o", "json", *filters).stdout)


def test_every_receiver_hears_of_the_beginning_and_the_end(place):
    key, hooks = place.make_key("operator"), place.hooks
    amtool(place.url, key, "alert", "add", "DiskFull", "agent=writer", "severity=critical",
           "--annotation=summary=The disk is full: ü")  # fmt: skip
    until(lambda: place.mails.mails and all(hooks.at(path) for path in ("/web", "/v2/enqueue", "/slack/T0", "/")), 10)

    headers, body = hooks.at("/web")[0]
    told = Webhook(SECRET).verify(body, headers)
    assert told["version"] == "4" and told["status"] == "firing" and told["receiver"] == "web"
    assert told["groupKey"].endswith(':{alertname="DiskFull"}')
    assert told["alerts"][0]["labels"] == {"alertname": "DiskFull", "agent": "writer", "severity": "critical"}
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body + b" ", headers)

    # The other Alertmanager has the alert as it is, and with the same fingerprint.
    found = until(lambda: alerts(place.manager.url, None, "DiskFull"), 10)
    assert found[0]["labels"] == told["alerts"][0]["labels"]
    assert found[0]["fingerprint"] == told["alerts"][0]["fingerprint"]
    assert found[0]["annotations"] == {"summary": "The disk is full: ü"}

    event = json.loads(hooks.at("/v2/enqueue")[0][1])
    assert event["event_action"] == "trigger" and event["routing_key"] == SECRET
    assert event["payload"]["severity"] == "critical"
    assert "DiskFull" in json.loads(hooks.at("/slack/T0")[0][1])["text"]
    assert json.loads(hooks.at("/")[0][1])["topic"] == "my-topic"

    sender, recipients, mail = place.mails.mails[0]
    assert (sender, recipients) == ("reeve@example.org", ["ann@example.org", "bob@example.org"])
    assert str(make_header(decode_header(mail["Subject"]))) == "[FIRING:1] DiskFull"
    assert "The disk is full: ü" in mail.get_payload(decode=True).decode()
    assert place.mails.logins[0][1:] == (b"reeve", PASSWORD.encode())

    amtool(place.url, key, "alert", "add", "DiskFull", "agent=writer", "severity=critical",
           f"--end={time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}")  # fmt: skip
    until(lambda: len(hooks.at("/web")) > 1 and len(place.mails.mails) > 1, 10)
    assert Webhook(SECRET).verify(*reversed(hooks.at("/web")[-1]))["status"] == "resolved"
    until(lambda: not alerts(place.manager.url, None, "DiskFull"), 10)
    actions = [json.loads(body)["event_action"] for _, body in hooks.at("/v2/enqueue")]
    assert actions == ["trigger", "resolve"]
    keys = {json.loads(body)["dedup_key"] for _, body in hooks.at("/v2/enqueue")}
    assert len(keys) == 1

    # An address of this machine is not asked where that is not allowed, and no secret is told of.
    assert not hooks.at("/guarded")
    log = place.api().get("/api/v1/notifications/deliveries")["items"]
    assert {item["state"] for item in log if item["receiver"] == "guarded"} == {"refused"}
    assert {item["state"] for item in log if item["receiver"] != "guarded"} == {"delivered"}
    everything = json.dumps(log) + place.log_path.read_text() + "".join(place.output)
    everything += json.dumps(place.api().get("/api/v1/notifications/receivers"))
    for secret in (SECRET, PASSWORD, "/slack/T0"):
        assert secret not in everything


def test_amtool_silences(place):
    key = place.make_key("operator")
    silence = amtool(place.url, key, "silence", "add", "alertname=Quiet", "team=~a|b", "-c", "planned", "-d", "1h")
    identity = silence.stdout.strip()
    amtool(place.url, key, "alert", "add", "Quiet", "team=a")
    amtool(place.url, key, "alert", "add", "Quiet", "team=c")
    until(lambda: any(b'"team":"c"' in body for _, body in place.hooks.at("/web")), 10)
    assert not any(b'"team":"a"' in body for _, body in place.hooks.at("/web"))
    assert [alert["labels"]["team"] for alert in alerts(place.url, key, "alertname=Quiet")] == ["c"]
    shown = json.loads(amtool(place.url, key, "alert", "query", "--silenced", "-o", "json", "alertname=Quiet").stdout)
    assert [alert["status"]["silencedBy"] for alert in shown] == [[identity]]
    listed = json.loads(amtool(place.url, key, "silence", "query", "-o", "json").stdout)
    assert [(one["id"], one["comment"]) for one in listed] == [(identity, "planned")]
    assert identity in amtool(place.url, key, "silence", "query", "alertname=Quiet").stdout
    amtool(place.url, key, "silence", "expire", identity)
    assert json.loads(amtool(place.url, key, "silence", "query", "-o", "json").stdout) == []
    until(lambda: any(b'"team":"a"' in body for _, body in place.hooks.at("/web")), 10)
    everything = amtool(place.url, key, "silence", "add", "alertname=~.+", "-c", "x", "-d", "1h", check=False)
    assert everything.returncode != 0 and "match every alert" in everything.stderr, everything.stderr

    # Whoever may only look is told so in words that amtool shows.
    refused = amtool(place.url, place.make_key("viewer"), "silence", "add", "a=b", "-c", "x", check=False)
    assert refused.returncode != 0
    routes = amtool(place.url, key, "config", "routes", "test", "team=a")
    assert "web" in routes.stdout and "mail" in routes.stdout
    types = [event["type"] for event in place.api().events() if event["type"].startswith("silence")]
    assert types == ["silence.created", "silence.expired"]
    audit = place.api().get("/api/v1/audit?limit=500")["items"]
    assert [one["actor"] for one in audit if one["action"] == "silence.created"] == ["operator:a test's operator"]


def test_a_prometheus_sends_its_alerts(place, tmp_path):
    (tmp_path / "rules.yml").write_text(
        yaml.safe_dump(
            {
                "groups": [
                    {
                        "name": "g", "interval": "1s",
                        "rules": [
                            {
                                "alert": "FromPrometheus", "expr": "vector(3) > 2", "labels": {"severity": "warning"},
                                "annotations": {"summary": "it is {{ $value }}"},
                            }
                        ],
                    }
                ]
            }
        )  # fmt: skip
    )
    config = {
        "global": {"evaluation_interval": "1s"},
        "rule_files": ["rules.yml"],
        "alerting": {
            "alertmanagers": [
                {
                    "authorization": {"credentials": place.make_key("ingest")},
                    "static_configs": [{"targets": [place.url.removeprefix("http://")]}],
                }
            ]
        },
    }
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    prometheus = Program(
        [
            PROGRAMS["prometheus"], f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
            # The first one goes before it knows where to.
            "--rules.alert.resend-delay=1s",
        ],
        f"http://127.0.0.1:{port}", "/-/ready",
    )  # fmt: skip
    try:
        key = place.make_key("viewer")
        found = until(lambda: alerts(place.url, key, "FromPrometheus"), 20)
        assert found[0]["labels"] == {"alertname": "FromPrometheus", "severity": "warning"}
        assert found[0]["annotations"] == {"summary": "it is 3"}
        assert f":{port}/graph" in found[0]["generatorURL"]
        assert {receiver["name"] for receiver in found[0]["receivers"]} >= {"web", "mail"}
        until(lambda: any(b"FromPrometheus" in body for _, body in place.hooks.at("/web")), 10)
    finally:
        prometheus.stop()


def test_a_crash_neither_loses_nor_repeats(place):
    key = place.make_key("operator")
    amtool(place.url, key, "alert", "add", "Crash", "n=1")
    until(lambda: any(b'"Crash"' in body for _, body in place.hooks.at("/web")), 10)
    log = until(
        lambda: [
            one for one in place.api().get("/api/v1/notifications/deliveries?receiver=web")["items"]
            if "Crash" in one["group"]
        ],
        10,
    )  # fmt: skip
    assert len(log) == 1
    place.kill()
    place.start()
    amtool(place.url, key, "alert", "add", "Crash2")
    until(lambda: any(b'"Crash2"' in body for _, body in place.hooks.at("/web")), 10)
    told = [body for _, body in place.hooks.at("/web") if b'"Crash"' in body]
    assert len(told) == 1


def test_what_a_receiver_answers_decides_whether_it_is_asked_again(place):
    hooks, key = place.hooks, place.make_key("operator")

    def reeve(*arguments):
        return subprocess.run(
            [BINARY, "alerts", *arguments, "--url", place.url, "--key", key], capture_output=True, text=True, timeout=30
        )

    hooks.answers[:] = [(302, {"location": f"{hooks.url}/elsewhere"})]
    refused = reeve("send-test", "web")
    assert refused.returncode == 1 and "redirects are not followed" in refused.stdout
    assert not hooks.at("/elsewhere")
    assert reeve("send-test", "web").returncode == 0
    assert reeve("send-test", "mail").returncode == 0
    assert reeve("send-test", "nobody").returncode == 1
    made = reeve("silence", "add", "alertname=Never", "--for", "2h", "--comment", "x")
    assert made.returncode == 0, made.stderr
    identity = made.stdout.strip()
    assert identity in reeve("silence", "list").stdout
    assert reeve("silence", "expire", identity).returncode == 0
    assert identity not in reeve("silence", "list").stdout
    again = reeve("silence", "expire", identity)
    assert again.returncode == 1 and "ended already" in again.stderr
    assert "delivered" in reeve("deliveries", "--receiver", "mail").stdout
