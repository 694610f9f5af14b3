import Kernel
import Synchronization

/// Room for the bodies of requests while they are read, for all requests together: each has a limit, and a few hundred
/// senders with it would take all memory.
public final class BodyRoom: Sendable {
    /// Bytes of all bodies at one time: eight of the largest in protobuf, or one in JSON.
    public static let bytesMax = 512 << 20
    /// Bytes in memory for each byte of a JSON document, beside the byte: its values are objects meanwhile.
    static let documentBytes = 4
    /// When a sender that finds none comes again.
    static let retryAfterSeconds = 1

    private let max: Int
    private let taken = Mutex(0)

    public init(bytesMax: Int = BodyRoom.bytesMax) { max = bytesMax }

    /// Bytes that are taken.
    var bytes: Int { taken.withLock { $0 } }

    /// The part of one request, nothing at first. Whoever takes it ends it.
    public func lease() -> Lease { Lease(self) }

    public final class Lease: Sendable {
        private let room: BodyRoom
        private let held = Mutex(0)

        fileprivate init(_ room: BodyRoom) { self.room = room }

        deinit { end() }

        /// Takes so many bytes more, or none.
        public func take(_ bytes: Int) -> Bool {
            let isTaken = room.taken.withLock { taken in
                guard bytes <= room.max - taken else { return false }
                taken += bytes
                return true
            }
            if isTaken { held.withLock { $0 += bytes } }
            return isTaken
        }

        /// Gives all of it back.
        func end() {
            let bytes = held.withLock { held in
                defer { held = 0 }
                return held
            }
            room.taken.withLock { $0 -= bytes }
        }

        /// Takes what a JSON document needs beside its bytes.
        func takeDocument(of body: [UInt8]) throws(TelemetryIngest.Fault) {
            guard take(body.count * BodyRoom.documentBytes) else { throw .crowded }
        }
    }
}
