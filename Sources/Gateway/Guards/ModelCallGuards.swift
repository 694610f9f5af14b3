import Kernel
import NIOCore
import NIOPosix

/// What is looked at before a target is asked, and after it has answered.
extension ModelCall {
    /// A run that a call belongs to, while it is under way.
    struct Watched {
        let run: NamedRun
        let hash: UInt64
    }

    /// Looks at the call, and asks a target where nothing speaks against it.
    func passGuards() {
        guard let model else { return }
        if model.settings.quality != nil || tellsContent { capture = AnswerCapture() }
        if !model.settings.output.isOff { filter = AnswerFilter(model.settings.output, dialect) }
        if isHeld() { return }
        guard let check = model.check else { return shareOrAsk() }
        // Patterns may take their time, which other calls on this loop do not have.
        let body = request.body
        let me = NIOLoopBound(self, eventLoop: loop)
        NIOThreadPool.singleton.runIfActive(eventLoop: loop) { check.refusal(of: body) }
            .whenComplete { me.value.checked($0) }
    }

    private func checked(_ result: Result<DialectError?, any Error>) {
        guard !hasEnded else { return }
        switch result {
        case .success(nil): shareOrAsk()
        case .success(let refusal?): fail(refusal, nil)
        case .failure: fail(DialectError(.server, "Reeve could not check this call's input."), nil)
        }
    }

    private func shareOrAsk() {
        if !answersFromMemory() { proceed() }
    }

    // MARK: Runs

    private func isHeld() -> Bool {
        guard
            let run = NamedRun(agent: record.agent, keyID: record.keyID, session: record.session, task: namedTask),
            request.door != .countTokens, !isInner
        else { return false }
        var hasher = Hasher()
        request.body.withUnsafeBytes { hasher.combine(bytes: $0) }
        hasher.combine(request.door.rawValue)
        let hash = UInt64(bitPattern: Int64(hasher.finalize()))
        guard
            let held = gateway.runs.begin(run, hash: hash, model: record.model, call: record.id, at: gateway.world.now)
        else {
            watched = Watched(run: run, hash: hash)
            if gateway.runs.comparesReplies, capture == nil { capture = AnswerCapture() }
            return false
        }
        // The SDKs of both dialects ask again by themselves unless they are told not to.
        moreHeaders.append(("x-should-retry", "false"))
        let until = held.heldUntil.map { "until \($0.rfc3339), or until " } ?? "until "
        fail(
            DialectError(
                .rateLimit, code: "loop_detected",
                "This run is held: \(held.sentence). It is held \(until)an operator releases it "
                    + "(POST /api/v1/loops/\(held.id)/release). Change what the run does, or end it."),
            held.heldUntil.map { $0 - gateway.world.now })
        return true
    }

    /// Tells what was said, once the call has ended.
    func settleGuards() {
        if let findings = filter?.findings, !findings.isEmpty {
            let members = findings.sorted { $0.key < $1.key }.map {
                JSONObject.Member(name: $0.key, value: $0.value.json)
            }
            record.notes.append("redacted", .object(JSONObject(members)))
        }
        let hasQuality = model?.settings.quality != nil
        guard watched != nil || hasQuality else { return }
        // Read only where somebody asks: this is the callers' event loop.
        let isAsked = hasQuality || watched != nil && gateway.runs.comparesReplies
        let said = (isAsked ? capture : nil).flatMap {
            SaidAnswer($0, dialect: dialect, isStreamed: record.isStreamed)
        }
        if let said { score(said) }
        guard let watched else { return }
        self.watched = nil
        let reading = gateway.runs.end(
            watched.run, hash: watched.hash, reply: said?.hash, input: record.inputTokens, output: record.outputTokens,
            window: model?.settings.contextTokens, model: record.model, call: record.id, at: gateway.world.now)
        if let reading { record.notes.append("context", reading.json) }
    }

    /// Whether another call made the answer.
    private var isFromMemory: Bool { record.cache.map { $0 != "miss" } ?? false }

    private func score(_ said: SaidAnswer) {
        guard let quality = model?.settings.quality, !isFromMemory else { return }
        let document = try? JSONParser.parse(request.body, depthMax: TopLevelScan.depthMax)
        if let judge = quality.judge { submit(said, to: judge, document) }
        guard quality.hasRules else { return }
        let failed = quality.failures(said, asksForJSON: document.map(QualitySettings.asksForJSON) ?? false)
        let score: Double = failed.isEmpty ? 1 : 0
        record.notes.append("quality", ["score": .double(score), "failed": .list(failed)])
        targets.first { $0.target.label == record.target }?.judge(score, at: gateway.world.now)
    }
}

extension TargetState {
    /// Takes the score of an answer, in 0...1.
    func judge(_ score: Double, at now: Timestamp) { changeBreaker { $0.breaker.record(quality: score, at: now) } }
}

extension ContextGauge.Reading: JSONConvertible {
    var json: JSONValue {
        [
            "utilization": .double((utilization * 10_000).rounded() / 10_000), "growthPerTurn": .of(growthPerTurn),
            "turnsLeft": .of(turnsLeft),
        ]
    }
}

/// The check of one model's input, made once.
struct InputCheck: Sendable {
    /// What callers are told of a text that may not be sent, and of one that could not be looked through.
    static let refusedCode = "input_refused"
    static let uncheckedCode = "input_not_checked"

    private let check: RequestCheck
    private let name: String

    /// `nil` where everything is allowed that the doors allow.
    init?(_ settings: InputGuardSettings, model: String) {
        var usual = InputGuardSettings()
        usual.refuse = settings.refuse
        guard settings != usual || !settings.refuse.isEmpty else { return nil }
        let patterns = settings.refuse.enumerated().compactMap { index, text -> RequestCheck.Refused? in
            (try? BoundedPattern(text)).map { .init(name: "input/refuse/\(index)", form: .pattern($0)) }
        }
        var check = RequestCheck(TopLevelScan.Wanted(["model"]), refused: patterns)
        check.bytesMax = settings.bodyBytes
        check.depthMax = settings.depth
        self.check = check
        name = String(model.prefix(DialectError.paramCharactersMax))
    }

    /// Why a body is not sent; `nil` where it may be.
    func refusal(of body: [UInt8]) -> DialectError? {
        do {
            _ = try check.check(body)
            return nil
        } catch {
            switch error {
            case .tooLarge(let bytes, let limit):
                return DialectError(
                    .tooLarge, "The body has \(bytes) bytes; the model `\(name)` takes at most \(limit) of them.")
            case .malformed(.tooDeep):
                return .invalid("", "The body is nested deeper than \(check.depthMax) levels.")
            case .malformed(let failure): return DialectError(failure)
            case .refused(let pattern):
                return DialectError(
                    .invalidRequest, code: Self.refusedCode,
                    "A text of the request is what the model `\(name)` may not be sent (its settings, \(pattern)). "
                        + "Nothing was sent. Take it out and ask again.")
            case .notChecked(let pattern):
                return DialectError(
                    .invalidRequest, code: Self.uncheckedCode,
                    "The request is too large for its check (the settings of `\(name)`, \(pattern)). Nothing was sent. "
                        + "Ask with less text.")
            }
        }
    }
}
