import Foundation
import Kernel
import Logging

/// Reeve's own log: JSON lines for programs, or text for people, on the standard error.
///
/// Keys of a JSON line: `timestamp level service logger message`, then the metadata, such as `correlation_id agent_id
/// session_id turn tool duration_ms`. Whoever logs sees to it that no secret is in there.
public struct LogLines: LogHandler {
    public enum Style: Sendable {
        case json
        case text
    }

    public var metadata: Logger.Metadata = [:]
    public var logLevel: Logger.Level
    private let label: String
    private let style: Style
    private let time: any TimeSource
    private let relay: LogRelay?
    private let watch: SecretWatch?
    private let write: @Sendable ([UInt8]) -> Void

    init(
        label: String, level: Logger.Level, style: Style, time: any TimeSource, relay: LogRelay? = nil,
        watch: SecretWatch? = nil,
        write: @escaping @Sendable ([UInt8]) -> Void = LogLines.writeToStandardError
    ) {
        self.label = label
        self.style = style
        self.time = time
        self.relay = relay
        self.watch = watch
        self.write = write
        logLevel = level
    }

    /// Makes every logger of the process write such lines. Once a process.
    ///
    /// - Parameters:
    ///   - relay: Gets them too, as JSON.
    ///   - watch: What must not stand in any line.
    public static func bootstrap(
        level: Logger.Level, style: Style, time: any TimeSource, relay: LogRelay? = nil, watch: SecretWatch? = nil
    ) {
        LoggingSystem.bootstrap {
            LogLines(label: $0, level: level, style: style, time: time, relay: relay, watch: watch)
        }
    }

    /// What suits the standard error: text on a terminal, JSON elsewhere.
    public static var fittingStyle: Style { isatty(STDERR_FILENO) == 1 ? .text : .json }

    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    public func log(event: LogEvent) {
        let fields = event.metadata.map { metadata.merging($0) { _, new in new } } ?? metadata
        let document = clean(style == .json || relay != nil ? json(event, fields) : [])
        relay?.take(document)
        var line = style == .json ? document : clean(text(event, fields))
        line.append(UInt8(ascii: "\n"))
        write(line)
    }

    private func clean(_ line: [UInt8]) -> [UInt8] { watch?.clean(line, at: "log") ?? line }

    private func json(_ event: LogEvent, _ fields: Logger.Metadata) -> [UInt8] {
        var object = JSONObject()
        object["timestamp"] = time.now.json
        object["level"] = .string(event.level.rawValue)
        object["service"] = "reeve"
        object["logger"] = .string(label)
        object["message"] = .string("\(event.message)")
        for (name, value) in fields.sorted(by: { $0.key < $1.key }) { object[name] = Self.json(value) }
        return JSONValue.object(object).bytes
    }

    private static func json(_ value: Logger.MetadataValue) -> JSONValue {
        switch value {
        case .string(let text): .string(text)
        case .stringConvertible(let value as Int): .int(Int64(value))
        case .stringConvertible(let value as Double): .double(value)
        case .stringConvertible(let value as Bool): .bool(value)
        case .stringConvertible(let value): .string(value.description)
        case .array(let values): .array(values.map(json))
        case .dictionary(let fields):
            .object(JSONObject(fields.sorted { $0.key < $1.key }.map { .init(name: $0.key, value: json($0.value)) }))
        }
    }

    /// `08:15:30.123 warning reeve.http the message  path=/x`, with control characters shown, not sent.
    private func text(_ event: LogEvent, _ fields: Logger.Metadata) -> [UInt8] {
        let clock = time.now.rfc3339.dropFirst(11).prefix(12)
        var line = "\(clock) \(event.level.rawValue) \(label): \(event.message)"
        for (name, value) in fields.sorted(by: { $0.key < $1.key }) { line += "  \(name)=\(value)" }
        return line.unicodeScalars.flatMap { scalar in
            scalar.properties.generalCategory == .control
                ? Array("\\u{\(String(scalar.value, radix: 16))}".utf8) : Array(String(scalar).utf8)
        }
    }

    /// One system call a line, so that lines of several threads do not mix.
    private static func writeToStandardError(_ line: [UInt8]) {
        var rest = line[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Foundation.write(STDERR_FILENO, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}
