import Kernel

/// How large a call may be where it is kept. What is larger is cut, never refused: a record that cannot be written
/// would take the money that is booked with it along.
enum CallBounds {
    /// Bytes of a name. Four of them in one entry of an index are what PostgreSQL takes (2,704 bytes).
    static let nameBytes = 640
    static let tags = 16
    static let attempts = 64
    static let holds = 64
    /// Bytes of a refusal's words.
    static let detailBytes = 1_000
    /// Bytes of the provider's own usage, and of the counts made of it.
    static let usageBytes = 16 << 10
    /// Bytes of a decision record.
    static let decisionBytes = 64 << 10
    static let jsonDepth = 32
}

extension Call {
    /// The same call within ``CallBounds``.
    public func bounded() -> Call {
        var call = self
        call.agent = agent.map(Self.name)
        call.project = project.map(Self.name)
        call.taskID = taskID.map(Self.name)
        call.session = session.map(Self.name)
        call.run = run.map(Self.name)
        call.keyID = keyID.map(Self.name)
        call.correlationID = correlationID.map(Self.name)
        call.door = Self.name(door)
        call.model = Self.name(model)
        call.tier = tier.map(Self.name)
        call.target = target.map(Self.name)
        call.answeredModel = answeredModel.map(Self.name)
        call.failure = failure.map(Self.name)
        call.cache = cache.map(Self.name)
        call.bundle = bundle.map(Self.name)
        call.tags = Self.tags(tags)
        call.attempts = attempts.prefix(CallBounds.attempts).map(\.bounded)
        call.holds = holds.prefix(CallBounds.holds).map { hold in
            CallHold(
                scope: Self.name(hold.scope), nanoUSD: hold.nanoUSD.map(Self.money), tokens: hold.tokens.map(Self.count)
            )
        }
        call.refusal = refusal.map { refusal in
            CallRefusal(
                scope: Self.name(refusal.scope), code: Self.name(refusal.code),
                detail: Self.text(refusal.detail, bytes: CallBounds.detailBytes))
        }
        call.usage.raw = usage.raw.map { Self.document($0, bytes: CallBounds.usageBytes) }
        call.usage.buckets = Self.document(usage.buckets, bytes: CallBounds.usageBytes)
        call.decision = Self.document(decision, bytes: CallBounds.decisionBytes)
        call.cost = cost.map { CallCost(nanoUSD: Self.money($0.nanoUSD), priceFrom: $0.priceFrom.map(Self.name)) }
        call.savedNanoUSD = Self.money(savedNanoUSD)
        call.httpStatus = httpStatus.map(Self.count)
        call.durationMs = durationMs.map(Self.count)
        call.ttftMs = ttftMs.map(Self.count)
        call.overheadMicroseconds = overheadMicroseconds.map(Self.count)
        call.requestBytes = Self.count(requestBytes)
        call.responseBytes = Self.count(responseBytes)
        return call
    }

    static func name(_ text: String) -> String { Self.text(text, bytes: CallBounds.nameBytes) }

    /// Cut at a character's border, and without NUL, which PostgreSQL cannot keep.
    static func text(_ text: String, bytes max: Int) -> String {
        if text.utf8.count <= max, !text.utf8.contains(0) { return text }
        var kept = String.UnicodeScalarView()
        var count = 0
        for scalar in text.unicodeScalars where scalar != "\0" {
            count += UTF8.width(scalar)
            guard count <= max else { break }
            kept.append(scalar)
        }
        return String(kept)
    }

    /// Each once, as it would be booked twice else.
    private static func tags(_ tags: [String]) -> [String] {
        var kept: [String] = []
        for tag in tags where kept.count < CallBounds.tags {
            let tag = name(tag)
            if !tag.isEmpty, !kept.contains(tag) { kept.append(tag) }
        }
        return kept
    }

    static func money(_ nanoUSD: Int64) -> Int64 { min(max(0, nanoUSD), CallCost.nanoUSDMax) }
    static func count(_ value: Int64) -> Int64 { min(max(0, value), CallTokens.countMax) }

    /// A document, or a note in its place where it is too large or too deep.
    static func document(_ value: JSONValue, bytes max: Int) -> JSONValue {
        var left = max
        guard fits(value, depth: 0, left: &left) else { return ["leftOut": "it is larger than Reeve keeps"] }
        return value
    }

    /// Ends as soon as the answer is no. The size is what the text will have, but for escapes.
    private static func fits(_ value: JSONValue, depth: Int, left: inout Int) -> Bool {
        guard depth <= CallBounds.jsonDepth else { return false }
        switch value {
        case .string(let text): left -= text.utf8.count + 2
        case .array(let values):
            left -= 2
            for value in values {
                left -= 1
                guard left >= 0, fits(value, depth: depth + 1, left: &left) else { return false }
            }
        case .object(let object):
            left -= 2
            for member in object.members {
                left -= member.name.utf8.count + 4
                guard left >= 0, fits(member.value, depth: depth + 1, left: &left) else { return false }
            }
        default: left -= 8
        }
        return left >= 0
    }
}

extension UTF8 {
    fileprivate static func width(_ scalar: Unicode.Scalar) -> Int {
        switch scalar.value {
        case ..<0x80: 1
        case ..<0x800: 2
        case ..<0x1_0000: 3
        default: 4
        }
    }
}

extension CallAttempt {
    fileprivate var bounded: CallAttempt {
        CallAttempt(
            target: Call.name(target), startedAt: startedAt, durationMs: durationMs.map(Call.count),
            status: status.map(Call.count), failure: failure.map(Call.name), costNanoUSD: costNanoUSD.map(Call.money))
    }
}
