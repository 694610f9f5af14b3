import Synchronization
import Telemetry
import TestSupport
import Testing

@testable import Control
@testable import Kernel

@Suite("Incidents: the timeline")
struct IncidentTimelineTests {
    private static func event(
        _ type: String, agent: String? = nil, task: String? = nil, actor: String = "reeve", _ data: JSONValue = [:]
    ) -> Event {
        Event(
            seq: 7, at: Timestamp(microseconds: 1_000_000), type: type, actor: actor, project: nil, agent: agent,
            taskID: task, taskSeq: nil, correlationID: nil, data: data)
    }

    static let rows: [(event: Event, kind: String?, target: String)] = [
        (event("agent.paused", agent: "writer"), "agent", "agent:writer"),
        (event("agent.paused", agent: "stranger"), nil, ""),
        (event("agent.status_changed", agent: "near", ["to": "offline"]), "agent", "agent:near"),
        (event("task.held", agent: "writer", task: "task_1", ["reason": "rejected"]), "task", "task:task_1"),
        (event("task.held", agent: "stranger", task: "task_2"), nil, ""),
        (event("task.held", task: "task_9"), "task", "task:task_9"),
        (event("task.reviewed", agent: "writer", task: "task_1", ["verdict": "approve"]), nil, ""),
        (event("task.reviewed", agent: "writer", task: "task_1", ["verdict": "reject"]), "task", "task:task_1"),
        (event("task.claimed", agent: "writer", task: "task_1"), nil, ""),
        (event("model.breaker_opened", ["model": "small", "target": "main/x"]), "breaker", "provider:main"),
        (event("model.outage.began", ["model": "small"]), "breaker", "model:small"),
        (event("budget.exhausted", agent: "writer", ["scope": "agent:writer"]), "budget", "agent:writer"),
        (event("budget.exhausted", agent: "stranger", ["scope": "agent:stranger"]), nil, ""),
        (event("budget.exhausted", ["scope": "org"]), "budget", "scope:org"),
        (event("budget.updated", actor: "admin:ada", ["scope": "org"]), "change", "scope:org"),
        (event("budget.exhausted", ["scope": "project:alpha"]), "budget", "scope:project:alpha"),
        (event("budget.exhausted", ["scope": "project:other"]), nil, ""),
        (event("budget.exhausted", ["scope": "key:key_1"]), nil, ""),
        (event("call.repriced", actor: "admin:ada"), "change", "fleet"),
        (event("key.revoked", agent: "writer", actor: "admin:ada"), "change", "agent:writer"),
        (event("key.revoked", agent: "stranger", actor: "admin:ada"), nil, ""),
        (event("key.created", actor: "admin:ada", ["name": "ci"]), "change", "name:ci"),
        (event("queue.paused", actor: "operator:ada", ["name": "inbox"]), "change", "queue:inbox"),
        (event("deploy.finished", agent: "ci", actor: "ingest:ci", ["version": "v7"]), "change", "agent:ci"),
        (event("silence.created", actor: "operator:ada"), "silence", "fleet"),
        (event("model.loop_detected", agent: "writer"), "loop", "agent:writer"),
        (event("incident.opened"), nil, ""), (event("custom.thing", agent: "writer"), nil, ""),
        (event("budgets.exhausted", agent: "writer"), nil, ""),
    ]

