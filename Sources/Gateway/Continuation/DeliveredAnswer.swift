import Kernel

/// What a caller has seen of a streamed answer, in the form between the dialects, so that another target can go on
/// where one broke off. Belongs to the event loop of its call.
final class DeliveredAnswer {
    /// Bytes of text and arguments that are remembered; what is longer is not continued.
    static let bytesMax = 8 << 20

    /// A stretch of the answer.
    enum Item: Equatable {
        case text(String)
        case reasoning(String)
        case refusal(String)
        /// A call, by its number in ``DeliveredAnswer/calls``.
        case call(Int)
    }

    struct Call: Equatable {
        let name: String
        var arguments = ""
        var hasEnded = false
    }

    private(set) var items: [Item] = []
    private(set) var calls: [Call] = []
    /// Proofs of thoughts.
    private(set) var signatures = 0
    private(set) var hasStopped = false
    /// Whether everything that went out is in ``items`` and ``calls``.
    private(set) var isComplete = true
    /// Whether all that went out are the bytes of a provider.
    private(set) var isDirect = true
    /// Stands where the client's stream stands, so that it can write what follows.
    private var writer: any StreamWriter
    private let dialect: Dialect
    private var bytes = 0
    /// What the attempts that broke off have used and cost.
    var spent: Spending?

    struct Spending {
        var usage: TokenUsage
        var cost: NanoDollars?
    }

    init(_ dialect: Dialect, _ context: ReplyContext) {
        self.dialect = dialect
        writer = dialect.streamWriter(context)
    }

    /// Whether another target may go on with it.
    var canGoOn: Bool { isComplete && !hasStopped }

    /// The text, where there is nothing else.
    var textAlone: String? {
        guard items.count == 1, case .text(let text)? = items.first else { return nil }
        return text
    }

    /// An event of the provider went to the client as it was.
    ///
    /// - Parameters:
    ///   - document: Its data; `nil` where that is no JSON.
    ///   - steps: What it says.
    func passed(_ document: JSONValue?, _ steps: [StreamEvent]) {
        guard let document, writer.adopt(document, steps) else {
            isComplete = false
            return
        }
        for step in steps { note(step) }
    }

    /// Writes an event for the client.
    func write(_ event: StreamEvent, to output: inout [UInt8]) {
        isDirect = false
        note(event)
        writer.write(event, to: &output)
    }

    /// What a client is told last of a stream that ends here.
    func breakOff(_ error: DialectError) -> [UInt8] {
        guard !isDirect else { return error.event(for: dialect) }
        var output: [UInt8] = []
        writer.write(.failure(error), to: &output)
        return output
    }

    private func note(_ event: StreamEvent) {
        switch event {
        case .textDelta(let text):
            guard count(text) else { return }
            if case .text(let before)? = items.last {
                replaceLast(.text(before + text))
            } else {
                items.append(.text(text))
            }
        case .reasoningDelta(let text):
            guard count(text) else { return }
            if case .reasoning(let before)? = items.last {
                replaceLast(.reasoning(before + text))
            } else {
                items.append(.reasoning(text))
            }
        case .refusalDelta(let text):
            guard count(text) else { return }
            if case .refusal(let before)? = items.last {
                replaceLast(.refusal(before + text))
            } else {
                items.append(.refusal(text))
            }
        case .toolCallStart(let index, _, let name):
            guard index == calls.count else {
                isComplete = false
                return
            }
            items.append(.call(index))
            calls.append(Call(name: name))
        case .argumentsDelta(let index, let piece):
            guard calls.indices.contains(index), count(piece) else { return }
            calls[index].arguments += piece
        case .toolCallEnd(let index): if calls.indices.contains(index) { calls[index].hasEnded = true }
        case .stop: hasStopped = true
        // Nobody else can repeat these.
        case .citation, .sealedReasoning, .webSearch: isComplete = false
        case .signature: signatures += 1
        case .start, .usage, .ping, .end, .failure: break
        }
    }

    /// Let go before it grows, so that it grows in place.
    private func replaceLast(_ item: @autoclosure () -> Item) {
        let item = item()
        items[items.count - 1] = item
    }

    private func count(_ text: String) -> Bool {
        bytes += text.utf8.count
        if bytes > Self.bytesMax {
            isComplete = false
            items = []
            calls = []
        }
        return isComplete
    }
}
