import Kernel
import NIOCore
import NIOHTTP1

/// One model call: which targets are asked for it, and what its caller gets.
///
/// Belongs to the event loop of the caller's connection. Until the first byte of an answer a failure is invisible to
/// the caller; from then on it ends the answer with an error in the caller's dialect.
final class ModelCall: AnsweredCall {
    /// As the caller sent it, and from ``obey(_:_:)`` on as it may be sent.
    var request: DoorRequest
    let gateway: ModelGateway
    let loop: any EventLoop
    /// `nil` once the answer is complete, or its reader gone.
    var answer: (any Answering)?
    var record: CallRecord
    var model: ModelEntry?
    var targets: [TargetState] = []
    var scan: TopLevelScan?
    var plan: AttemptPlan?
    var attempt: CallAttempt?
    /// What each target last answered with, where that was an error.
    private var errors: [Int: ProviderError] = [:]
    var timer: Scheduled<Void>?
    var totalDue = NIODeadline.distantFuture
    /// Whether the client has seen a part of the answer.
    var hasBegun = false
    private(set) var hasEnded = false
    /// What the call holds of its budgets; `nil` where none counts it, and once it is booked.
    var purse: CallPurse?
    /// What the client has seen, where another target may go on with it.
    var delivered: DeliveredAnswer?
    /// Whether the client went away before its answer was whole.
    var hasLeft = false
    /// Whether somebody stopped it.
    var isStopped = false
    /// Where it stands in a target's line, and what lets it go on.
    var place: PlaceInLine?
    var receipt: Pacer.Receipt?
    /// What the client got, where somebody wants to know.
    var capture: AnswerCapture?
    var sharing: Sharing?
    /// Its part in a joint call for embeddings.
    var batch: BatchPart?
    /// Whether Reeve makes it for another call: to judge its answer, or to know what is asked.
    var isInner = false
    /// Who gets the record of a call that is made for others.
    var onEnd: ((CallRecord) -> Void)?
    var followedAt: Timestamp?
    /// The run that it belongs to, from when it was let in.
    var watched: Watched?
    /// What keeps calls of tools out of the answer that the caller may not use.
    var gate: ToolGate?
    /// What takes secrets out of the answer.
    var filter: AnswerFilter?
    /// Whose key each target is asked with, where that is not the platform's in any case.
    var resolutions: [ProviderKeys.Resolution?] = []
    /// The kept keys that it uses, from when it asked for them.
    var keyFindings: [SecretPath: KeptKeys.Finding] = [:]
    /// What has to be asked for before a target can be.
    var missingKeys: Set<SecretPath> = []
    var isMissingProject = false
    /// Keys that providers refused, in words.
    var keysRefused: [JSONValue] = []
    /// Further headers of the answer.
    var moreHeaders: [(name: String, value: String)] = []
    /// Fields of the request that the answering target's dialect does not have.
    var dropped = DroppedFields()
    /// Whether the caller named the model otherwise than the settings do.
    var isNamedOtherwise = false
    /// Spent waiting for providers and for retries.
    var waited = Span.zero

    init(_ request: DoorRequest, gateway: ModelGateway, answer: any Answering, on loop: any EventLoop) {
        self.request = request
        self.gateway = gateway
        self.answer = answer
        self.loop = loop
        record = CallRecord(
            id: Identifier<ModelCallID>(gateway.world).text, door: request.door, agent: request.principal.agent,
            keyID: request.principal.keyID, correlationID: request.correlationID, startedAt: gateway.world.now)
        record.requestBytes = request.body.count
        record.task = namedTask ?? record.agent.flatMap { gateway.tasks?.held(by: $0) }
        record.join(request, record.task.flatMap { gateway.tasks?.trace(of: $0, by: record.agent) })
        record.session = CallHeaders.name(request.headers[CallHeaders.session])
        record.tags = CallHeaders.names(request.headers[CallHeaders.tags])
    }

