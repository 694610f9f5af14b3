import Kernel
import NIOCore

/// What is set for the caller, by flags and the other layers of the configuration: it holds for the call from its
/// beginning, so that all that follows (budgets, caches, targets) sees the request as it may be sent.
extension ModelCall {
    /// Why a call ended that a tool's call was met in.
    static let toolNotPermitted = "tool_not_permitted"

    /// Finds what is set, and goes on under it.
    func heed(_ name: String) throws {
        // What Reeve asks for other calls' sake is nobody's but its own.
        guard let policy = gateway.policy, !isInner, onEnd == nil else { return go(name) }
        let meant = name == Self.taskModel ? try taskWish() : name
        let subject = CallSubject(
            agent: record.agent, user: CallHeaders.name(request.headers[CallHeaders.user]), session: record.session,
            keyID: record.keyID, model: meant, isModel: gateway.entry(meant) != nil,
            bundle: record.task.flatMap { gateway.tasks?.bundle(of: $0, by: record.agent) })
        if let orders = policy.known(subject) { return obey(orders, name) }
        later({ await policy.find(subject) }) { call, orders in
            guard !call.hasEnded else { return }
            call.obey(orders, name)
        }
    }

    private func obey(_ orders: CallOrders, _ name: String) {
        if learnsSession(orders, then: { $0.obey(orders, name) }) { return }
        var name = name
        do {
            var effects: [(CallDecider, String)] = []
            try withhold(orders.tools, &effects)
            var edits = BodyEdits()
            name = try route(orders, from: name, &edits, &effects)
            try limit(orders, of: name, &edits, &effects)
            if !edits.isEmpty { try replaceBody(edits.applied(to: request.body)) }
            tell(effects)
        } catch {
            return refuse(error)
        }
        go(name)
    }

    private func replaceBody(_ body: [UInt8]) throws {
        request = request.with(body: body)
        do { scan = try TopLevelScan.scan(body, for: request.door.wanted) } catch { throw DialectError(error) }
    }

    /// For the caller and for the record: what was changed, and who said so.
    private func tell(_ effects: [(decider: CallDecider, effect: String)]) {
        guard !effects.isEmpty else { return }
        moreHeaders.append((CallHeaders.config, effects.map(\.decider.headerValue).joined(separator: ", ")))
        record.notes.append("config", .array(effects.map { $0.decider.json($0.effect) }))
    }

    // MARK: Models

    /// The name of the model that is meant.
    private func route(
        _ orders: CallOrders, from name: String, _ edits: inout BodyEdits, _ effects: inout [(CallDecider, String)]
    ) throws -> String {
        guard let (model, decider) = orders.model else { return name }
        guard gateway.entry(model) != nil else {
            // A slip in a flag stops nobody who asked for a model that there is.
            guard gateway.entry(name) != nil || name == Self.taskModel else {
                throw DialectError(
                    .notFound, param: "model",
                    "`\(record.model)` stands for `\(model.prefix(DialectError.paramCharactersMax))`, which is no "
                        + "model here: \(decider.words). Name one of GET /v1/models there.")
            }
            effects.append((decider, "unknown_model"))
            return name
        }
        effects.append((decider, "routed"))
        guard model != name else { return name }
        record.notes.append("asked", .string(record.model))
        record.model = model
        scan?.set("model", to: .string(model), in: request.door.wanted, &edits)
        return model
    }

    // MARK: Tools

    private func withhold(_ denied: [String: CallDecider], _ effects: inout [(CallDecider, String)]) throws {
        guard !denied.isEmpty else { return }
        gate = ToolGate(denied, dialect)
        let wanted = request.door.wanted
        guard ToolOffer.members.contains(where: { scan?.range(of: $0, in: wanted) != nil }) else { return }
        guard let document = try? JSONParser.parse(request.body, depthMax: TopLevelScan.depthMax),
            let object = document.object
        else { throw DialectError.invalid("tools", "The tools of the request cannot be read.") }
        guard let cut = try ToolOffer.without(denied, object, dialect) else { return }
        try replaceBody(JSONValue.object(cut.document).bytes)
        for name in cut.removed { if let decider = denied[name] { effects.append((decider, "removed")) } }
    }

    /// What goes on of a piece of a stream.
    func passed(_ bytes: ByteBuffer) -> ByteBuffer {
        guard gate != nil else { return bytes }
        var output = gate?.take(bytes) ?? ByteBuffer()
        output.writeImmutableBuffer(gate?.finish() ?? ByteBuffer())
        return output
    }

