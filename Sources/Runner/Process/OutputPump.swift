import Foundation
import Synchronization

/// Which of a program's streams.
public enum OutputChannel: String, Sendable {
    case stdout, stderr
}

/// Reads a program's two pipes on a thread of its own, so that the program never waits for anything but this thread;
/// the sink must not block.
final class OutputPump: Sendable {
    typealias Sink = @Sendable (OutputChannel, ArraySlice<UInt8>) -> Void

    private let descriptors: [(stream: OutputChannel, descriptor: Int32)]
    private let wake: (read: Int32, write: Int32)
    private let sink: Sink
    private let done = Promise<Void>()
    private let count = Atomic<Int64>(0)

    /// Takes over the read ends of both pipes and closes them at the end. `nil` where there are no descriptors left.
    init?(stdout: Int32, stderr: Int32, sink: @escaping Sink) {
        guard let wake = PipeEnds.make() else { return nil }
        self.descriptors = [(.stdout, stdout), (.stderr, stderr)]
        self.wake = wake
        self.sink = sink
    }

    /// Bytes read so far, of both streams.
    var bytesTotal: Int64 { count.load(ordering: .relaxed) }

    func start() {
        let thread = Thread { self.run() }
        thread.name = "reeve-output"
        thread.stackSize = 512 << 10
        thread.start()
    }

    /// The program is dead: reads what its pipes still hold and ends, even where somebody who escaped holds them open.
    func finish() async {
        var byte: UInt8 = 1
        _ = write(wake.write, &byte, 1)
        _ = await done.value()
        // Both ends, and only here: a byte into a pipe that nobody reads would end the process.
        close(wake.write)
        close(wake.read)
    }

    private func run() {
        var open = descriptors
        var isFinishing = false
        var quietRounds = 0
        // No pipe holds this much, so whatever is read beyond it was written after the program's death.
        var remaining = 4 << 20
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while !open.isEmpty, quietRounds < 4, remaining > 0 {
            var polls = open.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
            if !isFinishing { polls.append(pollfd(fd: wake.read, events: Int16(POLLIN), revents: 0)) }
            // While finishing, a pipe that stays open and silent for 4 × 50 ms is left to its new owner.
            let ready = poll(&polls, nfds_t(polls.count), isFinishing ? 50 : -1)
            if ready < 0, errno != EINTR { break }
            if isFinishing { quietRounds = ready > 0 ? 0 : quietRounds + 1 }
            if !isFinishing, let last = polls.last, last.revents != 0 { isFinishing = true }
            for (index, entry) in open.enumerated().reversed() where polls[index].revents != 0 {
                let size = read(entry.descriptor, &buffer, buffer.count)
                if size > 0 {
                    if isFinishing { remaining -= size }
                    count.add(Int64(size), ordering: .relaxed)
                    sink(entry.stream, buffer[..<size])
                } else if size == 0 || (errno != EINTR && errno != EAGAIN) {
                    close(entry.descriptor)
                    open.remove(at: index)
                }
            }
        }
        for entry in open { close(entry.descriptor) }
        done.fulfil(())
    }
}

/// A pipe for a child. Both ends are marked to close on exec; spawning closes every other descriptor besides.
enum PipeEnds {
    static func make() -> (read: Int32, write: Int32)? {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return nil }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }
}
