import Kernel

/// One program's view of changes: it is told that flags changed, and fetches what it gets by itself. Changes that come
/// while one is being told are told as one.
struct FlagTail: Sendable {
    let service: FlagService
    let access: AccessService
    let keyID: String
    /// What the client saw last, where it comes back.
    let seen: String?

    /// Comes often enough for proxies that cut silent connections after 30 s.
    static let keepAlive = Span.seconds(15)
    /// Beats after which the key is looked at again, as another replica may have revoked it.
    static let beatsToCheck = 4

    func run(to writer: any StreamWriter) async throws {
        service.meters.opened()
        defer { service.meters.closed() }
        var edition = service.book.edition
        var revocations = access.revocations
        var beats = 0
        // A first comment opens the stream for clients that wait for a byte; the reader comes back after two seconds.
        try await writer.write(Array(": reeve flags\nretry: 2000\n\n".utf8))
        if let seen, seen != edition.tag { try await writer.write(Self.frame(edition)) }
        while !Task.isCancelled {
            let hasChange = try await waitForMore(after: edition.count)
            beats += hasChange ? 0 : 1
            if access.revocations != revocations || beats == Self.beatsToCheck {
                (revocations, beats) = (access.revocations, 0)
                guard try await access.isInForce(keyID: keyID) else { return }
            }
            let next = service.book.edition
            if hasChange, next.count > edition.count {
                edition = next
                try await writer.write(edition.frame)
            } else if !hasChange {
                try await writer.write(Array(": still here\n\n".utf8))
            }
        }
    }

    /// Waits for a change; `false` where only time has passed.
    private func waitForMore(after count: Int64) async throws -> Bool {
        let (book, time) = (service.book, service.world.time)
        return try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                await book.next(after: count)
                return true
            }
            group.addTask {
                try await time.sleep(for: Self.keepAlive)
                return false
            }
            defer { group.cancelAll() }
            return try await group.next() ?? false
        }
    }

    static func frame(_ edition: FlagBook.Edition) -> [UInt8] {
        let changed = max(edition.changedAt, edition.turnedAt)
        let data: JSONValue = [
            "type": "refetchEvaluation", "etag": .string(edition.tag),
            "lastModified": .int(changed.microseconds / 1_000_000),
        ]
        return Array("id: \(edition.tag)\ndata: \(data.text)\n\n".utf8)
    }
}
