import Foundation
import Synchronization
import Testing

@testable import Kernel

@Suite struct ThreadGroupTests {
    /// A library's destructor that still runs when its process ends finds its memory gone: that crashed at exit.
    @Test func finishesAfterTheDestructorsOfItsThreads() async throws {
        var key = pthread_key_t()
        // The destructor takes its time, so that whoever waits for the body alone comes too early.
        pthread_key_create(&key) { pointer in
            usleep(50_000)
            let left = pointer.map { Unmanaged<Left>.fromOpaque($0).takeRetainedValue() }
            left?.count.wrappingAdd(1, ordering: .sequentiallyConsistent)
        }
        let left = Left()
        let group = ThreadGroup()
        for index in 0..<3 {
            try group.start(name: "leaves-late-\(index)") { [key] in
                pthread_setspecific(key, Unmanaged.passRetained(left).toOpaque())
            }
        }
        await group.finish()
        #expect(left.count.load(ordering: .sequentiallyConsistent) == 3)
        await group.finish()
        pthread_key_delete(key)
    }
}

private final class Left: Sendable {
    let count = Atomic<Int>(0)
}
