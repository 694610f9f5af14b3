import Foundation
import Synchronization

/// Threads that can be waited for until nothing of them is left.
///
/// A thread whose body has ended is not over: the destructors that C libraries registered for it (OpenSSL's, with every
/// connection to PostgreSQL) still run, and a process that ends meanwhile frees what they use. Foundation's threads
/// cannot be joined; these are.
final class ThreadGroup: Sendable {
    private let threads = Mutex<[ThreadHandle]>([])
    private static let stackBytes = 4 << 20

    /// Starts a thread of this name that runs the body once. Throws where the system has no
    /// more threads.
    func start(name: String, _ body: @escaping @Sendable () -> Void) throws {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setstacksize(&attributes, Self.stackBytes)
        let work = Unmanaged.passRetained(ThreadWork(name: name, body: body))
        guard let handle = ThreadHandle(&attributes, work) else {
            work.release()
            throw Problem(
                .overloaded, "The system does not allow another thread (\(name)).",
                hint: "Raise the limit of processes for this user (ulimit -u, or the container's), then start again.")
        }
        threads.withLock { $0.append(handle) }
    }

    /// Returns once every thread has ended, with all that its libraries do at a thread's end.
    func finish() async {
        let ending = threads.withLock { handles in
            defer { handles = [] }
            return handles
        }
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                for handle in ending { handle.join() }
                continuation.resume()
            }
        }
    }
}

/// What a thread is to do, kept from its creation until it has begun.
private final class ThreadWork: Sendable {
    let name: String
    let body: @Sendable () -> Void

    init(name: String, body: @escaping @Sendable () -> Void) {
        self.name = name
        self.body = body
    }

    func run() {
        Thread.current.name = name
        body()
    }
}

/// A thread's handle. `@unchecked Sendable`: an opaque value that POSIX lets any thread join, once; the group does.
private struct ThreadHandle: @unchecked Sendable {
    private let thread: pthread_t

    /// `nil` where the thread cannot be created.
    init?(_ attributes: inout pthread_attr_t, _ work: Unmanaged<ThreadWork>) {
        #if canImport(Darwin)
            var created: pthread_t?
            let outcome = pthread_create(&created, &attributes, { runThread($0) }, work.toOpaque())
            guard outcome == 0, let created else { return nil }
        #else
            var created = pthread_t()
            guard pthread_create(&created, &attributes, { runThread($0) }, work.toOpaque()) == 0 else { return nil }
        #endif
        thread = created
    }

    func join() {
        pthread_join(thread, nil)
    }
}

/// The entry point of a thread: takes over its work, which lives no longer than its body runs.
private func runThread(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    Unmanaged<ThreadWork>.fromOpaque(argument).takeRetainedValue().run()
    return nil
}
