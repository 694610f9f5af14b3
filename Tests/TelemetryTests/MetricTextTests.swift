import Testing

@testable import Telemetry

/// Metrics as Prometheus reads them, and how many of them there can be.
@Suite struct MetricTextTests {
    static let calls = Metric.counter("calls_total", "Calls\nby \\ who.", labels: ["agent", "type"], open: ["agent"])

    static func text(agent: String? = nil, _ collect: (inout MetricPage) -> Void) -> String {
        var page = MetricPage(agent: agent)
        collect(&page)
        return String(decoding: MetricText.bytes(of: page), as: UTF8.self)
    }

    @Test func aCounterWithLabels() {
        var family = CounterFamily(Self.calls)
        family.add(2, ["ann", "in"])
        family.add(3, ["ann", "in"])
        family.add(1, ["bob", "out"])
        family.add(-7, ["bob", "out"])
        #expect(
            Self.text { $0.add(family) } == """
                # HELP calls_total Calls\\nby \\\\ who.
                # TYPE calls_total counter
                calls_total{agent="ann",type="in"} 5
                calls_total{agent="bob",type="out"} 1

                """)
    }

    @Test func aFamilyWithoutSeriesStillSaysWhatItIs() {
        #expect(
            Self.text { $0.add(GaugeFamily(.gauge("empty", "Nothing."))) }
                == "# HELP empty Nothing.\n# TYPE empty gauge\n")
    }

    @Test func aGaugeWithoutLabels() {
        #expect(
            Self.text { $0.add(.gauge("up", "Up."), 0.5) } == "# HELP up Up.\n# TYPE up gauge\nup 0.5\n")
    }

    @Test(
        "Hostile label values",
        arguments: [
            (#"a"b"#, #"a\"b"#), (#"a\b"#, #"a\\b"#), ("a\nb", #"a\nb"#),
            ("a\r\0\u{1B}b", "a\u{FFFD}\u{FFFD}\u{FFFD}b"),
            (#"x",type="y"} 1"#, #"x\",type=\"y\"} 1"#), ("ünï→😀", "ünï→😀"), ("", ""),
        ])
    func escaping(value: String, expected: String) {
        var family = CounterFamily(Self.calls)
        family.add(1, [value, "in"])
        let lines = Self.text { $0.add(family) }.split(separator: "\n")
        #expect(lines.count == 3)
        #expect(lines.last == "calls_total{agent=\"\(expected)\",type=\"in\"} 1")
    }

    @Test func aHistogramCountsUpward() {
        var family = HistogramFamily(.histogram("took_seconds", "Took.", labels: ["model"]), bounds: [0.1, 1])
        for value in [0.05, 0.1, 0.5, 7, .nan, .infinity] { family.observe(value, ["m"]) }
        #expect(
            Self.text { $0.add(family) } == """
                # HELP took_seconds Took.
                # TYPE took_seconds histogram
                took_seconds_bucket{model="m",le="0.1"} 2
                took_seconds_bucket{model="m",le="1"} 3
                took_seconds_bucket{model="m",le="+Inf"} 4
                took_seconds_sum{model="m"} 7.65
                took_seconds_count{model="m"} 4

                """)
    }

    @Test(
        arguments: [
            (0.0, "0"), (3, "3"), (-2, "-2"), (0.5, "0.5"), (.nan, "NaN"), (.infinity, "+Inf"), (-.infinity, "-Inf"),
            (1e300, "1e+300"), (1e-7, "1e-07"),
        ])
    func numbers(value: Double, expected: String) {
        #expect(MetricLines.number(value) == expected)
    }

    @Test(
        arguments: [
            (Int64(0), "0.000000000"), (1, "0.000000001"), (1_234_567_890, "1.234567890"),
            (.max, "9223372036.854775807"), (-5, "-0.000000005"),
        ])
    func exactDecimals(value: Int64, expected: String) {
        #expect(MetricLines.decimal(value, digits: 9) == expected)
    }

    @Test func sumsSaturate() {
        var family = CounterFamily(Self.calls)
        family.add(.max, ["a", "in"])
        family.add(.max, ["a", "in"])
        #expect(family.table.value(["a", "in"]) == .max)
    }

    @Test("An agent sees its own series, and those that name no agent")
    func oneAgent() {
        var family = CounterFamily(Self.calls)
        family.add(1, ["ann", "in"])
        family.add(1, ["bob", "in"])
        var other = CounterFamily(.counter("all_total", "All.", labels: ["model"]))
        other.add(4, ["m"])
        let text = Self.text(agent: "bob") {
            $0.add(family)
            $0.add(other)
        }
        #expect(!text.contains("ann") && text.contains("bob") && text.contains("all_total{model=\"m\"} 4"))
    }

    @Test("Names without end never make series without end, and no count is lost")
    func bounded() {
        let metric = Metric.counter("t_total", "T.", labels: ["model", "type", "agent"], open: ["agent", "model"])
        var family = CounterFamily(metric, seriesMax: 40)
        for number in 0..<5_000 {
            family.add(1, ["m\(number % 3)", number % 2 == 0 ? "in" : "out", "agent-\(number)"])
        }
        #expect(family.table.series.count == 35)
        #expect(family.table.series.reduce(0) { $0 + $1.value } == 5_000)
        // Who came first keeps a series; of the others the models and types are still told apart.
        #expect(family.table.value(["m0", "in", "agent-0"]) == 1)
        #expect(family.table.value(["m1", "out", "__other__"]) == 829)
        for number in 0..<5_000 { family.add(1, ["model-\(number)", "type-\(number)", "agent-\(number)"]) }
        #expect(family.table.series.count == 40)
        #expect(family.table.series.reduce(0) { $0 + $1.value } == 10_000)
        #expect((family.table.value(["__other__", "__other__", "__other__"]) ?? 0) > 4_900)
    }

    @Test func longValuesAreCutBetweenCharacters() {
        var family = CounterFamily(Self.calls)
        family.add(1, [String(repeating: "é", count: 5_000), "in"])
        #expect(family.table.series.first?.labels.first == String(repeating: "é", count: 100))
    }

    @Test func seriesThatAreOverLeaveTheirPlace() {
        var table = SeriesTable<Int>(.gauge("g", "G.", labels: ["a"], open: ["a"]), first: 0, seriesMax: 3)
        table.update(["x"]) { $0 = 1 }
        table.update(["y"]) { $0 = 2 }
        table.removeAll { $0 == 1 }
        table.update(["y"]) { $0 += 5 }
        #expect(table.series.map(\.labels) == [["y"]])
        #expect(table.value(["y"]) == 7)
    }
}
