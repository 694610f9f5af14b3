import Kernel
import Synchronization
import Testing

@testable import Runner

/// A server that begins drills, and answers everything else as it is told.
private final class DrillTransport: Transport {
    private let state = Mutex<[String: Int]>([:])
    private let answer: @Sendable (ClientCall, Int) async throws -> ClientReply

    /// - Parameter answer: Is given how often the same path was asked for before.
    init(_ answer: @escaping @Sendable (ClientCall, Int) async throws -> ClientReply) { self.answer = answer }

    func asked(_ path: String) -> Int { state.withLock { $0[path] ?? 0 } }

    func send(_ call: ClientCall, to base: String) async throws -> ClientReply {
        let before = state.withLock { state in
            defer { state[call.path, default: 0] += 1 }
            return state[call.path] ?? 0
        }
        return call.path == "/api/v1/drills" ? Self.reply(201, Self.drill) : try await answer(call, before)
    }

    func stream(
        _ call: ClientCall, from base: String, take: @Sendable ([UInt8]) async throws -> Bool
    ) async throws -> ClientReply { Self.reply(404) }

    static let drill: JSONValue = [
        "id": "drill_1", "prefix": "drill-01a2b3c4-", "project": "drill-01a2b3c4", "alert": "DrillCostSpike",
        "model": "reeve-drill", "provider": "reeve-drill", "tool": "search", "agentType": "reeve-drill",
        "label": "drill", "policy": "operator:ada in drill_1",
        "bounds": ["detectSeconds": 10, "containSeconds": 14, "recoverSeconds": 30],
    ]

    static func reply(_ status: Int, _ body: JSONValue = ["code": "unavailable"]) -> ClientReply {
        ClientReply(status: status, headers: ["content-type": "application/json"], body: body.bytes)
    }
}

/// No time goes by: how often something is tried is all that bounds it, however busy the machine is.
private struct StillTime: TimeSource {
    var now: Timestamp { Timestamp(microseconds: 1_795_161_600_000_000) }
    func sleep(for span: Span) async throws { await Task.yield() }
}

/// Each sleep is over at once, and its time has gone by.
private final class LeapingTime: TimeSource {
    private let state = Mutex(Timestamp(microseconds: 1_795_161_600_000_000))

    var now: Timestamp { state.withLock { $0 } }

    func sleep(for span: Span) async throws {
        state.withLock { $0 = $0 + span }
        await Task.yield()
    }
}

/// A queue whose paused worker was resumed, as a server has it that takes back what it did as soon as it is told to.
private final class Pile: Sendable {
    private let state = Mutex((waiting: 12, isPaused: false))

    func answer(_ call: ClientCall) -> ClientReply {
        state.withLock { pile in
            switch call.path.split(separator: "?")[0] {
            case "/api/v1/keys": return DrillTransport.reply(201, ["key": "a"])
            case "/api/v1/alerts" where pile.waiting > 10:
                return items([["incident": "incident_1", "labels": ["drill": "drill_1"]]])
            case "/api/v1/incidents/incident_1/containments":
                return items([["id": "containment_1", "state": "acted", "decidedBy": "operator:ada"]])
            case "/api/v1/containments/containment_1/reverse":
                pile.isPaused = true
            case "/api/v1/tasks/claim" where String(decoding: call.body ?? [], as: UTF8.self).contains("-piles"):
                guard pile.waiting > 0, !pile.isPaused else { return items([]) }
                pile.waiting -= 1
                return items([["task": ["id": "task_1"], "fence": 1]])
            default: break
            }
            return call.method == .get ? items([]) : DrillTransport.reply(200, [:])
        }
    }

    private func items(_ items: [JSONValue]) -> ClientReply { DrillTransport.reply(200, ["items": .array(items)]) }
}

@Suite("A drill's command")
struct DrillRunTests {
    private static func client(_ transport: DrillTransport, _ time: some TimeSource) -> ReeveClient {
        ReeveClient(
            url: "http://reeve", key: "k", world: World(time: time, entropy: SystemEntropy()), transport: transport)
    }

