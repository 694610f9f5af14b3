import Kernel

/// All of a span.
public struct SpanDetail: Sendable, Equatable {
    public struct Event: Sendable, Equatable {
        public var time: Int64 = 0
        public var name = ""
        public var attributes: [Attribute] = []
    }

    public struct Link: Sendable, Equatable {
        public var traceID: TraceID?
        public var spanID: SpanID?
        public var attributes: [Attribute] = []
    }

    public let head: SpanHead
    /// As it was sent; longer than the head's where that was cut.
    public private(set) var name = ""
    /// OTLP's number (1 internal, 2 server, 3 client, 4 producer, 5 consumer).
    public private(set) var kind = 0
    public private(set) var statusMessage: String?
    public private(set) var attributes: [Attribute] = []
    public private(set) var events: [Event] = []
    public private(set) var links: [Link] = []
    /// Messages of it that came as log records, see ``LoggedMessages``.
    var logged: [Event] = []
    public let resource: [Attribute]
    public private(set) var scopeName = ""
    public private(set) var scopeVersion: String?

    init(_ span: WholeSpan) throws(RecordFlaw) {
        let result = span.resource.withUnsafeBytes { resource in
            span.scope.withUnsafeBytes { scope in
                span.bytes.withUnsafeBytes { bytes in
                    Result { () throws(RecordFlaw) in
                        try SpanDetail(span.head, resource: resource, scope: scope, span: bytes)
                    }
                }
            }
        }
        self = try result.get()
    }

    /// - Parameters:
    ///   - resource: An OTLP `Resource`, empty where there was none.
    ///   - scope: An OTLP `InstrumentationScope`, likewise.
    ///   - span: An OTLP `Span`, without what the head has.
    init(
        _ head: SpanHead, resource: UnsafeRawBufferPointer, scope: UnsafeRawBufferPointer, span: UnsafeRawBufferPointer
    ) throws(RecordFlaw) {
        self.head = head
        self.resource = try .read(resource, field: OTLPField.Resource.attributes)
        var reader = ProtobufReader(scope)
        while let field = try reader.field() {
            guard let bytes = field.bytes else { continue }
            switch field.number {
            case OTLPField.Scope.name: scopeName = try WireText.read(bytes)
            case OTLPField.Scope.version: scopeVersion = try WireText.read(bytes)
            default: break
            }
        }
        attributes = try .read(span, field: OTLPField.Span.attributes)
        reader = ProtobufReader(span)
        while let field = try reader.field() {
            switch (field.number, field.value) {
            case (OTLPField.Span.name, .bytes(let bytes)): name = try WireText.read(bytes)
            case (OTLPField.Span.kind, .varint(let number)): kind = Int(truncatingIfNeeded: number)
            case (OTLPField.Span.status, .bytes(let bytes)): statusMessage = try Self.statusMessage(bytes)
            case (OTLPField.Span.events, .bytes(let bytes)): events.append(try Event(bytes))
            case (OTLPField.Span.links, .bytes(let bytes)): links.append(try Link(bytes))
            default: break
            }
        }
    }

    private static func statusMessage(_ message: UnsafeRawBufferPointer) throws(RecordFlaw) -> String? {
        var reader = ProtobufReader(message)
        var text: String?
        while let field = try reader.field() {
            if field.number == OTLPField.Status.message, let bytes = field.bytes { text = try WireText.read(bytes) }
        }
        return text
    }
}

extension SpanDetail.Event {
    init(_ message: UnsafeRawBufferPointer) throws(RecordFlaw) {
        attributes = try .read(message, field: OTLPField.Event.attributes)
        var reader = ProtobufReader(message)
        while let field = try reader.field() {
            switch (field.number, field.value) {
            case (OTLPField.Event.time, .fixed64(let nanoseconds)): time = Int64(clamping: nanoseconds)
            case (OTLPField.Event.name, .bytes(let bytes)): name = try WireText.read(bytes)
            default: break
            }
        }
    }
}

extension SpanDetail.Link {
    init(_ message: UnsafeRawBufferPointer) throws(RecordFlaw) {
        attributes = try .read(message, field: OTLPField.Link.attributes)
        var reader = ProtobufReader(message)
        while let field = try reader.field() {
            switch (field.number, field.value) {
            case (OTLPField.Link.traceID, .bytes(let bytes)): traceID = TraceID(bytes)
            case (OTLPField.Link.spanID, .bytes(let bytes)): spanID = SpanID(bytes)
            default: break
            }
        }
    }
}
