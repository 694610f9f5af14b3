"""Queries: a table of every form, those of alert rules, those that are refused, and ones made by chance."""

import random

# Every form once, and where the rules are subtle more than once.
TABLE = [
    "requests_total", 'requests_total{code="500"}', 'requests_total{code!="200",job=~"a.*"}',
    'requests_total{instance!~"a.*|b:1"}', '{__name__=~"requests.*",code="404"}', "temperature_celsius offset 10m",
    "temperature_celsius offset -3m", "requests_total[2m]", "rare", "rare[10m]", "-rare", "+rare", "1", "-2 ^ 2",
    "2 ^ 3 ^ 2", "1 + 2 * 3 % 4", '"text"', "1 < bool 2", "010 + 0x1F + 1e3", "NaN", "-Inf", "time()",
    "rate(requests_total[5m])", "increase(requests_total[7m] offset 2m)", "irate(requests_total[2m])",
    "delta(temperature_celsius[5m])", "idelta(temperature_celsius[2m])", "deriv(temperature_celsius[5m])",
    "predict_linear(temperature_celsius[10m], 3600)", "resets(requests_total[1h])", "changes(requests_total[30m])",
    "sum_over_time(rare[20m])", "avg_over_time(temperature_celsius[5m])", "min_over_time(temperature_celsius[5m])",
    "max_over_time(temperature_celsius[5m])", "count_over_time(temperature_celsius[5m])",
    "last_over_time(temperature_celsius[5m])", "stddev_over_time(temperature_celsius[5m])",
    "stdvar_over_time(rare[30m])", "quantile_over_time(0.3, temperature_celsius[5m])",
    "present_over_time(temperature_celsius[1m])", 'absent_over_time(temperature_celsius{room="loft"}[5m])',
    'absent(temperature_celsius{room="loft"})', 'absent(nothing{a="b",c=~"d",e="f",e="g"})',
    "absent(sum(nothing))", "rate(rare[5m])", "rate(requests_total[15s])",
    "avg_over_time(rate(requests_total[1m])[5m:30s])", "max_over_time((temperature_celsius > 10)[10m:])",
    "sum_over_time(vector(1)[5m:1m] offset 90s)", "rate(requests_total[5m:20s])",
    "requests_total @ end()", "rate(requests_total[5m] @ start())", "sum(requests_total @ 1.5)",
    "rare[10m:1m] @ end() offset 1m",
    "abs(temperature_celsius)", "ceil(temperature_celsius)", "floor(temperature_celsius)",
    "round(temperature_celsius)", "round(temperature_celsius, 0.25)", "clamp(temperature_celsius, -5, 5)",
    "clamp(temperature_celsius, 5, -5)", "clamp_min(temperature_celsius, 0)", "clamp_max(temperature_celsius, NaN)",
    "exp(temperature_celsius)", "ln(temperature_celsius)", "log2(temperature_celsius)", "log10(temperature_celsius)",
    "sqrt(temperature_celsius)", "sgn(temperature_celsius)", "timestamp(temperature_celsius)",
    "timestamp(temperature_celsius offset 1m)", "timestamp(rare + 1)", "vector(time())", "scalar(rare)",
    'scalar(rare{instance="a:1"})', "sort(temperature_celsius)", "sort_desc(temperature_celsius)",
    'label_replace(rare, "letter", "$1-${1}x", "instance", "(.*):.*")',
    'label_replace(rare, "letter", "$name", "instance", "(?P<name>[a-b]+):(\\\\d)")',
    'label_replace(rare, "instance", "", "instance", ".*")', 'label_replace(rare, "x", "$$1", "none", "")',
    'label_join(instance_info, "both", "/", "instance", "zone")', 'label_join(instance_info, "both", "-")',
    "minute()", "hour()", "day_of_week()", "day_of_month()", "month()", "year()", "days_in_month()",
    "month(vector(-1))", "day_of_week(vector(951868800))", "days_in_month(vector(951782400))", "hour(requests_total)",
    "sum(requests_total)", "sum by (job) (requests_total)", "sum without (code, instance) (requests_total)",
    "sum(requests_total) by (code,)", "avg by (job) (temperature_celsius)", "avg(temperature_celsius)",
    "min(temperature_celsius)", "max by (floor) (temperature_celsius)", "count by (floor) (temperature_celsius)",
    "group by (job, missing) (requests_total)", "stddev(rare)", "stdvar by (code) (requests_total)",
    "topk(2, temperature_celsius)", "bottomk by (floor) (1, temperature_celsius)", "topk(0, rare)", "topk(-1, rare)",
    "topk(NaN, rare)",
    "quantile(0.9, temperature_celsius)", "quantile(NaN, rare)", "quantile(2, rare)", "quantile(-1, rare)",
    'count_values("value", instance_info)', 'count_values by (zone) ("version", instance_info * 1.5)',
    'count_values without (instance) ("zone", round(rare / 10))',
    "histogram_quantile(0.95, latency_seconds_bucket)",
    "histogram_quantile(0.5, sum by (le) (rate(latency_seconds_bucket[5m])))",
    "histogram_quantile(2, latency_seconds_bucket)", "histogram_quantile(-1, latency_seconds_bucket)",
    "histogram_quantile(NaN, latency_seconds_bucket)", 'histogram_quantile(0.9, latency_seconds_bucket{le!="+Inf"})',
    "histogram_quantile(0.9, requests_total)",
    "requests_total + 1", "1 - requests_total", "requests_total > 100", "100 < requests_total",
    "requests_total > bool 100", "100 >= bool requests_total", "temperature_celsius == temperature_celsius",
    "temperature_celsius != bool temperature_celsius", "rare % 7", "rare / 0", "rare ^ 0.5", "rare atan2 2",
    'requests_total{code="500"} / ignoring (code) requests_total{code="200"}',
    'requests_total{code="500"} / on (job, instance) requests_total{code="200"}',
    'requests_total / ignoring (code) group_left requests_total{code="200"}',
    "requests_total * on (instance) group_left (zone, version) instance_info",
    "instance_info * on (instance) group_right (zone) requests_total",
    'rare > on (instance) group_right () requests_total{job="api"}',
    "requests_total and on (instance) rare", "requests_total unless on (instance) (rare > 20)",
    "rare or temperature_celsius", "rare or on () temperature_celsius", "rare > 10 or rare",
    "requests_total and requests_total > 100", "(rare > 20) * (rare < 60)", "nothing or vector(0)",
    "sum(nothing) or vector(0)", "rare + nothing", "absent(rare) and absent(rare)",
    "sum by (job) (rate(requests_total[5m])) / on () group_left () sum(rate(requests_total[5m]))",
    "temperature_celsius > on (room) temperature_celsius offset 5m",
    # Edges: what is no number, bounds of functions, series that end, resets, what looks elsewhere.
    "quantile_over_time(NaN, temperature_celsius[5m])", "quantile_over_time(-1, rare[1h])",
    "changes(temperature_celsius[1h])", "resets(temperature_celsius[1h])", "deriv(rare[1h])",
    "deriv(requests_total[15s])", "irate(temperature_celsius[5m])", "increase(requests_total[5m] @ end() offset 2m)",
    "rate(requests_total[2h] offset 5m)", "delta(rare[1h] offset -5m)", "timestamp(timestamp(rare))",
    "round(temperature_celsius, 0)", "clamp(temperature_celsius, NaN, 5)", "clamp_min(temperature_celsius, Inf)",
    "sgn(-temperature_celsius)", "sqrt(-1 * rare)", "ln(rare - 10)", "ln(rare * 0)", "absent(rare > 1000)",
    'absent_over_time(nothing{a="b"}[5m])', "scalar(requests_total) + rare", "count(temperature_celsius != temperature_celsius)",
    "topk(scalar(count(rare)), temperature_celsius)", "quantile by (job) (scalar(vector(0.5)), requests_total)",
    "sum_over_time(temperature_celsius[5m:1m] @ start())", "max_over_time(rate(requests_total[2m])[30m:1m] offset 5m)",
    'count_over_time(temperature_celsius{room="loft"}[20m])', 'last_over_time(temperature_celsius{room="loft"}[20m:30s])',
    'avg(temperature_celsius{room="loft"})', "stddev_over_time(rare[5m])", "min by () (temperature_celsius)",
    "histogram_quantile(0, latency_seconds_bucket)", "histogram_quantile(1, latency_seconds_bucket)",
    'histogram_quantile(0.9, latency_seconds_bucket{le=~"0.1|0.5|.Inf"})', "sort_desc(requests_total)", "group(nothing)",
    "histogram_quantile(0.9, -latency_seconds_bucket)", "-(rare > 10)", "rare > bool NaN", "rare != NaN", "0 * rare or rare",
    # Alert rules.
    "time() - max by (instance, job) (timestamp(requests_total)) > 30",
    'sum by (queue) (queue_depth{state="unassigned"}) > 10',
    'sum by (job) (rate(requests_total{code="500"}[5m])) / sum by (job) (rate(requests_total[5m])) > .2 '
    "and sum by (job) (increase(requests_total[10m])) > 20",
    "sum by (job) (increase(requests_total[1h])) > 2 * sum by (job) (increase(requests_total[2h] offset 1h)) / 7 "
    "and sum by (job) (increase(requests_total[1h])) > 5",
    "histogram_quantile(0.95, sum by (job, le) (rate(latency_seconds_bucket[5m]))) > .5",
    'sum(rate(requests_total{code="500"}[5m])) > 3 * sum(rate(requests_total{code="500"}[1h])) '
    'and sum(increase(requests_total{code="500"}[5m])) > 5',
    "vector(1)",
    "# what it is for\nsum( # all\n  requests_total\n)",
]  # fmt: skip

