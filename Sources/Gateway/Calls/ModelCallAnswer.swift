import Kernel
import NIOCore
import NIOHTTP1

/// How a target's answer reaches the caller.
extension ModelCall: UpstreamListener {
    func upstreamAnswered(_ head: HTTPResponseHead) {
        guard let state = attempt?.state, let receipt = attempt?.receipt else { return }
        attempt?.head = head
        state.answered(head.headers, receipt, at: gateway.world.now)
        guard (200..<300).contains(head.status.code), record.isStreamed,
            head.headers.first(name: "content-type")?.lowercased().hasPrefix("text/event-stream") == true
        else { return }
        let relay = relay()
        attempt?.relay = relay
    }

    private func relay() -> any StreamRelay {
        if let delivered, let passage = attempt?.passage { return continuableRelay(delivered, passage) }
        return switch attempt?.passage {
        case .translated(let provider)?: TranslatingRelay(from: provider, to: dialect, replyContext)
        case .native(let hidesUsage)?:
            PlainRelay(dialect, hidesUsage: hidesUsage, hasManyAnswers: (number("n") ?? 1) > 1)
        case nil: PlainRelay(dialect, hidesUsage: false)
        }
    }

    var replyContext: ReplyContext {
        var context = ReplyContext(createdAt: record.startedAt.microseconds / 1_000_000, model: record.model)
        let document = try? JSONParser.parse(request.body, depthMax: TopLevelScan.depthMax)
        if request.door == .chat, record.isStreamed {
            context.tellsUsage = document?["stream_options"]?["include_usage"]?.bool == true
        }
        if request.door == .responses, let document { context.echo = ResponsesRequestReader.echo(document) }
        return context
    }

    func upstreamSent(_ bytes: ByteBuffer) {
        guard attempt != nil else { return }
        guard attempt?.relay != nil else { return collect(bytes) }
        defer { if hasLeft { _ = drainsOn() } }
        do {
            var output = try attempt?.relay?.take(bytes) ?? ByteBuffer()
            attempt?.hear()
            guard purse == nil || coverStream() else { return }
            output = gate?.take(output) ?? output
            if hasBegun || gate?.met == nil { try forward(output) }
            _ = stopsAtTool()
        } catch let error as BrokenRelay {
            attempt?.exchange?.withdraw()
            attemptFailed(error.failure)
        } catch {
            // An event without an end, or one that no bound holds.
            attempt?.exchange?.withdraw()
            attemptFailed(.malformed)
        }
    }

    private func collect(_ bytes: ByteBuffer) {
        attempt?.hear()
        let size = (attempt?.body.readableBytes ?? 0) + bytes.readableBytes
        guard size <= ModelGateway.answerBytesMax else {
            attempt?.exchange?.withdraw()
            return attemptFailed(.malformed)
        }
        // What comes whole, as most does, is not copied.
        if attempt?.body.readableBytes == 0 {
            attempt?.body = bytes
        } else {
            attempt?.body.writeImmutableBuffer(bytes)
        }
    }

    private func forward(_ output: ByteBuffer) throws {
        guard let attempt, let progress = attempt.relay?.progress else { return }
        if hasBegun {
            send(output)
            if delivered != nil, (attempt.relay as? ContinuableRelay)?.hasDiverged == true { return diverged() }
            if progress.error != nil, delivered != nil || !isNative(attempt) {
                attempt.exchange?.withdraw()
                attemptFailed(progress.failure ?? .cut)
            }
            return
        }
        if let error = progress.error, !progress.hasBegun {
            attempt.exchange?.withdraw()
            return attemptFailed(progress.failure ?? .serverError(retryAfter: nil), told(error))
        }
        self.attempt?.held.writeImmutableBuffer(output)
        guard progress.hasBegun else {
            if (self.attempt?.held.readableBytes ?? 0) > ModelGateway.heldBytesMax {
                throw BrokenRelay(failure: .malformed)
            }
            return
        }
        let now = gateway.world.now
        self.attempt?.firstToken = now
        record.firstToken = now - record.startedAt
        hasBegun = true
        record.httpStatus = Int(attempt.head?.status.code ?? 200)
        let headers = answerHeaders(attempt)
        capture?.begin(record.httpStatus, headers)
        answer?.begin(record.httpStatus, headers + ownHeaders)
        let held = self.attempt?.held ?? ByteBuffer()
        self.attempt?.held = ByteBuffer()
        send(held)
    }

