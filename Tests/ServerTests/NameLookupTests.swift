import Foundation
import Kernel
import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import Control
@testable import Server

@Suite("Names of receivers")
struct NameLookupTests {
    /// Answers as the test says, each time the next address, and counts.
    private final class Names: Sendable {
        private let state: Mutex<(addresses: [String], asked: Int)>

        init(_ addresses: String...) { state = Mutex((addresses, 0)) }

        var asked: Int { state.withLock { $0.asked } }

        func find(_ port: Int) throws -> [SocketAddress] {
            let address = state.withLock { state in
                state.asked += 1
                return state.addresses.count > 1 ? state.addresses.removeFirst() : state.addresses[0]
            }
            return [try SocketAddress(ipAddress: address, port: port)]
        }
    }

    private static func with<Value>(
        _ find: @escaping NameLookup.Find, _ body: (NameLookup) async throws -> Value
    ) async throws -> Value {
        let lookup = NameLookup(find: find)
        let value = try await body(lookup)
        try await lookup.close()
        return value
    }

    @Test("the connection goes to the address that was looked at, whatever the name says a moment later")
    func rebinding() async throws {
        try await withApp { client in
            for (isAllowed, addresses) in [(true, ["127.0.0.1", "192.0.2.7"]), (false, ["127.0.0.1", "1.1.1.1"])] {
                let names = Names(addresses[0], addresses[1])
                let outcome = try await Self.with({ _, port in try names.find(port) }) { lookup in
                    var request = NotificationRequest(
                        url: "http://no-such-name.invalid:\(client.port)/no/door", json: [:])
                    request.allowPrivate = isAllowed
                    return await NotificationTransport(lookup: lookup).send(request)
                }
                #expect(names.asked == 1)
                #expect(outcome.status == (isAllowed ? 404 : nil), "\(outcome)")
                #expect(outcome.answer.contains("allowPrivate") == !isAllowed)
            }
        }
    }

    @Test("this machine is not reached by another spelling of its address")
    func spellings() async throws {
        let hosts = [
            "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
            "localhost", "LOCALHOST", "localhost.", "%6cocalhost", "0", "0.0.0.0", "[::]",
        ]
        try await withApp { client in
            for host in hosts {
                let request = NotificationRequest(url: "http://\(host):\(client.port)/no/door", json: [:])
                let outcome = await NotificationTransport().send(request)
                #expect(outcome.status == nil && outcome.state != .delivered, "\(host): \(outcome)")
            }
        }
    }

    @Test("a name server that does not answer holds up nobody for long, and so many names and no more")
    func hanging() async throws {
        let gate = Gate()
        try await Self.with({ host, port in
            if host == "hangs" { gate.wait() }
            return [try SocketAddress(ipAddress: "127.0.0.1", port: port)]
        }) { lookup in
            func fault(_ host: String) async -> String? {
                do {
                    _ = try await lookup.addresses(of: host, 1, within: .milliseconds(20))
                    return nil
                } catch { return (error as? NameLookup.Fault)?.reason ?? "\(error)" }
            }
            for _ in 0..<NameLookup.threadsCount { #expect(await fault("hangs") == "was not resolved in time") }
            // All threads are held: others wait, and then there is no room for more.
            for _ in NameLookup.threadsCount..<NameLookup.pendingMax {
                #expect(await fault("other") == "was not resolved in time")
            }
            #expect(await fault("other")?.hasPrefix("is not looked up") == true)
            gate.open()
            while await fault("other") != nil {}
        }
    }
}

/// Holds threads until it is opened.
private final class Gate: Sendable {
    private let condition = NSCondition()
    private let isOpen = Mutex(false)

    func open() {
        condition.lock()
        isOpen.withLock { $0 = true }
        condition.broadcast()
        condition.unlock()
    }

    func wait() {
        condition.lock()
        while !isOpen.withLock({ $0 }) { condition.wait() }
        condition.unlock()
    }
}
