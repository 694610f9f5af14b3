import Kernel
import Synchronization
import Testing

@testable import Runner

/// Answers calls from a list, in order; keeps what it was asked.
private final class Script: Transport {
    enum Step: Sendable {
        case reply(Int, JSONValue, [String: String] = [:])
        case silence
    }

    private let state: Mutex<(steps: [Step], calls: [ClientCall])>

    init(_ steps: [Step]) {
        state = Mutex((steps, []))
    }

    var calls: [ClientCall] { state.withLock { $0.calls } }

    func send(_ call: ClientCall, to base: String) async throws -> ClientReply {
        let step = state.withLock { state -> Step in
            state.calls.append(call)
            return state.steps.isEmpty ? .silence : state.steps.removeFirst()
        }
        switch step {
        case .reply(let status, let body, let headers):
            return ClientReply(status: status, headers: headers, body: body.bytes)
        case .silence: throw TransportFailure("nothing listens there")
        }
    }

    func stream(
        _ call: ClientCall, from base: String, take: @Sendable ([UInt8]) async throws -> Bool
    ) async throws -> ClientReply { throw TransportFailure("no streams here") }
}

/// Waits take no time, and none passes: how busy the machine is makes no difference.
private struct NoTime: TimeSource {
    let now = Timestamp(microseconds: 1_800_000_000_000_000)
    func sleep(for _: Span) async throws {}
}

@Suite struct ClientTests {
    private func client(_ script: Script) -> ReeveClient {
        let world = World(time: NoTime(), entropy: SystemEntropy())
        return ReeveClient(url: "http://reeve/", key: "secret", world: world, transport: script)
    }

    @Test func repetitionsShareTheIdempotencyKeyAndNewRequestsDoNot() async throws {
        let script = Script([
            .silence, .reply(503, ["code": "overloaded"]), .reply(201, ["id": "task_1"]), .reply(201, ["id": "task_2"]),
        ])
        let reeve = client(script)
        #expect(try await reeve.post("/api/v1/tasks", ["title": "a"])["id"]?.string == "task_1")
        #expect(try await reeve.post("/api/v1/tasks", ["title": "a"])["id"]?.string == "task_2")
        let keys = script.calls.map { $0.headers["idempotency-key"] ?? "none" }
        #expect(Set(keys.prefix(3)).count == 1 && keys[3] != keys[0] && keys[0].count == 32)
        #expect(script.calls.allSatisfy { $0.headers["authorization"] == "Bearer secret" })
        #expect(script.calls[0].body == script.calls[2].body)
    }

    @Test(arguments: [400, 401, 403, 404, 409, 410, 422, 500, 507])
    func refusalsThatAnotherTryCannotChangeAreNotRepeated(status: Int) async {
        let script = Script([.reply(status, ["code": "refused", "detail": "No.", "hint": "Do that."])])
        do {
            _ = try await client(script).post("/api/v1/tasks")
            Issue.record("it was taken")
        } catch ClientFailure.refused(let refusal) {
            #expect(refusal.status == status && refusal.code == "refused" && refusal.hint == "Do that.")
        } catch {
            Issue.record("\(error)")
        }
        #expect(script.calls.count == 1)
    }

    @Test func anAbsentServerIsTriedAFewTimes() async {
        let script = Script([])
        do {
            _ = try await client(script).get("/api/v1/tasks")
            Issue.record("it answered")
        } catch let failure as ClientFailure {
            #expect(failure.exitStatus == 3)
            #expect(failure.description.contains("http://reeve") && failure.description.contains("reeve serve"))
        } catch {
            Issue.record("\(error)")
        }
        // On a busy machine the fast clock's limit on the whole may come before the last try.
        #expect((2...Patience.brief.tries).contains(script.calls.count))
    }

