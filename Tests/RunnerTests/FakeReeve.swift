import Foundation
import Kernel
import Runner
import Synchronization

/// A clock that runs `factor` times faster than the wall's, so that waits of seconds take milliseconds.
struct FastTime: TimeSource {
    let factor: Double
    private let start = SystemTime().now

    init(factor: Double) {
        self.factor = factor
    }

    var now: Timestamp { start + (SystemTime().now - start) * factor }

    func sleep(for span: Span) async throws { try await SystemTime().sleep(for: span * (1 / factor)) }
}

/// A short wait of the wall's time, for what the kernel does in its own.
enum Nap {
    static func milliseconds(_ count: Int64) async throws { try await SystemTime().sleep(for: .milliseconds(count)) }
}

/// A server in memory with the rules that a worker relies on, idempotency and refusals, and with a network's faults.
final class FakeReeve: Transport {
    struct Fault: Sendable {
        enum Kind: Sendable {
            /// The request is carried out, and its reply is lost.
            case lostReply
            /// The request never arrives.
            case lostRequest
            case status(Int, code: String)
        }
        var suffix: String
        var kind: Kind
        var times: Int
    }

    struct State: Sendable {
        var role = "agent"
        var agent: String? = "crane"
        var ready: [JSONValue] = []
        var faults: [Fault] = []
        var calls: [ClientCall] = []
        var replays: [String: ClientReply] = [:]
        var deliverables: [String: [(name: String, content: [UInt8], contentType: String)]] = [:]
        /// How each task ended, verb by verb; exactly one is right.
        var ends: [String: [String]] = [:]
        var bodies: [String: JSONValue] = [:]
        var heartbeats: [String: Int] = [:]
        /// The reply to a task's heartbeat beside the interval.
        var cancel: Set<String> = []
        var orders: JSONValue = ["nextHeartbeatSeconds": 1]
        var agentBeats: [JSONValue] = []
        var events: [JSONValue] = []
        /// Requests of spans.
        var spans: [JSONValue] = []
        var claims = 0
        var madeKeys: [String] = []
        var revokedKeys: [String] = []
    }

    private let state = Mutex(State())

    init() {}

    func with<Value: Sendable>(_ body: @Sendable (inout State) -> Value) -> Value {
        state.withLock { state in body(&state) }
    }

    var snapshot: State { state.withLock { $0 } }

    func add(_ task: JSONValue) { with { $0.ready.append(task) } }

    func fail(_ suffix: String, _ kind: Fault.Kind, times: Int = 1) {
        with { $0.faults.append(Fault(suffix: suffix, kind: kind, times: times)) }
    }

    func client(_ world: World) -> ReeveClient {
        ReeveClient(url: "http://fake", key: "agent-key", world: world, transport: self)
    }

    // MARK: Transport

    func send(_ call: ClientCall, to base: String) async throws -> ClientReply {
        let path = String(call.path.prefix { $0 != "?" })
        let fault: Fault.Kind? = with { state in
            state.calls.append(call)
            guard let index = state.faults.firstIndex(where: { path.hasSuffix($0.suffix) && $0.times > 0 }) else {
                return nil
            }
            state.faults[index].times -= 1
            return state.faults[index].kind
        }
        switch fault {
        case .lostRequest: throw TransportFailure("the connection broke")
        case .status(let status, let code):
            let document: JSONValue = ["code": .string(code), "detail": "scripted", "currentFence": 9]
            return ClientReply(status: status, body: document.bytes)
        case .lostReply, nil: break
        }
        let reply = try await exactlyOnce(call, path)
        if case .lostReply = fault { throw TransportFailure("the reply was lost") }
        return reply
    }

    func stream(
        _ call: ClientCall, from base: String, take: @Sendable ([UInt8]) async throws -> Bool
    ) async throws -> ClientReply { throw TransportFailure("no streams here") }