    private func isNative(_ attempt: CallAttempt) -> Bool {
        if case .native = attempt.passage { true } else { false }
    }

    private func answerHeaders(_ attempt: CallAttempt) -> [(name: String, value: String)] {
        guard isNative(attempt), let head = attempt.head else {
            return [(name: "content-type", value: record.isStreamed ? "text/event-stream" : "application/json")]
        }
        return CallHeaders.returned(head.headers)
    }

    private func send(_ bytes: ByteBuffer) {
        let bytes = filter?.take(bytes) ?? bytes
        capture?.add(bytes)
        guard bytes.readableBytes > 0, let answer else { return }
        record.answerBytes += bytes.readableBytes
        answer.write(bytes)
        if !answer.isReading { attempt?.exchange?.pause() }
    }

    /// What a filter held back goes out before the answer ends.
    func sendHeldBack() {
        guard let rest = filter?.finish(), rest.readableBytes > 0 else { return }
        capture?.add(rest)
        record.answerBytes += rest.readableBytes
        answer?.write(rest)
    }

    func upstreamRested() {
        if hasBegun { answer?.flush() }
    }

    // MARK: the end of an answer

    func upstreamEnded() {
        guard let attempt else { return }
        attempt.exchange?.detach()
        guard attempt.isSuccess else { return refused(attempt) }
        guard attempt.relay != nil else { return hasBegun ? attemptFailed(.malformed) : finishWhole(attempt) }
        let last = passed(self.attempt?.relay?.finish() ?? ByteBuffer())
        guard !stopsAtTool(), let progress = self.attempt?.relay?.progress else { return }
        if delivered != nil, hasBegun, !progress.isComplete || progress.error != nil {
            send(last)
            if (self.attempt?.relay as? ContinuableRelay)?.hasDiverged == true { return diverged() }
            return attemptFailed(progress.failure ?? .cut)
        }
        // Nothing but comments came.
        guard hasBegun || progress.hasBegun else {
            if let error = progress.error {
                return attemptFailed(progress.failure ?? .serverError(retryAfter: nil), told(error))
            }
            return attemptFailed(.cut)
        }
        if !hasBegun {
            do { try forward(ByteBuffer()) } catch { return attemptFailed(.malformed) }
        }
        guard let ended = self.attempt else { return }
        send(last)
        sendHeldBack()
        answer?.finish()
        answer = nil
        if progress.isComplete, progress.error == nil {
            attemptSucceeded(ended)
            end(.done)
        } else {
            record.failure = progress.error?.code ?? "stream_interrupted"
            attemptFailed(progress.failure ?? .cut)
        }
    }

    func upstreamFailed(_ fault: UpstreamFault) {
        guard let attempt else { return }
        attempt.exchange?.detach()
        if fault == .reset, attempt.isComplete { return upstreamEnded() }
        switch fault {
        case .unreachable: attemptFailed(.connectionRefused)
        case .reset: attemptFailed(hasBegun ? .cut : .reset)
        case .malformed: attemptFailed(.malformed)
        }
    }

    /// The provider said no.
    private func refused(_ attempt: CallAttempt) {
        let status = Int(attempt.head?.status.code ?? 0)
        let document = try? JSONParser.parse(attempt.body.readableBytesView, depthMax: TopLevelScan.depthMax)
        let retryAfter = RetryAfter.read(status: status, at: gateway.world.now) { attempt.header($0) }
        let failure = FailureClass.classify(
            status: status, detail: document.map(FailureDetail.init) ?? FailureDetail(), retryAfter: retryAfter)
        attemptFailed(
            failure,
            ProviderError(
                status: status, headers: CallHeaders.returned(attempt.head?.headers ?? [:]), body: attempt.body,
                meaning: DialectError(reading: document, status: status), isNative: isNative(attempt)))
    }

    private func told(_ error: DialectError) -> ProviderError {
        let body = error.body(for: dialect, requestID: request.requestID)
        return ProviderError(
            status: error.status(for: dialect), headers: [("content-type", "application/json")],
            body: ByteBuffer(bytes: body.bytes), meaning: error, isNative: false)
    }