    @Test("a server that does not answer keeps no drill going for longer than 40 seconds")
    func silent() async throws {
        let transport = DrillTransport { _, _ in
            try await SystemTime().sleep(for: .minutes(5))
            return DrillTransport.reply(200)
        }
        let time = FastTime(factor: 100)
        let begun = time.now
        let report = try await DrillRun("cost-spike", client: Self.client(transport, time)).run()
        #expect(!report.isPassed && report.detectedAfter == nil)
        #expect(DrillRun.courseMax + DrillRun.endMax <= .seconds(39))
        #expect(time.now - begun >= DrillRun.courseMax)
        #expect(transport.asked("/api/v1/drills/drill_1/end") >= 1)
    }

    @Test("a worker that was resumed works off what waited before it is paused again")
    func mendsFirst() async throws {
        let pile = Pile()
        let transport = DrillTransport { call, _ in pile.answer(call) }
        let course = DrillCourse(
            "queue-backup", QueueBackupFault(), of: DrillTransport.drill, on: DrillTerms(drill: DrillTransport.drill),
            by: Self.client(transport, LeapingTime()))
        try await course.run()
        #expect(course.report.containedAfter != nil && course.report.recoveredAfter != nil)
        #expect(transport.asked("/api/v1/containments/containment_1/reverse") == 1)
    }

