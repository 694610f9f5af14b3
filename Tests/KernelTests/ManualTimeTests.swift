import Kernel
import TestSupport
import Testing

/// The clock that other tests stand on.
struct ManualTimeTests {
    @Test func sleepersWakeWhenTheirTimeHasCome() async throws {
        let time = ManualTime()
        let start = time.now
        async let short: Timestamp = Self.wake(time, after: .seconds(1))
        async let long: Timestamp = Self.wake(time, after: .seconds(10))
        await time.sleepers(atLeast: 2)
        #expect(time.nextWake == start + .seconds(1))
        time.advance(by: .milliseconds(999))
        #expect(time.sleeperCount == 2)
        time.advance(by: .milliseconds(1))
        #expect(try await short == start + .seconds(1))
        #expect(time.sleeperCount == 1)
        time.set(start + .hours(1))
        #expect(try await long == start + .hours(1))
        #expect(time.sleeperCount == 0)
        #expect(time.nextWake == nil)
    }

    private static func wake(_ time: ManualTime, after span: Span) async throws -> Timestamp {
        try await time.sleep(for: span)
        return time.now
    }

    @Test func aSleeperCanBeCancelled() async throws {
        let time = ManualTime()
        let sleeper = Task { try await time.sleep(for: .hours(1)) }
        await time.sleepers(atLeast: 1)
        sleeper.cancel()
        await #expect(throws: CancellationError.self) { try await sleeper.value }
        #expect(time.sleeperCount == 0)
        let late = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            try await time.sleep(for: .zero)
        }
        await #expect(throws: CancellationError.self) { try await late.value }
    }

    @Test func noTimeIsNoSleep() async throws {
        let time = ManualTime()
        try await time.sleep(for: .zero)
        try await time.sleep(for: .seconds(-1))
        await time.sleepers(atLeast: 0)
        #expect(time.now == ManualTime().now)
        #expect(time.now.rfc3339 == "2026-11-20T08:00:00.000000Z")
    }

    @Test func chanceIsTheSameForTheSameSeed() {
        let (one, same, other) = (SeededEntropy(seed: 1), SeededEntropy(seed: 1), SeededEntropy(seed: 2))
        let bytes = one.bytes(100)
        #expect(bytes == same.bytes(100))
        #expect(bytes != other.bytes(100))
        #expect(Set(bytes).count > 50)
        #expect(one.bytes(3).count == 3)
        #expect((0..<1_000).allSatisfy { _ in (0..<1).contains(one.fraction()) })
        // The first number of SplitMix64 with seed zero, from the reference implementation.
        #expect(SeededEntropy(seed: 0).next() == 0xE220_A839_7B1D_CDAF)
    }
}
