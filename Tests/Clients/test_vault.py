"""Programs that read secrets from Vault read them here: proven with Vault's Python client. And the command line, and
what the files, the log and a dump of the process tell."""

import os
import stat
import subprocess

import hvac
import hvac.exceptions
import pytest
import requests
from reeve_server import BINARY, Api, environment

VALUE = "s3cr3t/with \"quotes\" & ümlaut-" + "x" * 12
PLAIN = "plain-value-" + "4f9a" * 8


@pytest.fixture
def vault(server):
    return hvac.Client(url=server.url, token=server.admin_key)


@pytest.fixture
def kv(vault):
    return vault.secrets.kv.v2


def read(kv, path, **more):
    return kv.read_secret_version(path=path, raise_on_deleted_version=True, **more)["data"]


def audit(admin):
    entries, after = [], "0"
    while after is not None:
        page = admin.get(f"/api/v1/audit?limit=500&after={after}")
        entries += page["items"]
        after = page["next"]
    return entries


def test_what_is_written_is_read_with_its_versions(kv, name):
    path = f"project/{name}/openai"
    made = kv.create_or_update_secret(path=path, secret={"key": VALUE, "count": 3})
    assert made["data"]["version"] == 1 and made["data"]["created_time"]
    kv.create_or_update_secret(path=path, secret={"key": "second-value"})
    assert read(kv, path)["data"] == {"key": "second-value"}
    assert read(kv, path)["metadata"]["version"] == 2
    assert read(kv, path, version=1)["data"] == {"key": VALUE, "count": 3}
    kv.patch(path=path, secret={"more": "third-value"})
    assert read(kv, path)["data"] == {"key": "second-value", "more": "third-value"}


def test_check_and_set(kv, name):
    path = f"user/{name}/token"
    kv.create_or_update_secret(path=path, secret={"a": "1"}, cas=0)
    with pytest.raises(hvac.exceptions.InvalidRequest, match="check-and-set parameter did not match"):
        kv.create_or_update_secret(path=path, secret={"a": "2"}, cas=0)
    kv.create_or_update_secret(path=path, secret={"a": "2"}, cas=1)
    kv.update_metadata(path=path, max_versions=5, cas_required=True, custom_metadata={"team": "ops"})
    with pytest.raises(hvac.exceptions.InvalidRequest, match="check-and-set parameter required"):
        kv.create_or_update_secret(path=path, secret={"a": "3"})
    metadata = kv.read_secret_metadata(path=path)["data"]
    assert metadata["cas_required"] and metadata["max_versions"] == 5 and metadata["custom_metadata"] == {"team": "ops"}


def test_versions_are_deleted_brought_back_and_destroyed(kv, name):
    path = f"org/{name}"
    for number in range(3):
        kv.create_or_update_secret(path=path, secret={"n": f"number {number}"})
    kv.delete_latest_version_of_secret(path=path)
    with pytest.raises(hvac.exceptions.InvalidPath):
        read(kv, path)
    gone = kv.read_secret_version(path=path, raise_on_deleted_version=False)["data"]
    assert gone["data"] is None and gone["metadata"]["deletion_time"]
    kv.undelete_secret_versions(path=path, versions=[3])
    assert read(kv, path)["data"] == {"n": "number 2"}
    kv.delete_secret_versions(path=path, versions=[1, 2])
    kv.destroy_secret_versions(path=path, versions=[1])
    kv.undelete_secret_versions(path=path, versions=[1, 2])
    versions = kv.read_secret_metadata(path=path)["data"]["versions"]
    assert [versions[n]["destroyed"] for n in "123"] == [True, False, False]
    assert versions["2"]["deletion_time"] == ""
    kv.delete_metadata_and_all_versions(path=path)
    with pytest.raises(hvac.exceptions.InvalidPath):
        kv.read_secret_metadata(path=path)


def test_paths_are_listed(kv, name):
    for path in (f"project/{name}/a", f"project/{name}/b", f"user/{name}/c"):
        kv.create_or_update_secret(path=path, secret={"v": "w"})
    assert kv.list_secrets(path=f"project/{name}")["data"]["keys"] == ["a", "b"]
    assert f"{name}/" in kv.list_secrets(path="project")["data"]["keys"]
    assert {"project/", "user/"} <= set(kv.list_secrets(path="")["data"]["keys"])
    with pytest.raises(hvac.exceptions.InvalidPath):
        kv.list_secrets(path=f"project/{name}-none")