    var dialect: Dialect { request.door.dialect }

    /// The task that the caller says it works on.
    var namedTask: String? { CallHeaders.name(request.headers[CallHeaders.task]) }

    // MARK: the beginning

    func start() {
        do {
            let name = try read()
            try heed(name)
        } catch {
            refuse(error)
        }
    }

    func refuse(_ error: any Error) {
        fail(error as? DialectError ?? DialectError(.server, "Reeve failed at this call."), nil)
    }

    /// Asks the model that is meant, under what is set for the caller.
    func go(_ name: String) {
        do {
            try prepare(name)
        } catch {
            return refuse(error)
        }
        gateway.began(record, CallStop(self))
        if answersItself() { return }
        withKeys { $0.passGuards() }
    }

    /// What the request says of itself: the answer is the name of the model that it asks for.
    func read() throws -> String {
        guard gateway.takesCalls else {
            throw DialectError(.unavailable, "Too many calls wait to be booked. Try again in a moment.")
        }
        let wanted = request.door.wanted
        let scan: TopLevelScan
        do { scan = try TopLevelScan.scan(request.body, for: wanted) } catch { throw DialectError(error) }
        guard let value = scan.value(of: "model", in: wanted, request.body) else {
            throw DialectError.invalid("model", "The request names no model.")
        }
        guard case .string(let name) = value else { throw DialectError.invalid("model", "A model's name is a string.") }
        record.model = String(name.prefix(GatewayLimits.nameCharacters))
        if let value = scan.value(of: "stream", in: wanted, request.body), !value.isNull {
            guard let isStreamed = value.bool else {
                throw DialectError.invalid("stream", "`stream` is true or false.")
            }
            record.isStreamed = isStreamed
        }
        self.scan = scan
        return name
    }

    func prepare(_ name: String) throws {
        let model = try choose(name)
        self.model = model
        targets = model.targets
        let settings = model.settings
        record.tier = settings.tier?.rawValue
        if settings.unpriced == .refuse {
            targets.removeAll { $0.price?.entry(at: record.startedAt) == nil }
            guard !targets.isEmpty else {
                throw DialectError(
                    .invalidRequest, code: "price_unknown", param: "model",
                    "The model `\(record.model)` has no price today, and may not be asked without one.")
            }
        }
        try resolveKeys()
        var rules = AttemptPlan.Rules()
        rules.retries = settings.retries.atLastTarget
        rules.total = settings.deadlines.total
        rules.continuation = settings.continuesStreams
        plan = AttemptPlan(rules, startedAt: record.startedAt)
        totalDue = .now() + .microseconds(settings.deadlines.total.microseconds)
        prepareContinuation()
    }

    /// What needs no provider: tokens of a call that no provider of this model counts are estimated.
    private func answersItself() -> Bool {
        guard request.door == .countTokens, !targets.contains(where: { request.door.isNative(to: $0.provider.kind) })
        else { return false }
        do {
            let document = try JSONParser.parse(request.body, depthMax: TopLevelScan.depthMax)
            let count = TokenEstimate.count(try MessagesRequestReader.read(document, isCount: true))
            let body: JSONValue = ["input_tokens": count.json]
            respond(200, [("content-type", "application/json")], ByteBuffer(bytes: body.bytes))
            end(.done)
        } catch {
            fail(error as? DialectError ?? .invalid("", "The body cannot be read."), nil)
        }
        return true
    }

    // MARK: what comes next

    /// A target has to be asked, and paid.
    func proceed() { hold() }

