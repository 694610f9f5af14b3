import Foundation
import Kernel
import Synchronization

/// The terminal that this process writes to, where there is one.
enum Screen {
    static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }

    /// Its size; `nil` in a pipe, where nothing is cut.
    static var size: (columns: Int, rows: Int)? {
        var size = winsize()
        guard isTerminal, ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
            return nil
        }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    static var columns: Int? { size?.columns }

    /// Writes to standard output. Where nobody reads any more, the process ends as the signal for that would end it.
    static func write(_ text: String) {
        if !put(text, to: STDOUT_FILENO) { _exit(128 + SIGPIPE) }
    }

    /// Writes to standard error, which nobody has to read.
    static func complain(_ text: String) {
        _ = put(text, to: STDERR_FILENO)
    }

    private static func put(_ text: String, to descriptor: Int32) -> Bool {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 || errno == EINTR else { return false }
            rest = rest.dropFirst(max(0, count))
        }
        return true
    }

    /// Takes the whole screen (its alternate buffer, keys unbuffered and unseen) for as long as `body` runs.
    static func whole(_ body: () async throws -> Void) async rethrows {
        var before = termios()
        let hasKeys = tcgetattr(STDIN_FILENO, &before) == 0
        if hasKeys {
            var raw = before
            raw.c_lflag &= ~tcflag_t(ICANON | ECHO)
            _ = tcsetattr(STDIN_FILENO, TCSANOW, &raw)
        }
        write("\u{1B}[?1049h\u{1B}[?25l")
        defer {
            write("\u{1B}[?25h\u{1B}[?1049l")
            if hasKeys { _ = tcsetattr(STDIN_FILENO, TCSANOW, &before) }
        }
        try await body()
    }

    /// Draws lines from the top, in one write so that nothing flickers.
    static func draw(_ lines: [String]) {
        write("\u{1B}[H" + lines.map { $0 + "\u{1B}[K" }.joined(separator: "\r\n") + "\u{1B}[J")
    }

    /// Waits up to `seconds` for a key; `nil` where none comes.
    static func key(within seconds: Double) -> Character? {
        var waiting = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
        guard poll(&waiting, 1, Int32(seconds * 1_000)) > 0, waiting.revents & Int16(POLLIN) != 0 else { return nil }
        var byte: UInt8 = 0
        return read(STDIN_FILENO, &byte, 1) == 1 ? Character(Unicode.Scalar(byte)) : nil
    }
}

/// Signals as values: the first that comes ends well, the next ones hurry.
final class SignalWatch: Sendable {
    /// Only kept alive: nothing reads them after `init`, so there is nothing to race for.
    private nonisolated(unsafe) let sources: [any DispatchSourceSignal]

    /// Calls `handler` with how many of these signals have come.
    init(_ signals: [Int32], handler: @escaping @Sendable (Int) -> Void) {
        let queue = DispatchQueue(label: "reeve-signals")
        let counter = Counter()
        var sources: [any DispatchSourceSignal] = []
        for number in signals {
            // The default action would end the process before the source hears of it. Children get the default back.
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
            source.setEventHandler { handler(counter.next()) }
            source.resume()
            sources.append(source)
        }
        self.sources = sources
        // A log whose reader has gone must not end the supervisor.
        signal(SIGPIPE, SIG_IGN)
    }

    private final class Counter: Sendable {
        private let value = Mutex(0)

        func next() -> Int {
            value.withLock { value in
                value += 1
                return value
            }
        }
    }
}
