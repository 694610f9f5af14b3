import Testing

@testable import Telemetry

/// What is counted, as numbers one by one and in OpenMetrics' words.
@Suite struct MetricPageTests {
    static let calls = Metric.counter("calls_total", "Calls \"by\" who.", labels: ["agent"], open: ["agent"])
    static let took = Metric.histogram("took_seconds", "Took.", labels: ["agent"])

    static func page(agent: String? = nil) -> MetricPage {
        var calls = CounterFamily(calls, digits: 3)
        calls.add(1_500, ["ann"])
        calls.add(2_000, ["bob"])
        var took = HistogramFamily(took, bounds: [0.5, 1])
        for value in [0.25, 1, 3] { took.observe(value, ["ann"]) }
        var page = MetricPage(agent: agent)
        page.add(calls)
        page.add(took)
        page.add(.gauge("fill_ratio", "Fill."), 0.5)
        return page
    }

    @Test(arguments: [(String?.none, ["ann", "bob"]), ("bob", ["bob"])])
    func samples(agent: String?, agents: [String]) {
        let lines = Self.page(agent: agent).samples.map { sample in
            "\(sample.name)\(sample.labels.map { " \($0.name)=\($0.value)" }.joined()) \(sample.value)"
        }
        let counted = ["calls_total agent=ann 1.5", "calls_total agent=bob 2.0"].filter { line in
            agents.contains { line.contains($0) }
        }
        let spread = [
            "took_seconds_bucket agent=ann le=0.5 1.0", "took_seconds_bucket agent=ann le=1 2.0",
            "took_seconds_bucket agent=ann le=+Inf 3.0", "took_seconds_sum agent=ann 4.25",
            "took_seconds_count agent=ann 3.0",
        ]
        #expect(lines == counted + (agent == nil ? spread : []) + ["fill_ratio 0.5"])
    }

    @Test func samplesSayWhatTheyAreOf() {
        let kinds = Self.page().samples.map(\.kind)
        #expect(kinds == [.counter, .counter, .histogram, .histogram, .histogram, .histogram, .histogram, .gauge])
    }

    @Test("OpenMetrics: families without _total, units, bounds with a point, an end")
    func openMetrics() {
        let text = String(decoding: OpenMetricsText.bytes(of: Self.page()), as: UTF8.self)
        #expect(
            text == """
                # TYPE calls counter
                # HELP calls Calls \\"by\\" who.
                calls_total{agent="ann"} 1.500
                calls_total{agent="bob"} 2.000
                # TYPE took_seconds histogram
                # UNIT took_seconds seconds
                # HELP took_seconds Took.
                took_seconds_bucket{agent="ann",le="0.5"} 1
                took_seconds_bucket{agent="ann",le="1.0"} 2
                took_seconds_bucket{agent="ann",le="+Inf"} 3
                took_seconds_sum{agent="ann"} 4.25
                took_seconds_count{agent="ann"} 3
                # TYPE fill_ratio gauge
                # UNIT fill_ratio ratio
                # HELP fill_ratio Fill.
                fill_ratio 0.5
                # EOF

                """)
    }
}
