import Kernel

/// What a resource tells of all its spans.
struct SpanResource {
    var service = SpanHead.unknownService
    var found = FoundRoles()

    /// - Parameter message: An OTLP `Resource`.
    init(_ message: UnsafeRawBufferPointer?) throws(RecordFlaw) {
        guard let message else { return }
        guard message.count <= TelemetryLimits.resourceBytes else { throw .tooLarge }
        var reader = ProtobufReader(message)
        while let field = try reader.field() {
            guard field.number == OTLPField.Resource.attributes, let bytes = field.bytes else { continue }
            let pair = try AttributePair(bytes)
            guard let value = pair.value else { continue }
            try AttributeValue.check(value)
            if pair.name.elementsEqual("service.name".utf8), let name = try AttributeValue.read(value).string,
                !name.isEmpty
            {
                service = SpanReader.cut(name)
            }
            found.note(pair)
        }
    }
}

/// What is checked of an OTLP `InstrumentationScope`: it is kept as it came.
enum SpanScope {
    static func check(_ message: UnsafeRawBufferPointer?) throws(RecordFlaw) {
        guard let message else { return }
        guard message.count <= TelemetryLimits.resourceBytes else { throw .tooLarge }
        var reader = ProtobufReader(message)
        while let field = try reader.field() {
            guard let bytes = field.bytes else { continue }
            switch field.number {
            case OTLPField.Scope.name, OTLPField.Scope.version:
                guard WireText.isValid(bytes) else { throw .invalidUTF8 }
            case OTLPField.Scope.attributes:
                if let value = try AttributePair(bytes).value { try AttributeValue.check(value) }
            default: break
            }
        }
    }
}

/// The attributes that have a role, while a span is read.
struct FoundRoles {
    /// A longer value is no name, and stays in the span's body alone: it would be read again for every span.
    static let valueBytesMax = 1_024

    private var values = [(rank: Int, value: UnsafeRawBufferPointer)?](repeating: nil, count: SpanRole.allCases.count)

    mutating func note(_ pair: AttributePair) {
        guard let value = pair.value, value.count <= Self.valueBytesMax, let entry = SpanRole.entry(pair.name) else {
            return
        }
        if let known = values[entry.role.rawValue], known.rank < entry.rank { return }
        values[entry.role.rawValue] = (entry.rank, value)
    }

    /// The value, which was checked before.
    private func value(_ role: SpanRole) -> AttributeValue? {
        values[role.rawValue].flatMap { try? AttributeValue.read($0.value) }
    }

    func text(_ role: SpanRole) -> String? {
        guard let text = value(role)?.string, !text.isEmpty else { return nil }
        return SpanReader.cut(text)
    }

    func count(_ role: SpanRole) -> Int64? { value(role)?.int }
}

/// What a span says of how far it is.
enum SpanMark {
    case none, pending, lost
    /// It stands for the span that it names as its parent.
    case pendingBelow

    static func state(_ text: String?) -> SpanMark {
        switch text {
        case OwnNames.pending: .pending
        case OwnNames.lost: .lost
        case "pending_span": .pendingBelow
        default: .none
        }
    }

    var state: SpanHead.State {
        switch self {
        case .none: .ended
        case .pending, .pendingBelow: .running
        case .lost: .lost
        }
    }
}

/// Reads what a span's head has out of an OTLP `Span` message, and makes sure that the rest can be read.
enum SpanReader {
    /// Unicode scalars of a name that is kept apart from its span's body; the body has all of it. Not characters: one
    /// of those may have any number of marks.
    static let nameScalars = 200

    static func cut(_ name: String) -> String {
        guard name.utf8.count > nameScalars else { return name }
        return String(String.UnicodeScalarView(name.unicodeScalars.prefix(nameScalars)))
    }

    static func read(_ message: UnsafeRawBufferPointer, of resource: SpanResource) throws(RecordFlaw) -> SpanHead {
        guard message.count <= TelemetryLimits.recordBytes else { throw .tooLarge }
        var parts = Parts(found: resource.found)
        var reader = ProtobufReader(message)
        while let field = try reader.field() { try parts.take(field) }
        guard let traceID = parts.traceID else { throw .invalidTraceID }
        guard var spanID = parts.spanID else { throw .invalidSpanID }
        let state = SpanMark.state(parts.found.text(.state))
        if case .pendingBelow = state, let real = parts.parentID {
            spanID = real
            parts.parentID = parts.found.text(.pendingParent).flatMap { SpanID($0) }
        }
        var head = SpanHead(traceID, spanID)
        head.state = state.state
        head.parentID = parts.parentID
        head.name = cut(parts.name)
        head.status = parts.status
        head.startedAt = Int64(clamping: parts.startedAt)
        head.endedAt = max(head.startedAt, Int64(clamping: parts.endedAt))
        head.service = resource.service
        fill(&head, parts.found)
        return head
    }

