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
        "bounds": ["detectSeconds": 10, "containSeconds": 14, "recoverSeconds": 30],
    ]

    static func reply(_ status: Int, _ body: JSONValue = ["code": "unavailable"]) -> ClientReply {
        ClientReply(status: status, headers: ["content-type": "application/json"], body: body.bytes)
    }
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

    @Test("a reply that is lost is asked for again, a few times")
    func transient() async throws {
        let transport = DrillTransport { call, before in
            if call.path == "/api/v1/keys" { return DrillTransport.reply(201, ["key": "a"]) }
            return before < 2 ? DrillTransport.reply(503) : DrillTransport.reply(202, [:])
        }
        let client = Self.client(transport, FastTime(factor: 100))
        let fleet = try await DrillFleet.gather(["steady"], of: DrillTransport.drill, by: client)
        #expect(transport.asked("/api/events/ingest") == 3)
        let deaf = DrillTransport { _, _ in DrillTransport.reply(503) }
        await #expect(throws: ClientFailure.self) {
            try await DrillFleet.gather(
                ["steady"], of: DrillTransport.drill, by: Self.client(deaf, FastTime(factor: 100)))
        }
        #expect(deaf.asked("/api/v1/keys") <= 4)
        _ = fleet
    }

    @Test("what is not the drill's is told, so that nobody says yes to it")
    func others() async throws {
        let transport = DrillTransport { _, _ in DrillTransport.reply(201, ["key": "a"]) }
        let client = Self.client(transport, FastTime(factor: 100))
        let fleet = try await DrillFleet.gather([], of: DrillTransport.drill, by: client)
        let own: JSONValue = [
            "agents": ["count": 1, "names": ["drill-01a2b3c4-spender"]], "models": ["reeve-drill"],
            "others": ["target:reeve-drill/drill-2026-01-01", "budget:agent:drill-01a2b3c4-spender"],
        ]
        #expect(fleet.others(in: own).isEmpty)
        let both: JSONValue = [
            "agents": ["count": 2, "names": ["drill-01a2b3c4-spender", "writer"]], "models": ["small"],
            "others": ["target:main/small", "budget:org", "queue:drill-99999999-piles"],
        ]
        #expect(
            fleet.others(in: both)
                == ["writer", "small", "target:main/small", "budget:org", "queue:drill-99999999-piles"])
    }

    @Test("whoever is touched while a drill runs is named, of all agents, and nobody else is")
    func witness() async throws {
        func event(_ agent: String?, _ project: String, _ more: JSONValue = [:]) -> JSONValue {
            ["seq": 9, "agent": .of(agent), "project": .string(project), "data": more]
        }
        let log: [String: [JSONValue]] = [
            "drill.started": [["seq": 7, "data": ["drillId": "drill_1"]]],
            "agent.paused": [event("writer", "books"), event("drill-01a2b3c4-spender", "drill-01a2b3c4")],
            "task.reassigned": [event("reader", "books")], "queue.paused": [event(nil, "", ["queue": "letters"])],
            "budget.updated": [
                event(nil, "books", ["scope": "project:books"]),
                event("drill-01a2b3c4-spender", "", ["scope": "agent:drill-01a2b3c4-spender"]),
            ],
            "budget.created": [event(nil, "drill-01a2b3c4", ["scope": "project:drill-01a2b3c4"])],
            "task.lease_lost": [event("drill-01a2b3c4-steady", "drill-01a2b3c4"), event("nomad", "books")],
        ]
        let transport = DrillTransport { call, before in
            let path = call.path
            if path.hasPrefix("/api/v1/agents") {
                // Of these one was stopped before, and one meanwhile by whatever leaves no event.
                let later: JSONValue = before == 0 ? .null : "out of sight"
                return DrillTransport.reply(
                    200,
                    [
                        "items": [
                            ["name": "sleeper", "pausedReason": "for the night"],
                            ["name": "drone", "quarantineReason": later],
                            ["name": "drill-01a2b3c4-spender", "pausedReason": later],
                        ]
                    ])
            }
            let type = log.keys.first { path.contains("type=\($0)") } ?? ""
            return DrillTransport.reply(200, ["items": .array(log[type] ?? [])])
        }
        let witness = try await DrillWitness(
            of: DrillTransport.drill, by: Self.client(transport, FastTime(factor: 100)))
        let touched = try await witness.touched(
            healthy: ["drill-01a2b3c4-steady"], faulty: ["drill-01a2b3c4-spender"])
        #expect(
            touched == ["budget:project:books", "drill-01a2b3c4-steady", "drone", "queue:letters", "reader", "writer"])
    }
}
