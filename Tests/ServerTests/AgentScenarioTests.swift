import Foundation
import Kernel
import Server
import TestSupport
import Testing

@testable import Control

@Suite("Agents over HTTP")
struct AgentScenarioTests {
    static let rows: [APIScenario] = [
        APIScenario(
            "the seed's heartbeat, with curl's own content type", .post, "/api/events/ingest", as: .agent,
            #"{"type":"agent.heartbeat","statusMessage":"Processing task #42"}"#,
            headers: [("content-type", "application/x-www-form-urlencoded")], expect: 200,
            contains: ["nextHeartbeatSeconds", "serverTime"], events: 2),
        APIScenario(
            "a heartbeat without any content type", .post, "/api/events/ingest", as: .agent,
            #"{"type":"agent.heartbeat"}"#, expect: 200, events: 2),
        APIScenario(
            "a viewer sends no heartbeat", .post, "/api/events/ingest", as: .viewer,
            #"{"type":"agent.heartbeat","agent":"writer"}"#, expect: 403, "forbidden"),
        APIScenario(
            "nobody sends one without a key", .post, "/api/events/ingest", as: nil, #"{"type":"agent.heartbeat"}"#,
            expect: 401, "unauthenticated"),
        APIScenario(
            "an agent sends none for another", .post, "/api/events/ingest", as: .agent,
            #"{"type":"agent.heartbeat","agent":"other"}"#, expect: 403, "forbidden"),
        APIScenario(
            "an ingest key must name the agent", .post, "/api/events/ingest", as: .ingest,
            #"{"type":"agent.heartbeat"}"#, expect: 422, "invalid"),
        APIScenario(
            "an event of an agent is kept", .post, "/api/events/ingest", as: .agent, #"{"type":"note","text":"hi"}"#,
            expect: 200, contains: [#""accepted":1"#], events: 3),
        APIScenario(
            "a task's event cannot be forged", .post, "/api/events/ingest", as: .agent, #"{"type":"task.completed"}"#,
            expect: 422, "reserved_type"),
        APIScenario(
            "an operator registers an agent", .post, "/api/v1/agents", as: .operator_,
            #"{"name":"writer","project":"books","labels":{"tier":"gold"},"capabilities":["draft"]}"#, expect: 201,
            contains: [#""status":"never_seen""#], events: 1),
        APIScenario(
            "an agent registers nobody", .post, "/api/v1/agents", as: .agent, #"{"name":"writer"}"#, expect: 403,
            "forbidden"),
        APIScenario(
            "a health URL is http or https", .post, "/api/v1/agents", as: .operator_,
            #"{"name":"writer","healthURL":"file:///etc/passwd"}"#, expect: 422, "invalid"),
        APIScenario("an agent that is not there", .get, "/api/v1/agents/nobody", as: .viewer, expect: 404, "not_found"),
        APIScenario(
            "a status that there is not", .get, "/api/v1/agents?status=asleep", as: .viewer, expect: 422, "invalid"),
        APIScenario("an ingest key reads nothing", .get, "/api/v1/agents", as: .ingest, expect: 403, "forbidden"),
    ]

    @Test("answers as the table says, and nothing else happens")
    func answers() async throws { try await APIScenario.run(Self.rows) }

    @Test("no event that Reeve writes can be sent by an agent", arguments: EventCatalog.events.map(\.type))
    func reserves(_ type: String) {
        #expect(IngestService.isReserved(type))
    }

    @Test("a paused agent is handed no work; the fleet goes on", arguments: TestEngine.available)
    func pauses(_ engine: TestEngine) async throws {
        try await withApp(engine) { client in
            let boss = try await client.key(.operator_)
            let first = try await client.key(.agent, agent: "first")
            let second = try await client.key(.agent, agent: "second")
            for key in [first, second] {
                let reply = try await client.post("/api/events/ingest", ["type": "agent.heartbeat"], key: key)
                #expect(reply.status == 200)
            }
            let paused = try await client.post("/api/v1/agents/first/pause", ["reason": "a look"], key: boss)
            #expect(paused["status"] == "paused")
            let made = try await client.post(
                "/api/v1/tasks", ["project": "books", "queue": "drafts", "type": "draft", "title": "One"], key: boss)
            #expect(made.status == 201)
            let claim: JSONValue = ["queues": ["drafts"], "limit": 1, "waitSeconds": 0]
            #expect(try await client.post("/api/v1/tasks/claim", claim, key: first).items.isEmpty)
            #expect(try await client.post("/api/v1/tasks/claim", claim, key: second).items.count == 1)
            let agent = try await client.get("/api/v1/agents/second", key: boss)
            #expect(agent["status"] == "busy")
            #expect(agent["currentTasks"]?.array?.first?["id"] == made["id"])
            let beat = try await client.post("/api/events/ingest", ["type": "agent.heartbeat"], key: first)
            #expect(beat["pause"] == true)
            let refused = try await client.delete("/api/v1/agents/second", key: boss)
            #expect(refused.code == "agent_busy")
        }
    }

    @Test("a kept heartbeat survives a restart, and nobody is given up on at once", arguments: TestEngine.available)
    func survives(_ engine: TestEngine) async throws {
        let time = ManualTime()
        try await TestStorage.withFolder { folder in
            try await TestStorage.withLocation(engine) { location in
                var settings = Settings()
                settings.http.port = 0
                settings.storage.dataDirectory = folder + "/data"
                if case .postgres(let url) = location { settings.storage.databaseURL = url }
                try await runApp(settings, .test(time: time)) { client in
                    let key = try await client.key(.agent, agent: "writer")
                    let body: JSONValue = ["type": "agent.heartbeat", "statusMessage": "at work"]
                    #expect(try await client.post("/api/events/ingest", body, key: key).status == 200)
                }
                time.advance(by: .hours(2))
                try await runApp(settings, .test(seed: 2, time: time)) { client in
                    let key = try await client.key(.viewer)
                    let agent = try await client.get("/api/v1/agents/writer", key: key)
                    #expect(agent["status"] == "idle")
                    #expect(agent["statusMessage"] == "at work")
                }
            }
        }
    }
}

@Suite("Health polls over HTTP")
struct HTTPHealthProbeTests {
    private let probe = HTTPHealthProbe()

    @Test("takes the status, follows no redirect, and needs no body")
    func takesStatus() async throws {
        try await withApp { client in
            #expect(await probe.probe(client.url + "/health", timeout: .seconds(5)) == .answered(status: 200))
            #expect(await probe.probe(client.url + "/api/v1/agents", timeout: .seconds(5)) == .answered(status: 401))
            let page = await probe.probe(client.url + "/", timeout: .seconds(5))
            #expect(page.error != nil)
        }
    }

    @Test("says in its own words why there was no answer")
    func saysWhy() async throws {
        // Accepts connections, as the system does for whoever listens, and never answers.
        let silent = try ListeningSocket()
        let address = "http://127.0.0.1:\(silent.port)/health"
        #expect(await probe.probe(address, timeout: .milliseconds(200)) == .failed("no answer within 0.2 s"))
        silent.close()
        let refused = await probe.probe(address, timeout: .seconds(5))
        #expect(refused == .failed("the connection could not be made"))
        #expect(await probe.probe("http://[bad", timeout: .seconds(1)).error != nil)
    }
}

/// A socket that listens and never accepts.
private final class ListeningSocket {
    private let descriptor: Int32
    let port: UInt16

    init() throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        self.descriptor = descriptor
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(descriptor, pointer, length) == 0 && listen(descriptor, 8) == 0
                    && getsockname(descriptor, pointer, &length) == 0
            }
        }
        guard bound else { throw Problem(.internalError, "The test cannot listen on the loopback address.") }
        port = UInt16(bigEndian: address.sin_port)
    }

    func close() { Foundation.close(descriptor) }
}