    private static func fill(_ head: inout SpanHead, _ found: FoundRoles) {
        head.agent = found.text(.agent)
        head.session = found.text(.session)
        head.correlationID = found.text(.correlation)
        head.task = found.text(.task)
        head.provider = found.text(.provider).map(ProviderName.read)
        head.model = found.text(.model)
        let named = found.text(.operation).flatMap(SpanOperation.init(named:))
        head.operation = named ?? found.text(.kind).flatMap(SpanOperation.init(named:)) ?? .other
        head.tool = found.text(.tool)
        if head.operation == .tool, head.tool == nil { head.tool = found.text(.entity) ?? head.name }
        if let input = found.count(.inputTokens) ?? (found.count(.outputTokens) == nil ? nil : 0) {
            head.usage = SpanUsage(
                inputTotal: input, cacheRead: found.count(.cacheRead) ?? 0, cacheWrite: found.count(.cacheWrite) ?? 0,
                outputTotal: found.count(.outputTokens) ?? 0, reasoning: found.count(.reasoning) ?? 0,
                total: found.count(.totalTokens))
            // A span that counts tokens and does not say what it is asks a model.
            if head.operation == .other { head.operation = .model }
        }
        let stated = found.text(.category).flatMap(TelemetryCategory.init(rawValue:))
        head.category = stated ?? (head.status == .error ? .error : head.operation.category)
    }

    /// A span's fields, as they come.
    private struct Parts {
        var traceID: TraceID?
        var spanID: SpanID?
        var parentID: SpanID?
        var name = ""
        var startedAt: UInt64 = 0
        var endedAt: UInt64 = 0
        var status = SpanHead.Status.unset
        var found: FoundRoles

        init(found: FoundRoles) { self.found = found }

        mutating func take(_ field: ProtobufReader.Field) throws(RecordFlaw) {
            switch (field.number, field.value) {
            case (OTLPField.Span.traceID, .bytes(let bytes)): traceID = TraceID(bytes)
            case (OTLPField.Span.spanID, .bytes(let bytes)): spanID = SpanID(bytes)
            // An empty one is a root's; one that is no id leads nowhere.
            case (OTLPField.Span.parentID, .bytes(let bytes)): parentID = SpanID(bytes)
            case (OTLPField.Span.name, .bytes(let bytes)): name = try WireText.read(bytes)
            case (OTLPField.Span.startedAt, .fixed64(let time)): startedAt = time
            case (OTLPField.Span.endedAt, .fixed64(let time)): endedAt = time
            case (OTLPField.Span.attributes, .bytes(let bytes)):
                let pair = try AttributePair(bytes)
                if let value = pair.value { try AttributeValue.check(value) }
                found.note(pair)
            case (OTLPField.Span.events, .bytes(let bytes)):
                try check(bytes, name: OTLPField.Event.name, attributes: OTLPField.Event.attributes)
            case (OTLPField.Span.links, .bytes(let bytes)):
                try check(bytes, name: OTLPField.Link.traceState, attributes: OTLPField.Link.attributes)
            case (OTLPField.Span.status, .bytes(let bytes)): try readStatus(bytes)
            case (OTLPField.Span.traceState, .bytes(let bytes)):
                guard WireText.isValid(bytes) else { throw .invalidUTF8 }
            default: break
            }
        }

        private mutating func readStatus(_ message: UnsafeRawBufferPointer) throws(RecordFlaw) {
            var reader = ProtobufReader(message)
            while let field = try reader.field() {
                switch (field.number, field.value) {
                case (OTLPField.Status.code, .varint(let code)): status = code == 2 ? .error : code == 1 ? .ok : .unset
                case (OTLPField.Status.message, .bytes(let text)):
                    guard WireText.isValid(text) else { throw .invalidUTF8 }
                default: break
                }
            }
        }

        /// Makes sure that an event or a link can be read.
        private func check(
            _ message: UnsafeRawBufferPointer, name: Int, attributes: Int
        ) throws(RecordFlaw) {
            var reader = ProtobufReader(message)
            while let field = try reader.field() {
                guard let bytes = field.bytes else { continue }
                if field.number == name {
                    guard WireText.isValid(bytes) else { throw .invalidUTF8 }
                } else if field.number == attributes {
                    let pair = try AttributePair(bytes)
                    if let value = pair.value { try AttributeValue.check(value) }
                }
            }
        }
    }
}