    @Test("a reply that is lost is asked for again, a few times")
    func transient() async throws {
        let transport = DrillTransport { call, before in
            if call.path == "/api/v1/keys" { return DrillTransport.reply(201, ["key": "a"]) }
            return before < 2 ? DrillTransport.reply(503) : DrillTransport.reply(202, [:])
        }
        let client = Self.client(transport, StillTime())
        let fleet = try await DrillFleet.gather(["steady"], of: DrillTransport.drill, by: client)
        #expect(transport.asked("/api/events/ingest") == 3)
        let deaf = DrillTransport { _, _ in DrillTransport.reply(503) }
        await #expect(throws: ClientFailure.self) {
            try await DrillFleet.gather(
                ["steady"], of: DrillTransport.drill, by: Self.client(deaf, StillTime()))
        }
        #expect(deaf.asked("/api/v1/keys") <= 4)
        _ = fleet
    }

    @Test("what is not the drill's is told, so that nobody says yes to it")
    func others() async throws {
        let transport = DrillTransport { call, _ in
            guard call.path.hasPrefix("/api/v1/tasks/") else { return DrillTransport.reply(201, ["key": "a"]) }
            if call.path.hasSuffix("task_gone") { return DrillTransport.reply(404) }
            let project: JSONValue = call.path.hasSuffix("task_own") ? "drill-01a2b3c4" : "books"
            return DrillTransport.reply(200, ["project": project])
        }
        let client = Self.client(transport, FastTime(factor: 100))
        let fleet = try await DrillFleet.gather([], of: DrillTransport.drill, by: client)
        let own: JSONValue = [
            "agents": ["count": 1, "names": ["drill-01a2b3c4-spender"]], "models": ["reeve-drill"],
            "others": ["target:reeve-drill/drill-2026-01-01", "budget:agent:drill-01a2b3c4-spender"],
            "sessions": ["count": 1, "names": ["drill-01a2b3c4-session"]],
            "tasksHeld": ["count": 1, "names": ["task_own"]], "complete": true,
        ]
        #expect(try await fleet.others(in: own).isEmpty)
        let both: JSONValue = [
            "agents": ["count": 2, "names": ["drill-01a2b3c4-spender", "writer"]], "models": ["small"],
            "others": ["target:main/small", "budget:org", "queue:drill-99999999-piles"],
            "sessions": ["count": 1, "names": ["theirs"]], "tasksHeld": ["count": 1, "names": ["task_own"]],
            "tasksInProgress": ["count": 1, "names": ["task_theirs"]],
            "downstream": ["count": 7, "names": ["task_gone"]], "complete": false,
        ]
        #expect(
            try await fleet.others(in: both) == [
                "writer", "theirs", "6 more of downstream", "small", "target:main/small", "budget:org",
                "queue:drill-99999999-piles", "more than is told", "task:task_gone", "task:task_theirs",
            ])
    }

    /// What the log has of those 40 seconds: the drill's own, what it did to others, and what others did.
    private static let log: [String: [JSONValue]] = {
        func event(_ agent: String?, _ actor: String, _ reason: String?, _ more: JSONValue = [:]) -> JSONValue {
            var data = more.object ?? JSONObject()
            if let reason { data.append("reason", .string(reason)) }
            return [
                "seq": 9, "agent": .of(agent), "actor": .string(actor), "data": .object(data),
                "project": .string(agent?.hasPrefix("drill-01a2b3c4-") == true ? "drill-01a2b3c4" : "books"),
            ]
        }
        func task(_ id: String, of agent: String?, _ actor: String) -> JSONValue {
            var object = event(agent, actor, nil).object ?? JSONObject()
            object.append("taskId", .string(id))
            return .object(object)
        }
        let (own, other) = ("contained in incident_1: it loops", "contained in incident_2: another one")
        return [
            "drill.started": [["seq": 7, "data": ["drillId": "drill_1"]]],
            "agent.paused": [
                event("writer", "reeve", own), event("drill-01a2b3c4-spender", "reeve", own),
                event("ada-pauses", "operator:ada", "for lunch"), event("other-incident", "reeve", other),
            ],
            "agent.quarantined": [event("strange", "operator:ada", nil)],
            "task.reassigned": [task("task_1", of: "reader", "reeve"), task("task_2", of: "scribe", "reeve")],
            "queue.paused": [
                event(nil, "reeve", own, ["queue": "letters"]), event(nil, "admin:root", "x", ["queue": "bills"]),
            ],
            "budget.updated": [
                event(nil, "reeve", nil, ["scope": "project:books"]), event(nil, "reeve", nil, ["scope": "org"]),
                event(nil, "admin:root", nil, ["scope": "agent:clerk"]),
                event("drill-01a2b3c4-spender", "reeve", nil, ["scope": "agent:drill-01a2b3c4-spender"]),
            ],
            "budget.created": [event(nil, "reeve", nil, ["scope": "project:drill-01a2b3c4"])],
            "task.lease_lost": [event("drill-01a2b3c4-steady", "reeve", nil), event("nomad", "reeve", nil)],
        ]
    }()

    private static func found(_ path: String, _ before: Int) -> JSONValue {
        if path.hasPrefix("/api/v1/agents") {
            // Of these one was stopped before, and the others meanwhile.
            func later(_ reason: JSONValue) -> JSONValue { before == 0 ? .null : reason }
            return [
                "items": [
                    ["name": "sleeper", "pausedReason": "for the night"],
                    ["name": "drone", "quarantineReason": later("out of sight")],
                    ["name": "ada-pauses", "pausedReason": later("for lunch")],
                    ["name": "other-incident", "pausedReason": later("contained in incident_2: another one")],
                    ["name": "unseen", "pausedReason": later("contained in incident_3: without an event")],
                    ["name": "drill-01a2b3c4-spender", "pausedReason": later("contained in incident_1: it loops")],
                ]
            ]
        }
        if path.hasPrefix("/api/v1/incidents/") {
            let outcomes: [JSONValue] = [
                ["target": "agent:drill-01a2b3c4-spender", "outcome": "restored"],
                ["target": "agent:clerk-2", "outcome": "refused"], ["target": "task:task_1", "outcome": "acted"],
                ["target": "budget:project:books", "outcome": "acted"], ["target": "agent:quiet", "outcome": "acted"],
            ]
            return ["items": [["steps": [["outcomes": .array(path.contains("incident_1") ? outcomes : [])]]]]]
        }
        if path.hasPrefix("/api/v1/incidents") {
            return [
                "items": [
                    ["id": "incident_1", "subjects": ["drill:drill_1", "agent:drill-01a2b3c4-spender"]],
                    ["id": "incident_2", "subjects": ["agent:other-incident"]],
                ]
            ]
        }
        let type = log.keys.first { path.contains("type=\($0)") } ?? ""
        return ["items": .array(log[type] ?? [])]
    }

    @Test("whom the drill touched is named, of all agents, and nobody whom others touched meanwhile")
    func witness() async throws {
        let transport = DrillTransport { call, before in DrillTransport.reply(200, Self.found(call.path, before)) }
        let witness = try await DrillWitness(
            of: DrillTransport.drill, by: Self.client(transport, FastTime(factor: 100)))
        let touched = try await witness.touched(
            healthy: ["drill-01a2b3c4-steady"], faulty: ["drill-01a2b3c4-spender"], incident: "")
        #expect(
            touched == [
                "budget:project:books", "drill-01a2b3c4-steady", "drone", "queue:letters", "quiet", "reader", "writer",
            ])
    }
}