    func decide() {
        timer?.cancel()
        timer = nil
        guard !hasEnded, !joinsBatch(), var plan else { return }
        // Taken out, so that what it grows by is not a copy.
        self.plan = nil
        let now = gateway.world.now
        // Chance is needed for a further try only.
        let fraction = plan.attempts > 0 ? gateway.world.entropy.fraction() : 0
        let candidates = targets.map { $0.plan(tokens: pacedTokens, at: now) }
        if plan.attempts == 0 { record.open = candidates.indices.filter { candidates[$0].openUntil != nil } }
        let decision = plan.next(candidates, at: now, fraction: fraction)
        self.plan = plan
        switch decision {
        case .attempt(let index, let wait):
            if plan.steps.last?.reason == .paced { return waitInLine(for: index) }
            if wait > .zero { after(wait) { $0.begin(index) } } else { begin(index) }
        case .wait(let wait): after(wait) { $0.decide() }
        case .giveUp(let end): giveUp(end)
        }
    }

    private func after(_ wait: Span, _ body: @escaping @Sendable (ModelCall) -> Void) {
        waited = waited + wait
        let me = NIOLoopBound(self, eventLoop: loop)
        timer = loop.scheduleTask(in: .microseconds(wait.microseconds)) {
            me.value.timer = nil
            body(me.value)
        }
    }

    func begin(_ index: Int) {
        guard !hasEnded, targets.indices.contains(index) else { return }
        let state = targets[index]
        let now = gateway.world.now
        guard let (permit, receipt) = state.admit(self.receipt, tokens: pacedTokens, at: now) else {
            plan?.withdrawn(at: now)
            return decide()
        }
        self.receipt = nil
        gate?.restart()
        do {
            let reason = plan?.steps.last?.reason?.rawValue ?? ""
            let (request, passage) = try outgoing(to: state, index)
            attempt = CallAttempt(
                index: index, state: state, permit: permit, receipt: receipt, passage: passage, startedAt: now,
                reason: reason)
            guard let address = state.address, let pool = gateway.pool(of: loop) else {
                return attemptFailed(.connectionRefused)
            }
            let exchange = pool.send(request, to: address, listener: self)
            // It may have failed already.
            if attempt?.index == index, attempt?.exchange == nil { attempt?.exchange = exchange }
            watch()
        } catch let error as DialectError {
            state.record(permit, .abandoned, at: now)
            fail(error, nil)
        } catch {
            state.record(permit, .abandoned, at: now)
            fail(DialectError(.server, "Reeve failed at this call."), nil)
        }
    }

    /// The request as this target takes it.
    private func outgoing(to state: TargetState, _ index: Int) throws -> (UpstreamRequest, CallAttempt.Passage) {
        let provider = state.provider
        let isNative = request.door.isNative(to: provider.kind)
        let pieces: [ByteBuffer]
        let passage: CallAttempt.Passage
        let endpoint: ProviderEndpoint
        if isNative {
            let (body, hidesUsage) = nativeBody(state.target)
            pieces = body
            passage = .native(hidesUsage: hidesUsage)
            endpoint = request.door.endpoint
        } else {
            guard request.door != .embeddings else {
                throw DialectError.unsupported("model", "Its provider has no embeddings.")
            }
            let target: Dialect = provider.kind == .anthropic ? .messages : .chat
            var document =
                try prefilled(for: state.target) ?? JSONParser.parse(request.body, depthMax: TopLevelScan.depthMax)
            if let limit = purse?.outputTokensAllowed, var object = document.object {
                let names = request.door.limitNames
                if let name = names.first(where: { object[$0] != nil }) ?? names.first { object[name] = .int(limit) }
                document = .object(object)
            }
            let translated = try TranslatedRequest.translate(
                document, from: dialect, to: target, model: state.target.model,
                isStrict: request.headers[CallHeaders.translation] == "strict")
            dropped = translated.dropped
            pieces = [ByteBuffer(bytes: translated.body.bytes)]
            passage = .translated(target)
            endpoint = target == .messages ? .messages : .chatCompletions
        }
        let resolution = resolution(for: index)
        let length = pieces.reduce(0) { $0 + $1.readableBytes }
        var bytes = ByteBufferAllocator().buffer(capacity: UpstreamRequest.capacity(length))
        CallHeaders.write(
            request, to: provider, target: state.requestTarget(endpoint), key: key(of: resolution), length: length,
            isNative: isNative, traceparent: record.traceparentOfNextAttempt,
            correlationID: record.correlationID, into: &bytes)
        return (UpstreamRequest(head: bytes, body: pieces, length: length), passage)
    }

