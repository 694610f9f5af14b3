import Synchronization
import Testing

@testable import Telemetry

@Suite("One after the other")
struct TurnTests {
    private struct Fault: Error {}

    private final class Seen: Sendable {
        let counts = Mutex((inside: 0, most: 0, done: 0))

        func work(_ number: Int) async throws {
            counts.withLock { counts in
                counts.inside += 1
                counts.most = max(counts.most, counts.inside)
            }
            await Task.yield()
            counts.withLock { counts in
                counts.inside -= 1
                counts.done += 1
            }
            if number.isMultiple(of: 3) { throw Fault() }
        }
    }

    @Test("nobody begins before the one before is through, also where that one fails")
    func order() async throws {
        let turn = Turn()
        let seen = Seen()
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<50 { group.addTask { try? await turn.run { try await seen.work(number) } } }
        }
        #expect(seen.counts.withLock { $0.most } == 1)
        #expect(seen.counts.withLock { $0.done } == 50)
    }
}
