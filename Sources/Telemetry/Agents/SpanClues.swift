/// What metrics need of a tool's or memory's span beyond its head, looked for where it lies.
struct SpanClues: Sendable, Equatable {
    enum Outcome: String {
        case success, failure, timeout
    }

    /// `gen_ai.operation.name` as it came.
    var operation = ""
    /// Whether what it says of its failure speaks of time.
    var isTimeout = false
    /// Of the tool's arguments, as they were written; differs between processes. `nil` where there are none.
    var arguments: Int?
    /// Whether the tool's result tells the model to leave what it was told; see ``InjectedOrders``.
    var givesOrders = false

    /// - Parameter span: An OTLP `Span` that was read before.
    init(_ span: UnsafeRawBufferPointer) {
        var reader = ProtobufReader(span)
        while let field = try? reader.next() {
            guard let bytes = field.bytes else { continue }
            switch field.number {
            case OTLPField.Span.attributes: take(bytes)
            case OTLPField.Span.events: takeEvent(bytes)
            case OTLPField.Span.status: takeStatus(bytes)
            default: break
            }
        }
    }

    init() {}

    func outcome(_ status: SpanHead.Status) -> Outcome {
        status != .error ? .success : isTimeout ? .timeout : .failure
    }

    private mutating func take(_ message: UnsafeRawBufferPointer) {
        guard let pair = try? AttributePair(message), let value = pair.value else { return }
        func isNamed(_ name: StaticString) -> Bool {
            UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount).elementsEqual(pair.name)
        }
        if isNamed("gen_ai.operation.name") {
            operation = Self.text(value)
        } else if isNamed("error.type") || isNamed("exception.type") {
            if Self.speaksOfTime(Self.text(value)) { isTimeout = true }
        } else if Self.argumentNames.contains(where: isNamed) {
            var hasher = Hasher()
            hasher.combine(bytes: value)
            arguments = hasher.finalize()
        } else if !givesOrders, Self.resultNames.contains(where: isNamed) {
            givesOrders = InjectedOrders.isFound(in: value)
        }
    }

    /// Their names of what a tool answered.
    private static let resultNames: [StaticString] = [
        "gen_ai.tool.call.result", "output.value", "traceloop.entity.output",
    ]

    /// OpenTelemetry's, OpenInference's and OpenLLMetry's names of what a tool was called with.
    private static let argumentNames: [StaticString] = [
        "gen_ai.tool.call.arguments", "tool.parameters", "input.value", "traceloop.entity.input",
    ]

    /// An exception is told as an event (OpenTelemetry conventions, "Exceptions in spans").
    private mutating func takeEvent(_ message: UnsafeRawBufferPointer) {
        var reader = ProtobufReader(message)
        while let field = try? reader.next() {
            guard field.number == OTLPField.Event.attributes, let bytes = field.bytes else { continue }
            guard let pair = try? AttributePair(bytes), let value = pair.value,
                pair.name.elementsEqual("exception.type".utf8)
            else { continue }
            if Self.speaksOfTime(Self.text(value)) { isTimeout = true }
        }
    }

    private mutating func takeStatus(_ message: UnsafeRawBufferPointer) {
        var reader = ProtobufReader(message)
        while let field = try? reader.next() {
            guard field.number == OTLPField.Status.message, let bytes = field.bytes else { continue }
            if let text = try? WireText.read(bytes), Self.speaksOfTime(text) { isTimeout = true }
        }
    }

    private static func text(_ value: UnsafeRawBufferPointer) -> String {
        guard value.count <= FoundRoles.valueBytesMax else { return "" }
        return (try? AttributeValue.read(value))?.string ?? ""
    }

    /// `TimeoutError`, `ReadTimeout`, `timed out`, gRPC's `DEADLINE_EXCEEDED`, HTTP's 408 and 504.
    private static func speaksOfTime(_ text: String) -> Bool {
        let word = text.prefix(500).lowercased()
        return ["timeout", "timed out", "timed_out", "deadline"].contains { word.contains($0) }
            || word == "408" || word == "504"
    }
}

/// A span that came into the archive for the first time.
public struct StoredSpan: Sendable {
    public let head: SpanHead
    let clues: SpanClues

    init(_ head: SpanHead, clues: SpanClues = SpanClues()) {
        (self.head, self.clues) = (head, clues)
    }

    /// - Parameter body: Of the request that the span came with.
    init(_ item: ReceivedSpans.Item, of body: UnsafeRawBufferPointer) {
        head = item.head
        let needsMore = item.head.operation == .tool || item.head.operation == .memory
        clues = needsMore ? SpanClues(UnsafeRawBufferPointer(rebasing: body[item.span])) : SpanClues()
    }
}
