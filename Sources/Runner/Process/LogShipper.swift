import Foundation
import Kernel
import Synchronization

/// Sends the lines of a runner's log to the server, where they stand beside the traces that they belong to.
///
/// Nobody waits for it: where the server is away, lines wait too, and beyond ``waitingMax`` the oldest are dropped and
/// counted. A line that is a JSON object goes as it is, so that a program's own fields are found.
public final class LogShipper: Sendable {
    /// Lines that wait.
    static let waitingMax = 10_000
    /// Lines of a request.
    static let batchMax = 1_000
    static let interval = Span.milliseconds(500)

    private struct State {
        var waiting: [JSONValue] = []
        /// The number of the first that waits.
        var first = 0
        var dropped = 0

        mutating func remove(_ count: Int) {
            waiting.removeFirst(count)
            first += count
        }
    }

    private let client: ReeveClient
    private let waitingMax: Int
    private let state = Mutex(State())

    public convenience init(_ client: ReeveClient) { self.init(client, waitingMax: Self.waitingMax) }

    init(_ client: ReeveClient, waitingMax: Int) {
        self.client = client
        self.waitingMax = waitingMax
    }

    public func take(_ line: LogLine, at now: Timestamp) {
        let record = line.record(at: now)
        state.withLock { state in
            if state.waiting.count >= waitingMax {
                let count = max(1, waitingMax / 10)
                state.remove(count)
                state.dropped += count
            }
            state.waiting.append(record)
        }
    }

    /// Sends what comes, until the task is cancelled.
    public func run() async {
        while !Task.isCancelled {
            _ = await send()
            try? await client.world.time.sleep(for: Self.interval)
        }
    }

    /// Sends what is left, for so long at most.
    public func finish(within limit: Span) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { while await self.send(), !Task.isCancelled {} }
            group.addTask { try? await self.client.world.time.sleep(for: limit) }
            await group.next()
            group.cancelAll()
        }
    }

    /// Whether there may be more.
    private func send() async -> Bool {
        let (batch, first, dropped) = state.withLock { state in
            (Array(state.waiting.prefix(Self.batchMax)), state.first, state.dropped)
        }
        guard !batch.isEmpty else { return false }
        var body = batch
        if dropped > 0 {
            let note = "\(dropped) lines were dropped: the server did not take them in time"
            body.insert(["level": "warning", "service": "reeve-runner", "message": .string(note)], at: 0)
        }
        do {
            _ = try await client.post("/api/v1/logs", .array(body), patience: .none)
        } catch ClientFailure.refused(let refusal) where refusal.status < 500 && refusal.status != 429 {
            // It would be refused again: these lines stand in the runner's own log.
        } catch {
            return false
        }
        state.withLock { state in
            // Some may have been dropped meanwhile.
            state.remove(max(0, first + batch.count - state.first))
            state.dropped -= dropped
        }
        return true
    }
}

extension LogLine {
    /// The line as a record of the schema that all logs share.
    func record(at now: Timestamp) -> JSONValue {
        var object = JSONObject()
        if stream != nil, message.utf8.first == UInt8(ascii: "{"), let own = try? JSONParser.parse(message).object {
            object = own
            if !Self.messageNames.contains(where: { object[$0] != nil }) { object["message"] = .string(message) }
        } else {
            object["message"] = .string(message)
            object["level"] = .string(level.rawValue)
        }
        func add(_ name: String, _ value: String?) {
            if let value, object[name] == nil { object[name] = .string(value) }
        }
        if !Self.timeNames.contains(where: { object[$0] != nil }) { add("timestamp", now.rfc3339) }
        add("service", stream == nil ? "reeve-runner" : agent)
        add("logger", stream?.rawValue ?? "supervisor")
        add("agent_id", agent)
        add("task_id", taskID)
        add("correlation_id", correlationID)
        return .object(object)
    }

    private static let messageNames = ["message", "msg", "log", "event"]
    private static let timeNames = ["timestamp", "date", "time", "ts", "@timestamp"]
}
