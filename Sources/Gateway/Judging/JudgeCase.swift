import Kernel

/// An answer that is to be judged: what is shown to the judge, and for whom. It stands in memory until then and is kept
/// nowhere.
struct JudgeCase: Sendable {
    /// Bytes of the question, and of the answer; of longer ones the judge sees the beginning and the end.
    static let textBytesMax = 16 << 10

    /// The call whose answer it is.
    let call: String
    let model: String
    let correlationID: String
    /// Of that call.
    var traceparent = ""
    /// Who answered.
    let target: TargetState
    let settings: JudgeSettings
    let question: String
    let answer: String

    /// The request to the judge, as a caller of Chat Completions writes it.
    var body: [UInt8] {
        let shown: JSONValue = ["question": .string(question), "answer": .string(answer)]
        let document: JSONValue = [
            "model": .string(settings.model),
            "messages": [
                ["role": "system", "content": .string(settings.prompt)],
                ["role": "user", "content": .string(shown.text)],
            ],
            "max_completion_tokens": .int(settings.outputTokensMax),
        ]
        return document.bytes
    }

    // MARK: What is shown

    /// The last thing that a user said.
    static func question(of asked: ModelRequest) -> String {
        let parts = asked.messages.last { $0.role == .user && $0.parts.contains { $0.text != nil } }?.parts ?? []
        return clipped(parts.compactMap(\.text).joined(separator: "\n"))
    }

    static func answer(of said: SaidAnswer) -> String {
        let calls = said.calls.map { "[calls the tool \($0)]" }
        return clipped(([said.text + said.refusal] + calls).filter { !$0.isEmpty }.joined(separator: "\n"))
    }

    /// The beginning and the end of what is longer than ``textBytesMax``.
    static func clipped(_ text: String) -> String {
        guard text.utf8.count > textBytesMax else { return text }
        let half = textBytesMax / 2
        let bytes = Array(text.utf8)
        // A character that is cut becomes a replacement character.
        return String(decoding: bytes.prefix(half), as: UTF8.self) + "\n[…]\n"
            + String(decoding: bytes.suffix(half), as: UTF8.self)
    }

    // MARK: The verdict

    /// The score in what a judge said: a JSON number from 0 to 1, alone or as the member `score` of an object. Anything
    /// else is no score: a judge that talks may have been talked to.
    static func score(_ text: String) -> Double? {
        let trimmed = text.utf8.drop { $0 <= 0x20 }
        guard trimmed.count <= 1_000, let value = try? JSONParser.parse(Array(trimmed), depthMax: 4) else { return nil }
        var number: JSONValue? = value
        if let object = value.object { number = object.count == 1 ? object["score"] : nil }
        guard let score = number?.double, (0...1).contains(score) else { return nil }
        return score
    }
}

/// What a judge said of an answer.
public struct Judgement: Sendable {
    public enum Outcome: String, Sendable, CaseIterable {
        case scored
        /// It said something, but no score.
        case unreadable
        /// A budget refused its call.
        case refused
        case failed
        /// Too many answers waited already.
        case dropped
    }

    /// The call that was judged.
    public let call: String
    public let outcome: Outcome
    public let score: Double?
    /// Who judged, and the call that this took.
    public let model: String
    public let judgeCall: String?

    /// For the record of the call that was judged.
    public var json: JSONValue {
        [
            "outcome": .string(outcome.rawValue), "score": score.map { .double($0) } ?? .null,
            "model": .string(model), "call": .of(judgeCall),
        ]
    }
}
