import Kernel

/// A line of a log, in the schema that all parts of a fleet share.
public struct LogRecord: Sendable, Equatable {
    /// When it was written, nanoseconds since 1970.
    public var time: Int64
    /// As its sender calls it, such as `INFO`; see ``severity``.
    public var level = "info"
    public var service = SpanHead.unknownService
    public var logger: String?
    public var message = ""
    public var correlationID: String?
    public var agent: String?
    public var session: String?
    public var turn: Int64?
    public var tool: String?
    public var durationMs: Double?
    public var traceID: String?
    public var spanID: String?
    public var category = TelemetryCategory.system
    /// All that the schema has no name for.
    public var attributes = JSONObject()
    /// What its sender labelled its stream with, of few values each.
    public var labels = LogLabels()

    init(at time: Int64) { self.time = time }

    public var severity: LogSeverity { LogSeverity(level) }

    /// What it is about where it does not say so itself.
    var derivedCategory: TelemetryCategory {
        if severity >= .error { return .error }
        return tool == nil ? .system : .tool
    }
}

/// How grave a line is, whatever its logging library calls that.
public enum LogSeverity: Int, Sendable, Comparable, CaseIterable {
    case trace, debug, info, warning, error, fatal

    public static func < (left: LogSeverity, right: LogSeverity) -> Bool { left.rawValue < right.rawValue }

    /// Names of Python, log4j, zap, syslog and swift-log; an unknown one is ``info``.
    init(_ level: String) { self = LogSeverity(known: level) ?? .info }

    init?(known level: String) {
        guard let known = Self.names[level.lowercased()] else { return nil }
        self = known
    }

    /// What loggers call them, in lower case.
    static let names: [String: LogSeverity] = [
        "trace": .trace, "finest": .trace, "verbose": .trace, "silly": .trace, "debug": .debug, "fine": .debug,
        "info": .info, "information": .info, "notice": .info, "informational": .info, "warn": .warning,
        "warning": .warning, "wrn": .warning, "error": .error, "err": .error, "severe": .error, "eror": .error,
        "fatal": .fatal, "critical": .fatal, "crit": .fatal, "alert": .fatal, "emerg": .fatal, "emergency": .fatal,
        "panic": .fatal, "dpanic": .fatal,
    ]

    /// pino's and bunyan's numbers (pino, "API": 10 trace to 60 fatal).
    init(pino number: Int64) {
        switch number {
        case ..<20: self = .trace
        case ..<30: self = .debug
        case ..<40: self = .info
        case ..<50: self = .warning
        case ..<60: self = .error
        default: self = .fatal
        }
    }

    public var name: String {
        switch self {
        case .trace: "trace"
        case .debug: "debug"
        case .info: "info"
        case .warning: "warning"
        case .error: "error"
        case .fatal: "fatal"
        }
    }
}

extension LogRecord: JSONConvertible {
    public var json: JSONValue {
        var object = JSONObject([
            .init(name: "timestamp", value: .string(SpanHead.time(time))), .init(name: "level", value: .string(level)),
            .init(name: "service", value: .string(service)), .init(name: "message", value: .string(message)),
        ])
        let more: [(String, JSONValue?)] = [
            ("logger", logger.map { .string($0) }), ("correlation_id", correlationID.map { .string($0) }),
            ("agent_id", agent.map { .string($0) }), ("session_id", session.map { .string($0) }),
            ("turn", turn.map { .int($0) }), ("tool", tool.map { .string($0) }),
            ("duration_ms", durationMs.map { .double($0) }), ("trace_id", traceID.map { .string($0) }),
            ("span_id", spanID.map { .string($0) }),
        ]
        for (name, value) in more { if let value { object.append(name, value) } }
        object.append("category", .string(category.rawValue))
        if !attributes.isEmpty { object.append("attributes", .object(attributes)) }
        if !labels.isEmpty { object.append("labels", labels.json) }
        return .object(object)
    }
}