    @Test func listsFollowTheirCursor() async throws {
        let script = Script([
            .reply(200, ["items": [["id": "a"], ["id": "b"]], "next": "b"]),
            .reply(200, ["items": [["id": "c"]], "next": .null]),
        ])
        let (items, next) = try await client(script).list(
            ["api", "v1", "tasks"], query: [("q", "x y/z"), ("status", nil)], limit: 10)
        #expect(items.count == 3 && next == nil)
        #expect(
            script.calls.map(\.path) == [
                "/api/v1/tasks?q=x%20y%2Fz&limit=10", "/api/v1/tasks?q=x%20y%2Fz&limit=8&after=b",
            ])
    }

    @Test func pathSegmentsAreEncoded() {
        #expect(ReeveClient.path("api", "v1", "agents", "a b/ü") == "/api/v1/agents/a%20b%2F%C3%BC")
    }

    @Test func patienceHonoursRetryAfterAndItsEnd() {
        let patience = Patience(tries: 5, base: .seconds(1), cap: .seconds(4), total: .seconds(30))
        let busy = Patience.Outcome.refused(status: 429, retryAfterSeconds: 7)
        #expect(patience.delay(after: busy, tried: 1, elapsed: .zero, fraction: 0) == .seconds(7))
        #expect(patience.delay(after: busy, tried: 1, elapsed: .zero, fraction: 0.5) == .milliseconds(7_500))
        #expect(patience.delay(after: busy, tried: 1, elapsed: .seconds(24), fraction: 0) == nil)
        #expect(patience.delay(after: .noReply, tried: 5, elapsed: .zero, fraction: 0) == nil)
        #expect(patience.delay(after: .noReply, tried: 4, elapsed: .zero, fraction: 0.999_9)?.seconds ?? 9 <= 4)
        let refused = Patience.Outcome.refused(status: 422, retryAfterSeconds: 1)
        #expect(patience.delay(after: refused, tried: 1, elapsed: .zero, fraction: 0) == nil)
        #expect(
            Patience.endless.delay(after: .noReply, tried: 1_000_000, elapsed: .hours(900), fraction: 0.5)
                == .seconds(5))
    }

    @Test func theConnectionIsFoundInOrder() throws {
        func resolve(
            url: String? = nil, key: String? = nil, directory: String? = nil, environment: [String: String] = [:]
        ) throws -> ClientConnection {
            try ClientConnection.resolve(
                url: url, key: key, dataDirectory: directory, environment: environment,
                readFile: { ["./reeve-data/admin.key": "local\n", "/data/admin.key": "named"][$0] })
        }
        let environment = ["REEVE_URL": "http://elsewhere:1", "REEVE_KEY": "env"]
        #expect(try resolve() == ClientConnection(url: "http://127.0.0.1:7070", key: "local"))
        #expect(try resolve(environment: environment) == ClientConnection(url: "http://elsewhere:1", key: "env"))
        let given = try resolve(url: "http://u", key: "k", environment: environment)
        #expect(given == ClientConnection(url: "http://u", key: "k"))
        #expect(try resolve(directory: "/data").key == "named")
        // The key of this machine's server is not sent to another one.
        #expect(throws: ClientFailure.self) { try resolve(url: "http://elsewhere") }
        #expect(throws: ClientFailure.self) { try resolve(url: "ftp://127.0.0.1") }
    }

    @Test func eventStreamsAreReadHoweverTheyAreCut() {
        let text = ": hello\n\nid: 7\nevent: task.done\ndata: {\"a\":\ndata: 1}\n\nid:8\r\ndata:x\r\n\r\ndata: y\n\n"
        let bytes = Array(text.utf8)
        for size in 1...bytes.count {
            let reader = EventStreamReader()
            var events: [ServerSentEvent] = []
            for start in stride(from: 0, to: bytes.count, by: size) {
                events += reader.feed(Array(bytes[start..<min(bytes.count, start + size)]))
            }
            #expect(
                events == [
                    ServerSentEvent(id: "7", name: "task.done", data: "{\"a\":\n1}"),
                    ServerSentEvent(id: "8", name: nil, data: "x"), ServerSentEvent(id: "8", name: nil, data: "y"),
                ])
        }
    }
}

@Suite struct ChildEnvironmentTests {
    @Test func everySDKFindsItsAddress() {
        let environment = ChildEnvironment.make(
            inherited: ["PATH": "/bin", "REEVE_KEY": "admin", "OPENAI_API_KEY": "sk-real"],
            url: "http://r:7070", key: "abc", agent: "crane", overrides: ["EXTRA": "1"])
        #expect(environment["PATH"] == "/bin" && environment["EXTRA"] == "1")
        #expect(environment["REEVE_URL"] == "http://r:7070" && environment["REEVE_KEY"] == "abc")
        #expect(environment["OPENAI_BASE_URL"] == "http://r:7070/v1" && environment["OPENAI_API_KEY"] == "abc")
        #expect(environment["ANTHROPIC_BASE_URL"] == "http://r:7070" && environment["ANTHROPIC_API_KEY"] == "abc")
        #expect(environment["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://r:7070")
        #expect(environment["OTEL_EXPORTER_OTLP_HEADERS"] == "authorization=Bearer%20abc")
        #expect(environment["OTEL_SERVICE_NAME"] == "crane")
        for name in ChildEnvironment.names { #expect(environment[name]?.isEmpty == false, "\(name)") }
    }

    @Test func overridesWin() {
        let environment = ChildEnvironment.make(
            inherited: [:], url: "http://r", key: "k", agent: "a", overrides: ["OPENAI_BASE_URL": "http://mine"])
        #expect(environment["OPENAI_BASE_URL"] == "http://mine")
    }
}
