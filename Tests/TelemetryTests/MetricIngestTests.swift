import Foundation
import Kernel
import Synchronization
import Testing

@testable import Telemetry

@Suite("Metrics from their request to their series")
struct MetricIngestTests {
    struct Name: CustomTestStringConvertible, Sendable {
        let name: String
        let unit: String
        var isCounter = false
        var isGauge = false
        let result: String
        var testDescription: String { "\(name) in \(unit)" }
    }

    static let names: [Name] = [
        Name(name: "http.server.duration", unit: "s", result: "http_server_duration_seconds"),
        Name(name: "a.seconds", unit: "s", result: "a_seconds"),
        Name(name: "io", unit: "By", isCounter: true, result: "io_bytes_total"),
        Name(name: "io.total", unit: "By", isCounter: true, result: "io_bytes_total"),
        Name(name: "use", unit: "1", isGauge: true, result: "use_ratio"),
        Name(name: "use", unit: "1", isCounter: true, result: "use_total"),
        Name(name: "speed", unit: "m/s", isGauge: true, result: "speed_meters_per_second"),
        Name(name: "rate", unit: "By/s", result: "rate_bytes_per_second"),
        Name(name: "tokens", unit: "{token}", result: "tokens"), Name(name: "load", unit: "%", result: "load_percent"),
        Name(name: "2nd place", unit: "", result: "_2nd_place"), Name(name: "é", unit: "", result: "_"),
        Name(name: "a__b--c_bucket", unit: "", isGauge: true, result: "a_b_c_bucket"),
        Name(name: "x", unit: "{a}/s", result: "x_per_second"), Name(name: "x", unit: "widget", result: "x_widget"),
    ]

    @Test("are called as OpenTelemetry's rules for Prometheus have it", arguments: names)
    func name(_ row: Name) {
        let name = MetricName.of(row.name, unit: row.unit, isCounter: row.isCounter, isGauge: row.isGauge)
        #expect(name == row.result)
    }

    @Test("attributes become labels, whatever they hold and are called")
    func labels() {
        let labels = MetricName.labels([
            Attribute("a.b", .string("x")), Attribute("a-b", .int(5)), Attribute("__name__", .string("evil")),
            Attribute("1st", .bool(true)), Attribute("d", .double(0.5)),
            Attribute("l", .array([.int(1), .string("z")])),
        ])
        #expect(
            labels == [
                "a_b": "5;x", "key__name__": "evil", "key_1st": "true", "d": "0.5", "l": #"[1,"z"]"#,
            ])
    }

    private static func deltas(_ value: Int, at time: Int64) throws -> [UInt8] {
        let point: JSONValue = ["asInt": .string("\(value)"), "timeUnixNano": .string("\(time)000000")]
        let sum: JSONValue = ["aggregationTemporality": 1, "isMonotonic": true, "dataPoints": .array([point])]
        let metrics: JSONValue = ["metrics": .array([["name": "work", "sum": sum]])]
        let document: JSONValue = ["resourceMetrics": .array([["scopeMetrics": .array([metrics])]])]
        return try OTLPJSON.metrics(document) { _ in }
    }

    private static func values(_ store: SeriesStore) throws -> [Double] {
        try store.series([], in: 0...Int64.max / 2, samplesMax: 1_000, isOver: { false }).flatMap(\.values)
    }

    @Test("a delta that finds no room is not counted, and counts once when it comes again")
    func noRoom() async throws {
        try await withTelemetryFolder { folder in
            let now = World.live.now.microseconds / 1_000
            // Room for one entry and no other.
            let store = try SeriesStore(folder: folder, quota: 100, days: 30, world: .live)
            let ingest = MetricIngest(store: store, folder: folder, world: .live)
            _ = try await ingest.take(try Self.deltas(5, at: now), agent: nil)
            for _ in 0..<3 {
                await #expect(throws: MetricIngest.Fault.overloaded) {
                    _ = try await ingest.take(try Self.deltas(7, at: now + 1), agent: nil)
                }
            }
            #expect(ingest.ledger.refusedRequests == 3 && ingest.ledger.received == 1)
            try await store.flush()
            for _ in 0..<3 { _ = try await ingest.take(try Self.deltas(7, at: now + 1), agent: nil) }
            #expect(try Self.values(store) == [5, 12])
            let ledger = ingest.ledger
            #expect(ledger.received == 4 && ledger.stored == 2 && ledger.duplicate == 2 && ledger.rejected == 0)
        }
    }

    @Test("Reeve's own numbers are samples, and end where they are not shown any more")
    func sampler() async throws {
        try await withTelemetryFolder { folder in
            let store = try SeriesStore(folder: folder, quota: 1 << 20, days: 30, world: .live)
            let shown = Mutex(["a", "b"])
            let sampler = MetricSampler(store: store, instance: "here:1", world: .live) {
                var page = MetricPage()
                var family = GaugeFamily(.gauge("g", "for the test", labels: ["x"]))
                for value in shown.withLock({ $0 }) { family.set(1, [value]) }
                page.add(family)
                return page
            }
            try await sampler.sample()
            shown.withLock { $0 = ["b"] }
            while World.live.now.microseconds / 1_000 <= (try store.lastTime ?? 0) { await Task.yield() }
            try await sampler.sample()
            let found = try store.series([], in: 0...Int64.max / 2, samplesMax: 1_000, isOver: { false })
            #expect(found.map { $0.labels["x"] } == ["a", "b"])
            #expect(found[0].labels.description == #"g{instance="here:1", job="reeve", x="a"}"#)
            #expect(found[0].values.map(\.isStale) == [false, true])
            #expect(found[1].values == [1, 1])
        }
    }

    @Test("what is no request is malformed, at any length of a good one")
    func malformed() throws {
        let body = try Self.deltas(5, at: 1)
        _ = try MetricReader(body, agent: nil, now: 1)
        for length in 1..<body.count {
            guard let reader = try? MetricReader(Array(body.prefix(length)), agent: nil, now: 1) else { continue }
            #expect(reader.points.count + reader.refused.values.reduce(0, +) <= 1)
        }
    }
}

extension SeriesStore {
    fileprivate var lastTime: Int64? {
        get throws {
            try series([], in: 0...Int64.max / 2, samplesMax: 1_000, isOver: { false }).compactMap(\.times.last).max()
        }
    }
}
