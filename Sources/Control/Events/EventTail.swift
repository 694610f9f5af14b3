import Kernel

/// One reader's live view of the log (server-sent events, WHATWG HTML Standard §9.2).
///
/// It reads from the events at hand, and from the store what those no longer reach. The writer of events never waits
/// for it: a reader that falls too far behind is told where to go on and let go.
struct EventTail: Sendable {
    let events: Events
    let storage: any Storage
    let access: AccessService
    let world: World
    let filter: EventFilter
    /// The number behind which the stream begins.
    let start: Int64
    let sight: FileChangeSight
    let keyID: String
    let lagMax: Int64

    private static let batchMax = 500
    /// Comes often enough for proxies that cut silent connections after 30 s.
    private static let keepAlive = Span.seconds(15)

    func run(to writer: any StreamWriter) async throws {
        var position = start
        var hasCaughtUp = false
        var revocations = access.revocations
        // A first comment opens the stream for clients that wait for a byte; the reader comes back after two seconds.
        try await writer.write(Array(": reeve events\nretry: 2000\n\n".utf8))
        while !Task.isCancelled {
            if access.revocations != revocations {
                revocations = access.revocations
                guard try await access.isInForce(keyID: keyID) else { return }
            }
            let (batch, end) = try await next(after: position)
            if !batch.isEmpty { try await writer.write(Self.frames(batch.map(sight.seen))) }
            position = end
            let lag = events.bus.head - position
            if lag > lagMax, hasCaughtUp { return try await drop(at: position, lag: lag, writer) }
            if lag <= 0 || batch.isEmpty { hasCaughtUp = true }
            if lag <= 0, try await !waitForMore(after: position) {
                guard try await access.isInForce(keyID: keyID) else { return }
                try await writer.write(Array(": still here\n\n".utf8))
            }
        }
    }

    /// The next events of interest, and the number up to which there is none besides them.
    private func next(after position: Int64) async throws -> (batch: [Event], end: Int64) {
        if let recent = events.bus.recent(after: position, limit: Self.batchMax) {
            return (recent.filter(filter.matches), recent.last?.seq ?? position)
        }
        return try await storage.read { transaction in
            let batch = try events.store.list(
                after: position, limit: Self.batchMax, filter: filter, in: transaction)
            if batch.count == Self.batchMax, let last = batch.last { return (batch, last.seq) }
            // A position beyond the log is a client's mistake, and waits for the log to come there.
            return (batch, max(position, try events.store.lastSeq(in: transaction)))
        }
    }

    /// Waits for something new; `false` where only time has passed.
    private func waitForMore(after position: Int64) async throws -> Bool {
        let bus = events.bus
        let world = world
        return try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                await bus.next(after: position)
                return true
            }
            group.addTask {
                try await world.time.sleep(for: Self.keepAlive)
                return false
            }
            defer { group.cancelAll() }
            return try await group.next() ?? false
        }
    }

    private func drop(at position: Int64, lag: Int64, _ writer: any StreamWriter) async throws {
        let data: JSONValue = ["resumeAfter": .int(position), "lag": .int(lag)]
        try await writer.write(Array("event: reeve.dropped\ndata: \(data.text)\n\n".utf8))
    }

    static func frames(_ batch: [Event]) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(batch.count * 256)
        for event in batch {
            output.append(contentsOf: "id: \(event.seq)\nevent: ".utf8)
            // A line feed in a type that an agent made up would end the field.
            output.append(contentsOf: event.type.utf8.map { $0 < 0x20 ? UInt8(ascii: " ") : $0 })
            output.append(contentsOf: "\ndata: ".utf8)
            event.json.write(to: &output)
            output.append(contentsOf: "\n\n".utf8)
        }
        return output
    }
}
