import NIOCore
import Synchronization
import Telemetry

/// The open connections, so that a server that stops can end what waits and cut what does not finish.
final class ConnectionSet: Sendable {
    private struct Connection {
        let channel: any Channel
        let handler: NIOLoopBound<ConnectionHandler>
    }

    private let connections = Mutex<[ObjectIdentifier: Connection]>([:])
    private let draining = Atomic(false)

    var isDraining: Bool { draining.load(ordering: .relaxed) }
    var count: Int { connections.withLock { $0.count } }

    static let metric = Metric.gauge("reeve_http_connections", "Connections of clients that are open.")

    func add(_ channel: any Channel, _ handler: NIOLoopBound<ConnectionHandler>) {
        connections.withLock { $0[ObjectIdentifier(channel)] = Connection(channel: channel, handler: handler) }
    }

    func remove(_ channel: any Channel) {
        connections.withLock { $0[ObjectIdentifier(channel)] = nil }
    }

    /// Ends what waits for something to happen; every other request is the last of its connection.
    func drain() {
        draining.store(true, ordering: .relaxed)
        for connection in connections.withLock({ Array($0.values) }) {
            connection.handler.run { $0.drain() }
        }
    }

    func closeAll() {
        for connection in connections.withLock({ Array($0.values) }) { connection.channel.close(promise: nil) }
    }
}

extension ConnectionSet: MetricSource {
    func collect(into page: inout MetricPage) { page.add(Self.metric, Double(count)) }
}
