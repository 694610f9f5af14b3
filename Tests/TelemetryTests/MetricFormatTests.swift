import Testing

@testable import Telemetry

/// Which form of metrics a client gets, and what only OpenMetrics has.
@Suite struct MetricFormatTests {
    static let prometheus =
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
        + "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"

    @Test(
        arguments: [
            (String?.none, MetricFormat.text), ("", .text), ("*/*", .text), ("text/plain", .text),
            ("text/html, */*;q=0.8", .text), ("application/json", .text), (prometheus, .openMetrics),
            ("application/openmetrics-text", .openMetrics),
            ("Application/OpenMetrics-Text; Version=1.0.0", .openMetrics),
            ("application/openmetrics-text; version=\"1.0.0\"; charset=utf-8, */*;q=0.1", .openMetrics),
            ("application/openmetrics-text;version=0.0.1", .text),
            ("application/openmetrics-text;version=2.0.0,text/plain;q=0.1", .text),
            ("application/openmetrics-text;q=0.4,text/plain;q=0.5", .text),
            ("application/openmetrics-text;q=0.5 , text/plain;q=0.5", .openMetrics),
            ("application/openmetrics-text;q=0,*/*", .text), ("application/openmetrics-text;q=x", .text),
            ("application/openmetrics-text;q=7", .text), ("application/openmetrics-text;q=nan", .text),
            (",;,=;q=,application/openmetrics-text", .openMetrics),
            (String(repeating: "application/openmetrics-text,", count: 200), .text),
        ])
    func negotiation(accept: String?, expected: MetricFormat) {
        #expect(MetricFormat(accept: accept) == expected)
    }

    @Test("Exemplars stand behind their counters and buckets, in OpenMetrics alone")
    func exemplars() {
        let trace = String(repeating: "ab", count: 16)
        var calls = CounterFamily(.counter("calls_total", "C.", labels: ["model"]))
        calls.add(2, ["m"])
        calls.point(at: calls.place(of: ["m"]), to: Exemplar(trace: trace, value: 1, at: 1_700_000_000.25))
        var took = HistogramFamily(.histogram("took_seconds", "T."), bounds: [0.5, 1])
        took.observe(0.75, [])
        took.point(at: took.place(of: []), to: Exemplar(trace: trace, value: 0.75, at: 1_700_000_000))
        took.point(at: took.place(of: []), to: Exemplar(trace: "no trace", value: 9, at: 1))
        var page = MetricPage()
        page.add(calls)
        page.add(took)
        let text = String(decoding: MetricFormat.openMetrics.bytes(of: page), as: UTF8.self)
        #expect(text.contains("calls_total{model=\"m\"} 2 # {trace_id=\"\(trace)\"} 1 1700000000.25\n"))
        #expect(text.contains("took_seconds_bucket{le=\"1.0\"} 1 # {trace_id=\"\(trace)\"} 0.75 1700000000\n"))
        #expect(text.contains("took_seconds_bucket{le=\"0.5\"} 0\n") && text.contains("le=\"+Inf\"} 1\n"))
        #expect(!String(decoding: MetricFormat.text.bytes(of: page), as: UTF8.self).contains("trace_id"))
    }
}
