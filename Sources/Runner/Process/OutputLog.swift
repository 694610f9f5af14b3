import Kernel
import Synchronization

/// Turns a program's output into log lines, within the bounds of length and rate, and keeps the end of what it said
/// on stderr and the beginning of what it wrote to stdout.
public final class OutputLog: Sendable {
    private struct State {
        var splitters: [OutputChannel: LineSplitter] = [:]
        var allowance: LineAllowance
        var tail = ByteTail(limit: 16 << 10)
        var head: ByteHead
    }

    private let state: Mutex<State>
    private let writer: LogWriter
    private let agent: String
    private let taskID: String?
    private let correlationID: String?
    private let world: World

    /// `keepBytes` of standard output are kept for ``standardOutput``.
    public init(
        _ writer: LogWriter, agent: String, taskID: String? = nil, correlationID: String? = nil, keepBytes: Int = 0,
        world: World
    ) {
        self.writer = writer
        self.agent = agent
        self.taskID = taskID
        self.correlationID = correlationID
        self.world = world
        self.state = Mutex(State(allowance: LineAllowance(now: world.now), head: ByteHead(limit: keepBytes)))
    }

    /// Takes output as it comes.
    public func take(_ stream: OutputChannel, _ bytes: ArraySlice<UInt8>) {
        let now = world.now
        state.withLock { state in
            switch stream {
            case .stdout: state.head.append(bytes)
            case .stderr: state.tail.append(bytes)
            }
            for line in state.splitters[stream, default: LineSplitter()].feed(bytes) {
                write(line, stream, &state.allowance, now)
            }
        }
    }

    /// The stream has ended: what stands after its last line feed is a line too.
    public func finish() {
        let now = world.now
        state.withLock { state in
            for stream in [OutputChannel.stdout, .stderr] {
                guard let line = state.splitters[stream, default: LineSplitter()].finish() else { continue }
                write(line, stream, &state.allowance, now)
            }
        }
    }

    /// The beginning of standard output, up to the limit.
    public var standardOutput: ByteHead { state.withLock { $0.head } }

    /// The last lines of standard error.
    public func lastErrorLines(_ count: Int) -> String { state.withLock { $0.tail.lastLines(count) } }

    private func write(
        _ line: LineSplitter.Line, _ stream: OutputChannel, _ allowance: inout LineAllowance, _ now: Timestamp
    ) {
        let (passes, dropped) = allowance.take(at: now)
        guard passes else { return }
        if dropped > 0 {
            writer.write(
                LogLine(
                    .warning, "\(dropped) lines were dropped: the program writes faster than its log may",
                    agent: agent, taskID: taskID))
        }
        let text = line.isCut ? line.text + " …" : line.text
        writer.write(
            LogLine(.info, text, agent: agent, stream: stream, taskID: taskID, correlationID: correlationID))
    }
}
