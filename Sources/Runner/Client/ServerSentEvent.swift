import Synchronization

/// One event of a stream, in the form of the HTML standard (§9.2, server-sent events).
public struct ServerSentEvent: Sendable, Equatable {
    public var id: String?
    public var name: String?
    public var data: String
}

/// Reads an event stream from chunks that may be cut anywhere. Lines end in LF, CR LF or CR.
public final class EventStreamReader: Sendable {
    private struct State {
        var line: [UInt8] = []
        var endedWithCR = false
        var id: String?
        var name: String?
        var data: [String] = []
        var size = 0
    }

    /// Bytes of one event; a longer one is dropped, so that a broken server cannot fill the memory.
    public static let eventBytesMax = 16 << 20

    private let state = Mutex(State())

    public init() {}

    /// The events that these bytes complete.
    public func feed(_ bytes: [UInt8]) -> [ServerSentEvent] {
        state.withLock { state in
            var events: [ServerSentEvent] = []
            for byte in bytes {
                defer { state.endedWithCR = byte == UInt8(ascii: "\r") }
                if byte == UInt8(ascii: "\n"), state.endedWithCR { continue }
                guard byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") else {
                    if state.size < Self.eventBytesMax {
                        state.line.append(byte)
                        state.size += 1
                    }
                    continue
                }
                if let event = Self.endLine(&state) { events.append(event) }
            }
            return events
        }
    }

    private static func endLine(_ state: inout State) -> ServerSentEvent? {
        let line = String(decoding: state.line, as: UTF8.self)
        state.line.removeAll(keepingCapacity: true)
        guard !line.isEmpty else {
            defer {
                state.name = nil
                state.data = []
                state.size = 0
            }
            return state.data.isEmpty
                ? nil : ServerSentEvent(id: state.id, name: state.name, data: state.data.joined(separator: "\n"))
        }
        // A line that begins with a colon is a comment: servers send them to keep the connection open.
        let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        var value = parts.count > 1 ? String(parts[1]) : ""
        if value.hasPrefix(" ") { value.removeFirst() }
        switch parts[0] {
        case "data": state.data.append(value)
        case "event": state.name = value
        case "id": state.id = value
        default: break
        }
        return nil
    }
}
