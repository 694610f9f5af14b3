import Foundation
import Kernel
import NIOCore
import NIOPosix
import Synchronization

/// Looks names of receivers up by the system's resolver, on threads of its own: it cannot be told to stop, and a name
/// server that does not answer would hold up whatever else waits for such a thread.
final class NameLookup: Sendable {
    static let shared = NameLookup()
    static let threadsCount = 4
    /// Names that are looked up or wait for it.
    static let pendingMax = 64
    /// How long somebody waits for an answer.
    static let limit = Span.seconds(5)
    /// Addresses of one name that are looked at.
    static let addressesMax = 16

    typealias Find = @Sendable (_ host: String, _ port: Int) throws -> [SocketAddress]

    struct Fault: Error {
        let reason: String
    }

    private let pool = NIOThreadPool(numberOfThreads: threadsCount)
    private let pending = Mutex(0)
    private let find: Find

    init(find: @escaping Find = NameLookup.system) {
        self.find = find
        pool.start()
    }

    /// - Throws: ``Fault``, or what the resolver says.
    func addresses(of host: String, _ port: Int, within limit: Span) async throws -> [SocketAddress] {
        let hasRoom = pending.withLock { pending in
            guard pending < Self.pendingMax else { return false }
            pending += 1
            return true
        }
        guard hasRoom else { throw Fault(reason: "is not looked up: \(Self.pendingMax) others are") }
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let promise = loop.makePromise(of: [SocketAddress].self)
        let deadline = NIODeadline.now() + .microseconds(limit.microseconds)
        // Of the two the first one counts.
        let end = loop.scheduleTask(deadline: deadline) { promise.fail(Fault(reason: "was not resolved in time")) }
        pool.submit { [self] state in
            defer { pending.withLock { $0 -= 1 } }
            // Whoever asked may have gone.
            guard state == .active, NIODeadline.now() < deadline else { return }
            promise.completeWith(Result { try find(host, port) })
        }
        defer { end.cancel() }
        return try await promise.futureResult.get()
    }

    /// Ends the threads, where it is not the shared one.
    func close() async throws { try await pool.shutdownGracefully() }

    /// Addresses of a host, by the system's resolver.
    @Sendable static func system(_ host: String, _ port: Int) throws -> [SocketAddress] {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, String(port), &hints, &list) == 0 else { throw CancellationError() }
        defer { freeaddrinfo(list) }
        var found: [SocketAddress] = []
        var next = list
        while let info = next?.pointee, found.count < addressesMax {
            if let address = info.ai_addr {
                switch info.ai_family {
                case AF_INET:
                    found.append(
                        address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { SocketAddress($0.pointee) })
                case AF_INET6:
                    found.append(
                        address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { SocketAddress($0.pointee) })
                default: break
                }
            }
            next = info.ai_next
        }
        return found
    }
}
