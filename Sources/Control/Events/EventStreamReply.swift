import Kernel
import Synchronization

extension APIReply {
    /// Server-sent events (WHATWG HTML Standard §9.2) for as long as the client listens. No proxy on the way may hold
    /// them back or pack them.
    ///
    /// - Parameters:
    ///   - slot: The stream's place, given back at its end.
    ///   - run: Writes until there is nobody to write to.
    static func eventStream(
        _ slot: StreamCount.Slot, _ run: @escaping @Sendable (any StreamWriter) async throws -> Void
    ) -> APIReply {
        APIReply(
            status: 200,
            headers: [
                ("content-type", "text/event-stream"), ("cache-control", "no-cache, no-transform"),
                ("x-accel-buffering", "no"),
            ],
            body: .stream { writer in
                try await run(writer)
                slot.release()
            })
    }
}

/// How many streams are open, against a bound.
final class StreamCount: Sendable {
    private let open = Mutex(0)
    private let max: Int

    init(max: Int) {
        self.max = max
    }

    /// A place, given back by ``Slot/release()`` or when nobody holds it any more: a client may go before its stream
    /// begins.
    final class Slot: Sendable {
        private let count: StreamCount
        private let isHeld = Mutex(true)

        fileprivate init(_ count: StreamCount) {
            self.count = count
        }

        func release() {
            let wasHeld = isHeld.withLock { held in
                defer { held = false }
                return held
            }
            if wasHeld { count.open.withLock { $0 -= 1 } }
        }

        deinit { release() }
    }

    func take() -> Slot? {
        let isFree = open.withLock { open in
            guard open < max else { return false }
            open += 1
            return true
        }
        return isFree ? Slot(self) : nil
    }
}
