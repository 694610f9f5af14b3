import Kernel

/// A span that runs: what was said of it when it began, and what was heard since.
struct LiveSpan: Sendable {
    /// Bytes of a span that are kept while it runs; of a larger one only the head is.
    static let bytesMax = 64 << 10

    var head: SpanHead
    /// When it was first heard of, by Reeve's clock.
    let beganAt: Timestamp
    /// The OTLP `Span`, without its end, its status and the mark of its state; its `Resource` and
    /// `InstrumentationScope`.
    var span: [UInt8] = []
    var resource: [UInt8] = []
    var scope: [UInt8] = []
    /// Whether nobody said that it began: a log line named it.
    var isInferred = false
    /// What was last heard of below it, and when that began by its sender's clock.
    var lastStep: String?
    var lastStepAt: Int64 = .min

    /// About what it takes in memory.
    var bytes: Int { span.count + resource.count + scope.count + 512 }

    /// A span of Reeve's own, which has an end of its own, whatever becomes of its agent.
    var isOwn: Bool { head.service == OwnNames.service }

    /// From a span that said that it had begun.
    init(_ item: ReceivedSpans.Item, of body: UnsafeRawBufferPointer, beganAt: Timestamp) {
        head = item.head
        head.endedAt = head.startedAt
        self.beganAt = beganAt
        let parts = [item.span, item.resource, item.scope]
        guard parts.reduce(0, { $0 + $1.count }) <= Self.bytesMax,
            let normal = try? Self.normal(UnsafeRawBufferPointer(rebasing: body[item.span]), item.head)
        else {
            span = Self.bare(item.head)
            return
        }
        span = normal
        resource = Array(body[item.resource])
        scope = Array(body[item.scope])
    }

    /// From a log line that named it.
    init(_ head: SpanHead, beganAt: Timestamp) {
        self.head = head
        self.beganAt = beganAt
        isInferred = true
        span = Self.bare(head)
    }

    private static let marks = [OwnNames.state, "logfire.span_type", "logfire.pending_parent_id"]

    private static func normal(
        _ message: UnsafeRawBufferPointer, _ head: SpanHead
    ) throws(ProtobufReader.Malformed) -> [UInt8] {
        var writer = ProtobufWriter()
        writeIDs(of: head, to: &writer)
        var reader = ProtobufReader(message)
        while let field = try reader.next() {
            switch field.number {
            case OTLPField.Span.traceID, OTLPField.Span.spanID, OTLPField.Span.parentID, OTLPField.Span.endedAt,
                OTLPField.Span.status:
                continue
            case OTLPField.Span.attributes:
                guard let bytes = field.bytes, let pair = try? AttributePair(bytes) else { continue }
                if marks.contains(where: { pair.name.elementsEqual($0.utf8) }) { continue }
                writer.bytes(field.number, bytes)
            default: writer.field(field)
            }
        }
        return writer.bytes
    }

    private static func bare(_ head: SpanHead) -> [UInt8] {
        var writer = ProtobufWriter()
        writeIDs(of: head, to: &writer)
        writer.string(OTLPField.Span.name, head.name)
        writer.fixed64(OTLPField.Span.startedAt, UInt64(max(0, head.startedAt)))
        return writer.bytes
    }

    private static func writeIDs(of head: SpanHead, to writer: inout ProtobufWriter) {
        writer.bytes(OTLPField.Span.traceID, head.traceID.bytes)
        writer.bytes(OTLPField.Span.spanID, head.spanID.bytes)
        if let parent = head.parentID { writer.bytes(OTLPField.Span.parentID, parent.bytes) }
    }

    // MARK: Going on

    /// As a request that says once more that it began.
    var pendingRequest: [UInt8] { request { $0.attribute(OTLPField.Span.attributes, Self.mark(OwnNames.pending)) } }

    /// As a request that says that nobody will hear of its end.
    ///
    /// - Parameters:
    ///   - reason: Why, as a sentence without its full stop.
    ///   - heardAt: When something was last heard of its trace.
    func lostRequest(_ reason: String, heardAt: Timestamp) -> [UInt8] {
        let step = lastStep ?? head.name
        return request { span in
            let ended = max(head.startedAt, heardAt.microseconds &* 1_000)
            span.fixed64(OTLPField.Span.endedAt, UInt64(max(0, ended)))
            span.attribute(OTLPField.Span.attributes, Self.mark(OwnNames.lost))
            span.attribute(OTLPField.Span.attributes, Attribute(OwnNames.lastStep, .string(step)))
            span.message(OTLPField.Span.status) { status in
                status.string(OTLPField.Status.message, "lost: \(reason); its last known step is \(step)")
                status.varint(OTLPField.Status.code, OwnSpan.errorCode)
            }
        }
    }

    private static func mark(_ state: String) -> Attribute { Attribute(OwnNames.state, .string(state)) }

    private func request(_ more: (inout ProtobufWriter) -> Void) -> [UInt8] {
        var tail = ProtobufWriter()
        more(&tail)
        var request = ProtobufWriter()
        request.message(OTLPField.Request.resources) { group in
            if !resource.isEmpty { group.bytes(OTLPField.PerResource.resource, resource) }
            group.message(OTLPField.PerResource.scopes) { inner in
                if !scope.isEmpty { inner.bytes(OTLPField.PerScope.scope, scope) }
                inner.bytes(OTLPField.PerScope.records, span + tail.bytes)
            }
        }
        return request.bytes
    }

    /// The head as it stands now.
    func head(at now: Timestamp) -> SpanHead {
        var head = head
        head.state = .running
        head.endedAt = max(head.startedAt, now.microseconds &* 1_000)
        return head
    }

    func detail(at now: Timestamp) throws -> SpanDetail {
        let head = head(at: now)
        return try resource.withUnsafeBytes { resource in
            try scope.withUnsafeBytes { scope in
                try span.withUnsafeBytes { try SpanDetail(head, resource: resource, scope: scope, span: $0) }
            }
        }
    }
}

extension ProtobufWriter {
    /// Adds a field as it was read.
    fileprivate mutating func field(_ field: ProtobufReader.Field) {
        switch field.value {
        case .varint(let value): varint(field.number, value)
        case .fixed64(let value): fixed64(field.number, value)
        case .fixed32(let value): fixed32(field.number, value)
        case .bytes(let value): bytes(field.number, value)
        }
    }
}
