import Kernel
import NIOCore

/// Sees to it that no call of a tool reaches a caller that may not use it, whatever the model was offered: a model also
/// calls what stands in its conversation, or what it makes up.
struct ToolGate: EventFilter {
    /// Calls of one stream whose names are put together from pieces.
    static let lanesMax = 1_000

    let denied: [String: CallDecider]
    private let dialect: Dialect
    var events = ServerSentEvents()
    /// What came of names, by the answer and the call that they belong to.
    private var names: [String: String] = [:]
    /// The tool whose call was met: nothing goes on behind it.
    private(set) var met: String?

    init(_ denied: [String: CallDecider], _ dialect: Dialect) {
        self.denied = denied
        self.dialect = dialect
    }

    var refusal: DialectError {
        ToolOffer.refusal(met ?? "", denied, "The model called it; its answer was not passed on from there.")
    }

    // MARK: Whole answers

    /// Whether a whole answer may be passed on.
    mutating func passes(_ body: ByteBuffer) -> Bool {
        // What is no JSON names no tool to anybody.
        guard let document = try? JSONParser.parse(body.readableBytesView, depthMax: TopLevelScan.depthMax) else {
            return true
        }
        met = Self.calls(in: document, dialect).first { denied[$0] != nil }
        return met == nil
    }

    /// The tools that a whole answer calls.
    static func calls(in document: JSONValue, _ dialect: Dialect) -> [String] {
        switch dialect {
        case .chat: (document["choices"]?.array ?? []).flatMap { calls(ofMessage: $0["message"] ?? .null) }
        case .messages: (document["content"]?.array ?? []).compactMap(name(ofBlock:))
        case .responses: (document["output"]?.array ?? []).flatMap(names(ofItem:))
        }
    }

    private static func calls(ofMessage message: JSONValue) -> [String] {
        (message["tool_calls"]?.array ?? []).compactMap(name(ofCall:))
            + [message["function_call"]?["name"]?.string].compactMap(\.self)
    }

    private static func name(ofCall call: JSONValue) -> String? {
        call["function"]?["name"]?.string ?? call["custom"]?["name"]?.string
    }

    /// `tool_use`, `server_tool_use` and `mcp_tool_use`.
    private static func name(ofBlock block: JSONValue) -> String? {
        block["type"]?.string?.hasSuffix("tool_use") == true ? block["name"]?.string : nil
    }

    /// `function_call`, `custom_tool_call`, `mcp_call` and the calls of the provider's own tools, which are known by
    /// their kind alone.
    private static func names(ofItem item: JSONValue) -> [String] {
        guard let type = item["type"]?.string, type.hasSuffix("_call") else { return [] }
        return [item["name"]?.string, item["server_label"]?.string, String(type.dropLast(5))].compactMap(\.self)
    }

    // MARK: Streams

    /// Passes events on up to the first that calls such a tool.
    mutating func take(_ event: borrowing ServerSentEvent, _ output: inout [UInt8]) {
        guard met == nil else { return }
        if !event.data.isEmpty, !event.isDone,
            let document = try? JSONParser.parse(event.data, depthMax: ServerSentEvents.depthMax)
        {
            met = called(in: document).first { denied[$0] != nil }
            guard met == nil else { return }
        }
        output.append(contentsOf: event.bytes)
    }

    private mutating func called(in document: JSONValue) -> [String] {
        switch dialect {
        case .messages: return [document["content_block"].flatMap(Self.name(ofBlock:))].compactMap(\.self)
        case .responses:
            let whole = (document["response"]?["output"]?.array ?? []).flatMap(Self.names(ofItem:))
            return (document["item"].map(Self.names(ofItem:)) ?? []) + whole
        case .chat:
            var found: [String] = []
            for choice in document["choices"]?.array ?? [] {
                guard let delta = choice["delta"] else { continue }
                let lane = "\(choice["index"]?.int ?? 0)"
                for (number, call) in (delta["tool_calls"]?.array ?? []).enumerated() {
                    guard let piece = Self.name(ofCall: call) else { continue }
                    found += join(piece, "\(lane)/\(call["index"]?.int ?? Int64(number))")
                }
                if let piece = delta["function_call"]?["name"]?.string { found += join(piece, lane) }
            }
            return found
        }
    }

    /// Names come whole as a rule, and in pieces from some.
    private mutating func join(_ piece: String, _ lane: String) -> [String] {
        let known = names[lane] ?? ""
        let name = known.utf8.count > 1_000 ? piece : known + piece
        if names[lane] != nil || names.count < Self.lanesMax { names[lane] = name }
        return [piece, name]
    }
}
