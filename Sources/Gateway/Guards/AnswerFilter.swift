import Kernel
import NIOCore

/// Takes secrets, and where wanted personal data, out of what a caller gets (`output`), in its dialect: out of whole
/// answers, and out of streams, where what may be the beginning of a secret is held back until the next piece.
struct AnswerFilter: EventFilter {
    /// Texts of one stream that are followed beside one another; further ones are looked at piece by piece.
    static let lanesMax = 1_000

    /// Members whose values no model has written, or whose bytes prove something.
    private static let untouched: Set<String> = [
        "id", "object", "type", "role", "model", "signature", "encrypted_content", "data", "item_id", "call_id",
        "tool_use_id", "response_id", "previous_response_id", "system_fingerprint", "finish_reason", "stop_reason",
        "b64_json", "embedding", "instructions", "name", "status", "service_tier",
    ]

    /// One text that comes in pieces.
    private struct Lane {
        var redactor: Redactor
        /// Lanes of one group say one thing after the other.
        let group: String
        /// An event of it, and where in it the text stands: the pattern for what is told behind the last piece.
        var event: JSONValue
        var path: [JSONStep]
    }

    private let rules: RedactionRules
    private let dialect: Dialect
    var events = ServerSentEvents()
    private var lanes: [String: Lane] = [:]
    /// Events that were put in, by which the numbers of later ones grow.
    private var inserted: Int64 = 0
    /// How often each kind was found.
    private(set) var findings: [String: Int] = [:]

    init(_ settings: OutputGuardSettings, _ dialect: Dialect) {
        rules = RedactionRules(
            secrets: settings.redactsSecrets ? SecretFormat.all : [], hasTokensAndKeys: settings.redactsSecrets,
            personal: settings.redactsPersonalData ? Set(PersonalData.allCases) : [])
        self.dialect = dialect
    }

    // MARK: Whole answers

    /// The same bytes where nothing is found.
    mutating func whole(_ body: ByteBuffer) -> ByteBuffer {
        guard let document = try? JSONParser.parse(body.readableBytesView, depthMax: TopLevelScan.depthMax) else {
            return ByteBuffer(string: redacted(String(buffer: body)))
        }
        let before = findings
        let clean = cleaned(document)
        return findings == before ? body : ByteBuffer(bytes: clean.bytes)
    }

    private mutating func cleaned(_ value: JSONValue) -> JSONValue {
        switch value {
        case .string(let text): return .string(redacted(text))
        case .array(let values):
            var clean: [JSONValue] = []
            clean.reserveCapacity(values.count)
            for value in values { clean.append(cleaned(value)) }
            return .array(clean)
        case .object(let object):
            var members: [JSONObject.Member] = []
            members.reserveCapacity(object.count)
            for member in object.members {
                let isUntouched = Self.untouched.contains(member.name) && member.value.string != nil
                members.append(.init(name: member.name, value: isUntouched ? member.value : cleaned(member.value)))
            }
            return .object(JSONObject(members))
        case .null, .bool, .int, .double: return value
        }
    }

    private mutating func redacted(_ text: String) -> String {
        var redactor = Redactor(rules)
        let clean = redactor.push(text) + redactor.finish()
        note(redactor.findings, since: [:])
        return clean
    }

    private mutating func note(_ found: [String: Int], since before: [String: Int]) {
        for (name, count) in found where count > before[name, default: 0] {
            findings[name, default: 0] += count - before[name, default: 0]
        }
    }

    // MARK: Streams

