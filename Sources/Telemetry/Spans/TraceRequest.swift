/// The spans of a request that are taken, with the bytes that they lie in.
struct ReceivedSpans: Sendable {
    struct Item: Sendable {
        var head: SpanHead
        /// Where the OTLP `Span` lies in the body, and its `Resource` and `InstrumentationScope`; empty where there is
        /// none.
        let span: Range<Int>
        let resource: Range<Int>
        let scope: Range<Int>
    }

    let body: [UInt8]
    var items: [Item] = []
    var refused: [RecordFlaw: Int] = [:]

    /// Reads an OTLP `ExportTraceServiceRequest`: one span that cannot be taken costs the others nothing.
    ///
    /// - Throws: ``ProtobufReader/Malformed`` where the bytes are no such request.
    init(_ body: [UInt8]) throws(ProtobufReader.Malformed) {
        self.body = body
        var (items, refused): ([Item], [RecordFlaw: Int]) = ([], [:])
        let result = body.withUnsafeBytes { body in
            Result { () throws(ProtobufReader.Malformed) in
                try TraceRequest.read(body) {
                    items.append($0)
                } refuse: {
                    refused[$0, default: 0] += 1
                }
            }
        }
        try result.get()
        self.items = items
        self.refused = refused
    }
}

/// Reads an OTLP `ExportTraceServiceRequest`, span by span.
enum TraceRequest {
    /// - Parameter refuse: Hears of each span that is not taken.
    /// - Throws: ``ProtobufReader/Malformed`` where the bytes are no such request, before anything was taken.
    static func read(
        _ body: UnsafeRawBufferPointer, take: (ReceivedSpans.Item) -> Void, refuse: (RecordFlaw) -> Void
    ) throws(ProtobufReader.Malformed) {
        // Looked at twice instead of kept: a hostile body may hold millions of empty messages.
        try OTLPRequest.walk(body) { _, _, _ in }
        var group = SpanGroup()
        var seen = 0
        func range(_ part: UnsafeRawBufferPointer?) -> Range<Int> {
            guard let part, let start = part.baseAddress, let base = body.baseAddress else { return 0..<0 }
            return start - base..<start - base + part.count
        }
        try OTLPRequest.walk(body) { resource, scope, message in
            seen += 1
            guard seen <= TelemetryLimits.recordsPerRequest else { return refuse(.tooMany) }
            switch group.reading(resource, scope).flatMap({ head(of: message, $0) }) {
            case .success(let head):
                take(
                    ReceivedSpans.Item(
                        head: head, span: range(message), resource: range(resource), scope: range(scope)))
            case .failure(let flaw): refuse(flaw)
            }
        }
    }

    private static func head(
        of message: UnsafeRawBufferPointer, _ resource: SpanResource
    ) -> Result<SpanHead, RecordFlaw> {
        Result { () throws(RecordFlaw) in try SpanReader.read(message, of: resource) }
    }
}

/// The resource and the scope of the spans that are read, each looked at once.
private struct SpanGroup {
    private var resource: (message: UnsafeRawBufferPointer?, reading: Result<SpanResource, RecordFlaw>)?
    private var scope: (message: UnsafeRawBufferPointer?, reading: Result<Void, RecordFlaw>)?

    mutating func reading(
        _ resource: UnsafeRawBufferPointer?, _ scope: UnsafeRawBufferPointer?
    ) -> Result<SpanResource, RecordFlaw> {
        if self.resource == nil || self.resource?.message?.baseAddress != resource?.baseAddress {
            self.resource = (resource, Result { () throws(RecordFlaw) in try SpanResource(resource) })
        }
        if self.scope == nil || self.scope?.message?.baseAddress != scope?.baseAddress {
            self.scope = (scope, Result { () throws(RecordFlaw) in try SpanScope.check(scope) })
        }
        if case .failure(let flaw)? = self.scope?.reading { return .failure(flaw) }
        return self.resource?.reading ?? .failure(.malformed)
    }
}
