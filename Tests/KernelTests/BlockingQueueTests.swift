import Foundation
import Testing

@testable import Kernel

/// The queue between callers and a storage thread: order, bounds, and how long it lets elements gather.
struct BlockingQueueTests {
    /// Longer than any test runs, so that only what is tested can end the gathering.
    private static let long = BlockingQueue<Int>.Gathering(window: 600, enough: 3)

    /// Takes on a thread of its own, as a storage thread does.
    private static func take(
        _ queue: BlockingQueue<Int>, _ gathering: BlockingQueue<Int>.Gathering?
    ) -> Task<[Int]?, Never> {
        Task {
            await withCheckedContinuation { continuation in
                Thread.detachNewThread { continuation.resume(returning: queue.take(max: 10, gathering: gathering)) }
            }
        }
    }

    private static func queue(takenAlready: Bool) -> BlockingQueue<Int> {
        let queue = BlockingQueue<Int>(countMax: 5)
        if takenAlready {
            _ = queue.push(0)
            _ = queue.take(max: 10, gathering: long)
        }
        return queue
    }

    @Test func whoComesToAnIdleQueueWaitsForNobody() async {
        let queue = Self.queue(takenAlready: false)
        #expect(queue.push(1, isUrgent: false))
        #expect(await Self.take(queue, Self.long).value == [1])
    }

    @Test func othersGatherUntilTheyAreEnough() async {
        let queue = Self.queue(takenAlready: true)
        #expect(queue.push(1, isUrgent: false))
        let taken = Self.take(queue, Self.long)
        #expect(queue.push(2, isUrgent: false))
        #expect(queue.push(3, isUrgent: false))
        #expect(await taken.value == [1, 2, 3])
    }

    @Test func theUrgentTakesThemAlong() async {
        let queue = Self.queue(takenAlready: true)
        #expect(queue.push(1, isUrgent: false))
        let taken = Self.take(queue, Self.long)
        #expect(queue.push(2, isUrgent: true))
        #expect(await taken.value == [1, 2])
    }

    @Test func theWindowEndsByItself() async {
        let queue = Self.queue(takenAlready: true)
        #expect(queue.push(1, isUrgent: false))
        #expect(await Self.take(queue, .init(window: 0.001, enough: 3)).value == [1])
    }

    @Test func closingEndsTheGathering() async {
        let queue = Self.queue(takenAlready: true)
        #expect(queue.push(1, isUrgent: false))
        let taken = Self.take(queue, Self.long)
        queue.close()
        #expect(await taken.value == [1])
        #expect(await Self.take(queue, Self.long).value == nil)
        #expect(!queue.push(2))
    }

    @Test func theUrgentIsSeenBehindAFullGroup() async {
        let queue = Self.queue(takenAlready: true)
        for number in 1...3 { #expect(queue.push(number, isUrgent: number == 3)) }
        #expect(queue.take(max: 2, gathering: Self.long) == [1, 2])
        #expect(await Self.take(queue, Self.long).value == [3])
    }

    @Test func aFullQueueRefuses() {
        let queue = Self.queue(takenAlready: false)
        for number in 1...5 { #expect(queue.push(number)) }
        #expect(!queue.push(6))
        #expect(queue.count == 5)
    }
}