    mutating func take(_ event: borrowing ServerSentEvent, _ output: inout [UInt8]) {
        guard !event.data.isEmpty, !event.isDone else {
            if event.isDone { flush(&output) }
            output.append(contentsOf: event.bytes)
            return
        }
        guard var document = try? JSONParser.parse(event.data, depthMax: ServerSentEvents.depthMax) else {
            output += redacted(String(decoding: event.bytes, as: UTF8.self)).utf8
            return
        }
        let original = document
        if let number = document["sequence_number"]?.int, inserted > 0 {
            document.set(.int(number &+ inserted), at: [.member("sequence_number")])
        }
        let pieces = DeltaPlaces.find(document, dialect)
        for group in DeltaPlaces.ended(document, dialect) {
            for key in lanes.keys.sorted() where lanes[key]?.group == group {
                // The last piece of a text may stand beside its end.
                guard !pieces.contains(where: { $0.lane == key }) else { continue }
                let before = inserted
                flush(key, &output)
                if inserted > before, let number = original["sequence_number"]?.int {
                    document.set(.int(number &+ inserted), at: [.member("sequence_number")])
                }
            }
        }
        if pieces.isEmpty {
            document = cleaned(document)
        } else {
            for piece in pieces { push(piece, in: &document, &output) }
        }
        guard document != original else {
            output.append(contentsOf: event.bytes)
            return
        }
        write(document, name: event.nameText, &output)
    }

    private mutating func push(_ piece: DeltaPlaces.Piece, in document: inout JSONValue, _ output: inout [UInt8]) {
        guard lanes[piece.lane] != nil || lanes.count < Self.lanesMax else {
            document.set(.string(redacted(piece.text)), at: piece.path)
            return
        }
        var lane =
            lanes[piece.lane] ?? Lane(redactor: Redactor(rules), group: piece.group, event: document, path: piece.path)
        let before = lane.redactor.findings
        var clean = lane.redactor.push(piece.text)
        if piece.isLast { clean += lane.redactor.finish() }
        note(lane.redactor.findings, since: before)
        lane.event = piece.template(document)
        lane.path = piece.templatePath
        lanes[piece.lane] = lane
        document.set(.string(clean), at: piece.path)
    }

    mutating func flush(_ output: inout [UInt8]) {
        for key in lanes.keys.sorted() { flush(key, &output) }
    }

    /// Tells what a lane holds back, in an event of its own.
    private mutating func flush(_ key: String, _ output: inout [UInt8]) {
        guard var lane = lanes.removeValue(forKey: key) else { return }
        let before = lane.redactor.findings
        let rest = lane.redactor.finish()
        note(lane.redactor.findings, since: before)
        guard !rest.isEmpty else { return }
        lane.event.set(.string(rest), at: lane.path)
        if let number = lane.event["sequence_number"]?.int {
            inserted += 1
            lane.event.set(.int(number &+ 1), at: [.member("sequence_number")])
        }
        write(lane.event, name: lane.event["type"]?.string ?? "", &output)
    }

    private func write(_ document: JSONValue, name: String, _ output: inout [UInt8]) {
        if dialect != .chat, !name.isEmpty { output += "event: \(name)\n".utf8 }
        ServerSentEvents.write(document, to: &output)
    }
}

/// A step into a document.
enum JSONStep: Equatable {
    case member(String)
    case item(Int)
}

extension JSONValue {
    /// Puts a value where the path leads; a path that leads nowhere changes nothing.
    mutating func set(_ value: JSONValue, at path: some Collection<JSONStep>) {
        guard let step = path.first else {
            self = value
            return
        }
        switch (step, self) {
        case (.member(let name), .object(var object)):
            guard var inner = object[name] else { return }
            inner.set(value, at: path.dropFirst())
            object[name] = inner
            self = .object(object)
        case (.item(let index), .array(var items)):
            guard items.indices.contains(index) else { return }
            items[index].set(value, at: path.dropFirst())
            self = .array(items)
        default: break
        }
    }
}

/// Where the events of a stream hold pieces of text.
enum DeltaPlaces {
    struct Piece {
        let lane: String
        let group: String
        let path: [JSONStep]
        let text: String
        /// Whether the same event ends the text.
        var isLast = false
        var choice: JSONValue?

