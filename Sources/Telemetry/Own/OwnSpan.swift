import Kernel

/// A span of Reeve's own: what it did for an agent, or had done.
public struct OwnSpan: Sendable {
    /// OTLP's `SpanKind`.
    public enum Kind: UInt64, Sendable {
        case inside = 1
        case server, client, producer, consumer
    }

    public struct Event: Sendable {
        let time: Timestamp
        let name: String
        let attributes: [Attribute]

        public init(_ name: String, at time: Timestamp, _ attributes: [Attribute] = []) {
            self.time = time
            self.name = name
            self.attributes = attributes
        }
    }

    public let context: TraceContext
    public let parentID: SpanID?
    public let name: String
    public let kind: Kind
    public let startedAt: Timestamp
    /// `nil` while it runs.
    public var endedAt: Timestamp?
    /// Why it failed; `nil` where it did not.
    public var error: String?
    public var isLost = false
    public var attributes: [Attribute] = []
    public var events: [Event] = []
    /// What it says besides.
    public var content: (any OwnSpanContent)?
    /// Bytes of the attributes that were made of it.
    private var settledBytes = 0

    public init(
        _ context: TraceContext, parent: SpanID?, _ name: String, _ kind: Kind, from startedAt: Timestamp,
        to endedAt: Timestamp?
    ) {
        self.context = context
        parentID = parent
        self.name = name
        self.kind = kind
        self.startedAt = startedAt
        self.endedAt = endedAt
    }

    /// What it says that it belongs to, where that is more than its trace.
    var correlationID: String? {
        guard let id = attributes.first(where: { $0.name == "correlation_id" })?.value.string,
            id != context.traceID.description
        else { return nil }
        return id
    }

    /// The same with the attributes of its content, where reading that is within what may be read.
    func settled(_ credit: inout Int) -> OwnSpan {
        guard let content else { return self }
        var span = self
        let isRead = content.bytes <= credit
        if isRead { credit -= content.bytes }
        let made = isRead ? content.attributes() : content.shed()
        span.attributes += made
        span.settledBytes = made.reduce(0) { $0 + ($1.value.string?.utf8.count ?? 0) }
        span.content = nil
        return span
    }

    /// Bytes of its content, made or not.
    var contentBytes: Int { settledBytes + (content?.bytes ?? 0) }

    /// Adds an attribute that there is something to say in.
    public mutating func add(_ name: String, _ value: String?) {
        if let value, !value.isEmpty { attributes.append(Attribute(name, .string(value))) }
    }

    public mutating func add(_ name: String, _ value: Int64?) {
        if let value { attributes.append(Attribute(name, .int(value))) }
    }

    public mutating func add(_ name: String, _ value: Double?) {
        if let value { attributes.append(Attribute(name, .double(value))) }
    }
}

/// What a span says besides, of which the attributes are made only when it is handed over.
public protocol OwnSpanContent: Sendable {
    /// Bytes that it takes until then.
    var bytes: Int { get }
    func attributes() -> [Attribute]
    /// What is said in their place where there is too much to read.
    func shed() -> [Attribute]
}

/// What Reeve calls itself and its spans' attributes.
public enum OwnNames {
    /// The resource's `service.name` and the scope's name: whoever counts calls by their records passes these spans
    /// over.
    public static let service = "reeve"
    /// How a span stands, where it has not simply ended: `pending` or `lost`.
    public static let state = "reeve.span.state"
    public static let pending = "pending"
    public static let lost = "lost"
    /// The last thing that was heard of in a lost span.
    public static let lastStep = "reeve.last_step"
}

extension OwnSpan {
    /// An OTLP `ExportTraceServiceRequest`.
    static func request(_ spans: [OwnSpan]) -> [UInt8] {
        var request = ProtobufWriter()
        request.message(OTLPField.Request.resources) { group in
            group.message(OTLPField.PerResource.resource) { resource in
                resource.attribute(
                    OTLPField.Resource.attributes, Attribute("service.name", .string(OwnNames.service)))
            }
            group.message(OTLPField.PerResource.scopes) { inner in
                inner.message(OTLPField.PerScope.scope) { scope in
                    scope.string(OTLPField.Scope.name, OwnNames.service)
                    scope.string(OTLPField.Scope.version, ReeveVersion.current)
                }
                for span in spans { inner.message(OTLPField.PerScope.records) { span.write(to: &$0) } }
            }
        }
        return request.bytes
    }

    /// OTLP's `STATUS_CODE_ERROR`.
    static let errorCode: UInt64 = 2

    private func write(to writer: inout ProtobufWriter) {
        writer.bytes(OTLPField.Span.traceID, context.traceID.bytes)
        writer.bytes(OTLPField.Span.spanID, context.spanID.bytes)
        if let parentID { writer.bytes(OTLPField.Span.parentID, parentID.bytes) }
        writer.string(OTLPField.Span.name, name)
        writer.varint(OTLPField.Span.kind, kind.rawValue)
        writer.fixed64(OTLPField.Span.startedAt, startedAt.nanoseconds)
        writer.fixed64(OTLPField.Span.endedAt, (endedAt ?? startedAt).nanoseconds)
        for attribute in attributes { writer.attribute(OTLPField.Span.attributes, attribute) }
        let state = endedAt == nil ? OwnNames.pending : isLost ? OwnNames.lost : nil
        if let state { writer.attribute(OTLPField.Span.attributes, Attribute(OwnNames.state, .string(state))) }
        for event in events {
            writer.message(OTLPField.Span.events) { inner in
                inner.fixed64(OTLPField.Event.time, event.time.nanoseconds)
                inner.string(OTLPField.Event.name, event.name)
                for attribute in event.attributes { inner.attribute(OTLPField.Event.attributes, attribute) }
            }
        }
        if let error {
            writer.message(OTLPField.Span.status) { status in
                status.string(OTLPField.Status.message, error)
                status.varint(OTLPField.Status.code, Self.errorCode)
            }
        }
    }
}

extension Timestamp {
    fileprivate var nanoseconds: UInt64 { UInt64(max(0, microseconds)) &* 1_000 }
}
