import Kernel
import Synchronization
import Telemetry
import TestSupport
import Testing

@testable import Control

/// Answers questions by what stands in them.
final class ScriptedReader: RunbookReading {
    private let answers = Mutex<[(part: String, value: Double)]>([])
    private let count = Mutex(0)

    /// Questions that were asked.
    var asked: Int { count.withLock { $0 } }

    func set(_ part: String, _ value: Double?) {
        answers.withLock { answers in
            answers.removeAll { $0.part == part }
            if let value { answers.append((part, value)) }
        }
    }

    func get(_ path: String) async throws -> JSONValue {
        count.withLock { $0 += 1 }
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
    private final class Bench: Sendable {
        let fixture: ContainmentFixture
        let reader = ScriptedReader()
        /// How often the rules were asked for.
        let rounds = Mutex(0)
        let incident: String

        init(_ fixture: ContainmentFixture) async throws {
            self.fixture = fixture
            try await fixture.register("writer")
            incident = try await fixture.fire("HighErrorRate", [("agent", "writer")])
            try await fixture.end("HighErrorRate", [("agent", "writer")])
        }

        func look() async throws {
            let loop = IncidentProofLoop(
                incidents: fixture.incidents, reader: reader,
                rules: { [self] in
                    rounds.withLock { $0 += 1 }
                    return ["HighErrorRate": ["errors > 1"]]
                },
                storage: fixture.storage, world: fixture.base.world)
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
            bench.reader.set("[5m] ))", 3)
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

    @Test("rules are asked for once a round, and each question once, however many alerts want to know")
    func once() async throws {
        try await on { bench in
            for number in 0..<50 {
                try await bench.fixture.fire("HighErrorRate", [("agent", "a\(number)")])
                try await bench.fixture.end("HighErrorRate", [("agent", "a\(number)")])
            }
            bench.fixture.time.advance(by: .minutes(1))
            try await bench.look()
            #expect(bench.rounds.withLock { $0 } == 1)
            // Each incident looks at its own time before.
            #expect(bench.reader.asked <= 1 + IncidentProofLoop.roundMax)
            for _ in 0..<3 { try await bench.look() }
            let (rounds, asked) = (bench.rounds.withLock { $0 }, bench.reader.asked)
            // Nobody is due any more: neither rules nor series are asked.
            for _ in 0..<3 { try await bench.look() }
            #expect(bench.rounds.withLock { $0 } == rounds && bench.reader.asked == asked)
        }
    }

    @Test("all alerts of an incident are looked at, not only the first of them")
    func all() async throws {
        try await on { bench in
            let fixture = bench.fixture
            for number in 0..<60 {
                let labels = [("agent", "writer"), ("task", "t\(number)")]
                let id = try await fixture.fire("HighErrorRate", labels)
                #expect(id == bench.incident)
            }
            for number in 0..<60 {
                try await fixture.end("HighErrorRate", [("agent", "writer"), ("task", "t\(number)")])
            }
            bench.reader.set("errors > 1", 3)
            try await bench.pass(.minutes(1))
            let pending = try await fixture.storage.read {
                try IncidentProofStore().proof(of: bench.incident, in: $0)?.pending
            }
            #expect(pending == ["HighErrorRate has not been clear for 2m"])
        }
    }

    static let subjects: [([(String, String)], String?)] = [
        ([("agent", "writer"), ("model", "m")], "agent"), ([("model", "m")], "model"),
        ([("provider", "main")], "provider"), ([("queue", "q")], nil), ([], nil),
    ]

    @Test("what is to go on is known by what an alert is about", arguments: subjects)
    func subject(_ row: ([(String, String)], String?)) throws {
        let now = Timestamp(microseconds: 0)
        let alert = IncidentAlert(
            fingerprint: "f", name: "a", severity: "warning", summary: "", labels: LabelSet(row.0), times: 1,
            firstAt: now, lastAt: now)
        #expect(AlertTraffic(of: alert)?.rawValue == row.1)
    }

    @Test("however many names there are, and however long, each question stays within what a pattern may have")
    func parts() throws {
        let names = (0..<300).map { "researcher-(\($0))-" + String(repeating: "x.", count: $0 % 90) }
        let parts = AlertTraffic.parts(names)
        #expect(parts.flatMap { $0 } == names && parts.count < 30)
        for kind in AlertTraffic.allCases {
            for part in parts { _ = try PromQLQuery(kind.query(part, at: "offset 60s")) }
        }
        #expect(AlertTraffic.parts([]).isEmpty)
        #expect(AlertTraffic.parts(["a", "b"]) == [["a", "b"]])
    }

    @Test("names are names in a question, whatever stands in them", arguments: AlertTraffic.allCases)
    func names(_ kind: AlertTraffic) async throws {
        let names = ["ann", #"a{b"c\"#, "x.y|z", "line\nend"]
        func label(_ name: String) -> String {
            name.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
        }
        let series = (names + ["xzy", "z"]).map { name -> (name: String, values: String) in
            let name = label(name)
            return switch kind {
            case .agent: (#"agent_tool_calls_total{agent="\#(name)"}"#, "0+1x20")
            case .model: (#"reeve_model_calls_total{model="\#(name)"}"#, "0+1x20")
            case .provider: (#"reeve_model_attempts_total{target="\#(name)/large"}"#, "0+1x20")
            }
        }
        let fleet = try FaultyFleet(series)
        let path = PagePath.query("/prometheus/api/v1/query", [("query", kind.query(names, at: "offset 60s"))])
        let found = try await fleet.get(path)["data"]?["result"]?.array ?? []
        let seen = Set(found.compactMap { $0["metric"]?[kind.rawValue]?.string })
        #expect(seen == Set(names))
    }

    @Test("the expressions of ten thousand rules are had at once")
    func manyRules() async throws {
        try await TestStorage.withFolder { folder in
            let world = World.test(time: ManualTime())
            let series = try SeriesStore(folder: folder, quota: 16 << 20, days: 30, world: world)
            let rules = (0..<100).map { "      - {alert: A\($0), expr: 'up{n=\"\($0)\"} == 0'}" }.joined(
                separator: "\n")
            let program = try RuleReader.read("groups:\n  - name: g\n    rules:\n\(rules)\n")
            let book = RuleBook(
                (0..<100).map { RuleBook.Entry(file: "f\($0)", group: program.groups[0], interval: 60_000) })
            let engine = RuleEngine(store: series, externalURL: { "" }, world: world)
            await engine.load(book)
            let expressions = await engine.alertExpressions
            #expect(expressions.count == 100 && expressions["A7"]?.count == 100)
            try await series.close()
        }
    }
}
