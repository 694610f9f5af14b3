import NIOCore
import NIOHTTP1

/// What a client sent before its last request was answered (RFC 9112 §9.3.2): it waits here, in its order, and the
/// connection is not read meanwhile. So it never holds more than one read gave.
struct RequestsAhead {
    enum Arrival {
        case head(RequestHead)
        case body(ByteBuffer)
        case end
        /// The client closed its side.
        case inputClosed
        case broken(HTTPParserError)

        /// Whether it has to wait until the request before it is answered. The rest of a request follows its head.
        var waitsForReply: Bool {
            switch self {
            case .head, .inputClosed, .broken: true
            case .body, .end: false
            }
        }
    }

    private var arrivals = CircularBuffer<Arrival>()
    /// Whether the connection asked to be read while it might not be.
    private var isReadPending = false

    var isEmpty: Bool { arrivals.isEmpty }

    mutating func add(_ arrival: Arrival) { arrivals.append(arrival) }

    /// The next arrival; `nil` where there is none, or where it has to wait.
    mutating func next(isAnswered: Bool) -> Arrival? {
        guard let first = arrivals.first, isAnswered || !first.waitsForReply else { return nil }
        return arrivals.removeFirst()
    }

    mutating func drop() { arrivals.removeAll() }

    /// Whether the connection may be read now; if not, that is remembered.
    mutating func mayRead() -> Bool {
        isReadPending = !isEmpty
        return isEmpty
    }

    /// Whether the connection has to be read now, as it was not when it asked.
    mutating func takesPendingRead() -> Bool {
        guard isEmpty, isReadPending else { return false }
        isReadPending = false
        return true
    }
}