def test_agents_read_what_they_were_granted_and_viewers_nothing(server, admin, kv, name):
    path, other = f"project/{name}/one", f"project/{name}/two"
    for each in (path, other):
        kv.create_or_update_secret(path=each, secret={"v": PLAIN})
    agent = hvac.Client(url=server.url, token=server.make_key("agent", name, name)).secrets.kv.v2
    with pytest.raises(hvac.exceptions.Forbidden):
        read(agent, path)
    granted = admin.call("PUT", f"/api/v1/secrets/{path}/grants", {"agents": [name]}, 200)
    assert granted == {"agents": [name]}
    assert read(agent, path)["data"] == {"v": PLAIN}
    assert agent.list_secrets(path=f"project/{name}")["data"]["keys"] == ["one"]
    for call in (
        lambda: read(agent, other),
        lambda: agent.create_or_update_secret(path=path, secret={"v": "w"}),
        lambda: agent.destroy_secret_versions(path=path, versions=[1]),
    ):
        with pytest.raises(hvac.exceptions.Forbidden):
            call()
    viewer = hvac.Client(url=server.url, token=server.make_key("viewer"))
    with pytest.raises(hvac.exceptions.Forbidden):
        read(viewer.secrets.kv.v2, path)
    Api(server.url, server.make_key("viewer")).refused("GET", "/api/v1/secrets", status=403, code="forbidden")
    item = [one for one in admin.get("/api/v1/secrets?limit=500")["items"] if one["path"] == path][0]
    assert item["scope"] == "project" and item["owner"] == name and item["name"] == "one" and item["version"] == 1
    assert [holder["agent"] for holder in item["holders"]] == [name]
    acts = [(entry["action"], entry["actor"]) for entry in audit(admin) if entry["target"] == f"secret:{path}"]
    assert ("secret.read", f"agent:{name}") in acts and ("secret.refused", f"agent:{name}") in acts


def test_the_client_knows_whether_it_may_and_whether_it_is_sealed(server, vault):
    assert vault.is_authenticated()
    assert not hvac.Client(url=server.url, token="reeve_admin_wrong").is_authenticated()
    assert vault.sys.read_health_status(method="GET")["sealed"] is False
    assert vault.sys.read_health_status().status_code == 200
    assert vault.sys.is_sealed() is False
    assert vault.lookup_token()["data"]["policies"] == ["admin"]
    refused = requests.get(f"{server.url}/v1/secret/data/org/x", timeout=30)
    assert refused.status_code == 403 and refused.headers["content-type"] == "application/json"
    assert list(refused.json()) == ["errors"]