        /// The event with nothing but this piece's own member.
        func template(_ document: JSONValue) -> JSONValue {
            guard let choice, var object = document.object else { return document }
            object["usage"] = nil
            object["choices"] = [choice]
            return .object(object)
        }

        var templatePath: [JSONStep] {
            choice == nil ? path : [.member("choices"), .item(0), .member("delta")] + path.dropFirst(3).map(first)
        }

        private func first(_ step: JSONStep) -> JSONStep { if case .item = step { .item(0) } else { step } }
    }

    static func find(_ document: JSONValue, _ dialect: Dialect) -> [Piece] {
        switch dialect {
        case .chat: chat(document)
        case .messages: messages(document)
        case .responses: responses(document)
        }
    }

    /// The groups whose texts end with an event.
    static func ended(_ document: JSONValue, _ dialect: Dialect) -> [String] {
        switch dialect {
        case .chat:
            return (document["choices"]?.array ?? []).compactMap { choice in
                guard let reason = choice["finish_reason"], !reason.isNull else { return nil }
                return "\(choice["index"]?.int ?? 0)"
            }
        case .messages: return document["type"]?.string == "content_block_stop" ? [group(document, "index")] : []
        case .responses:
            guard let type = document["type"]?.string, type.hasSuffix(".done") else { return [] }
            return [group(document, "output_index")]
        }
    }

    private static func group(_ document: JSONValue, _ name: String) -> String { "\(document[name]?.int ?? 0)" }

    private static func chat(_ document: JSONValue) -> [Piece] {
        var pieces: [Piece] = []
        for (place, choice) in (document["choices"]?.array ?? []).enumerated() {
            guard let delta = choice["delta"]?.object else { continue }
            let group = "\(choice["index"]?.int ?? 0)"
            let isLast = choice["finish_reason"].map { !$0.isNull } ?? false
            let root: [JSONStep] = [.member("choices"), .item(place), .member("delta")]
            func bare(_ member: String, _ value: JSONValue) -> JSONValue {
                [
                    "index": choice["index"] ?? 0, "delta": .object(JSONObject([.init(name: member, value: value)])),
                    "finish_reason": .null,
                ]
            }
            for name in ["reasoning_content", "reasoning", "content", "refusal"] {
                guard let text = delta[name]?.string else { continue }
                pieces.append(
                    Piece(
                        lane: "\(group)/\(name)", group: group, path: root + [.member(name)], text: text,
                        isLast: isLast, choice: bare(name, .string(""))))
            }
            for (number, call) in (delta["tool_calls"]?.array ?? []).enumerated() {
                guard let text = call["function"]?["arguments"]?.string else { continue }
                let index = call["index"] ?? .int(Int64(number))
                let path = root + [.member("tool_calls"), .item(number), .member("function"), .member("arguments")]
                let empty: JSONValue = [["index": index, "function": ["arguments": ""]]]
                pieces.append(
                    Piece(
                        lane: "\(group)/call/\(index.int ?? 0)", group: group, path: path, text: text, isLast: isLast,
                        choice: bare("tool_calls", empty)))
            }
        }
        return pieces
    }

    private static func messages(_ document: JSONValue) -> [Piece] {
        guard document["type"]?.string == "content_block_delta", let delta = document["delta"]?.object else {
            return []
        }
        let group = group(document, "index")
        return ["text", "thinking", "partial_json"].compactMap { name in
            delta[name]?.string.map {
                Piece(lane: "\(group)/\(name)", group: group, path: [.member("delta"), .member(name)], text: $0)
            }
        }
    }

    private static func responses(_ document: JSONValue) -> [Piece] {
        guard let type = document["type"]?.string, type.hasSuffix(".delta"), let text = document["delta"]?.string else {
            return []
        }
        let group = group(document, "output_index")
        let part = document["content_index"]?.int ?? document["summary_index"]?.int ?? 0
        return [Piece(lane: "\(group)/\(part)/\(type)", group: group, path: [.member("delta")], text: text)]
    }
}
