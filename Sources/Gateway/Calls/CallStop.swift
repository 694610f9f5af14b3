import NIOCore

/// What stops a call from any thread, as when its task is killed.
struct CallStop: Sendable {
    private let loop: any EventLoop
    private let bound: NIOLoopBound<ModelCall>

    /// On the call's event loop.
    init(_ call: ModelCall) {
        loop = call.loop
        bound = NIOLoopBound(call, eventLoop: call.loop)
    }

    func call(_ reason: String) {
        let bound = bound
        loop.execute { bound.value.stop(reason) }
    }
}

extension ModelCall {
    /// Ends the call at once. Its provider is left, what was used is booked, and the caller is told why.
    fileprivate func stop(_ reason: String) {
        guard !hasEnded else { return }
        isStopped = true
        let relay = attempt?.relay
        if let attempt {
            let now = gateway.world.now
            attempt.exchange?.withdraw()
            note(attempt, nil, at: now)
            attempt.state.record(attempt.permit, .abandoned, at: now)
            record.target = attempt.state.target.label
            book(attempt)
            self.attempt = nil
        }
        let code = "call_stopped"
        let error = DialectError(.conflict, code: code, "\(reason) Its model calls are stopped; do not ask again.")
        if endInSight(error, code, relay) { return }
        moreHeaders.append(("x-should-retry", "false"))
        if staysInBatch() { return tellAhead(error) }
        fail(error, nil)
    }
}

extension ModelGateway {
    /// Stops the calls of a task, at once.
    public func stopCalls(ofTask id: String, _ reason: String) { stop(reason) { $0.task == id } }
    /// Stops the calls that one agent made for a task, at once.
    public func stopCalls(ofTask id: String, by agent: String, _ reason: String) {
        stop(reason) { $0.task == id && $0.agent == agent }
    }
    /// Stops the calls of an agent, at once.
    public func stopCalls(ofAgent name: String, _ reason: String) { stop(reason) { $0.agent == name } }
}
