import Kernel

/// Follows another target's answer to a request whose answer was begun: what was delivered is skipped while it is
/// identical, what lies behind it goes on. Pure.
struct ReplayCursor {
    /// The other answer is not the one that was begun.
    struct Divergence: Error, Equatable {}

    private let items: [DeliveredAnswer.Item]
    private let calls: [DeliveredAnswer.Call]
    private var item = 0
    private var offset = 0
    /// Bytes of each call's arguments that came again.
    private var argued: [Int]
    private var begun = 0
    private var signaturesLeft = 0
    /// Spaces that may come again in front of what follows; see ``init(behind:)``.
    private var spaces: [UInt8] = []

    init(_ answer: DeliveredAnswer) {
        items = answer.items
        calls = answer.calls
        signaturesLeft = answer.signatures
        argued = [Int](repeating: 0, count: answer.calls.count)
    }

    /// For a target that was given the beginning and answers with the rest. `spaces` ended the beginning and were not
    /// given to it, as Anthropic takes none there; they may come again.
    init(behind spaces: String) {
        items = []
        calls = []
        argued = []
        self.spaces = Array(spaces.utf8)
    }

    /// Whether all that was delivered came again.
    var isThrough: Bool {
        let isAtEnd = item >= items.count || (item == items.count - 1 && isConsumed)
        return isAtEnd && begun >= calls.count && zip(calls, argued).allSatisfy { $0.arguments.utf8.count == $1 }
    }

    /// What of an event the client has not seen.
    mutating func take(_ event: StreamEvent) throws(Divergence) -> StreamEvent? {
        switch event {
        case .start: return nil
        case .textDelta(let text):
            return try rest(of: text, Self.text).map { .textDelta($0) }
        case .reasoningDelta(let text): return try rest(of: text, Self.reasoning).map { .reasoningDelta($0) }
        case .refusalDelta(let text): return try rest(of: text, Self.refusal).map { .refusalDelta($0) }
        case .toolCallStart(let index, _, let name): return try begin(index, name) ? event : nil
        case .argumentsDelta(let index, let piece): return try arguments(index, piece)
        case .toolCallEnd(let index):
            guard calls.indices.contains(index) else { return event }
            guard argued[index] == calls[index].arguments.utf8.count else { throw Divergence() }
            return calls[index].hasEnded ? nil : event
        case .stop, .end:
            guard isThrough else { throw Divergence() }
            return event
        case .usage, .failure: return event
        case .signature where signaturesLeft > 0:
            signaturesLeft -= 1
            return nil
        case .signature, .citation, .sealedReasoning, .webSearch, .ping: return isThrough ? event : nil
        }
    }

    private static func text(_ item: DeliveredAnswer.Item) -> String? {
        if case .text(let text) = item { text } else { nil }
    }
    private static func reasoning(_ item: DeliveredAnswer.Item) -> String? {
        if case .reasoning(let text) = item { text } else { nil }
    }
    private static func refusal(_ item: DeliveredAnswer.Item) -> String? {
        if case .refusal(let text) = item { text } else { nil }
    }

    private var isConsumed: Bool {
        guard items.indices.contains(item) else { return true }
        switch items[item] {
        case .text(let text), .reasoning(let text), .refusal(let text): return offset == text.utf8.count
        case .call(let index): return begun > index
        }
    }

    /// The next stretch, once the present one came again whole.
    private mutating func advance() {
        while item + 1 < items.count, isConsumed {
            item += 1
            offset = 0
        }
    }

    private mutating func rest(
        of text: String, _ kind: (DeliveredAnswer.Item) -> String?
    ) throws(Divergence) -> String? {
        guard !text.isEmpty else { return nil }
        let text = withoutSpaces(text)
        advance()
        guard items.indices.contains(item), !isConsumed || item + 1 < items.count else {
            return text.isEmpty ? nil : text
        }
        guard let known = kind(items[item]) else { throw Divergence() }
        let expected = known.utf8.dropFirst(offset)
        let shared = min(expected.count, text.utf8.count)
        guard text.utf8.prefix(shared).elementsEqual(expected.prefix(shared)) else { throw Divergence() }
        offset += shared
        guard shared < text.utf8.count else { return nil }
        // More of this stretch than was delivered, although another one followed it.
        guard item == items.count - 1 else { throw Divergence() }
        return String(decoding: text.utf8.dropFirst(shared), as: UTF8.self)
    }

    private mutating func withoutSpaces(_ text: String) -> String {
        guard !spaces.isEmpty else { return text }
        var bytes = Array(text.utf8)[...]
        while let space = spaces.first, let byte = bytes.first {
            guard byte == space else {
                spaces = []
                break
            }
            spaces.removeFirst()
            bytes.removeFirst()
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Whether the call is a new one.
    private mutating func begin(_ index: Int, _ name: String) throws(Divergence) -> Bool {
        guard index < calls.count else {
            guard isThrough else { throw Divergence() }
            return true
        }
        advance()
        guard items.indices.contains(item), items[item] == .call(index), calls[index].name == name else {
            throw Divergence()
        }
        begun = index + 1
        return false
    }

    private mutating func arguments(_ index: Int, _ piece: String) throws(Divergence) -> StreamEvent? {
        guard calls.indices.contains(index) else { return .argumentsDelta(index: index, piece) }
        let expected = calls[index].arguments.utf8.dropFirst(argued[index])
        let shared = min(expected.count, piece.utf8.count)
        guard piece.utf8.prefix(shared).elementsEqual(expected.prefix(shared)) else { throw Divergence() }
        argued[index] += shared
        guard shared < piece.utf8.count else { return nil }
        guard !calls[index].hasEnded else { throw Divergence() }
        return .argumentsDelta(index: index, String(decoding: piece.utf8.dropFirst(shared), as: UTF8.self))
    }
}