# Refused by Prometheus, and so by Reeve, with the same type of error.
REFUSED = [
    "", "(", "1 +", "rate(requests_total)", "rate(requests_total[5m]) offset 5m[1m]", "sum(1)", "foo{", 'foo{a="b"',
    'foo{a="b"}}', "foo[5m", "foo[0s]", "foo[5]", "foo offset", "foo offset 5m offset 5m", "1 offset 5m",
    '{a=""}', '{a=~".*"}', "{}", 'foo{a=~"("}', 'foo{__name__="bar"}', "nosuch(1)", "abs()", "abs(foo, foo)",
    "1 > 2", "1 and 2", "foo and 1", "foo + on (a) group_left (a) bar", "foo and on (a) group_left bar",
    "foo + bool bar", '"a" + "b"', 'foo + "a"', "sum by (a, 1) (foo)", "topk(foo)", 'topk("a", foo)',
    "count_values(1, foo)", "foo[5m][5m]", "foo[5m][5m:1m]", "1[5m:1m]", "sum(foo)[5m]", "-foo[5m]", '-"a"', "'a",
    '"\\q"', "1abc", "5m", "foo bar", "foo,", "foo @ bar", "foo @ 1 @ 2", "label_replace(foo)", "time(1)", "&", "a!b",
    "round(foo, foo)", "vector(foo)", "quantile(foo)", "1e", "foo{a>'b'}", "foo{1='b'}", "sum by", "on", "bool",
    # These can be read, and cannot be answered.
    "rare + on () rare", "rare * on () group_left instance_info", "requests_total + on (instance) rare",
    'label_replace({__name__=~"alike_.*"}, "__name__", "x", "", "")', 'rate({__name__=~"alike_.*"}[5m])',
    '{__name__=~"alike_.*"} + 1', '-{__name__=~"alike_.*"}', 'abs({__name__=~"alike_.*"})',
    'label_replace(rare, "instance", "x", "", "")', 'label_replace(rare, "~", "x", "", "")',
    'label_replace(rare, "a", "x", "b", "(")', 'count_values("~", rare)', 'label_join(rare, "~", "", "a")',
]  # fmt: skip


