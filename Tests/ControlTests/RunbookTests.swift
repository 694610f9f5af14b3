import Foundation
import Kernel
import Synchronization
import Telemetry
import TestSupport
import Testing

@testable import Control

/// Answers as a test says, and writes down what it was asked.
final class StillReader: RunbookReading {
    private let state: Mutex<(values: [Double], asked: [String])>

    init(_ values: [Double] = []) { state = Mutex((values, [])) }

    var asked: [String] { state.withLock { $0.asked } }
    func set(_ values: [Double]) { state.withLock { $0.values = values } }

    func get(_ path: String) async throws -> JSONValue {
        let values = state.withLock { state in
            state.asked.append(path)
            return state.values
        }
        let series = values.map { value -> JSONValue in ["metric": [:], "value": [0, .string("\(value)")]] }
        return ["data": ["resultType": "vector", "result": .array(series)], "items": []]
    }
}

@Suite("Runbooks")
struct RunbookTests {
    // MARK: Texts

    static let faults: [(String, String, String)] = [
        ("no steps", "name: a\n", "1:1"), ("no name", "title: a\ndiagnosis: [{query: up}]\n", "1:1"),
        ("a field that there is not", "name: a\nstep: []\n", "2:1"),
        ("a mode that there is not", "name: a\nmode: flood\nchecks: [x]\n", "2:7"),
        ("an expression that cannot be read", "name: a\ndiagnosis:\n  - {title: t, query: 'rate('}\n", "3:23"),
        ("two questions in one", "name: a\ndiagnosis:\n  - {query: up, tasks: agent=b}\n", "3:5"),
        ("a step that would write", "name: a\ndiagnosis:\n  - {api: POST /api/v1/tasks}\n", "3:11"),
        ("a question that is none", "name: a\ndiagnosis:\n  - {action: pauseAgent}\n", "3:6"),
        ("a path elsewhere", "name: a\ndiagnosis:\n  - {api: /metrics}\n", "3:11"),
        ("a path that climbs", "name: a\ndiagnosis:\n  - {api: /api/v1/../x}\n", "3:11"),
        ("a place for nothing", "name: a\ndiagnosis:\n  - {tasks: 'agent={{moon}}'}\n", "3:13"),
        ("a filter that there is not", "name: a\ndiagnosis:\n  - {tasks: 'state=failed'}\n", "3:13"),
        ("an action that there is not", "name: a\nactions:\n  - {action: dropTables}\n", "3:14"),
        ("an action on nothing", "name: a\nactions:\n  - {action: pauseAgent}\n", "3:5"),
        (
            "a parameter of another action", "name: a\nactions:\n  - {action: pauseAgent, parameters: {models: [x]}}\n",
            "3:39"
        ),
        ("what is verified expects something", "name: a\nchecks: [x]\nverify:\n  - {query: up}\n", "4:5"),
        ("a wrong expectation", "name: a\nchecks: [x]\nverify:\n  - {query: up, expect: soon}\n", "4:25"),
        ("a time that is none", "name: a\nchecks: [x]\nverifyAfter: soon\n", "3:14"),
        ("what silence would verify", "name: a\nchecks: [x]\nverify:\n  - {query: 'up > 0', expect: empty}\n", "4:5"),
        ("a constant", "name: a\nchecks: [x]\nverify:\n  - {query: 'max(up) or vector(0)', expect: '< 1'}\n", "4:5"),
        ("an absence", "name: a\nchecks: [x]\nverify:\n  - {query: 'absent(up)', expect: present}\n", "4:5"),
        ("what silence would stop", "name: a\nchecks: [x]\nstop:\n  - {query: 'up > 0', expect: empty}\n", "4:5"),
        ("a plan of no mode", "name: a\nactions:\n  - {action: useFallback}\n", "3:5"),
        ("what no plan has", "name: a\nmode: budget-runaway\nactions:\n  - {action: useFallback}\n", "4:5"),
        (
            "a name that stands for nothing",
            "name: a\nactions:\n  - {action: pauseAgent, parameters: {agents: '{{moons}}'}}\n", "3:47"
        ),
        (
            "a name within a text",
            "name: a\nactions:\n  - {action: pauseAgent, parameters: {agents: 'my-{{agent}}'}}\n", "3:47"
        ),
        ("a control character", "name: a\nchecks: [\"x\\0\"]\n", "2:10"),
        ("what repeats itself", "name: a\nchecks: &a [x, *a]\n", "2:16"),
        ("a name that climbs", "name: ../a\nchecks: [x]\n", "1:7"), ("no YAML", "name: [a\n", "2:1"),
    ]

