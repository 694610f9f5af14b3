import Kernel

/// Runs a drill from end to end: a fault is brought about, found, contained and mended, and all is cleared away.
public struct DrillRun: Sendable {
    /// The names of all drills.
    public static let names = DrillFaults.names
    /// A drill ends within 40 seconds whatever happens: its course after these, and then it is cleared up after.
    static let courseMax = Span.seconds(34)
    static let endMax = Span.seconds(5)

    private let client: ReeveClient
    private let name: String
    private let tell: @Sendable (String) -> Void

    /// - Parameters:
    ///   - client: With a key of an operator or an administrator.
    ///   - tell: Hears of each step.
    public init(_ name: String, client: ReeveClient, tell: @escaping @Sendable (String) -> Void = { _ in }) {
        self.name = name
        self.client = client
        self.tell = tell
    }

    /// - Throws: ``ClientFailure``.
    public func run() async throws -> DrillReport {
        guard let fault = DrillFaults.named(name) else { return DrillReport(drill: name) }
        let drill = try await client.post("/api/v1/drills", ["name": .string(name)])
        let course = DrillCourse(name, fault, of: drill, on: DrillTerms(drill: drill), by: client, tell: tell)
        var failure: (any Error)?
        do {
            let isOver = try await within(Self.courseMax) { try await course.run() }
            if !isOver { tell("it took longer than \(Int(Self.courseMax.seconds)) seconds") }
        } catch {
            failure = error
        }
        do {
            let isEnded = try await within(Self.endMax) { try await end(drill) }
            if !isEnded { tell("nobody heard of its end; the server ends it by itself") }
        } catch {
            tell("it could not be ended; the server ends it by itself")
        }
        if let failure { throw failure }
        return course.report
    }

    /// Does something for so long at most; says whether it was done.
    private func within(_ span: Span, _ body: @escaping @Sendable () async throws -> Void) async throws -> Bool {
        let time = client.world.time
        return try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                try await body()
                return true
            }
            group.addTask {
                try await time.sleep(for: span)
                return false
            }
            defer { group.cancelAll() }
            return try await group.next() ?? false
        }
    }

    private func end(_ drill: JSONValue) async throws {
        _ = try await client.post(ReeveClient.path("api", "v1", "drills", drill["id"]?.string ?? "", "end"))
    }
}