class Queries:
    """Expressions by chance, all of which can be read."""

    def __init__(self, chance: random.Random, start: int, end: int):
        self.chance, self.start, self.end = chance, start, end

    def next(self) -> str:
        return self.vector(self.chance.randint(1, 4))

    def _of(self, *choices):
        return self.chance.choice(choices)

    def selector(self) -> str:
        name = self._of("requests_total", "temperature_celsius", "rare", "instance_info", "latency_seconds_bucket")
        labels = {
            "requests_total": ['code="500"', 'code=~"2.*|404"', 'job!="api"', 'instance!~"c.*"'],
            "temperature_celsius": ['room=~"[a-h].+"', 'floor="0"', 'room!~"loft"'],
            "rare": ['instance=~"a:1|b:1"'], "instance_info": ['zone=~"(?i)ZONE-[ab]"'],
            "latency_seconds_bucket": ['le!="+Inf"', 'job="api"'],
        }[name]  # fmt: skip
        some = [one for one in labels if self.chance.random() < 0.3]
        return name + (f"{{{','.join(some)}}}" if some else "")

    def offset(self) -> str:
        kind = self.chance.random()
        if kind < 0.75:
            return ""
        if kind < 0.9:
            return f" offset {self._of('1m', '90s', '-2m', '10m', '1h')}"
        return f" @ {self._of('start()', 'end()', str(self.chance.randint(self.start, self.end)))}"

    def range(self, depth: int) -> str:
        span = self._of("30s", "1m", "2m", "5m", "10m", "17m", "1h")
        if depth > 0 and self.chance.random() < 0.25:
            step = self._of("", "15s", "1m", "37s")
            span = self._of("2m", "5m", "20m")
            return f"({self.vector(depth - 1)})[{span}:{step}]{self.offset()}"
        return f"{self.selector()}[{span}]{self.offset()}"

    def scalar(self, depth: int) -> str:
        kind = self.chance.random()
        if depth <= 0 or kind < 0.7:
            return self._of("0", "1", "2", "-1.5", "0.5", "10", "100", "1e3", "Inf")
        if kind < 0.85:
            return f"scalar({self.vector(depth - 1)})"
        return f"({self.scalar(depth - 1)} {self._of('+', '-', '*', '/')} {self.scalar(depth - 1)})"

    def vector(self, depth: int) -> str:
        if depth <= 0:
            return self.selector() + self.offset()
        return self._of(self.ranged, self.valued, self.aggregated, self.combined, self.matched, self.set)(depth - 1)

    def ranged(self, depth: int) -> str:
        name = self._of(
            "rate", "increase", "irate", "delta", "idelta", "deriv", "resets", "changes", "sum_over_time",
            "avg_over_time", "min_over_time", "max_over_time", "count_over_time", "last_over_time",
            "stddev_over_time", "stdvar_over_time", "present_over_time", "absent_over_time", "predict_linear", "quantile_over_time",
        )  # fmt: skip
        if name == "predict_linear":
            # Prometheus 2.42 moves what `@` has fixed along with the steps here, against its documentation.
            return f"{name}({self.range(0).split(' @ ')[0]}, {self.scalar(0)})"
        if name == "quantile_over_time":
            return f"{name}({self._of('0', '0.25', '0.5', '1', '1.5')}, {self.range(depth)})"
        return f"{name}({self.range(depth)})"

    def valued(self, depth: int) -> str:
        name = self._of(
            "abs", "ceil", "floor", "sgn", "sqrt", "ln", "log2", "log10", "timestamp", "absent", "hour", "minute",
            "round", "clamp", "clamp_min", "clamp_max", "label_replace", "label_join", "sort", "histogram_quantile",
            "sort_desc", "vector", "-",
        )  # fmt: skip
        inner = self.vector(depth)
        if name == "vector":
            return f"vector({self._of('time()', self.scalar(depth))})"
        if name == "round":
            return f"round({inner}, {self._of('1', '0.1', '5', '10')})"
        if name == "clamp":
            return f"clamp({inner}, {self.scalar(0)}, {self.scalar(0)})"
        if name in ("clamp_min", "clamp_max"):
            return f"{name}({inner}, {self.scalar(depth)})"
        if name == "label_replace":
            return f'label_replace({inner}, "place", "at-$1", "instance", "(.):.*")'
        if name == "label_join":
            return f'label_join({inner}, "joined", "-", "job", "instance")'
        if name == "histogram_quantile":
            span = self._of("1m", "5m", "20m")
            return f"histogram_quantile({self._of('0.1', '0.5', '0.99')}, rate(latency_seconds_bucket[{span}]))"
        if name in ("hour", "minute"):
            # Beyond the years that calendars have, Prometheus' answer is its processor's.
            return f"{name}(timestamp({inner}))"
        return f"{name}({inner})"

    def grouping(self) -> str:
        labels = ["job", "instance", "code", "room", "floor", "le", "zone"]
        some = ", ".join(self.chance.sample(labels, self.chance.randint(0, 3)))
        return self._of("", f"by ({some}) ", f"without ({some}) ")

    def aggregated(self, depth: int) -> str:
        name = self._of("sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "quantile", "topk", "bottomk")
        if name in ("topk", "bottomk"):
            # Of values that are equal either may be taken, so these are all different.
            return f"{name} {self.grouping()}({self._of('1', '2', '3')}, temperature_celsius{self.offset()})"
        if name == "quantile":
            return f"quantile {self.grouping()}({self._of('0.1', '0.5', '0.9')}, {self.vector(depth)})"
        return f"{name} {self.grouping()}({self.vector(depth)})"

    def combined(self, depth: int) -> str:
        operator = self._of("+", "-", "*", "/", "%", "> bool", "<= bool", "!=", ">", "<")
        sides = [f"({self.vector(depth)})", self.scalar(depth)]
        self.chance.shuffle(sides)
        return f"{sides[0]} {operator} {sides[1]}"

    def matched(self, depth: int) -> str:
        operator = self._of("+", "-", "*", "/", "> bool", ">", "<=", "==")
        matching = self._of(
            "", "on (instance)", "on (job)", "ignoring (code)", "on (instance) group_left", "on (job) group_right",
            "on (instance) group_left (zone)", "ignoring (code, le) group_left", "on ()",
        )  # fmt: skip
        inner = self.vector(depth)
        other = inner if self.chance.random() < 0.4 else self.vector(depth)
        return f"({inner}) {operator} {matching} ({other})"

    def set(self, depth: int) -> str:
        matching = self._of("", "on (instance)", "on (job)", "ignoring (code)", "on ()")
        return f"({self.vector(depth)}) {self._of('and', 'or', 'unless')} {matching} ({self.vector(depth)})"