    /// Ends the call where a stream came to a tool's call that must not be passed on.
    func stopsAtTool() -> Bool {
        guard let gate, gate.met != nil, let attempt, !hasEnded else { return false }
        stop(attempt, gate.refusal, Self.toolNotPermitted)
        return true
    }

    /// Why a whole answer is not passed on.
    func barrier(_ body: ByteBuffer) -> DialectError? {
        guard gate?.passes(body) == false else { return nil }
        record.failure = Self.toolNotPermitted
        return gate?.refusal
    }

    /// The same for an answer of another call.
    func barrier(_ kept: KeptAnswer) -> DialectError? {
        guard kept.isStreamed, gate != nil else { return barrier(kept.body) }
        _ = passed(kept.body)
        guard gate?.met != nil else { return nil }
        record.failure = Self.toolNotPermitted
        return gate?.refusal
    }

    // MARK: Tokens

    private func limit(
        _ orders: CallOrders, of name: String, _ edits: inout BodyEdits, _ effects: inout [(CallDecider, String)]
    ) throws {
        guard request.door != .countTokens else { return }
        var cap = orders.output
        let session = callerSession == nil ? nil : orders.session
        if orders.input != nil || orders.total != nil || session != nil {
            let isExact = orders.total != nil || session != nil
            let input = inputTokens(isExact: isExact, upTo: orders.input?.tokens ?? .max)
            for limit in [orders.input, orders.total].compactMap(\.self) where input > limit.tokens {
                throw Self.tooLong(input, limit)
            }
            if let total = orders.total {
                let left = (total.tokens - input) / max(1, number("n") ?? 1)
                if left < cap?.tokens ?? .max { cap = CallOrders.Limit(left, by: total.by) }
            }
            if let session, cap?.tokens ?? .max > 0 {
                let most = min(mostOutput(of: name), cap?.tokens ?? .max)
                let left = try holdSession(session, input: input, output: most)
                if left < most { cap = CallOrders.Limit(left, by: session.by) }
            }
        }
        let names = request.door.limitNames
        guard let cap, let first = names.first else { return }
        guard cap.tokens > 0 else {
            throw DialectError(
                .permission, code: "token_limit", param: first,
                "No token of an answer is left by \(cap.by.key): \(cap.by.words). Have it raised, or ask with less.")
        }
        let wanted = request.door.wanted
        let stated = names.filter { name in
            scan?.value(of: name, in: wanted, request.body).map { !$0.isNull } ?? false
        }
        let over = stated.filter { name in
            guard let asked = scan?.value(of: name, in: wanted, request.body)?.double else { return true }
            return asked > Double(cap.tokens)
        }
        // What a model cannot exceed anyway need not be said, and more than it can must not be asked for.
        let own = ownOutput(of: name)
        let lowered = stated.isEmpty && cap.tokens <= own ? [first] : over
        guard !lowered.isEmpty else { return }
        for name in lowered { scan?.set(name, to: .int(cap.tokens), in: wanted, &edits) }
        effects.append((cap.by, "capped"))
    }

    /// What a model's answer has at most by itself.
    private func ownOutput(of name: String) -> Int64 {
        gateway.entry(name)?.settings.outputTokensMax ?? CallPurse.outputTokensAssumed
    }

    /// Tokens of one answer at most, as the request or else the model has it.
    private func mostOutput(of name: String) -> Int64 {
        request.door.limitNames.compactMap { number($0) }.max() ?? ownOutput(of: name)
    }

    /// Tokens of what is sent: as many as it has bytes where that suffices, else by the rule of ``TokenEstimate``.
    private func inputTokens(isExact: Bool, upTo limit: Int64) -> Int64 {
        let most = CallBound.inputTokensMax(bytes: Int64(request.body.count))
        guard isExact || most > limit else { return most }
        guard request.door != .embeddings,
            let document = try? JSONParser.parse(request.body, depthMax: TopLevelScan.depthMax),
            let asked = try? dialect.readRequest(document)
        else { return most / Int64(TokenEstimate.bytesPerToken) }
        return Int64(TokenEstimate.count(asked))
    }

    private static func tooLong(_ tokens: Int64, _ limit: CallOrders.Limit) -> DialectError {
        DialectError(
            .contextLength, param: "messages",
            "The request has about \(tokens) tokens, and \(limit.by.key) lets \(limit.tokens) through: "
                + "\(limit.by.words). Nothing was sent. Shorten it, or have the limit raised.")
    }
}
