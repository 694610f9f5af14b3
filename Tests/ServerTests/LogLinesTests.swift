import Kernel
import Logging
import Synchronization
import TestSupport
import Testing

@testable import Server

@Suite("Reeve's own log")
struct LogLinesTests {
    private final class Sink: Sendable {
        private let lines = Mutex<[[UInt8]]>([])

        func write(_ line: [UInt8]) { lines.withLock { $0.append(line) } }
        var texts: [String] { lines.withLock { $0.map { String(decoding: $0, as: UTF8.self) } } }
    }

    private static func logger(_ style: LogLines.Style, _ sink: Sink) -> Logger {
        let handler = LogLines(label: "reeve.http", level: .info, style: style, time: ManualTime(), write: sink.write)
        return Logger(label: "reeve.http", factory: { _ in handler })
    }

    @Test("a line for programs is one JSON document, its fixed members first")
    func json() throws {
        let sink = Sink()
        var logger = Self.logger(.json, sink)
        logger[metadataKey: "agent_id"] = "writer"
        logger.warning(
            "it\nbroke",
            metadata: ["duration_ms": .stringConvertible(1.5), "turn": .stringConvertible(3), "tool": ["a"]])
        logger.debug("not at this level")
        let line = try #require(sink.texts.first)
        #expect(sink.texts.count == 1)
        #expect(line.hasSuffix("}\n"))
        #expect(line.filter(\.isNewline).count == 1)
        let object = try #require(try JSONParser.parse(line).object)
        #expect(
            object.names == [
                "timestamp", "level", "service", "logger", "message", "agent_id", "duration_ms", "tool", "turn",
            ])
        #expect(object["timestamp"] == .string(ManualTime().now.rfc3339))
        #expect(object["level"] == "warning")
        #expect(object["service"] == "reeve")
        #expect(object["message"] == "it\nbroke")
        #expect(object["duration_ms"] == 1.5)
        #expect(object["turn"] == 3)
    }

    @Test("a line for people stays one line, whatever is in it")
    func text() throws {
        let sink = Sink()
        Self.logger(.text, sink).error("it \u{1B}[31mbroke\n", metadata: ["path": "/x"])
        #expect(sink.texts == ["08:00:00.000 error reeve.http: it \\u{1b}[31mbroke\\u{a}  path=/x\n"])
    }
}
