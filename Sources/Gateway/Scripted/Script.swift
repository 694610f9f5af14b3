import Kernel

/// What the scripted model answers, and how it goes wrong: the first rule that matches and is not used up.
public struct Script: Sendable {
    public var rules: [Rule]
    /// Vectors of embeddings have this many numbers.
    public var dimensions = 8

    public static let rulesMax = 1_000
    public static let dimensionsMax = 4_096

    public init(rules: [Rule] = []) {
        self.rules = rules
    }

    /// One rule. Everything that is left out matches, or follows from the request.
    public struct Rule: Sendable {
        /// The model's name; a `*` at its end stands for any rest.
        var model: String?
        /// Part of the last thing that the user said.
        var contains: String?
        /// How often it answers; without it, always.
        var times: Int?
        var answer = Answer()
        var fault: Fault?
        /// Further headers of the answer, such as those that tell of limits.
        var headers: [(name: String, value: String)] = []
    }

    /// What is said where nothing goes wrong.
    public struct Answer: Sendable {
        var text: String?
        var reasoning: String?
        var calls: [Call] = []
        var finish: Finish?
        var usage: Usage?
    }

    public struct Call: Sendable, Equatable {
        let name: String
        let arguments: JSONValue
    }

    public enum Finish: String, Sendable, CaseIterable {
        case stop, length, refusal
        case toolCalls = "tool_calls"
        case contentFilter = "content_filter"
    }

    /// The counts that the answer gives instead of the true ones; a kind without a number is counted.
    public struct Usage: Sendable, Equatable {
        /// Leaves the counts out altogether.
        var isMissing = false
        var input: Int?
        var output: Int?
        var cacheRead: Int?
        var cacheWrite: Int?
        var reasoning: Int?
    }

    /// How an answer goes wrong. Steps count pieces of a stream, from its beginning.
    public struct Fault: Sendable, Equatable {
        /// Answers with this status and an error of the caller's dialect.
        var status: Int?
        var retryAfterSeconds: Int?
        var message: String?
        /// Never sends a first byte.
        var hangs = false
        /// Waits before the first byte.
        var delay: Span = .zero
        /// Waits before each further piece.
        var pause: Span = .zero
        /// Sends nothing more behind so many pieces, and holds the connection.
        var stallsAfter: Int?
        /// Cuts the connection behind so many pieces; 0 cuts it without any answer.
        var cutsAfter: Int?
        /// Sends an event that is no JSON behind so many pieces.
        var malformedAfter: Int?
        /// Ends the stream without its last event.
        var omitsEnd = false
        /// Answers with the right shape and the wrong words.
        var isDegraded = false
    }
}

extension Script {
    /// From a document: `{"rules":[…],"dimensions":8}`.
    public init(_ document: JSONValue) throws {
        guard let object = document.object else { throw Problem.invalid("", "a script is an object with `rules`") }
        let fields = Fields(object, limits: Limits())
        try fields.refuseOthers(than: ["rules", "dimensions"])
        rules =
            try fields.optionalArray("rules", max: Self.rulesMax)?.enumerated().map { index, item in
                guard let rule = item.object else { throw Problem.invalid("rules/\(index)", "a rule is an object") }
                return try Rule(Fields(rule, limits: Limits(), path: "rules/\(index)"))
            } ?? []
        dimensions = Int(try fields.optionalInt("dimensions", in: 1...Int64(Self.dimensionsMax)) ?? 8)
    }
}

extension Script.Rule {
    private static let textMax = 1 << 20

    init(_ fields: Fields) throws {
        try fields.refuseOthers(than: [
            "model", "contains", "times", "say", "reasoning", "calls", "finish", "usage", "fault", "headers",
        ])
        model = try fields.optionalString("model", max: 200)
        contains = try fields.optionalString("contains", max: Self.textMax)
        times = try fields.optionalInt("times", in: 1...Int64(Int32.max)).map(Int.init)
        answer.text = try fields.optionalString("say", max: Self.textMax)
        answer.reasoning = try fields.optionalString("reasoning", max: Self.textMax)
        answer.calls = try (fields.optionalArray("calls", max: 64) ?? []).enumerated().map { index, item in
            let path = "\(fields.path("calls"))/\(index)"
            guard let object = item.object else { throw Problem.invalid(path, "a call is an object") }
            let call = Fields(object, limits: Limits(), path: path)
            try call.refuseOthers(than: ["name", "arguments"])
            return Script.Call(name: try call.name("name"), arguments: object["arguments"] ?? [:])
        }
        answer.finish = try fields.optionalChoice("finish", Script.Finish.self)
        answer.usage = try Self.usage(fields)
        fault = try fields.optionalFields("fault").map(Script.Fault.init)
        headers = try Self.headers(fields)
    }

    private static let headersMax = 32

    private static func headers(_ fields: Fields) throws -> [(name: String, value: String)] {
        let members = try fields.optionalFields("headers")?.object.members ?? []
        guard members.count <= headersMax else {
            throw Problem.invalid(fields.path("headers"), "at most \(headersMax) headers are allowed")
        }
        return try members.map { member in
            let path = "\(fields.path("headers"))/\(member.name)"
            guard let value = member.value.string,
                (value + member.name).utf8.allSatisfy({ (0x20...0x7E).contains($0) })
            else { throw Problem.invalid(path, "a header is printable ASCII") }
            return (member.name.lowercased(), value)
        }
    }

    private static func usage(_ fields: Fields) throws -> Script.Usage? {
        if fields.value("usage")?.string == "none" { return Script.Usage(isMissing: true) }
        guard let counts = try fields.optionalFields("usage") else { return nil }
        try counts.refuseOthers(than: ["input", "output", "cacheRead", "cacheWrite", "reasoning"])
        func count(_ name: String) throws -> Int? { try counts.optionalInt(name, in: 0...(1 << 40)).map(Int.init) }
        return Script.Usage(
            input: try count("input"), output: try count("output"), cacheRead: try count("cacheRead"),
            cacheWrite: try count("cacheWrite"), reasoning: try count("reasoning"))
    }

    func matches(model asked: String, text: String) -> Bool {
        if let model {
            let isAlike = model.hasSuffix("*") ? asked.hasPrefix(model.dropLast()) : asked == model
            guard isAlike else { return false }
        }
        return contains.map(text.contains) ?? true
    }
}

extension Script.Fault {
    init(_ fields: Fields) throws {
        try fields.refuseOthers(than: [
            "status", "retryAfterSeconds", "message", "hang", "delaySeconds", "pauseSeconds", "stallAfter", "cutAfter",
            "malformedAfter", "omitEnd", "degraded",
        ])
        status = try fields.optionalInt("status", in: 400...599).map(Int.init)
        retryAfterSeconds = try fields.optionalInt("retryAfterSeconds", in: 0...86_400).map(Int.init)
        message = try fields.optionalString("message", max: 10_000)
        hangs = try fields.optionalBool("hang") ?? false
        delay = try fields.optionalSpan("delaySeconds", in: 0...3_600) ?? .zero
        pause = try fields.optionalSpan("pauseSeconds", in: 0...3_600) ?? .zero
        stallsAfter = try fields.optionalInt("stallAfter", in: 0...1_000_000).map(Int.init)
        cutsAfter = try fields.optionalInt("cutAfter", in: 0...1_000_000).map(Int.init)
        malformedAfter = try fields.optionalInt("malformedAfter", in: 0...1_000_000).map(Int.init)
        omitsEnd = try fields.optionalBool("omitEnd") ?? false
        isDegraded = try fields.optionalBool("degraded") ?? false
    }
}