    private func exactlyOnce(_ call: ClientCall, _ path: String) async throws -> ClientReply {
        let key = call.headers["idempotency-key"].map { $0 + path }
        if let key, let kept = with({ $0.replays[key] }) { return kept }
        let body = try call.headers["content-type"] == "application/json" ? JSONParser.parse(call.body ?? []) : .null
        let reply = with { Self.answer(call, path, body, &$0) }
        if let key, (200..<300).contains(reply.status) { with { $0.replays[key] = reply } }
        // Like a long poll, so that a worker without work does not spin.
        if path.hasSuffix("/claim"), reply.body == Self.nothing.bytes { try? await Nap.milliseconds(2) }
        return reply
    }

    private static let nothing: JSONValue = ["items": []]

    private static func answer(
        _ call: ClientCall, _ path: String, _ body: JSONValue, _ state: inout State
    ) -> ClientReply {
        switch path {
        case "/api/v1/me":
            return ok(["role": .string(state.role), "agent": state.agent.map { .string($0) } ?? .null])
        case "/api/v1/keys":
            let id = "key_\(state.madeKeys.count)"
            state.madeKeys.append(id)
            return ok(["id": .string(id), "key": "made-key"], 201)
        case "/api/events/ingest":
            guard body["type"]?.string == "agent.heartbeat" else {
                state.events.append(body)
                return ok(["accepted": 1])
            }
            state.agentBeats.append(body)
            return ok(state.orders)
        case "/v1/traces":
            state.spans.append(body)
            return ok([:])
        case "/api/v1/tasks/claim":
            state.claims += 1
            let count = min(Int(body["limit"]?.int ?? 1), state.ready.count)
            let taken = Array(state.ready.prefix(count))
            state.ready.removeFirst(count)
            return ok(["items": .array(taken.map { ["task": $0, "attempt": 1, "fence": 4] })])
        default: break
        }
        let parts = path.split(separator: "/").map(String.init)
        if call.method == .delete, let id = parts.last {
            state.revokedKeys.append(id)
            return ClientReply(status: 204)
        }
        return task(call, parts[3], parts[4], body, &state)
    }

    private static func task(
        _ call: ClientCall, _ id: String, _ verb: String, _ body: JSONValue, _ state: inout State
    ) -> ClientReply {
        switch verb {
        case "heartbeat":
            state.heartbeats[id, default: 0] += 1
            return ok(["nextHeartbeatSeconds": 0.5, "cancel": .bool(state.cancel.contains(id))])
        case "deliverables":
            if let name = body["name"]?.string {
                state.deliverables[id, default: []].append(
                    (name, Array((body["content"]?.string ?? "").utf8), body["contentType"]?.string ?? ""))
            } else {
                state.deliverables[id, default: []].append(("multipart", call.body ?? [], "multipart"))
            }
            return ok(["id": "dlv_1", "sha256": "0", "revision": 1], 201)
        default:
            state.ends[id, default: []].append(verb)
            state.bodies[id] = body
            return ok(["state": "done"])
        }
    }

    private static func ok(_ body: JSONValue, _ status: Int = 200) -> ClientReply {
        ClientReply(status: status, body: body.bytes)
    }
}

/// Collects what a log writer writes.
final class LogFile: Sendable {
    let path: String
    private let descriptor: Int32

    init() {
        path = NSTemporaryDirectory() + "/reeve-log-\(Hexadecimal.encode(SystemEntropy().bytes(6)))"
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    }

    func writer(_ world: World) -> LogWriter { LogWriter(descriptor: descriptor, form: .json, world: world) }

    /// The messages so far, with their streams.
    func lines() -> [(stream: String?, message: String)] {
        let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").compactMap { line in
            guard let json = try? JSONParser.parse(String(line)) else { return nil }
            return (json["stream"]?.string, json["message"]?.string ?? "")
        }
    }

    /// The descriptor stays open: a writer's queue may still hold a line, which must not land in another file.
    deinit { unlink(path) }
}

/// A folder that goes with the test.
final class ScratchFolder: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "/reeve-test-\(Hexadecimal.encode(SystemEntropy().bytes(6)))"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    func write(_ name: String, _ text: String) throws {
        let url = URL(fileURLWithPath: path + "/" + name)
        try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: url)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

extension World {
    /// Waits of seconds take hundredths.
    static let fast = World(time: FastTime(factor: 100), entropy: SystemEntropy())
}