    /// The body as it came, with the model's name at the provider. A chat stream that asks for no usage is made to.
    private func nativeBody(_ target: ModelTarget) -> (pieces: [ByteBuffer], hidesUsage: Bool) {
        let wanted = request.door.wanted
        let name = target.model
        let bytes = prefilled(for: target)?.bytes ?? request.body
        guard let scan = hasBegun ? try? TopLevelScan.scan(bytes, for: wanted) : scan else { return ([], false) }
        var edits = BodyEdits()
        if name != record.model || isNamedOtherwise { scan.set("model", to: .string(name), in: wanted, &edits) }
        var hidesUsage = false
        if request.door == .chat, record.isStreamed {
            var options = scan.value(of: "stream_options", in: wanted, bytes)?.object ?? JSONObject()
            if options["include_usage"]?.bool != true {
                options["include_usage"] = true
                scan.set("stream_options", to: .object(options), in: wanted, &edits)
                hidesUsage = true
            }
        }
        if let limit = purse?.outputTokensAllowed {
            let names = request.door.limitNames
            let name = names.first { scan.value(of: $0, in: wanted, bytes) != nil } ?? names.first
            if let name { scan.set(name, to: .int(limit), in: wanted, &edits) }
        }
        let body = ByteBuffer(bytes: bytes)
        let pieces = edits.pieces(of: bytes.count).map { piece in
            switch piece {
            case .original(let range): body.getSlice(at: range.lowerBound, length: range.count) ?? ByteBuffer()
            case .inserted(let bytes): ByteBuffer(bytes: bytes)
            }
        }
        return (pieces, hidesUsage)
    }

    // MARK: patience

    private func watch() {
        guard let attempt, let model, !hasEnded else { return }
        let due = min(attempt.due(model.settings.deadlines), totalDue)
        let me = NIOLoopBound(self, eventLoop: loop)
        timer?.cancel()
        timer = loop.scheduleTask(deadline: due) { me.value.checkPatience() }
    }

    private func checkPatience() {
        guard let attempt, let model, !hasEnded else { return }
        guard min(attempt.due(model.settings.deadlines), totalDue) <= .now() else { return watch() }
        attempt.exchange?.withdraw()
        if attempt.isComplete { return upstreamEnded() }
        attemptFailed(attempt.heard == nil ? .silent : .stalled)
    }

    // MARK: how an attempt ends

    /// The attempt came to nothing: another one follows, or the caller is told.
    func attemptFailed(_ failure: FailureClass, _ error: ProviderError? = nil) {
        guard let attempt, !keyFailed(attempt, failure) else { return }
        let now = gateway.world.now
        note(attempt, failure.name, at: now)
        attempt.state.record(attempt.permit, .failed(failure), at: now)
        if let error { errors[attempt.index] = error }
        self.attempt = nil
        attempt.exchange?.detach()
        plan?.failed(failure, at: now, hasDelivered: hasBegun)
        if hasLeft {
            if attempt.relay?.progress.hasBegun == true { book(attempt) }
            return end(.canceled)
        }
        if hasBegun {
            if attempt.relay?.progress.hasBegun == true { book(attempt) }
            if mayContinue(attempt, failure) { return decide() }
            let told = DialectError(.init(failure: failure, reason: .streamBroken), told: nil, model: record.model)
            return breakOff(attempt, attempt.relay?.progress.error ?? told, failure)
        }
        decide()
    }

    func attemptSucceeded(_ attempt: CallAttempt) {
        capture?.isWhole = true
        let now = gateway.world.now
        note(attempt, nil, at: now)
        attempt.state.record(
            attempt.permit,
            .succeeded(
                latency: now - attempt.startedAt, firstToken: attempt.firstToken.map { $0 - attempt.startedAt }),
            at: now)
        record.target = attempt.state.target.label
        book(attempt)
    }

