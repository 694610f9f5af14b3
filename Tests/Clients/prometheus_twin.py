"""A real Prometheus with the samples that Reeve has, so that both can be asked the same."""

import json
import math
import struct
import subprocess
import time

import requests
from reeve_server import die_with_parent, environment, until

# Prometheus, `model/value`: the value that says that a series has ended.
STALE = object()
_STALE_BITS = 0x7FF0000000000002


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number >= 0x80:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(parts) + bytes([number])


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _bits(value) -> bytes:
    return struct.pack("<Q", _STALE_BITS) if value is STALE else struct.pack("<d", value)


def _snappy(content: bytes) -> bytes:
    """Snappy's block format (google/snappy, `format_description.txt`) with literals alone."""
    parts = [_varint(len(content))]
    for start in range(0, len(content), 60_000):
        piece = content[start : start + 60_000]
        parts += [bytes([61 << 2]), struct.pack("<H", len(piece) - 1), piece]
    return b"".join(parts)


class Twin:
    """Prometheus on a free port, filled by remote write."""

    def __init__(self, program: str, folder, port: int):
        (folder / "prometheus.yml").write_text("{}")
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            [
                program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver",
                "--storage.tsdb.retention.time=90d", "--log.level=warn",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(), preexec_fn=die_with_parent,
        )  # fmt: skip
        until(self._is_ready, 60, "Prometheus")

    def _is_ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/-/ready", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)

    def write(self, samples: dict[tuple, list[tuple[int, float]]]) -> None:
        """Series by their labels, in the order of their times, as Prometheus takes nothing that lies far back."""
        times = sorted({time for one in samples.values() for time, _ in one})
        slices = [times[start : start + 200] for start in range(0, len(times), 200)]
        at = {labels: 0 for labels in samples}
        for piece in slices:
            request = b""
            for labels, one in samples.items():
                content = b"".join(
                    _field(1, _field(1, name.encode()) + _field(2, value.encode())) for name, value in sorted(labels)
                )
                start = at[labels]
                while at[labels] < len(one) and one[at[labels]][0] <= piece[-1]:
                    moment, value = one[at[labels]]
                    content += _field(2, b"\x09" + _bits(value) + b"\x10" + _varint(moment))
                    at[labels] += 1
                if at[labels] > start:
                    request += _field(1, content)
            headers = {"Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "0.1.0"}
            reply = requests.post(f"{self.url}/api/v1/write", data=_snappy(request), headers=headers, timeout=60)
            assert reply.status_code == 204, reply.text


def _number(value: float):
    if math.isnan(value):
        return "NaN"
    return value if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"


def otlp(samples: dict[tuple, list[tuple[int, float]]], most: int = 20_000) -> list[bytes]:
    """The same samples as OTLP gauges, whose names and labels come over as they are."""
    bodies, metrics, count = [], [], 0

    def finish():
        nonlocal metrics, count
        if metrics:
            bodies.append(json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]}).encode())
        metrics, count = [], 0

    for labels, one in samples.items():
        named = dict(labels)
        name = named.pop("__name__")
        attributes = [{"key": key, "value": {"stringValue": value}} for key, value in named.items()]
        points = []
        for moment, value in one:
            point = {"timeUnixNano": str(moment * 1_000_000), "attributes": attributes}
            points.append(point | ({"flags": 1} if value is STALE else {"asDouble": _number(value)}))
        metrics.append({"name": name, "gauge": {"dataPoints": points}})
        count += len(points)
        if count >= most:
            finish()
    finish()
    return bodies


def differences(one: dict, other: dict, tolerance: float = 1e-9) -> str | None:
    """What tells two answers of the API apart; `None` where they say the same."""
    if one["status"] != other["status"]:
        return f"{one} / {other}"[:600]
    if one["status"] == "error":
        return None if one["errorType"] == other["errorType"] else f"{one} / {other}"
    if one["data"]["resultType"] != other["data"]["resultType"]:
        return f"{one['data']['resultType']} / {other['data']['resultType']}"
    kind = one["data"]["resultType"]
    if kind in ("scalar", "string"):
        return _values([one["data"]["result"]], [other["data"]["result"]], tolerance)
    word = "value" if kind == "vector" else "values"
    lists = [
        {json.dumps(series["metric"], sort_keys=True): series[word] for series in answer["data"]["result"]}
        for answer in (one, other)
    ]
    if lists[0].keys() != lists[1].keys():
        return f"series {sorted(lists[0].keys() ^ lists[1].keys())[:4]}"
    for labels, values in lists[0].items():
        pair = [values, lists[1][labels]] if kind == "matrix" else [[values], [lists[1][labels]]]
        found = _values(*pair, tolerance)
        if found:
            return f"{labels}: {found}"
    return None


def _values(left: list, right: list, tolerance: float) -> str | None:
    if [moment for moment, _ in left] != [moment for moment, _ in right]:
        return f"moments {[moment for moment, _ in left][:5]} / {[moment for moment, _ in right][:5]}"
    for (moment, a), (_, b) in zip(left, right):
        if a == b:
            continue
        x, y = float(a), float(b)
        if math.isnan(x) and math.isnan(y):
            continue
        if not abs(x - y) <= max(tolerance * max(abs(x), abs(y)), 1e-12):
            return f"at {moment}: {a} / {b}"
    return None


def minutes_ago(minutes: int) -> int:
    """Milliseconds of a whole minute."""
    return int(time.time() // 60 * 60 - minutes * 60) * 1_000
