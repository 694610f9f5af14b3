import Foundation
import Kernel
import Synchronization

/// A model that answers from a script or, without one, by plain rules: the same question gets the same answer, tokens
/// can be counted by hand, and it fails as it is told. For tests, the demo and drills; it thinks nothing.
public final class ScriptedModel: Sendable {
    /// A request as it came in, for whoever checks what reached a provider.
    struct Received: Sendable {
        let path: String
        let headers: [String: String]
        let body: [UInt8]
    }

    /// Requests that are remembered.
    static let receivedMax = 1_000

    private struct State {
        var script: Script
        var used: [Int: Int] = [:]
        var calls = 0
        var received: [Received] = []
    }

    private let state: Mutex<State>
    private let world: World
    /// Whether it shows what it was asked, and lets its script be replaced.
    private let isDrill: Bool

    /// - Parameter isDrill: Whether it remembers what it was asked, shows it to everybody, and lets everybody replace
    ///   its script.
    public init(_ script: Script = Script(), isDrill: Bool = true, world: World = .live) {
        state = Mutex(State(script: script))
        self.isDrill = isDrill
        self.world = world
    }

    // MARK: Doors

    /// Answers a request. Headers are in lower case.
    func reply(_ method: String, _ path: String, headers: [String: String], body: [UInt8]) -> ScriptedReply {
        let isAnthropic = headers["anthropic-version"] != nil
        if isDrill, !path.hasPrefix("/scripted/") {
            state.withLock { state in
                if state.received.count >= Self.receivedMax { state.received.removeFirst() }
                state.received.append(Received(path: path, headers: headers, body: body))
            }
        }
        do {
            switch (method, path) {
            case ("POST", "/v1/chat/completions"): return try answer(body, as: .chat)
            case ("POST", "/v1/responses"): return try answer(body, as: .responses)
            case ("POST", "/v1/messages"): return try answer(body, as: .messages)
            case ("POST", "/v1/messages/count_tokens"): return try countTokens(body)
            case ("POST", "/v1/embeddings"): return try embed(body)
            case ("GET", "/v1/models"): return Self.models(isAnthropic: isAnthropic)
            case ("PUT", "/scripted/script") where isDrill: return try replaceScript(body)
            case ("GET", "/scripted/requests") where isDrill:
                return .json(["items": .array(received.map(Self.document))])
            case ("GET", "/health"): return .json(["status": "ok"])
            default:
                return Self.error(
                    404, "there is nothing at \(path)", isAnthropic: isAnthropic || path.contains("messages"))
            }
        } catch let problem as Problem {
            let isMessages = isAnthropic || path.hasPrefix("/v1/messages")
            return Self.error(400, problem.detail, param: problem.field, isAnthropic: isMessages)
        } catch {
            return Self.error(400, "the body is not JSON", isAnthropic: isAnthropic)
        }
    }

    private var received: [Received] { state.withLock { $0.received } }

    private static func document(_ received: Received) -> JSONValue {
        let headers = received.headers.sorted { $0.key < $1.key }
        return [
            "path": .string(received.path),
            "headers": .object(JSONObject(headers.map { .init(name: $0.key, value: .string($0.value)) })),
            "body": .string(String(decoding: received.body, as: UTF8.self)),
        ]
    }

    private func replaceScript(_ body: [UInt8]) throws -> ScriptedReply {
        let script = try Script(Self.parse(body))
        state.withLock { state in
            state.script = script
            state.used = [:]
        }
        return .json(["rules": script.rules.count.json])
    }

    private static func parse(_ body: [UInt8]) throws -> JSONValue { try JSONParser.parse(body, depthMax: 256) }

    // MARK: Answers

    private func answer(_ body: [UInt8], as dialect: ScriptedCall.Dialect) throws -> ScriptedReply {
        let call = try ScriptedCall(Self.parse(body), as: dialect)
        let (rule, id) = take(model: call.model, text: call.lastText)
        let fault = rule?.fault
        if let status = fault?.status {
            var refusal = Self.failure(status, fault, isAnthropic: dialect.isAnthropic)
            refusal.headers += rule?.headers ?? []
            return refusal
        }
        let answer = ScriptedAnswer(call, rule)
        let createdAt = world.now.microseconds / 1_000_000
        var reply =
            switch dialect {
            case .chat: ScriptedChat(call: call, answer: answer, id: id, createdAt: createdAt).reply
            case .responses: ScriptedResponses(call: call, answer: answer, id: id, createdAt: createdAt).reply
            case .messages: ScriptedMessages(call: call, answer: answer, id: id).reply
            }
        reply.headers += rule?.headers ?? []
        reply.headers.append((dialect.isAnthropic ? "request-id" : "x-request-id", "req_\(id)"))
        return fault.map(reply.broken) ?? reply
    }

    /// The first rule that matches and is not used up, counted as used, and a name for the call.
    private func take(model: String, text: String) -> (rule: Script.Rule?, id: String) {
        state.withLock { state in
            state.calls += 1
            let id = "scripted\(state.calls)"
            for (index, rule) in state.script.rules.enumerated() where rule.matches(model: model, text: text) {
                let used = state.used[index, default: 0]
                if let times = rule.times, used >= times { continue }
                state.used[index] = used + 1
                return (rule, id)
            }
            return (nil, id)
        }
    }