    @Test("what is wrong is told with its line and column", arguments: faults)
    func faulty(_ row: (String, String, String)) {
        let fault = #expect(throws: MarkedYAML.Fault.self) { try Runbook(row.1) }
        #expect(fault.map { "\($0.line):\($0.column)" } == row.2, "\(row.0): \(String(describing: fault))")
    }

    private static let ruleless = [
        AlertHeart.alertName, "SecretCompromised", "SecretLeaked", "SecretRotationDue",
    ]

    @Test("each shipped alert has exactly one runbook, and each mode has one of its name")
    func shipped() {
        let library = RunbookLibrary.shipped
        let served = library.runbooks.flatMap(\.alerts)
        #expect(Set(served).count == served.count)
        // That no rule is evaluated any more, no rule can tell; and those of secrets need none.
        #expect(Set(served) == Set(ShippedRules.alertNames).union(Self.ruleless))
        for mode in FailureMode.allCases {
            #expect(library.runbook(mode.rawValue)?.mode == mode, "\(mode)")
        }
        for runbook in library.runbooks {
            #expect(
                !runbook.diagnosis.isEmpty && !runbook.checks.isEmpty && !runbook.summary.isEmpty, "\(runbook.name)")
            // What acts is verified by something else than itself.
            #expect(runbook.actions.isEmpty || !runbook.verify.isEmpty, "\(runbook.name)")
        }
    }

    @Test("own runbooks take the place of shipped ones, by name and by alert")
    func replaced() throws {
        let own = try Runbook("name: mine\nalerts: [ToolStorm]\nchecks: [look]\n", file: "a.yml")
        let library = try RunbookLibrary.shipped.replaced(by: [own])
        #expect(library.runbook("ToolStorm") == nil && library.runbook("mine")?.isShipped == false)
        let second = try Runbook("name: other\nalerts: [ToolStorm]\nchecks: [look]\n", file: "b.yml")
        #expect(throws: RunbookLibrary.Fault.self) { try RunbookLibrary.shipped.replaced(by: [own, second]) }
    }

    @Test("files of the settings are read from beside them; what is wrong is told with the file")
    func files() async throws {
        try await TestStorage.withFolder { folder in
            try "name: mine\nalerts: [ToolStorm]\nchecks: [look]\n".write(
                toFile: "\(folder)/a.yml", atomically: true, encoding: .utf8)
            let library = try RunbookLibrary.configured(by: ["runbooks": ["*.yml"]], beside: folder)
            #expect(library.runbook("mine")?.file == "\(folder)/a.yml" && library.runbook("ToolStorm") == nil)
            try "name: worse\nchecks: x\n".write(toFile: "\(folder)/b.yml", atomically: true, encoding: .utf8)
            let fault = #expect(throws: RunbookLibrary.Fault.self) {
                try RunbookLibrary.configured(by: ["runbooks": ["*.yml"]], beside: folder)
            }
            #expect(fault?.description.hasPrefix("\(folder)/b.yml:2:9: ") == true, "\(String(describing: fault))")
            #expect(throws: RunbookLibrary.Fault.self) {
                try RunbookLibrary.configured(by: ["runbooks": ["none/*.yml"]], beside: folder)
            }
        }
        #expect(throws: Problem.self) { try RunbookLibrary.configured(by: ["runbooks": "a.yml"], beside: "") }
        // The alert of a poisoned context is answered by the runbook of its mode.
        #expect(
            try RunbookLibrary.configured(by: .null, beside: "").runbooks.count
                == ShippedRules.alertNames.count + Self.ruleless.count + FailureMode.allCases.count - 1)
    }

    @Test("files are read anew once they change; where one is wrong all stays as it was, and the page says so")
    func reloaded() async throws {
        try await TestStorage.withFolder { folder in
            func write(_ text: String) throws {
                try text.write(toFile: "\(folder)/a.yml", atomically: true, encoding: .utf8)
            }
            try write("name: mine\nchecks: [look]\n")
            let shelf = try RunbookShelf(configuredBy: ["runbooks": ["*.yml"]], beside: folder)
            #expect(shelf.loops.count == 1 && shelf.library.runbook("mine")?.checks == ["look"])
            try write("name: mine\nchecks: [look, and look again]\n")
            shelf.reload()
            #expect(shelf.library.runbook("mine")?.checks.count == 2 && shelf.fault == nil)
            try write("name: mine\nchecks: nothing\n")
            shelf.reload()
            #expect(shelf.library.runbook("mine")?.checks.count == 2)
            #expect(shelf.fault?.hasPrefix("\(folder)/a.yml:2:9: ") == true)
            try write("name: other\nchecks: [look]\n")
            shelf.reload()
            #expect(shelf.library.runbook("mine") == nil && shelf.library.runbook("other") != nil && shelf.fault == nil)
            try write(String(repeating: "#", count: Runbook.bytesMax + 1))
            shelf.reload()
            #expect(shelf.fault?.contains("bytes at most") == true)
        }
        #expect(RunbookShelf(.shipped).loops.isEmpty)
    }

    @Test("names of an incident stand in texts, and break out of none")
    func templates() {
        let incident = Incident(
            id: Identifier(stored: "incident_1"), title: "t", severity: .critical, groupKey: "k",
            subjects: [#"agent:a"} or up{x=""#, "agent:b", "task:t1"], milestones: [:], openedBy: "reeve")
        let subjects = RunbookSubjects(incident: incident)
        #expect(subjects.filled(#"up{agent="{{agent}}"}"#, in: .query) == #"up{agent="a\"} or up{x=\""}"#)
        #expect(subjects.filled("agent={{ agent }}&limit=2", in: .path)?.contains("\"") == false)
        #expect(subjects.filled("{{queue}}", in: .path) == nil)
        #expect(subjects.filled("{{incident}} {{task}}", in: .query) == "incident_1 t1")
        #expect(subjects.names(["{{agents}}", "c"]).suffix(2) == ["b", "c"])
        #expect(subjects.names(["{{agent}}"]).count == 1)
        #expect(subjects.names(["{{models}}"]) == [])
    }

    static let expectations: [(String, [Double], Bool?)] = [
        ("empty", [], true), ("empty", [0], false), ("present", [], false), ("< 5", [4, 4.9], true),
        ("< 5", [4, 5], false), ("<= 5", [5], true), (">= 0.5", [0.4], false), ("== 0", [0, 0], true),
        ("> 1", [], false), ("< 1", [], false), ("== 0", [], false), ("< 1", [.nan], false),
        ("soon", [], nil), ("< x", [], nil), ("< inf", [], nil), ("", [], nil),
    ]

    @Test("answers are compared as the runbook says", arguments: expectations)
    func expects(_ row: (String, [Double], Bool?)) {
        #expect(Runbook.Expectation(row.0).map { $0.outcome(of: row.1) == .holds } == row.2, "\(row.0) \(row.1)")
    }

    @Test("where values are compared, none and what is no number say nothing")
    func unknown() throws {
        let below = try #require(Runbook.Expectation("< 1"))
        #expect(below.outcome(of: []) == .unknown && below.outcome(of: [.nan, 0]) == .unknown)
        #expect(below.outcome(of: [.nan, 2]) == .fails && below.outcome(of: [.infinity]) == .fails)
    }

    @Test("the runbook is that of what fires, of the most severe, of the newest")
    func choice() throws {
        let library = try RunbookLibrary(
            ["a", "b", "c"].map { try Runbook("name: \($0)\nalerts: [\($0)]\nchecks: [x]\n") })
        let incident = Incident(
            id: Identifier(stored: "incident_1"), title: "t", severity: .critical, groupKey: "k", subjects: [],
            milestones: [:], openedBy: "reeve")
        func alert(_ name: String, _ severity: String, at second: Int64, ended: Bool = false) -> IncidentAlert {
            let at = Timestamp(microseconds: second * 1_000_000)
            return IncidentAlert(
                fingerprint: name, name: name, severity: severity, summary: "", labels: LabelSet([("alertname", name)]),
                times: 1, firstAt: at, lastAt: at, endedAt: ended ? at : nil)
        }
        func chosen(_ alerts: IncidentAlert...) -> String? { library.runbook(for: incident, alerts: alerts)?.name }
        #expect(chosen(alert("a", "warning", at: 1), alert("b", "warning", at: 2)) == "b")
        #expect(chosen(alert("a", "warning", at: 3), alert("b", "warning", at: 2)) == "a")
        #expect(chosen(alert("a", "warning", at: 3), alert("b", "critical", at: 1)) == "b")
        #expect(chosen(alert("a", "odd", at: 3), alert("b", "info", at: 1), alert("c", "none", at: 9)) == "a")
        #expect(chosen(alert("a", "critical", at: 3, ended: true), alert("b", "info", at: 1)) == "b")
        #expect(chosen(alert("a", "critical", at: 3, ended: true)) == "a")
        // What weighs most and has none leaves it to the next.
        #expect(chosen(alert("z", "critical", at: 9), alert("c", "warning", at: 1)) == "c")
        #expect(chosen(alert("z", "critical", at: 9)) == nil)
    }

    // MARK: Runs

    private static let text = """
        name: isolate
        title: Isolate the agent
        alerts: [HighErrorRate]
        diagnosis:
          - {title: Errors, query: 'rate(errors_total{agent="{{agent}}"}[5m])'}
          - {title: Queue, tasks: "queue={{queue}}"}
        actions:
          - {action: pauseAgent, parameters: {agents: "{{agents}}"}}
        stop:
          - {title: All is well, query: "all_is_well", expect: "== 1"}
        verify:
          - {title: No errors, query: "errors", expect: "< 1"}
        verifyAfter: 30s
        verifyWithin: 2m
        checks: [Look at the host]
        """

    struct Bench {
        let fixture: ContainmentFixture
        let service: RunbookService
        let reader: StillReader
        let loop: RunbookLoop
        let incident: String

        init(_ fixture: ContainmentFixture, text: String = RunbookTests.text) async throws {
            self.fixture = fixture
            try await fixture.register("writer", "editor")
            incident = try await fixture.fire("HighErrorRate", [("agent", "writer")])
            service = RunbookService(
                library: try RunbookLibrary([try Runbook(text)]), containments: fixture.service,
                events: fixture.base.events, audit: AuditService(world: fixture.base.world), world: fixture.base.world)
            reader = StillReader([3])
            loop = RunbookLoop(service: service, reader: reader, storage: fixture.storage)
        }

        func start(approves: Bool = true) async throws -> RunbookRun {
            try await fixture.storage.write { [service, incident] in
                try service.start(nil, on: incident, approves: approves, by: TaskFixture.operatorKey, in: $0).run
            }
        }

        func run(_ id: Identifier<RunbookRun>) async throws -> RunbookRun {
            try await fixture.storage.read { [service] in try service.run(id.text, in: $0) }
        }

        func act() async throws {
            for _ in 0..<3 {
                try await loop.act()
                try await fixture.act()
            }
        }
    }

    @Test("finds out, acts, verifies after a while, and waits for its items", arguments: TestEngine.available)
    func whole(_ engine: TestEngine) async throws {
        try await ContainmentFixture.on(engine) { fixture in
            let bench = try await Bench(fixture)
            let id = try await bench.start().id
            #expect(try await bench.start().id == id, "a second one of the same is the same")
            try await bench.act()
            var run = try await bench.run(id)
            #expect(run.steps.map(\.state) == [.done, .skipped, .done, .started, .waiting])
            #expect(run.steps[0].evidence["asked"] == #"rate(errors_total{agent="writer"}[5m])"#)
            #expect(try await fixture.agent("writer").isPaused)
            #expect(try await fixture.agent("editor").isPaused == false)
            // Not before its time, and not while it does not hold.
            let asked = bench.reader.asked.count
            try await bench.act()
            #expect(bench.reader.asked.count == asked)
            fixture.time.advance(by: .seconds(30))
            try await bench.act()
            #expect(try await bench.run(id).steps[3].state == .started)
            // Nor while there is no data, or while the alert fires still.
            for values in [[], [0.5]] {
                bench.reader.set(values)
                fixture.time.advance(by: .seconds(10))
                try await bench.act()
                #expect(try await bench.run(id).steps[3].state == .started, "\(values)")
            }
            #expect(try await bench.run(id).steps[3].evidence["fault"]?.string?.contains("still fire") == true)
            try await fixture.end("HighErrorRate", [("agent", "writer")])
            fixture.time.advance(by: .seconds(10))
            try await bench.act()
            run = try await bench.run(id)
            #expect(run.state == .checking && run.steps[3].state == .done)
            #expect(try await fixture.timeline(bench.incident).contains { $0.action == "verified" })
            run = try await fixture.storage.write { [service = bench.service] in
                try service.tick(5, of: id.text, note: "it is", by: TaskFixture.operatorKey, in: $0)
            }
            #expect(run.state == .done && run.steps[4].actor == "operator:olga")
        }
    }

    @Test("a milestone is not reached past what others have against it")
    func against() async throws {
        let stubborn = StubbornVerification()
        try await ContainmentFixture.on(.sqlite, verifications: [stubborn]) { fixture in
            let bench = try await Bench(fixture)
            let id = try await bench.start().id
            bench.reader.set([0.5])
            try await fixture.end("HighErrorRate", [("agent", "writer")])
            for _ in 0..<2 {
                try await bench.act()
                fixture.time.advance(by: .seconds(40))
            }
            #expect(try await bench.run(id).state == .checking)
            #expect(try await fixture.timeline(bench.incident).contains { $0.action == "verified" } == false)
        }
    }

    @Test("a text is read once, and a run keeps the one that it began with")
    func texts() async throws {
        let texts = RunbookTexts()
        for _ in 0..<50 { _ = try texts.runbook(Self.text) }
        #expect(texts.reads == 1)
        try await ContainmentFixture.on(.sqlite) { fixture in
            let bench = try await Bench(fixture)
            let id = try await bench.start().id
            let other = RunbookService(
                library: try RunbookLibrary([try Runbook("name: isolate\nalerts: [HighErrorRate]\nchecks: [look]\n")]),
                containments: fixture.service, events: fixture.base.events,
                audit: AuditService(world: fixture.base.world), world: fixture.base.world)
            let loop = RunbookLoop(service: other, reader: bench.reader, storage: fixture.storage)
            try await loop.act()
            try await fixture.act()
            try await loop.act()
            #expect(try await bench.run(id).steps.prefix(3).map(\.state) == [.done, .skipped, .done])
        }
    }

    @Test("runs that wait for people are not looked at, and keep nobody waiting")
    func waiting() async throws {
        try await ContainmentFixture.on(.sqlite) { fixture in
            let bench = try await Bench(fixture)
            var waiting: [Identifier<RunbookRun>] = []
            for number in 0..<(RunbookLoop.roundMax + 5) {
                let incident = try await fixture.fire(
                    "HighErrorRate", [("agent", "a\(number)"), ("queue", "q\(number)")])
                try await fixture.register("a\(number)")
                waiting.append(
                    try await fixture.storage.write { [service = bench.service] in
                        try service.start(nil, on: incident, approves: false, by: TaskFixture.operatorKey, in: $0).run
                            .id
                    })
            }
            for _ in 0..<2 { try await bench.loop.act() }
            let due = {
                try await fixture.storage.read { try RunbookStore().due(at: .distantFuture, limit: 500, in: $0) }
            }
            #expect(try await due().isEmpty)
            let asked = bench.reader.asked.count
            try await bench.loop.act()
            #expect(bench.reader.asked.count == asked)
            let last = try await bench.start().id
            try await bench.act()
            #expect(try await bench.run(last).steps[2].state == .done)
            #expect(try await bench.run(waiting[0]).steps[2].state == .started)
        }
    }

    @Test("what does not come about in time is said to have failed")
    func unverified() async throws {
        try await ContainmentFixture.on(.sqlite) { fixture in
            let bench = try await Bench(fixture)
            let id = try await bench.start().id
            try await bench.act()
            for _ in 0..<16 {
                fixture.time.advance(by: .seconds(10))
                try await bench.act()
            }
            let run = try await bench.run(id)
            #expect(run.state == .failed && run.reason.contains("No errors"))
            let pending = try await fixture.storage.read { [incidents = fixture.incidents, id = bench.incident] in
                let incident = try incidents.known(id, in: $0)
                return try RuleVerification(hasSeries: false).pending(incident, in: $0)
            }
            #expect(pending == ["No errors"])
            #expect(try await fixture.eventTypes("runbook.") == ["runbook.started", "runbook.failed"])
        }
    }

    @Test("without approval each action is asked for; a refused one is left out", arguments: [true, false])
    func asked(_ approves: Bool) async throws {
        try await ContainmentFixture.on(.sqlite) { fixture in
            let bench = try await Bench(fixture)
            let id = try await bench.start(approves: false).id
            try await bench.act()
            #expect(try await fixture.agent("writer").isPaused == false)
            let proposed = try #require(try await fixture.containments(bench.incident).first)
            #expect(proposed.state == .proposed && proposed.origin == .runbook)
            if approves {
                try await fixture.approve(proposed.id)
            } else {
                try await fixture.storage.write { [service = fixture.service] in
                    _ = try service.refuse(proposed.id.text, reason: "no", by: TaskFixture.operatorKey, in: $0)
                }
            }
            try await bench.act()
            #expect(try await bench.run(id).steps[2].state == (approves ? .done : .refused))
            #expect(try await fixture.agent("writer").isPaused == approves)
        }
    }

    @Test(
        "a condition of its own, a person or the incident's end stop it before it acts",
        arguments: ["own", "person", "end"])
    func stops(_ how: String) async throws {
        try await ContainmentFixture.on(.sqlite) { fixture in
            let bench = try await Bench(fixture)
            let id = try await bench.start().id
            switch how {
            case "own": bench.reader.set([1])
            case "person":
                _ = try await fixture.storage.write { [service = bench.service] in
                    try service.stop(id.text, reason: nil, by: TaskFixture.operatorKey, in: $0)
                }
            default:
                try await fixture.storage.write { [incidents = fixture.incidents, incident = bench.incident] in
                    guard let known = Identifier<Incident>(incident) else { return }
                    try incidents.reach(.resolved, of: known, by: TaskFixture.operatorKey, in: $0)
                }
            }
            try await bench.act()
            #expect(try await bench.run(id).state == .stopped)
            #expect(try await fixture.agent("writer").isPaused == false)
        }
    }
}
