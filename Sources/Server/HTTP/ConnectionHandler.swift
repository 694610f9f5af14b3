import Kernel
import NIOCore
import NIOHTTP1

/// One connection: takes requests one after the other, lets the guards judge each before its body is read, runs its
/// handler in a task of its own, and writes the reply.
///
/// All state belongs to the connection's event loop. A client that goes away cancels what runs for it.
final class ConnectionHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = Never
    typealias OutboundOut = ByteBuffer

    /// A client may close its side after a request and still wait for the reply; one that waits longer is gone.
    private static let halfClosedGrace = TimeAmount.milliseconds(250)
    /// How long a refused client may go on sending before the connection is cut.
    private static let refusedGrace = TimeAmount.seconds(5)
    /// An idle connection is closed after this; so is one whose request's head takes as long to come.
    private static let idleMax = TimeAmount.seconds(75)
    /// Bytes of a body for which its sender gets a second more than `limits.bodySeconds`.
    private static let bodyBytesPerSecond: Int64 = 10_000
    /// How long a reader may take nothing of a streamed reply.
    private static let blockedWriteMax = TimeAmount.seconds(30)
    /// A request whose rest is not longer than this is read to its end after a refusal, so that the connection lives
    /// on.
    private static let skippedBytesMax = 64 << 10

    let responder: Responder
    private let connections: ConnectionSet
    private let executor: LoopExecutor
    var state = State.idle
    private(set) var context: ChannelHandlerContext?
    private var remoteAddress = ""
    /// Whether the connection ends with the current reply.
    var isLast = false
    private var version = HTTPVersion.http1_1
    /// While a reader does not take what was written: when it is given up. The next request comes in only once it took
    /// it, so who does not read cannot make replies pile up.
    private var blocked: Scheduled<Void>?
    private var ahead = RequestsAhead()
    /// What the decoder made of the bytes that it was given last.
    var decoded = Decoded()
    private var passes = Admission.Passes()
    private var isTakingAhead = false
    private var lastHeard = NIODeadline.now()
    private var idleCheck: Scheduled<Void>?
    /// When the body that comes now began, and when it is looked at again.
    private var lateBody: (began: NIODeadline, check: Scheduled<Void>)?

    init(responder: Responder, connections: ConnectionSet, executor: LoopExecutor) {
        self.responder = responder
        self.connections = connections
        self.executor = executor
    }

    // MARK: what comes in

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        remoteAddress = context.channel.remoteAddress?.ipAddress ?? ""
        connections.add(context.channel, NIOLoopBound(self, eventLoop: context.eventLoop))
        checkIdleness(at: lastHeard + Self.idleMax)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        end()
        connections.remove(context.channel)
        self.context = nil
    }

    func channelInactive(context: ChannelHandlerContext) {
        end()
        context.fireChannelInactive()
    }

    private func end() {
        switch state {
        case .asking(let intake): intake.task?.cancel()
        case .running(let run):
            responder.left(run.visit, since: run.start)
            run.cancel()
        default: break
        }
        blocked?.cancel()
        blocked = nil
        ahead.drop()
        idleCheck?.cancel()
        idleCheck = nil
        bodyIsThere()
        state = .closed
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            let head = RequestHead(head)
            decoded.heads += 1
            decoded.head = head
            arrive(.head(head))
        case .body(let bytes):
            decoded.bodies += 1
            arrive(.body(bytes))
        case .end:
            decoded.ends += 1
            arrive(.end)
        }
    }

    /// Bytes came.
    func hear() { lastHeard = .now() }

    func read(context: ChannelHandlerContext) {
        if ahead.mayRead() { context.read() }
    }

    /// Whether the last request is answered, and its reader took the answer.
    private var isAnswered: Bool {
        switch state {
        case .idle, .skipping: blocked == nil
        case .asking, .reading, .running, .closed: false
        }
    }

    func arrive(_ arrival: RequestsAhead.Arrival) {
        if ahead.isEmpty, isAnswered || !arrival.waitsForReply { return take(arrival) }
        ahead.add(arrival)
    }

    private func take(_ arrival: RequestsAhead.Arrival) {
        switch arrival {
        case .head(let head): begin(head)
        case .body(let buffer): take(buffer)
        case .end:
            bodyIsThere()
            finishReading()
        case .inputClosed: inputClosed()
        case .broken(let error): refuseBroken(error)
        }
    }

    /// Goes on with what came meanwhile. Refusals answer at once: thousands of them would come one inside the other.
    private func takeAhead() {
        guard !isTakingAhead else { return }
        if isLast { ahead.drop() }
        isTakingAhead = true
        while let arrival = ahead.next(isAnswered: isAnswered) { take(arrival) }
        isTakingAhead = false
        if ahead.takesPendingRead() { context?.read() }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if lateBody == nil, missingBody != nil {
            let began = NIODeadline.now()
            checkBody(began: began, at: began + .seconds(Int64(responder.limits.bodySeconds)))
        }
        context.fireChannelReadComplete()
    }

    private func begin(_ head: RequestHead) {
        version = head.version
        isLast = !head.isKeepAlive || connections.isDraining
        let start = responder.now
        switch responder.admission.begin(head, from: remoteAddress, &passes) {
        case .admitted(let visit): startReading(Intake(visit: visit, start: start))
        case .refused(let visit, let error): refuse(visit, error, start)
        case .asking(let visit, let unseen):
            guard let context else { return }
            let intake = Intake(visit: visit, start: start)
            let me = NIOLoopBound(self, eventLoop: context.eventLoop)
            let admission = responder.admission
            intake.task = Task(executorPreference: executor) {
                let verdict: Result<Admission.Visit, any Error>
                do { verdict = .success(try await admission.settle(visit, unseen)) } catch { verdict = .failure(error) }
                me.run { $0.settle(verdict) }
            }
            state = .asking(intake)
        }
    }

    private func settle(_ verdict: Result<Admission.Visit, any Error>) {
        guard case .asking(let intake) = state else { return }
        switch verdict {
        case .success(let visit):
            intake.visit = visit
            intake.task = nil
            startReading(intake)
        case .failure(let error): refuse(intake.visit, error, intake.start, isComplete: intake.isComplete)
        }
    }

    private func startReading(_ intake: Intake) {
        if intake.isComplete { return run(intake) }
        state = .reading(intake)
        guard intake.visit.head.expectsContinue, intake.body.isEmpty, let context else { return }
        context.writeAndFlush(wrapOutboundOut(ReplyEncoder.leaveToContinue(context.channel.allocator)), promise: nil)
    }

    private func take(_ buffer: ByteBuffer) {
        switch state {
        case .reading(let intake): append(buffer, to: intake)
        case .asking(let intake): if !append(buffer, to: intake) { intake.task?.cancel() }
        case .idle, .running, .skipping, .closed: break
        }
    }

    /// Adds to the body; where that gets too long, refuses the request and returns `false`.
    @discardableResult
    private func append(_ buffer: ByteBuffer, to intake: Intake) -> Bool {
        let max = responder.admission.bodyBytesMax(intake.visit)
        guard intake.body.count + buffer.readableBytes <= max else {
            refuse(intake.visit, Admission.tooLarge(max), intake.start, isCut: true)
            return false
        }
        if intake.body.isEmpty, let declared = intake.visit.head.declaredBytes {
            intake.body.reserveCapacity(min(declared, max))
        }
        intake.body.append(contentsOf: buffer.readableBytesView)
        return true
    }

    private func finishReading() {
        switch state {
        case .reading(let intake): run(intake)
        case .asking(let intake): intake.isComplete = true
        case .skipping:
            state = .idle
            if isLast { closeBehindReplies() } else { takeAhead() }
        case .idle, .running, .closed: break
        }
    }

    // MARK: the handler

    private func run(_ intake: Intake) {
        guard let context else { return }
        let me = NIOLoopBound(self, eventLoop: context.eventLoop)
        let visit = intake.visit
        let body = intake.body
        if visit.route?.door != nil { return runCall(intake, context) }
        let responder = responder
        let isBulk = visit.route?.bodyBytesMax != nil
        let max = isBulk ? LoopExecutor.bulkBytesMax : LoopExecutor.bodyBytesMax
        let task = Task(executorPreference: body.count <= max ? executor : nil) {
            let reply = await responder.reply(to: visit, body: body)
            guard case .stream(let produce) = reply.body else { return me.run { $0.finish(reply) } }
            me.run { $0.beginStream(reply) }
            do {
                if !visit.head.isHead { try await produce(ConnectionWriter(connection: me)) }
                me.run { $0.endStream(nil) }
            } catch {
                me.run { $0.endStream(error) }
            }
        }
        state = .running(Run(visit: visit, start: intake.start, work: .task(task), responder.meters))
    }

    private func finish(_ reply: APIReply) {
        guard case .running(let run) = state else { return }
        responder.ended(run.visit, status: reply.status, since: run.start)
        state = .idle
        write(reply, run.visit)
    }

    private func refuse(
        _ visit: Admission.Visit, _ error: any Error, _ start: Timestamp, isComplete: Bool = false, isCut: Bool = false
    ) {
        let reply = responder.refusal(of: error, visit)
        responder.ended(visit, status: reply.status, since: start)
        bodyIsThere()
        // Who sends more than little has to stop; the connection cannot be used again.
        let head = visit.head
        let isLong = head.isChunked || head.expectsContinue || (head.declaredBytes ?? 0) > Self.skippedBytesMax
        if !isComplete, isCut || isLong { isLast = true }
        state = isComplete ? .idle : .skipping
        write(reply, visit)
    }

    func framing(_ visit: Admission.Visit?) -> ReplyEncoder.Framing {
        ReplyEncoder.Framing(version: version, isLast: isLast, isHead: visit?.head.isHead == true)
    }

    private func write(_ reply: APIReply, _ visit: Admission.Visit?) {
        guard let context else { return }
        end(with: ReplyEncoder.whole(reply, visit, framing(visit), context.channel.allocator))
    }

    /// Writes the last bytes of a reply; behind them the next request comes in, or the connection ends.
    func end(with bytes: ByteBuffer) {
        guard let context else { return }
        let channel = context.channel
        guard isLast else {
            context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
            if channel.isWritable { takeAhead() } else { hold(context) }
            return
        }
        let isSkipping = if case .skipping = state { true } else { false }
        let written = context.eventLoop.makePromise(of: Void.self)
        context.writeAndFlush(wrapOutboundOut(bytes), promise: written)
        written.futureResult.whenComplete { _ in
            guard isSkipping else { return channel.close(promise: nil) }
            // Closing at once would take the reply from a client that is still sending.
            channel.close(mode: .output, promise: nil)
            channel.eventLoop.scheduleTask(in: Self.refusedGrace) { channel.close(promise: nil) }
        }
        hold(context)
    }

    /// Waits for a reader that is slow, and gives up one that takes nothing.
    private func hold(_ context: ChannelHandlerContext) {
        let waiting = Self.bytesWaiting(context)
        let me = NIOLoopBound(self, eventLoop: context.eventLoop)
        blocked = context.eventLoop.scheduleTask(in: Self.blockedWriteMax) {
            guard let context = me.value.context else { return }
            if Self.bytesWaiting(context) < waiting { me.value.hold(context) } else { context.close(promise: nil) }
        }
    }

    private static func bytesWaiting(_ context: ChannelHandlerContext) -> Int {
        (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable, case .running(let run) = state, case .call(let call) = run.work {
            call.clientReads()
        }
        if context.channel.isWritable, !isLast, let timeout = blocked {
            timeout.cancel()
            blocked = nil
            takeAhead()
        }
        context.fireChannelWritabilityChanged()
    }

    // MARK: streams

    private func beginStream(_ reply: APIReply) {
        guard case .running(let run) = state, let context else { return }
        run.isStream = true
        if connections.isDraining { run.cancel() }
        if !framing(run.visit).isChunked { isLast = true }
        let head = ReplyEncoder.streamHead(reply, run.visit, framing(run.visit), context.channel.allocator)
        context.writeAndFlush(wrapOutboundOut(head), promise: nil)
    }

    /// Writes a piece; the promise is kept once the reader's side has taken it.
    func writePiece(_ bytes: [UInt8], _ promise: EventLoopPromise<Void>) {
        guard case .running(let run) = state, run.isStream, let context else {
            return promise.fail(ChannelError.ioOnClosedChannel)
        }
        let channel = context.channel
        let timeout = channel.eventLoop.scheduleTask(in: Self.blockedWriteMax) { channel.close(promise: nil) }
        promise.futureResult.whenComplete { _ in timeout.cancel() }
        let piece = ReplyEncoder.piece(
            ByteBuffer(bytes: bytes), isChunked: framing(run.visit).isChunked, channel.allocator)
        context.writeAndFlush(wrapOutboundOut(piece), promise: promise)
    }

    private func endStream(_ error: (any Error)?) {
        guard case .running(let run) = state else { return }
        if run.hasLeft {
            responder.left(run.visit, since: run.start)
        } else {
            responder.ended(run.visit, status: 200, since: run.start)
        }
        if let error, !(error is CancellationError), !(error is ChannelError) {
            responder.logBrokenStream(run.visit, error)
            // Without the last chunk the reader knows that something is missing.
            state = .closed
            context?.close(promise: nil)
            return
        }
        state = .idle
        guard let context else { return }
        end(with: ReplyEncoder.streamEnd(framing(run.visit), context.channel.allocator))
    }

    // MARK: patience

    private func checkIdleness(at time: NIODeadline) {
        guard let context else { return }
        let me = NIOLoopBound(self, eventLoop: context.eventLoop)
        idleCheck = context.eventLoop.scheduleTask(deadline: time) { me.value.idled() }
    }

    private func idled() {
        let now = NIODeadline.now()
        if case .running = state { return checkIdleness(at: now + Self.idleMax) }
        if blocked != nil { return checkIdleness(at: now + Self.idleMax) }
        if lastHeard + Self.idleMax > now { return checkIdleness(at: lastHeard + Self.idleMax) }
        context?.close(promise: nil)
    }

    /// The request whose body is not whole yet.
    private var missingBody: Intake? {
        switch state {
        case .reading(let intake): intake
        case .asking(let intake) where !intake.isComplete: intake
        case .idle, .asking, .running, .skipping, .closed: nil
        }
    }

    private func checkBody(began: NIODeadline, at time: NIODeadline) {
        guard let context else { return }
        let me = NIOLoopBound(self, eventLoop: context.eventLoop)
        lateBody = (began, context.eventLoop.scheduleTask(deadline: time) { me.value.bodyIsLate(began) })
    }

    /// Who sends drop by drop is cut, as it would hold its connection for ever.
    private func bodyIsLate(_ began: NIODeadline) {
        guard let intake = missingBody else { return }
        let seconds = Int64(responder.limits.bodySeconds) + Int64(intake.body.count) / Self.bodyBytesPerSecond
        let deadline = began + .seconds(seconds)
        if NIODeadline.now() < deadline { return checkBody(began: began, at: deadline) }
        intake.task?.cancel()
        let problem = Problem(
            .requestTimeout, "The body did not come within \(seconds) s.",
            hint: "Send the request again, faster; `limits.bodySeconds` says how long a body may take to begin with.")
        refuse(intake.visit, problem, intake.start, isCut: true)
    }

    private func bodyIsThere() {
        lateBody?.check.cancel()
        lateBody = nil
    }

    // MARK: the end of a connection

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed = event {
            // Requests that wait are still answered.
            if ahead.isEmpty { inputClosed() } else { ahead.add(.inputClosed) }
        }
        context.fireUserInboundEventTriggered(event)
    }

    private func inputClosed() {
        guard let context else { return }
        isLast = true
        switch state {
        case .running(let run) where run.isStream:
            run.hasLeft = true
            cancelRun()
        case .asking(let intake) where !intake.isComplete: context.close(promise: nil)
        case .running, .asking:
            let me = NIOLoopBound(self, eventLoop: context.eventLoop)
            context.eventLoop.scheduleTask(in: Self.halfClosedGrace) { me.value.cancelRun() }
        case .idle: closeBehindReplies()
        case .reading, .skipping, .closed: context.close(promise: nil)
        }
    }

    /// Closing at once would drop what was written and is still on its way.
    private func closeBehindReplies() {
        guard let context else { return }
        let channel = context.channel
        // Nothing, behind all that was written.
        let written = context.eventLoop.makePromise(of: Void.self)
        context.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: written)
        let timeout = channel.eventLoop.scheduleTask(in: Self.blockedWriteMax) { channel.close(promise: nil) }
        written.futureResult.whenComplete { _ in
            timeout.cancel()
            channel.close(promise: nil)
        }
    }

    private func cancelRun() {
        guard case .running(let run) = state else { return }
        run.cancel()
        // A task still ends by itself, and the connection with it; a call has let go of it.
        if run.isCall { context?.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let error = error as? HTTPParserError, missingBody == nil else { return context.close(promise: nil) }
        arrive(.broken(error))
    }

    private func refuseBroken(_ error: HTTPParserError) {
        guard case .idle = state, let context, context.channel.isActive else {
            context?.close(promise: nil)
            return
        }
        isLast = true
        responder.meters.ended(nil, status: error.problem.code.status, after: .zero)
        write(.problem(error.problem, requestID: responder.admission.newRequestID()), nil)
    }

    /// The server stops: what waits for something to happen ends now, as do idle connections; the rest may finish.
    func drain() {
        isLast = true
        switch state {
        case .running(let run) where !run.isCall && (run.isStream || run.visit.route?.waits == true): run.cancel()
        case .idle: closeBehindReplies()
        case .asking, .reading, .running, .skipping, .closed: break
        }
    }
}