def test_the_command_line(server, tmp_path, name):
    def reeve(*arguments, stdin=None, status=0):
        done = subprocess.run(
            [BINARY, "secrets", *arguments],
            env=environment(REEVE_URL=server.url, REEVE_KEY=server.admin_key, NO_COLOR="1"),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == status, done.stderr
        return done.stdout

    path = f"project/{name}/key"
    assert "version 1" in reeve("set", path, stdin=PLAIN + "\n")
    assert reeve("get", path) == PLAIN + "\n"
    assert "version 2" in reeve("set", path, "--data", "--cas", "1", stdin='{"user":"u","password":"p"}')
    assert reeve("get", path, "--field", "password") == "p\n"
    assert reeve("get", path, "--number", "1") == PLAIN + "\n"
    reeve("set", path, "--cas", "1", stdin="x", status=1)
    assert f"{name} may read it" in reeve("grant", path, name)
    listed = reeve("list", "--owner", name)
    assert path in listed and PLAIN not in listed
    (tmp_path / ".env").write_text('# for the agents\nexport OPENAI_KEY="one"\nGITHUB_TOKEN=two # mine\n')
    reeve("import", str(tmp_path / ".env"), "--to", f"user/{name}")
    assert reeve("get", f"user/{name}/GITHUB_TOKEN") == "two\n"
    reeve("delete", path)
    reeve("get", path, status=1)
    reeve("delete", path, "--all")
    assert path not in reeve("list", "--owner", name)
    reeve("set", "nowhere", stdin="x", status=1)


def test_values_are_sealed_and_the_key_is_not_made_twice(own_server):
    server = own_server.start()
    key = server.data_dir / "master.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o400
    assert "master.key" in server.log_path.read_text()
    kv = hvac.Client(url=server.url, token=server.admin_key).secrets.kv.v2
    kv.create_or_update_secret(path="org/sealed", secret={"v": PLAIN})
    assert read(kv, "org/sealed")["data"] == {"v": PLAIN}
    limits = open(f"/proc/{server.process.pid}/limits").read()
    assert [line.split()[4:6] for line in limits.splitlines() if line.startswith("Max core")] == [["0", "0"]]
    assert server.stop() == 0
    for path in server.data_dir.rglob("*"):
        if path.is_file():
            assert PLAIN.encode() not in path.read_bytes(), path
    assert PLAIN not in server.log_path.read_text() + "".join(server.output)
    kept = key.read_bytes()
    key.unlink()
    server.start()
    kv = hvac.Client(url=server.url, token=server.admin_key).secrets.kv.v2
    with pytest.raises(hvac.exceptions.VaultDown, match="master key"):
        read(kv, "org/sealed")
    assert not key.exists()
    assert server.stop() == 0
    key.write_bytes(kept)
    os.chmod(key, 0o400)
    server.start()
    kv = hvac.Client(url=server.url, token=server.admin_key).secrets.kv.v2
    assert read(kv, "org/sealed")["data"] == {"v": PLAIN}
    assert server.stop() == 0


def test_leases_are_looked_up_renewed_and_ended(server, admin, vault, kv, name):
    path = f"project/{name}/leased"
    kv.create_or_update_secret(path=path, secret={"v": PLAIN})
    admin.call("PUT", f"/api/v1/secrets/{path}/grants", {"agents": [name]}, 200)
    key = server.make_key("agent", name, name)
    agent, other = (hvac.Client(url=server.url, token=each) for each in (key, server.make_key("agent", "x", "x")))
    lease = Api(server.url, key).get(f"/api/v1/secrets/{path}/value?lease=60", 200)["leaseId"]

    found = agent.sys.read_lease(lease_id=lease)["data"]
    assert set(found) == {"id", "issue_time", "expire_time", "last_renewal", "renewable", "ttl"}
    assert found["id"] == lease and found["last_renewal"] is None and found["renewable"] and 50 <= found["ttl"] <= 60
    renewed = agent.sys.renew_lease(lease_id=lease, increment=1800)
    assert renewed["lease_id"] == lease and renewed["renewable"] and 1790 <= renewed["lease_duration"] <= 1800
    assert renewed["data"] is None and renewed["warnings"] is None and renewed["auth"] is None
    found = vault.sys.read_lease(lease_id=lease)["data"]
    assert found["last_renewal"] and found["issue_time"] < found["expire_time"] and found["ttl"] > 1700
    # Beyond what a renewal may last, and in the words of Vault's command line.
    long = agent.sys.renew_lease(lease_id=lease, increment=900_000)
    assert long["warnings"] and 86_390 <= long["lease_duration"] <= 86_400
    address = f"{server.url}/v1/sys/leases/renew/{lease}"
    reply = requests.put(address, json={"increment": "2h"}, headers={"X-Vault-Token": key}, timeout=30)
    assert reply.status_code == 200 and reply.json()["lease_id"] == lease

    # To others there is no such lease, and nothing of it ends.
    for call, said in (
        (lambda: other.sys.read_lease(lease_id=lease), "invalid lease"),
        (lambda: other.sys.renew_lease(lease_id=lease), "lease not found"),
        (lambda: agent.sys.read_lease(lease_id="secret/data/none"), "invalid lease"),
        (lambda: agent.sys.read_lease(lease_id=""), "lease_id must be specified"),
        (lambda: agent.sys.renew_lease(lease_id=lease, increment="soon"), "increment"),
    ):
        with pytest.raises(hvac.exceptions.InvalidRequest, match=said):
            call()
    assert other.sys.revoke_lease(lease_id=lease).status_code == 204
    assert agent.sys.read_lease(lease_id=lease)["data"]["id"] == lease
    viewer = hvac.Client(url=server.url, token=server.make_key("viewer"))
    with pytest.raises(hvac.exceptions.Forbidden):
        viewer.sys.read_lease(lease_id=lease)

    assert agent.sys.revoke_lease(lease_id=lease).status_code == 204
    assert agent.sys.revoke_lease(lease_id=lease).status_code == 204
    with pytest.raises(hvac.exceptions.InvalidRequest, match="invalid lease"):
        agent.sys.read_lease(lease_id=lease)
    with pytest.raises(hvac.exceptions.InvalidRequest, match="lease not found"):
        agent.sys.renew_lease(lease_id=lease)
    acts = [entry["actor"] for entry in audit(admin) if entry["action"] == "secret.lease_revoked"]
    assert acts.count(f"agent:{name}") == 1


def test_the_command_of_vault_learns_what_is_mounted(vault):
    """`vault kv` asks this before it reads or writes, and takes the version of the engine from it."""
    mount = vault.adapter.get("/v1/sys/internal/ui/mounts/secret/project/x")["data"]
    assert mount["type"] == "kv" and mount["path"] == "secret/" and mount["options"] == {"version": "2"}
    with pytest.raises(hvac.exceptions.InvalidPath):
        vault.adapter.get("/v1/sys/internal/ui/mounts/database/x")
