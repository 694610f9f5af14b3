import Kernel

/// What the scripted model says to one call, before a dialect dresses it.
struct ScriptedAnswer: Sendable {
    var text: String
    var reasoning: String?
    var calls: [Script.Call]
    var finish: Script.Finish
    /// The sequence that ended the text, where one did.
    var stop: String?
    /// `nil` where the script leaves the counts out.
    var usage: Counts?

    struct Counts: Sendable, Equatable {
        /// Everything that was read, from the cache or not.
        var input: Int
        var output: Int
        var cacheRead = 0
        var cacheWrite = 0
        /// A part of `output`.
        var reasoning = 0
    }

    /// Follows the rule; what that leaves open follows from the call.
    init(_ call: ScriptedCall, _ rule: Script.Rule?) {
        let scripted = rule?.answer ?? Script.Answer()
        reasoning = scripted.reasoning
        calls = scripted.calls
        if calls.isEmpty, scripted.text == nil, let tool = Self.toolToCall(call) {
            calls = [Script.Call(name: tool.name, arguments: Self.sample(tool.schema))]
        }
        text = scripted.text ?? (calls.isEmpty ? Self.reply(to: call) : "")
        if rule?.fault?.isDegraded == true { text = Self.degraded(text) }
        finish = scripted.finish ?? (calls.isEmpty ? .stop : .toolCalls)
        cut(call)
        let scriptedUsage = scripted.usage ?? Script.Usage()
        guard !scriptedUsage.isMissing else { return }
        let thought = scriptedUsage.reasoning ?? reasoning.map(ScriptedTokens.count) ?? 0
        let said = ScriptedTokens.count(text) + calls.reduce(0) { $0 + ScriptedTokens.count($1.arguments.text) }
        usage = Counts(
            input: scriptedUsage.input ?? call.inputTokens, output: scriptedUsage.output ?? said + thought,
            cacheRead: scriptedUsage.cacheRead ?? 0, cacheWrite: scriptedUsage.cacheWrite ?? 0, reasoning: thought)
    }

    /// A tool is called once, where one has to be; what it brought is then talked about.
    private static func toolToCall(_ call: ScriptedCall) -> ScriptedCall.Tool? {
        guard call.result == nil else { return nil }
        switch call.choice {
        case .auto, .none: return nil
        case .required: return call.tools.first
        case .named(let name): return call.tools.first { $0.name == name }
        }
    }

    private static func reply(to call: ScriptedCall) -> String {
        if let schema = call.schema { return sample(schema).text }
        return call.result.map { "The tool has answered: \($0)" } ?? "You said: \(call.lastText)"
    }

    /// Ends the text where the caller wants it to end: at a stop sequence, or at its bound of tokens.
    private mutating func cut(_ call: ScriptedCall) {
        let found = call.stops.compactMap { stop in text.firstRange(of: stop).map { (stop, $0) } }
        if let (sequence, range) = found.min(by: { $0.1.lowerBound < $1.1.lowerBound }) {
            text = String(text[..<range.lowerBound])
            stop = sequence
        }
        guard let outputMax = call.outputMax else { return }
        let pieces = ScriptedTokens.pieces(of: text)
        guard pieces.count > outputMax else { return }
        text = pieces.prefix(max(0, outputMax)).joined()
        finish = .length
        stop = nil
    }

    /// Words of the right length and no sense.
    private static func degraded(_ text: String) -> String {
        ScriptedTokens.pieces(of: text).map { piece in
            String(piece.prefix { $0.isWhitespace }) + String(repeating: "x", count: piece.count)
        }.joined()
    }

    /// The smallest value that a schema lets through, for the plain kinds of schema that callers send.
    static func sample(_ schema: JSONValue, depth: Int = 0) -> JSONValue {
        if let choice = schema["enum"]?.array?.first { return choice }
        if let value = schema["const"] { return value }
        let type = schema["type"]?.string ?? schema["type"]?.array?.first?.string ?? "object"
        switch type {
        case "string": return "text"
        case "integer", "number": return schema["minimum"] ?? 1
        case "boolean": return true
        case "null": return .null
        case "array": return depth < 8 ? .array(schema["items"].map { [sample($0, depth: depth + 1)] } ?? []) : []
        default:
            guard depth < 8 else { return [:] }
            var object = JSONObject()
            for member in schema["properties"]?.object?.members ?? [] {
                object[member.name] = sample(member.value, depth: depth + 1)
            }
            return .object(object)
        }
    }
}