    private func countTokens(_ body: [UInt8]) throws -> ScriptedReply {
        var document = try Self.parse(body).object ?? JSONObject()
        // Counting asks for no bound of the answer.
        document["max_tokens"] = 1
        let call = try ScriptedCall(.object(document), as: .messages)
        return .json(["input_tokens": call.inputTokens.json])
    }

    private func embed(_ body: [UInt8]) throws -> ScriptedReply {
        let document = try Self.parse(body)
        guard let model = document["model"]?.string else { throw Problem.invalid("model", "it is missing") }
        let inputs = document["input"]?.string.map { [$0] } ?? document["input"]?.array?.compactMap(\.string) ?? []
        guard !inputs.isEmpty else { throw Problem.invalid("input", "it is missing") }
        let (rule, _) = take(model: model, text: inputs[0])
        if let status = rule?.fault?.status { return Self.failure(status, rule?.fault, isAnthropic: false) }
        let wanted = document["dimensions"]?.int.map { Int(clamping: $0) } ?? state.withLock { $0.script.dimensions }
        let isPacked = document["encoding_format"]?.string == "base64"
        let data = inputs.enumerated().map { index, text -> JSONValue in
            let vector = Self.vector(text, dimensions: min(max(1, wanted), Script.dimensionsMax))
            let shown: JSONValue =
                isPacked ? .string(Self.packed(vector)) : .array(vector.map { .double(Double($0)) })
            return ["object": "embedding", "index": index.json, "embedding": shown]
        }
        let tokens = inputs.reduce(0) { $0 + ScriptedTokens.count($1) }.json
        let usage: JSONValue = ["prompt_tokens": tokens, "total_tokens": tokens]
        let reply = ScriptedReply.json([
            "object": "list", "data": .array(data), "model": .string(model),
            "usage": rule?.answer.usage?.isMissing == true ? .null : usage,
        ])
        return rule?.fault.map(reply.broken) ?? reply
    }

    /// Numbers from the text's digest, of length 1 together.
    static func vector(_ text: String, dimensions: Int) -> [Float] {
        var bytes: [UInt8] = []
        var round = 0
        while bytes.count < dimensions {
            bytes += Array(Digest.sha256("\(round) \(text)").utf8)
            round += 1
        }
        let numbers = bytes.prefix(dimensions).map { Float($0) - 75 }
        let length = max(1, numbers.reduce(0) { $0 + $1 * $1 }.squareRoot())
        return numbers.map { $0 / length }
    }

    /// 32-bit floats, little-endian, in Base64: what OpenAI's own clients ask for.
    private static func packed(_ vector: [Float]) -> String {
        let bytes = vector.flatMap { number in withUnsafeBytes(of: number.bitPattern.littleEndian) { Array($0) } }
        return Data(bytes).base64EncodedString()
    }

    private static func models(isAnthropic: Bool) -> ScriptedReply {
        let id: JSONValue = "scripted-2026-01-01"
        guard isAnthropic else {
            let model: JSONValue = ["id": id, "object": "model", "created": 1_767_225_600, "owned_by": "reeve"]
            return .json(["object": "list", "data": [model]])
        }
        let model: JSONValue = [
            "type": "model", "id": id, "display_name": "Scripted", "created_at": "2026-01-01T00:00:00Z",
        ]
        return .json(["data": [model], "has_more": false, "first_id": id, "last_id": id])
    }

    // MARK: Errors

    private static func failure(_ status: Int, _ fault: Script.Fault?, isAnthropic: Bool) -> ScriptedReply {
        var reply = error(status, fault?.message ?? "the script says \(status)", isAnthropic: isAnthropic)
        if let seconds = fault?.retryAfterSeconds { reply.headers.append(("retry-after", String(seconds))) }
        guard let delay = fault?.delay, delay > .zero else { return reply }
        reply.steps.insert(.wait(delay), at: 0)
        return reply
    }

    /// An error in the dialect's own shape.
    static func error(_ status: Int, _ message: String, param: String? = nil, isAnthropic: Bool) -> ScriptedReply {
        guard !isAnthropic else {
            let type =
                switch status {
                case 401: "authentication_error"
                case 403: "permission_error"
                case 404: "not_found_error"
                case 413: "request_too_large"
                case 429: "rate_limit_error"
                case 529: "overloaded_error"
                case 500...: "api_error"
                default: "invalid_request_error"
                }
            return .json(
                ["type": "error", "error": ["type": .string(type), "message": .string(message)]], status: status)
        }
        let (type, code): (String, JSONValue) =
            switch status {
            case 401: ("invalid_request_error", "invalid_api_key")
            case 404: ("invalid_request_error", "model_not_found")
            case 429: ("requests", "rate_limit_exceeded")
            case 500...: ("server_error", .null)
            default: ("invalid_request_error", .null)
            }
        let error: JSONValue = [
            "message": .string(message), "type": .string(type), "param": .of(param), "code": code,
        ]
        return .json(["error": error], status: status)
    }
}
