import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// The connections of one event loop to all providers: idle ones are kept for the next call, so that a call pays
/// neither a handshake nor a change of thread. Belongs to its loop.
final class UpstreamPool {
    /// Idle connections that are kept to one provider, for each event loop.
    static let idleMax = 256
    /// How long an idle connection is kept. Providers close theirs after about a minute.
    static let idleSpan = TimeAmount.seconds(50)
    static let connectMax = TimeAmount.seconds(10)

    /// What connections are shared by.
    struct Address: Hashable {
        let host: String
        let port: Int
        let isTLS: Bool
    }

    private struct Idle {
        let connection: UpstreamConnection
        let since: NIODeadline
    }

    private let eventLoop: any EventLoop
    private let tls: NIOSSLContext?
    private var idle: [Address: [Idle]] = [:]
    private var sweep: Scheduled<Void>?

    /// - Parameter tls: How providers' certificates are judged; `nil` where TLS could not be set up.
    init(_ eventLoop: any EventLoop, tls: NIOSSLContext?) {
        HTTPCodecs.prepare()
        self.eventLoop = eventLoop
        self.tls = tls
    }

    /// Sends a request over an idle connection or a new one. The answer is what the request can be withdrawn by.
    func send(_ request: UpstreamRequest, to address: Address, listener: any UpstreamListener) -> UpstreamExchange {
        let exchange = UpstreamExchange(listener)
        while let kept = idle[address]?.popLast() {
            guard kept.connection.isOpen else { continue }
            exchange.begin(kept.connection, request)
            return exchange
        }
        connect(address).whenComplete { [me = NIOLoopBound(exchange, eventLoop: eventLoop)] result in
            switch result {
            case .success(let connection): me.value.begin(connection.value, request)
            case .failure: me.value.fail(.unreachable)
            }
        }
        return exchange
    }

    private func connect(_ address: Address) -> EventLoopFuture<NIOLoopBound<UpstreamConnection>> {
        if address.isTLS, tls == nil { return eventLoop.makeFailedFuture(UpstreamFault.unreachable) }
        let encoder = NIOLoopBound(UpstreamEncoder(), eventLoop: eventLoop)
        let connection = NIOLoopBound(
            UpstreamConnection(
                encoder.value,
                onIdle: { [weak self] in self?.keep($0, address) },
                onClosed: { [weak self] in self?.forget($0, address) }),
            eventLoop: eventLoop)
        let tls = tls
        return ClientBootstrap(group: eventLoop)
            .connectTimeout(Self.connectMax)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    if address.isTLS, let tls {
                        // A certificate does not name a bare address.
                        let isName = (try? SocketAddress(ipAddress: address.host, port: address.port)) == nil
                        try pipeline.addHandler(
                            NIOSSLClientHandler(context: tls, serverHostname: isName ? address.host : nil))
                    }
                    try pipeline.addHandlers(
                        encoder.value,
                        ByteToMessageHandler(HTTPResponseDecoder(leftOverBytesStrategy: .dropBytes)),
                        connection.value)
                }
            }
            .connect(host: address.host, port: address.port)
            .map { _ in connection }
    }

    private func keep(_ connection: UpstreamConnection, _ address: Address) {
        guard idle[address, default: []].count < Self.idleMax else { return connection.close() }
        idle[address, default: []].append(Idle(connection: connection, since: .now()))
        guard sweep == nil else { return }
        let me = NIOLoopBound(self, eventLoop: eventLoop)
        sweep = eventLoop.scheduleTask(in: Self.idleSpan) { me.value.closeStale() }
    }

    private func forget(_ connection: UpstreamConnection, _ address: Address) {
        idle[address]?.removeAll { $0.connection === connection }
    }

    private func closeStale() {
        sweep = nil
        let now = NIODeadline.now()
        var oldest: NIODeadline?
        for (address, list) in idle {
            let fresh = list.filter { $0.since + Self.idleSpan > now }
            for kept in list where kept.since + Self.idleSpan <= now { kept.connection.close() }
            idle[address] = fresh.isEmpty ? nil : fresh
            if let first = fresh.first?.since { oldest = min(oldest ?? first, first) }
        }
        guard let oldest else { return }
        let me = NIOLoopBound(self, eventLoop: eventLoop)
        sweep = eventLoop.scheduleTask(deadline: oldest + Self.idleSpan) { me.value.closeStale() }
    }
}

/// One request on its way, from before its connection stands. Belongs to its event loop.
final class UpstreamExchange {
    private var listener: (any UpstreamListener)?
    private var connection: UpstreamConnection?

    init(_ listener: any UpstreamListener) {
        self.listener = listener
    }

    fileprivate func begin(_ connection: UpstreamConnection, _ request: UpstreamRequest) {
        guard let listener else { return connection.close() }
        self.connection = connection
        connection.send(request, to: listener)
    }

    fileprivate func fail(_ fault: UpstreamFault) {
        let waiting = listener
        listener = nil
        waiting?.upstreamFailed(fault)
    }

    /// Nobody waits any more.
    func withdraw() {
        listener = nil
        connection?.abandon()
        connection = nil
    }

    /// The answer is whole: the connection serves others now, and is not to be touched.
    func detach() {
        listener = nil
        connection = nil
    }

    func pause() { connection?.pause() }
    func resume() { connection?.resume() }
}