    func note(_ attempt: CallAttempt, _ failure: String?, at now: Timestamp) {
        waited = waited + (now - attempt.startedAt)
        record.provider = attempt.state.providerName
        record.attempts.append(
            CallRecord.Attempt(
                target: attempt.state.target.label, startedAt: attempt.startedAt, duration: now - attempt.startedAt,
                status: attempt.head.map { Int($0.status.code) }, failure: failure, reason: attempt.reason))
    }

    private func giveUp(_ end: AttemptPlan.End) {
        record.failure = end.failure?.name ?? end.reason.rawValue
        let error = end.target.flatMap { errors[$0] }
        let told = DialectError(end, told: error?.meaning, model: record.model)
        if endInSight(told, record.failure ?? "") { return }
        // The provider's own words go to a caller of its dialect as they came.
        if let error, error.isNative, told == error.meaning {
            var headers = error.headers
            if let retryAfter = end.retryAfter, !headers.contains(where: { $0.name == "retry-after" }) {
                headers.append(("retry-after", Self.seconds(retryAfter)))
            }
            respond(error.status, headers, error.body)
            return self.end(.failed)
        }
        fail(told, end.retryAfter)
    }

    private static func seconds(_ span: Span) -> String { String(max(1, (span.microseconds + 999_999) / 1_000_000)) }

    // MARK: the end

    /// Tells the caller, in its dialect, why there is no answer.
    func fail(_ error: DialectError, _ retryAfter: Span?) {
        if record.failure == nil { record.failure = error.code ?? "\(error.kind)" }
        if endInSight(error, record.failure ?? "") { return }
        var headers = [(name: "content-type", value: "application/json")]
        if let retryAfter { headers.append(("retry-after", Self.seconds(retryAfter))) }
        let body = error.body(for: dialect, requestID: request.requestID)
        respond(error.status(for: dialect), headers, ByteBuffer(bytes: body.bytes))
        end(.failed)
    }

    func respond(_ status: Int, _ headers: [(name: String, value: String)], _ body: ByteBuffer) {
        record.httpStatus = status
        record.answerBytes = body.readableBytes
        capture?.begin(status, headers)
        capture?.add(body)
        answer?.respond(status, headers + ownHeaders, body)
        answer = nil
    }

    /// What every answer of the gateway says.
    var ownHeaders: [(name: String, value: String)] {
        var headers = [(name: CallHeaders.call, value: record.id)] + moreHeaders
        if !dialect.isOpenAI { headers.append(("request-id", request.requestID)) }
        if let cache = record.cache { headers.append((CallHeaders.cache, cache == "shared" ? "hit" : cache)) }
        if record.correlationID != request.correlationID {
            headers.append((CallHeaders.correlation, record.correlationID))
        }
        if !dropped.paths.isEmpty { headers.append((CallHeaders.dropped, dropped.headerValue)) }
        return headers
    }

    func end(_ status: CallRecord.Status) {
        guard !hasEnded else { return }
        hasEnded = true
        leaveLine()
        timer?.cancel()
        timer = nil
        attempt = nil
        answer = nil
        record.status = hasLeft || isStopped ? .canceled : status
        if hasLeft { record.failure = "client_left" }
        record.duration = gateway.world.now - record.startedAt
        record.overhead = Span(microseconds: max(0, record.duration.microseconds - waited.microseconds))
        record.steps = plan?.steps ?? []
        record.candidates = targets.map(\.target.label)
        settleSharing()
        settleGuards()
        record.purse = purse
        settle()
        keepContent()
        if let onEnd { onEnd(record) } else { gateway.ended(record) }
        settleSession()
    }

    // MARK: the client

    func clientReads() { attempt?.exchange?.resume() }
}
