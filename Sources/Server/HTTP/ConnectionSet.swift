import NIOCore
import Synchronization
import Telemetry

/// The open connections, so that a server that stops can end what waits and cut what does not finish.
final class ConnectionSet: Sendable {
    fileprivate struct Connection {
        let channel: any Channel
        let handler: NIOLoopBound<ConnectionHandler>
    }

    fileprivate struct State {
        var connections: [ObjectIdentifier: Connection] = [:]
        var isDraining = false
        /// Who waits for the last connection to end.
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())
    /// The same as the state's, for each request.
    private let draining = Atomic(false)

    var isDraining: Bool { draining.load(ordering: .relaxed) }
    var count: Int { state.withLock { $0.connections.count } }

    static let metric = Metric.gauge("reeve_http_connections", "Connections of clients that are open.")

    /// One that was accepted in the moment of a stop is closed like any that is idle then.
    func add(_ channel: any Channel, _ handler: NIOLoopBound<ConnectionHandler>) {
        let isLate = state.withLock { state in
            state.connections[ObjectIdentifier(channel)] = Connection(channel: channel, handler: handler)
            return state.isDraining
        }
        if isLate { channel.close(promise: nil) }
    }

    func remove(_ channel: any Channel) {
        let waiting = state.withLock { state in
            state.connections[ObjectIdentifier(channel)] = nil
            return state.takeWaiting()
        }
        for one in waiting { one.resume() }
    }

    /// Ends what waits for something to happen; every other request is the last of its connection.
    func drain() {
        draining.store(true, ordering: .relaxed)
        let open = state.withLock { state in
            state.isDraining = true
            return Array(state.connections.values)
        }
        for connection in open { connection.handler.run { $0.drain() } }
    }

    func closeAll() {
        let open = state.withLock { Array($0.connections.values) }
        for connection in open { connection.channel.close(promise: nil) }
    }

    /// Returns once no connection is open.
    func ended() async {
        await withCheckedContinuation { continuation in
            let waiting = state.withLock { state in
                state.waiting.append(continuation)
                return state.takeWaiting()
            }
            for one in waiting { one.resume() }
        }
    }
}

extension ConnectionSet.State {
    /// Those who wait, where what they wait for is so.
    fileprivate mutating func takeWaiting() -> [CheckedContinuation<Void, Never>] {
        guard connections.isEmpty else { return [] }
        defer { waiting = [] }
        return waiting
    }
}

extension ConnectionSet: MetricSource {
    func collect(into page: inout MetricPage) { page.add(Self.metric, Double(count)) }
}
