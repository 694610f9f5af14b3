import Kernel

/// Reads a JSON object as a line of a log, by the names of the shared schema and those that loggers use instead.
enum LogReader {
    /// Names for each field, the first that is there counts.
    private enum Names {
        static let time = ["timestamp", "date", "time", "ts", "@timestamp"]
        static let level = ["level", "severity", "levelname", "lvl"]
        static let service = ["service", "service_name", "service.name"]
        static let message = ["message", "msg", "log", "event"]
    }

    /// - Parameters:
    ///   - time: Nanoseconds since 1970, where the time is known from around the line: what it says itself is then one
    ///     of its attributes.
    ///   - line: What stands for a message that the line has not.
    static func read(
        _ document: JSONValue, from origin: LogOrigin, time stated: Int64? = nil, line: String? = nil
    ) throws(RecordFlaw) -> LogRecord {
        guard var rest = document.object else { throw .notAnObject }
        func take(_ names: [String]) -> JSONValue? {
            for name in names {
                guard let value = rest[name], !value.isNull else { continue }
                rest[name] = nil
                return value
            }
            return nil
        }
        func text(_ names: String...) -> String? { take(names).flatMap(Self.text) }
        var record = LogRecord(at: stated ?? origin.arrival)
        if stated == nil, let own = take(Names.time) {
            guard let time = time(own) else { throw .badTimestamp }
            record.time = time
        }
        guard let message = take(Names.message).flatMap(Self.text) ?? line else { throw .noMessage }
        record.message = message
        switch take(Names.level) {
        case .int(let number)?: record.level = LogSeverity(pino: number).name
        case let level?: record.level = level.string.map { String($0.prefix(20)) } ?? record.level
        case nil: break
        }
        record.service = take(Names.service).flatMap(Self.text) ?? record.service
        record.logger = text("logger")
        record.correlationID = text("correlation_id", "correlationId") ?? origin.correlationID
        record.agent = text("agent_id", "agent")
        if let agent = origin.agent { record.agent = agent }
        record.session = text("session_id")
        record.turn = take(["turn"])?.int
        record.tool = text("tool")
        record.durationMs = take(["duration_ms"])?.double
        record.traceID = text("trace_id", "traceId")
        record.spanID = text("span_id", "spanId")
        record.category =
            text("category").flatMap(TelemetryCategory.init(rawValue:)) ?? record.derivedCategory
        // As a record looks that is shown: what is read here is what was shown there.
        let nested = rest["attributes"]?.object
        if nested != nil { rest["attributes"] = nil }
        for member in rest.members + (nested?.members ?? []) where !member.value.isNull {
            if record.attributes[member.name] == nil { record.attributes.append(member.name, member.value) }
        }
        return record
    }

    /// A text, or what JSON writes for another value; nothing for an empty one.
    private static func text(_ value: JSONValue) -> String? {
        let text = value.string ?? value.text
        return text.isEmpty ? nil : text
    }

    /// Nanoseconds since 1970: RFC 3339, or a number that is as large as seconds, milliseconds, microseconds or
    /// nanoseconds are in our time.
    private static func time(_ value: JSONValue) -> Int64? {
        switch value {
        case .string(let text):
            if let time = Timestamp(rfc3339: text) {
                let (nanoseconds, isOver) = time.microseconds.multipliedReportingOverflow(by: 1_000)
                return isOver ? nil : nanoseconds
            }
            return Double(text).flatMap(time)
        case .int(let number): return time(number)
        case .double(let number): return time(number)
        default: return nil
        }
    }

    private static func time(_ number: Int64) -> Int64? {
        switch number {
        case 0..<100_000_000_000: scaled(number, 1_000_000_000)
        case 100_000_000_000..<100_000_000_000_000: scaled(number, 1_000_000)
        case 100_000_000_000_000..<100_000_000_000_000_000: scaled(number, 1_000)
        case 100_000_000_000_000_000...: number
        default: nil
        }
    }

    /// To the microsecond: a fraction of a second has no more digits in a number of 64 bits.
    private static func time(_ number: Double) -> Int64? {
        let microseconds: Double =
            switch number {
            case 0..<1e11: number * 1e6
            case 1e11..<1e14: number * 1e3
            case 1e14..<1e17: number
            case 1e17..<9e18: number / 1e3
            default: -1
            }
        return microseconds < 0 ? nil : Int64(exactly: microseconds.rounded()).flatMap { scaled($0, 1_000) }
    }

    private static func scaled(_ number: Int64, _ factor: Int64) -> Int64? {
        let (product, isOver) = number.multipliedReportingOverflow(by: factor)
        return isOver ? nil : product
    }
}