    @Test("what of the log stands in it", arguments: rows.indices)
    func entries(_ index: Int) {
        let row = Self.rows[index]
        let entry = IncidentChange.entry(
            row.event, subjects: ["agent:writer", "task:task_9", "project:alpha"], near: ["agent:near"])
        #expect(entry?.kind == row.kind, "\(row.event.type)")
        #expect((entry?.target ?? "") == row.target, "\(row.event.type)")
        if entry != nil { #expect(entry?.action == row.event.type) }
    }

    @Test("hostile data is cut down")
    func detail() {
        var members = JSONObject([.init(name: "long", value: .string(String(repeating: "x", count: 10_000)))])
        for number in 0..<100 { members.append("m\(number)", .int(1)) }
        members.append("deep", ["a": ["b": ["c": 1]]])
        let entry = IncidentChange.entry(
            Self.event("deploy.done", .object(members)), subjects: [])
        #expect(entry?.detail["long"]?.string?.count == 300)
        #expect((entry?.detail.object?.count ?? 0) < 20)
    }

    @Test("it begins before the incident and follows it past its end, each event once", arguments: TestEngine.available)
    func follows(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            try await bench.note("deploy.finished", agent: "old", ["version": "v1"])
            bench.time.advance(by: .minutes(40))
            try await bench.note("deploy.finished", agent: "ci", ["version": "v2"])
            try await bench.note("model.breaker_opened", ["model": "small", "target": "main/x"])
            bench.time.advance(by: .minutes(2))
            let id = try await bench.fire("HighErrorRate", ["agent": "writer"])
            try await bench.note("agent.paused", agent: "writer", actor: "operator:ada")
            try await bench.note("agent.paused", agent: "stranger", actor: "operator:ada")
            for _ in 0..<3 { try await bench.timelines.follow() }
            // Another replica, and one that was started anew.
            try await IncidentTimelines(service: bench.incidents, storage: bench.storage).follow()
            #expect(
                try await bench.story(id) == [
                    "change deploy.finished agent:ci", "breaker model.breaker_opened provider:main",
                    "alert fired alert:HighErrorRate", "agent agent.paused agent:writer",
                ])
            try await bench.state(.resolved, of: id)
            try await bench.note("agent.resumed", agent: "writer", actor: "operator:ada")
            bench.time.advance(by: .minutes(9))
            try await bench.timelines.follow()
            #expect(try await bench.story(id).last == "agent agent.resumed agent:writer")
            bench.time.advance(by: .minutes(2))
            try await bench.note("agent.paused", agent: "writer")
            try await bench.timelines.follow()
            #expect(try await bench.story(id).last == "agent agent.resumed agent:writer")
        }
    }

    @Test("a flood of events is followed to its end in bounded steps", arguments: TestEngine.available)
    func flood(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            let id = try await bench.fire("HighErrorRate", ["agent": "writer"])
            try await bench.storage.write { [events = bench.tasks.events] transaction in
                for number in 0..<12_000 {
                    let type = number % 2_000 == 0 ? "agent.paused" : "custom.thing"
                    try events.append(EventDraft(type, actor: "x", agent: "writer"), in: transaction)
                }
            }
            try await bench.timelines.follow()
            #expect(try await bench.story(id).count { $0.hasPrefix("agent") } == 6)
        }
    }

    @Test("what concerns everybody is written in bounds, and once, whoever is killed", arguments: TestEngine.available)
    func everybody(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            let count = engine == .sqlite ? 5_000 : 500
            let kills = engine == .sqlite ? [(1, false), (8, true), (20, false)] : [(1, false), (2, true), (2, false)]
            try await bench.change { incidents, transaction in
                for _ in 0..<count {
                    let id = Identifier<Incident>(incidents.world)
                    var incident = Incident(
                        id: id, title: "x", severity: .info, groupKey: id.text, subjects: ["agent:writer"],
                        milestones: [.detected: incidents.world.now], openedBy: "reeve")
                    try incidents.insert(&incident, near: [], in: transaction)
                }
            }
            for number in 0..<3 { try await bench.note("deploy.finished", ["version": .int(Int64(number))]) }
            func entries() async throws -> [(incident: String, event: Int64)] {
                try await bench.storage.read { transaction in
                    try transaction.rows("SELECT incident_id, event_seq FROM incident_entries").map {
                        ($0.text("incident_id"), $0.int("event_seq"))
                    }
                }
            }
            // It is killed after so many transactions, and others begin where it was.
            for (write, isKept) in kills {
                let storage = MortalStorage(bench.storage, dyingAt: write, isKept: isKept)
                let timelines = IncidentTimelines(service: bench.incidents, storage: storage)
                await #expect(throws: MortalStorage.Killed.self) { try await timelines.follow() }
            }
            let kept = kills.reduce(0) { $0 + ($1.1 ? $1.0 : $1.0 - 1) }
            #expect(try await entries().count == kept * 3 * IncidentTimelines.batchMax)
            try await IncidentTimelines(service: bench.incidents, storage: bench.storage).follow()
            let all = try await entries()
            #expect(all.count == 3 * count)
            #expect(Set(all.map { "\($0.incident) \($0.event)" }).count == 3 * count)
        }
    }

    @Test("a long timeline is written piece by piece")
    func pieces() {
        func batch(_ entries: Int, end: Int64) -> IncidentTimelines.Batch {
            let entries = (0..<entries).map { number in
                IncidentEntry(
                    kind: "change", action: "x", target: "y", actor: "z", at: Timestamp(microseconds: 0), detail: [:],
                    event: Int64(number + 1))
            }
            return IncidentTimelines.Batch(id: Identifier(stored: "i\(end)"), row: 0, end: end, entries: entries)
        }
        let most = IncidentTimelines.entriesMax
        let found = IncidentTimelines.transactions([
            batch(3, end: 9), batch(2 * most + 1, end: 5_000), batch(0, end: 7),
        ])
        #expect(found.map { $0.map(\.entries.count) } == [[3], [most], [most], [1, 0]])
        #expect(found.flatMap(\.self).map(\.row) == [0, 0, Int64(most), Int64(2 * most), 0])
        #expect(found.flatMap(\.self).map(\.end) == [9, Int64(most), Int64(2 * most), 5_000, 7])
    }

    @Test("what comes by itself leaves room for what people write", arguments: TestEngine.available)
    func full(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            let incident = try await bench.open(["title": "x", "severity": "info"])
            let entry = IncidentEntry(
                kind: "task", action: "task.held", target: "task:1", actor: "reeve", at: bench.world.now)
            try await bench.change { incidents, transaction in
                for _ in 0..<IncidentService.automaticMax + 5 {
                    try incidents.record(entry, in: incident.id, transaction)
                }
            }
            #expect(try await bench.story(incident.id.text).count == Int(IncidentService.automaticMax))
            _ = try await bench.change {
                try $0.remark(incident.id.text, "still here", by: IncidentFixture.ada, in: $1)
            }
            #expect(try await bench.story(incident.id.text).last?.hasPrefix("note") == true)
        }
    }

    @Test("where another replica comes between, nothing is left out", arguments: TestEngine.available)
    func overtaken(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            let incident = try await bench.open(["title": "x", "severity": "info"])
            try await bench.timelines.follow()
            let row = try await bench.storage.read { [incidents = bench.incidents] in
                try incidents.store.places([incident.id.text], in: $0).first?.seen ?? 0
            }
            try await bench.note("deploy.finished", agent: "ci", ["version": "v1"])
            let first = try await bench.storage.read { [events = bench.tasks.events] in
                try events.store.latest(limit: 1, in: $0)[0]
            }
            try await bench.note("deploy.finished", agent: "ci", ["version": "v2"])
            // The other one saw the first event alone.
            let entries = [try #require(IncidentChange.entry(first, subjects: []))]
            let storage = OvertakenStorage(base: bench.storage) { [incidents = bench.incidents, base = bench.storage] in
                let batch = IncidentTimelines.Batch(id: incident.id, row: row, end: first.seq, entries: entries)
                let moved = try await base.write { try incidents.write([batch], in: $0) }
                #expect(moved.isEmpty)
            }
            let timelines = IncidentTimelines(service: bench.incidents, storage: storage)
            try await timelines.follow()
            #expect(
                try await bench.story(incident.id.text).filter { $0.contains("deploy") } == [
                    "change deploy.finished agent:ci", "change deploy.finished agent:ci",
                ])
        }
    }
}

/// A store in which somebody else comes before the first write.
private final class OvertakenStorage: Storage {
    private let base: any Storage
    private let other: Mutex<(@Sendable () async throws -> Void)?>

    init(base: any Storage, other: @escaping @Sendable () async throws -> Void) {
        self.base = base
        self.other = Mutex(other)
    }

    var dialect: SQLDialect { base.dialect }

    func write<Value: Sendable>(
        _ urgency: WriteUrgency, _ body: @escaping @Sendable (Transaction) throws -> Value
    ) async throws -> Value {
        let first = other.withLock { other in
            defer { other = nil }
            return other
        }
        try await first?()
        return try await base.write(urgency, body)
    }

    func read<Value: Sendable>(_ body: @escaping @Sendable (Transaction) throws -> Value) async throws -> Value {
        try await base.read(body)
    }

    func close() async { await base.close() }
}
