import Kernel

/// Signs that something was put into a session that gives it other orders: results of tools that speak to the model,
/// and calls that the guard of a model's input refused. What is in a conversation comes again with each of its calls,
/// so that one sign is little and several are much.
struct SessionSigns: Sendable {
    /// Sessions that have any; of more, those whose last sign is longest ago are forgotten.
    static let sessionsMax = 200
    /// For so long a sign counts.
    static let span = Span.hours(1)
    /// Signs of one session that are told apart.
    static let signsMax = 100

    private var signs: [AgentSessions.Key: [Timestamp]] = [:]

    mutating func note(_ key: AgentSessions.Key, at now: Timestamp) {
        if signs[key] == nil, signs.count >= Self.sessionsMax,
            let oldest = signs.min(by: { ($0.value.last ?? now) < ($1.value.last ?? now) })
        {
            signs[oldest.key] = nil
        }
        signs[key, default: []].append(now)
        if let count = signs[key]?.count, count > Self.signsMax { signs[key]?.removeFirst(count - Self.signsMax) }
    }

    /// Those of the last hour, by session.
    mutating func sweep(at now: Timestamp) -> [(key: AgentSessions.Key, count: Int)] {
        signs = signs.compactMapValues { times in
            let left = times.filter { now - $0 < Self.span }
            return left.isEmpty ? nil : left
        }
        return signs.map { ($0.key, $0.value.count) }
    }

    mutating func erase(where isMeant: (String) -> Bool) -> Int {
        let keys = signs.keys.filter { isMeant($0.agent) || $0.session.map(isMeant) ?? false }
        for key in keys { signs[key] = nil }
        return keys.count
    }
}

/// Texts that tell a model to leave what it was told (OWASP, "LLM01: Prompt Injection"): a verb, and what it is to
/// leave, shortly before the word "instructions". A telltale and no proof: whoever words it otherwise is not found.
enum InjectedOrders {
    /// Bytes of a text that are looked through.
    static let bytesMax = 65_536
    /// Places that are looked at more closely.
    static let placesMax = 16
    private static let before = 64
    private static let anchors: [StaticString] = ["nstructions", "NSTRUCTIONS"]
    private static let verbs = ["ignore", "disregard", "forget", "override"]
    private static let objects = ["previous", "prior", "earlier", "above", "your", "all"]

    static func isFound(in text: UnsafeRawBufferPointer) -> Bool {
        let text = UnsafeRawBufferPointer(rebasing: text.prefix(bytesMax))
        return anchors.contains { anchor in
            var from = 0
            for _ in 0..<placesMax {
                guard let place = find(anchor, in: text, from: from) else { return false }
                let start = max(0, place - before)
                let words = String(decoding: text[start..<place], as: UTF8.self).lowercased()
                    .split { !$0.isLetter }
                if let verb = words.lastIndex(where: { verbs.contains(String($0)) }),
                    words[verb...].contains(where: { objects.contains(String($0)) })
                {
                    return true
                }
                from = place + anchor.utf8CodeUnitCount
            }
            return false
        }
    }

    private static func find(_ anchor: StaticString, in text: UnsafeRawBufferPointer, from: Int) -> Int? {
        let anchor = UnsafeRawBufferPointer(start: anchor.utf8Start, count: anchor.utf8CodeUnitCount)
        guard text.count - from >= anchor.count else { return nil }
        let (first, second) = (anchor[0], anchor[1])
        for place in from...text.count - anchor.count where text[place] == first && text[place + 1] == second {
            if UnsafeRawBufferPointer(rebasing: text[place..<place + anchor.count]).elementsEqual(anchor) {
                return place
            }
        }
        return nil
    }
}