    private func finishWhole(_ attempt: CallAttempt) {
        var body: ByteBuffer
        do {
            switch attempt.passage {
            case .native: body = attempt.body
            case .translated(let provider):
                let document = try JSONParser.parse(attempt.body.readableBytesView, depthMax: TopLevelScan.depthMax)
                let reply = try provider.readReply(document)
                body = ByteBuffer(bytes: dialect.writeReply(reply, replyContext).bytes)
            }
            record.rawUsage = try Self.usage(in: attempt.body)
        } catch {
            return attemptFailed(.malformed)
        }
        if let refusal = barrier(body) { return stop(attempt, refusal, Self.toolNotPermitted) }
        attemptSucceeded(attempt)
        if let clean = filter?.whole(body) { body = clean }
        respond(Int(attempt.head?.status.code ?? 200), answerHeaders(attempt), body)
        end(.done)
    }

    private static let wantedOfAnswer = TopLevelScan.Wanted(["usage", "service_tier"])

    /// The usage that a whole answer tells. Throws where the answer is no JSON object.
    private static func usage(in body: ByteBuffer) throws -> JSONValue? {
        try body.withUnsafeReadableBytes { bytes in
            let scan = try TopLevelScan.scan(bytes, for: wantedOfAnswer)
            let usage = scan.value(of: "usage", in: wantedOfAnswer, bytes)
            if let usage, !usage.isNull { return usage }
            return UsageReader.locate(in: try JSONParser.parse(bytes, depthMax: TopLevelScan.depthMax))
        }
    }

    /// Ends a streamed answer that cannot be completed, in the caller's dialect.
    func breakOff(_ attempt: CallAttempt, _ error: DialectError, _ failure: FailureClass) {
        record.failure = failure.name
        tellBroken(attempt, error)
        end(.failed)
    }

    /// Writes what ends a stream that has begun.
    private func tellBroken(_ attempt: CallAttempt, _ error: DialectError) {
        if let last = attempt.relay?.breakOff(error), let answer {
            sendHeldBack()
            answer.write(last)
            answer.flush()
            answer.finish()
        }
        answer = nil
    }

    /// Ends the call where it must not go on, though its provider would.
    func stop(_ attempt: CallAttempt, _ error: DialectError, _ failure: String) {
        let now = gateway.world.now
        attempt.exchange?.withdraw()
        note(attempt, nil, at: now)
        attempt.state.record(attempt.permit, .abandoned, at: now)
        record.target = attempt.state.target.label
        book(attempt)
        self.attempt = nil
        record.failure = failure
        guard hasBegun else { return fail(error, nil) }
        tellBroken(attempt, error)
        end(.failed)
    }

    // MARK: what it cost

    /// Books what an attempt used.
    func book(_ attempt: CallAttempt) {
        // To count tokens uses none, and providers do it for nothing (Anthropic API reference, "Token counting").
        guard request.door != .countTokens else { return }
        let family: UsageDialect = attempt.state.provider.kind == .anthropic ? .anthropic : .openAI
        let progress = attempt.relay?.progress
        let raw = progress?.usage ?? record.rawUsage
        let input = Int64(record.requestBytes)
        // Vectors are no output.
        let output = request.door == .embeddings ? 0 : Int64(progress?.textBytes ?? attempt.body.readableBytes)
        var usage =
            UsageReader.read(raw, dialect: family)
            ?? TokenUsage.estimated(inputBytes: input, outputBytes: output, dialect: family)
        // Counts of nothing for something are no counts. How much text a whole answer has is not known here.
        let isSaid = progress == nil && usage.buckets.total > 0
        usage = usage.filled(inputBytes: input, outputBytes: isSaid ? 0 : output)
        if let progress, !progress.isComplete { usage = usage.cutShort(outputBytes: output) }
        record.rawUsage = raw
        record.usage = usage
        record.cost = attempt.state.price?.cost(of: usage.buckets, at: record.startedAt)
        record.noteCost(record.cost)
        record.add(delivered?.spent)
        record.priceFrom = attempt.state.price?.entry(at: record.startedAt)?.from
    }
}

extension ModelGateway {
    /// Bytes of comments and the like that are held before a stream begins.
    static let heldBytesMax = 1 << 20
}

extension DialectError {
    /// Why a body cannot be read.
    init(_ failure: TopLevelScan.Failure) {
        switch failure {
        case .notAnObject: self = .invalid("", "The body is not a JSON object.")
        case .invalid(let flaw, let offset):
            self = .invalid("", "The body is not JSON: \(flaw.rawValue) (at byte \(offset)).")
        case .tooDeep: self = .invalid("", "The body is nested deeper than \(TopLevelScan.depthMax) levels.")
        case .duplicate(let name, _): self = .invalid(name, "`\(name)` stands twice in the body.")
        }
    }
}
