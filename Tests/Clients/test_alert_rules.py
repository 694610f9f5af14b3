"""Rule files without a server: `reeve alerts check` and `reeve alerts test` say what promtool says."""

import json
import os
import shutil
import subprocess

import pytest
import yaml
from reeve_server import BINARY

PROMTOOL = shutil.which("promtool")
if not PROMTOOL and os.environ.get("CI"):
    raise RuntimeError("promtool is not there, and these tests are nothing without it")

GROUP = {"name": "g", "rules": [{"alert": "A", "expr": "up == 0", "for": "1m"}]}


def reeve(*arguments, timeout=120):
    return subprocess.run([BINARY, "alerts", *map(str, arguments)], capture_output=True, text=True, timeout=timeout)


def promtool(*arguments):
    if not PROMTOOL:
        pytest.skip("promtool is not installed")
    return subprocess.run([PROMTOOL, *map(str, arguments)], capture_output=True, text=True, timeout=300)


def write(path, document):
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document, sort_keys=False))
    return path


def rules(*members, **more):
    return {"groups": [{"name": "g", **more, "rules": list(members)}]}


def alert(**members):
    return {"alert": "A", "expr": "up == 0", **members}


# What is wrong, where we say it is, and what we say of it.
FAULTS = {
    "no expression": (rules({"alert": "A"}), "4:5", "field 'expr' must be set"),
    "both": (rules(alert(record="a:b")), "4:5", "only one of 'record' and 'alert'"),
    "neither": (rules({"expr": "up"}), "4:5", "one of 'record' or 'alert'"),
    "an expression that is none": (rules(alert(expr="sum(up) by (")), "5:23", "parse error"),
    "a function that is none": (rules(alert(expr="up > foo(up)")), "5:16", "foo"),
    "a recording that waits": (rules({"record": "a:b", "expr": "up", "for": "1m"}), "6:10", "invalid field 'for'"),
    "a recording with annotations": (
        rules({"record": "a:b", "expr": "up", "annotations": {"a": "b"}}), "7:7", "invalid field 'annotations'",
    ),
    "a recording's name": (rules({"record": "a-b", "expr": "up"}), "4:13", "invalid recording rule name"),
    "a field that nobody knows": (rules(alert(forr="1m")), "6:5", "field forr"),
    "a group's field that nobody knows": (rules(alert(), every="1m"), "3:3", "field every"),
    "a time that is none": (rules(alert(**{"for": "1 minute"})), "6:10", "not a valid duration"),
    "a group without a name": ({"groups": [{"rules": []}]}, "2:3", "Groupname must not be empty"),
    "two groups of a name": ({"groups": [GROUP, GROUP]}, "", "repeated"),
    "a label's name": (rules(alert(labels={"a-b": "c"})), "7:12", "invalid label name"),
    "a template that does not end": (rules(alert(annotations={"a": "{{ $value"})), "7:10", "template of a"),
    "a template's unknown function": (rules(alert(labels={"a": "{{ shell 1 }}"})), "7:10", "shell"),
    "no YAML": ("groups: [", "", ""),
    "a list": ("[1, 2]", "1:1", "members are expected"),
    "rules that are no list": ({"groups": [{"name": "g", "rules": {"a": 1}}]}, "4:5", "a list is expected"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_wrong_file_is_refused_where_it_is_wrong(tmp_path, name):
    document, place, words = FAULTS[name]
    file = write(tmp_path / "rules.yml", document)
    ours = reeve("check", file)
    assert ours.returncode == 1, ours.stdout + ours.stderr
    assert f"{file}:{place}" in ours.stdout and words in ours.stdout, ours.stdout
    assert promtool("check", "rules", file).returncode != 0, "promtool takes it"
    told = json.loads(reeve("check", "--json", file).stdout)
    assert told["ok"] is False and told["files"][0]["faults"][0]["detail"]


def test_all_faults_are_told_at_once(tmp_path):
    file = write(tmp_path / "rules.yml", rules(alert(expr="up >"), alert(), alert(**{"for": "x"})))
    lines = reeve("check", file, tmp_path / "none.yml").stdout.splitlines()
    assert [line.split(":")[1] for line in lines[:2]] == ["5", "10"], lines
    assert "cannot be read" in lines[2]


def test_a_block_is_pointed_into(tmp_path):
    file = write(tmp_path / "rules.yml", "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: |\n      up\n      > foo(\n")
    assert f"{file}:7:9" in reeve("check", file).stdout


# Each stands in an annotation, with `$value` 1234.5 and a label `instance`.
TEMPLATES = {
    "{{ $labels.instance }} {{ .Labels.instance }} {{ $value }}": "db-1.example:9100 db-1.example:9100 1234.5",
    "[{{ $labels.missing }}] {{ $externalLabels.cluster }} {{ $externalURL }}": "[] eu https://reeve.example/ops",
    "{{ humanize $value }} {{ humanize1024 2048.0 }} {{ humanize 0.00012 }}": "1.234k 2ki 120u",
    "{{ humanizePercentage 0.256 }} {{ humanizeDuration 93784.0 }} {{ humanizeDuration 0.0015 }}": "25.6% 1d 2h 3m 4s 1.5ms",
    "{{ humanizeTimestamp 1435065584.128 }}": "2015-06-23 13:19:44.128 +0000 UTC",
    '{{ printf "%.2f|%5d|%-4s|%q|%v|%%" $value 7 "ab" "c" true }}': '1234.50|    7|ab  |"c"|true|%',
    '{{ printf "%d %s" $value }} {{ printf "%05.1f|%+d|%x" $value 3 255 }}':
        "%!d(float64=1234.5) %!s(MISSING) 1234.5|+3|ff",
    "{{ if gt $value 1000.0 }}much{{ else }}little{{ end }}": "much",
    '{{ if lt $value 1.0 }}a{{ else if eq $labels.job "db" "x" }}b{{ else }}c{{ end }}': "b",
    "{{ with $labels.job }}<{{ . }}>{{ end }}{{ with $labels.none }}x{{ else }}y{{ end }}": "<db>y",
    '{{ range query "sort_desc(other)" }}{{ .Labels.job }}={{ .Value }};{{ end }}': "b=21;a=2;",
    '{{ range $i, $s := query "other" | sortByLabel "job" }}{{ $i }}{{ $s.Labels.job }}{{ end }}': "0a1b",
    '{{ with query "other == 2" }}{{ . | first | value | humanize }} {{ first . | label "job" }}{{ end }}': "2 a",
    '{{ reReplaceAll "(.*):\\\\d+" "host $1" $labels.instance }}': "host db-1.example",
    '{{ reReplaceAll "a*" "-" "baac" }} {{ reReplaceAll "^x" "" "xx" }} {{ reReplaceAll "(?i)B|" "_" "ab" }}':
        "-b-c- x _a_",
    '{{ match "^db" $labels.job }} {{ "hello world" | title }} {{ toUpper "x" }}': "true Hello World X",
    "{{ stripPort $labels.instance }} {{ stripDomain $labels.instance }}": "db-1.example db-1:9100",
    "a {{- /* taken away */ -}} b{{ $x := 1 }}{{ $x = 2 }}{{ $x }}": "ab2",
    '{{ define "one" }}<{{ . }}>{{ end }}{{ template "one" $labels.job }}': "<db>",
    '{{ and true 0 }} {{ or 0 "" "z" }} {{ not 0 }} {{ len "abc" }} {{ index $labels "job" }}': "0 z true 3 db",
    "{{ 100000000.0 }} {{ 0.00001 }} {{ 1234567.5 }} {{ 123456.0 }} {{ -0.5 }} {{ 0x1F }}":
        "1e+08 1e-05 1.2345675e+06 123456 -0.5 31",
    '{{ (args "a").arg0 }} {{ graphLink "up == 0" }}': "a /graph?g0.expr=up+%3D%3D+0&g0.tab=0",
    '{{ parseDuration "1h30m" }} {{ print 1 2 "a" 3 }} {{ urlquery "a b&c" }} {{ html "<a>" }}':
        "5400 1 2a3 a+b%26c &lt;a&gt;",
    '{{ slice "abcdef" 1 3 }} {{ print $labels }} {{ 1 | printf "%d-%d" 2 }}': "bc map[__name__:first instance:db-1.example:9100 job:db] 2-1",
}  # fmt: skip


def test_templates_are_filled_in_as_promtool_does_it(tmp_path):
    annotations = {f"a{place}": text for place, text in enumerate(TEMPLATES)}
    write(tmp_path / "rules.yml", rules(alert(expr="first > 0", labels={"l": "{{ $value }}"}, annotations=annotations)))
    case = {
        "interval": "1m", "external_labels": {"cluster": "eu"}, "external_url": "https://reeve.example/ops",
        "input_series": [
            {"series": 'first{instance="db-1.example:9100",job="db"}', "values": "1234.5x5"},
            {"series": 'other{job="b"}', "values": "21x5"}, {"series": 'other{job="a"}', "values": "2x5"},
        ],
        "alert_rule_test": [{
            "eval_time": "1m", "alertname": "A",
            "exp_alerts": [{
                "exp_labels": {"instance": "db-1.example:9100", "job": "db", "l": "1234.5"},
                "exp_annotations": {f"a{place}": text for place, text in enumerate(TEMPLATES.values())},
            }],
        }],
    }  # fmt: skip
    file = write(tmp_path / "tests.yml", {"rule_files": ["rules.yml"], "tests": [case]})
    theirs, ours = promtool("test", "rules", file), reeve("test", file)
    assert theirs.returncode == 0, theirs.stdout + theirs.stderr
    assert ours.returncode == 0, ours.stdout + ours.stderr


def sample(value, **labels):
    inside = ",".join(f'{name}="{text}"' for name, text in labels.items() if name != "name")
    return {"labels": f"{labels.get('name', '')}{{{inside}}}", "value": value}


def test_series_are_written_as_for_promtool(tmp_path):
    written = {
        "a": "1+2x5", "b": "3-1x2 _x2 stale 7", "c": "0x3 5", "d": "1e2+1e1x2", "e": "-1-1x3", "f": "_ _ 1", "g": "inf NaN 1.5",
    }  # fmt: skip
    wanted = [
        ("sum_over_time(a[10m])", [sample(36)]), ("count_over_time(b[10m])", [sample(4)]),
        ("b offset 5m", []), ("last_over_time(b[1m] offset 4m)", [sample(7, name="b")]), ("c", [sample(5, name="c")]),
        ("sum_over_time(d[10m])", [sample(330)]), ("sum_over_time(e[10m])", [sample(-10)]),
        ("count_over_time(f[10m])", [sample(1)]), ("g", [sample(1.5, name="g")]), ("vector(time())", [sample(600)]),
        ("a / 3", [sample(11 / 3)]), ("scalar(a)", [sample(11)]), ("absent(zzz)", [sample(1)]),
        ("absent(no_values)", [sample(1)]),
    ]  # fmt: skip
    case = {
        "interval": "1m", "input_series": [{"series": name, "values": text} for name, text in written.items()] + [{"series": "no_values"}],
        "promql_expr_test": [
            {"expr": expr, "eval_time": "10m", "exp_samples": samples} for expr, samples in wanted if expr != "c" and expr != "g"
        ] + [{"expr": expr, "eval_time": "4m", "exp_samples": samples} for expr, samples in wanted if expr in ("c", "g")],
    }  # fmt: skip
    file = write(tmp_path / "tests.yml", {"rule_files": [], "tests": [case]})
    theirs, ours = promtool("test", "rules", file), reeve("test", file)
    assert theirs.returncode == 0, theirs.stdout + theirs.stderr
    assert ours.returncode == 0, ours.stdout + ours.stderr


# Expectations for `up == 0` that holds from the second to the sixth minute, and whether they are right.
EXPECTED = [
    ({"for": "2m"}, "3m", False), ({"for": "2m"}, "4m", True), ({"for": "2m"}, "6m", True), ({"for": "2m"}, "7m", False),
    ({"for": "2m", "keep_firing_for": "3m"}, "9m", True), ({"for": "2m", "keep_firing_for": "3m"}, "10m", False),
    ({}, "2m", True), ({}, "2m30s", True), ({}, "90s", False),
]  # fmt: skip


@pytest.mark.parametrize("fires", [True, False], ids=["expected", "not-expected"])
@pytest.mark.parametrize("members,at,truth", EXPECTED)
def test_alerts_fire_when_promtools_do(tmp_path, members, at, truth, fires):
    write(tmp_path / "rules.yml", rules(alert(labels={"severity": "page"}, **members)))
    expected = [{"exp_labels": {"severity": "page", "job": "x"}}] if fires else []
    case = {
        "name": "down for a while", "interval": "1m",
        "input_series": [{"series": 'up{job="x"}', "values": "1 1 0x4 1x10"}],
        "alert_rule_test": [{"eval_time": at, "alertname": "A", "exp_alerts": expected}],
    }  # fmt: skip
    file = write(tmp_path / "tests.yml", {"rule_files": ["rules.yml"], "tests": [case]})
    theirs, ours = promtool("test", "rules", file), reeve("test", file)
    assert (theirs.returncode == 0) == (ours.returncode == 0) == (truth == fires), theirs.stdout + ours.stdout
    if truth != fires:
        assert "down for a while" in ours.stdout and "alert A at" in ours.stdout
        told = json.loads(reeve("test", "--json", file).stdout)
        assert told["files"][0]["failures"][0]["test"] == "down for a while"


def test_what_alerts_are_is_a_series_too(tmp_path):
    write(tmp_path / "rules.yml", rules(alert(**{"for": "2m"}), {"record": "alerts:firing", "expr": 'count(ALERTS{alertstate="firing"})'}))
    series = {"alertname": "A", "job": "x"}
    case = {
        "interval": "1m", "input_series": [{"series": 'up{job="x"}', "values": "1 0x3 1x10"}],
        "promql_expr_test": [
            {"expr": "ALERTS", "eval_time": "2m", "exp_samples": [sample(1, name="ALERTS", alertstate="pending", **series)]},
            {"expr": "ALERTS", "eval_time": "3m", "exp_samples": [sample(1, name="ALERTS", alertstate="firing", **series)]},
            {"expr": "ALERTS_FOR_STATE", "eval_time": "4m", "exp_samples": [sample(60, name="ALERTS_FOR_STATE", **series)]},
            {"expr": "alerts:firing", "eval_time": "4m", "exp_samples": [sample(1, name="alerts:firing")]},
            {"expr": "{__name__=~'ALERTS.*|alerts:firing'}", "eval_time": "5m", "exp_samples": []},
        ],
    }  # fmt: skip
    file = write(tmp_path / "tests.yml", {"rule_files": ["rules.yml"], "tests": [case]})
    theirs, ours = promtool("test", "rules", file), reeve("test", file)
    assert theirs.returncode == 0, theirs.stdout + theirs.stderr
    assert ours.returncode == 0, ours.stdout + ours.stderr


def test_the_shipped_rules_pass_their_own_tests(tmp_path):
    subprocess.run([BINARY, "export", "prometheus", str(tmp_path)], check=True, capture_output=True)
    checked = reeve("check", *sorted((tmp_path / "rules").glob("*.yml")))
    assert checked.returncode == 0, checked.stdout
    ours = reeve("test", *sorted((tmp_path / "tests").glob("*.yml")))
    assert ours.returncode == 0, ours.stdout


def test_a_wrong_call_says_what_is_missing(tmp_path):
    assert reeve("check").returncode == 2
    assert reeve("test").returncode == 2
    file = write(tmp_path / "tests.yml", {"rule_files": ["none.yml"], "tests": []})
    ours = reeve("test", file)
    assert ours.returncode == 1 and "none.yml matches no file" in ours.stdout
