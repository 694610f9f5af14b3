import Kernel
import Synchronization
import Telemetry
import TestSupport
import Testing

@testable import Control

/// Answers questions by what stands in them.
final class ScriptedReader: RunbookReading {
    private let answers = Mutex<[(part: String, value: Double)]>([])
    private let rules: [(name: String, query: String)]

    init(_ rules: [(name: String, query: String)]) { self.rules = rules }

    func set(_ part: String, _ value: Double?) {
        answers.withLock { answers in
            answers.removeAll { $0.part == part }
            if let value { answers.append((part, value)) }
        }
    }

    func get(_ path: String) async throws -> JSONValue {
        if path.contains("/rules") {
            let rules = rules.map { ["name": .string($0.name), "query": .string($0.query)] as JSONValue }
            return ["data": ["groups": [["rules": .array(rules)]]]]
        }
        let query = PercentCoding.pairs(Array((path.split(separator: "?").last ?? "").utf8))?.first?.value ?? ""
        let found = answers.withLock { $0.first { query.contains($0.part) } }
        let series = found.map { found -> [JSONValue] in
            [["metric": ["agent": "writer"], "value": [0, .string("\(found.value)")]]]
        }
        return ["data": ["resultType": "vector", "result": .array(series ?? [])]]
    }
}

@Suite("Whether an incident is verified")
struct IncidentProofTests {
    private struct Bench {
        let fixture: ContainmentFixture
        let reader = ScriptedReader([("HighErrorRate", "errors > 1")])
        let incident: String

        init(_ fixture: ContainmentFixture) async throws {
            self.fixture = fixture
            try await fixture.register("writer")
            incident = try await fixture.fire("HighErrorRate", [("agent", "writer")])
            try await fixture.end("HighErrorRate", [("agent", "writer")])
        }

        func look() async throws {
            let loop = IncidentProofLoop(
                incidents: fixture.incidents, reader: reader, storage: fixture.storage, world: fixture.base.world)
            try await loop.look()
        }

        func pass(_ span: Span) async throws {
            fixture.time.advance(by: span)
            try await look()
            try await fixture.storage.write { [incidents = fixture.incidents] in _ = try incidents.sweep(in: $0) }
        }

        var isVerified: Bool {
            get async throws {
                try await fixture.storage.read { [incidents = fixture.incidents, incident] in
                    try incidents.incident(Identifier(stored: incident), in: $0)?.milestones[.verified]
                } != nil
            }
        }
    }

    private func on(_ engine: TestEngine = .sqlite, _ body: (Bench) async throws -> Void) async throws {
        try await ContainmentFixture.on(engine, verifications: [RuleVerification(hasSeries: true)]) { fixture in
            try await body(Bench(fixture))
        }
    }

    @Test("not before its rules were looked at, and not while they were not clear", arguments: TestEngine.available)
    func rules(_ engine: TestEngine) async throws {
        try await on(engine) { bench in
            bench.fixture.time.advance(by: .minutes(10))
            try await bench.fixture.storage.write { [incidents = bench.fixture.incidents] in
                _ = try incidents.sweep(in: $0)
            }
            #expect(try await !bench.isVerified, "nobody looked")
            bench.reader.set("errors > 1", 3)
            try await bench.pass(.minutes(1))
            #expect(try await !bench.isVerified, "it was not clear for minutes")
            bench.reader.set("errors > 1", nil)
            try await bench.pass(.minutes(1))
            #expect(try await bench.isVerified)
        }
    }

    @Test("where there was traffic there must be some again; where there was none, none is asked for")
    func traffic() async throws {
        try await on { bench in
            bench.reader.set("offset", 20)
            try await bench.pass(.minutes(10))
            #expect(try await !bench.isVerified, "it is silent")
            bench.reader.set("[5m] )", 3)
            try await bench.pass(.minutes(1))
            #expect(try await bench.isVerified)
        }
        try await on { bench in
            try await bench.pass(.minutes(10))
            #expect(try await bench.isVerified)
        }
    }

    @Test("what was found out of an earlier quiet does not count for the next one")
    func again() async throws {
        try await on { bench in
            try await bench.look()
            try await bench.fixture.fire("HighErrorRate", [("agent", "writer")])
            bench.fixture.time.advance(by: .minutes(1))
            try await bench.fixture.end("HighErrorRate", [("agent", "writer")])
            bench.fixture.time.advance(by: .minutes(10))
            try await bench.fixture.storage.write { [incidents = bench.fixture.incidents] in
                _ = try incidents.sweep(in: $0)
            }
            #expect(try await !bench.isVerified)
            try await bench.pass(IncidentService.recheck)
            #expect(try await bench.isVerified)
        }
    }

    static let subjects: [([(String, String)], String?)] = [
        ([("agent", "writer"), ("model", "m")], "agent:writer"), ([("model", "m")], "model:m"),
        ([("provider", "main")], "provider:main"), ([("queue", "q")], nil), ([("provider", "a{b")], nil), ([], nil),
    ]

    @Test("what is to go on is known by what an alert is about", arguments: subjects)
    func subject(_ row: ([(String, String)], String?)) throws {
        let now = Timestamp(microseconds: 0)
        let alert = IncidentAlert(
            fingerprint: "f", name: "a", severity: "warning", summary: "", labels: LabelSet(row.0), times: 1,
            firstAt: now, lastAt: now)
        let traffic = IncidentProofLoop.traffic(of: alert)
        #expect(traffic?.subject == row.1)
        if let traffic { _ = try PromQLQuery(traffic.selector(at: "offset 60s")) }
    }
}
