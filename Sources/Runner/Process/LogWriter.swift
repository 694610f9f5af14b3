import Foundation
import Kernel
import Synchronization

/// One line of a supervisor's log.
public struct LogLine: Sendable, Equatable {
    public enum Level: String, Sendable {
        case debug, info, warning, error
    }

    public var level: Level
    public var message: String
    /// The agent whose supervisor speaks.
    public var agent: String
    /// Where a captured line came from; `nil` for the supervisor's own words.
    public var stream: OutputChannel?
    public var taskID: String?
    public var correlationID: String?

    public init(
        _ level: Level, _ message: String, agent: String, stream: OutputChannel? = nil, taskID: String? = nil,
        correlationID: String? = nil
    ) {
        self.level = level
        self.message = message
        self.agent = agent
        self.stream = stream
        self.taskID = taskID
        self.correlationID = correlationID
    }

    /// One JSON object without a line feed, with the keys that all of Reeve's logs have.
    public func json(at now: Timestamp) -> String {
        var object = JSONObject()
        object["timestamp"] = now.json
        object["level"] = .string(level.rawValue)
        object["service"] = "reeve-runner"
        object["logger"] = .string(stream == nil ? "supervisor" : "agent")
        object["message"] = .string(message)
        object["agent_id"] = .string(agent)
        if let stream { object["stream"] = .string(stream.rawValue) }
        if let taskID { object["task_id"] = .string(taskID) }
        if let correlationID { object["correlation_id"] = .string(correlationID) }
        return JSONValue.object(object).text
    }

    /// One line for people. Control characters become `·`, so that a program cannot drive the reader's terminal.
    public func plain(at now: Timestamp) -> String {
        let time = now.rfc3339.dropFirst(11).prefix(8)
        let mark =
            switch (stream, level) {
            case (.stdout, _): "|"
            case (.stderr, _): "!"
            case (nil, .error): "ERROR"
            case (nil, .warning): "WARN"
            case (nil, _): "·"
            }
        let subject = taskID.map { "\(agent) \($0.suffix(6))" } ?? agent
        return "\(time) \(subject) \(mark) \(Terminal.printable(message))"
    }
}

/// Text made safe and measurable for a terminal.
public enum Terminal {
    /// `text` with every control character but the tab replaced.
    public static func printable(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            let isControl = scalar.value < 0x20 && scalar != "\t" || (0x7F..<0xA0).contains(scalar.value)
            result.append(isControl ? "·" : scalar)
        }
        return String(result)
    }
}

/// Writes log lines to a descriptor from a queue of its own. The queue is bounded: where the reader is slow or stuck,
/// lines are dropped and counted, and nobody waits.
public final class LogWriter: Sendable {
    public enum Form: Sendable {
        case json, plain
    }

    private struct State {
        var pending = 0
        var dropped = 0
    }

    private let descriptor: Int32
    private let form: Form
    private let world: World
    private let pendingMax: Int
    private let state = Mutex(State())
    private let shipper = Mutex<LogShipper?>(nil)
    private let queue = DispatchQueue(label: "reeve-log")

    public init(descriptor: Int32, form: Form, world: World, pendingMax: Int = 10_000) {
        self.descriptor = descriptor
        self.form = form
        self.world = world
        self.pendingMax = pendingMax
    }

    /// Standard output: for people on a terminal, JSON lines elsewhere.
    public static func standardOutput(_ world: World) -> LogWriter {
        LogWriter(descriptor: STDOUT_FILENO, form: isatty(STDOUT_FILENO) == 1 ? .plain : .json, world: world)
    }

    /// Has the server get all lines from now on too.
    public func ship(with shipper: LogShipper) { self.shipper.withLock { $0 = shipper } }

    public func write(_ line: LogLine) {
        shipper.withLock { $0 }?.take(line, at: world.now)
        let dropped: Int? = state.withLock { state in
            guard state.pending < pendingMax else {
                state.dropped += 1
                return nil
            }
            state.pending += 1
            defer { state.dropped = 0 }
            return state.dropped
        }
        guard let dropped else { return }
        let now = world.now
        queue.async { [self] in
            if dropped > 0 {
                let note = "\(dropped) lines were dropped: whoever reads this log is too slow"
                put(LogLine(.warning, note, agent: line.agent), at: now)
            }
            put(line, at: now)
            state.withLock { $0.pending -= 1 }
        }
    }

    /// Waits up to `seconds` for what is queued.
    public func flush(seconds: Double = 1) {
        let done = DispatchSemaphore(value: 0)
        queue.async { done.signal() }
        _ = done.wait(timeout: .now() + seconds)
    }

    private func put(_ line: LogLine, at now: Timestamp) {
        let text = (form == .json ? line.json(at: now) : line.plain(at: now)) + "\n"
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
            // A reader that went away takes its log with it; the program goes on.
            guard count > 0 || errno == EINTR else { return }
            rest = rest.dropFirst(max(0, count))
        }
    }
}
