import Kernel

extension LoopGuard.Rules {
    /// From the section `loops` of the settings file: `{sameCalls, sameReplies, tokensPerMinute, turns, windowSeconds,
    /// holdSeconds}`, each count a number or `false` for never.
    init(_ fields: Fields) throws {
        self.init()
        try fields.refuseOthers(than: [
            "sameCalls", "sameReplies", "tokensPerMinute", "turns", "windowSeconds", "holdSeconds",
        ])
        func count(_ name: String, _ usual: Int?, in range: ClosedRange<Int64>) throws -> Int? {
            if fields.value(name)?.bool == false { return nil }
            return try fields.optionalInt(name, in: range).map { Int($0) } ?? usual
        }
        sameCalls = try count("sameCalls", sameCalls, in: 2...Int64(LoopGuard.samplesMax))
        sameReplies = try count("sameReplies", sameReplies, in: 2...1_000_000)
        tokensPerMinute = try count("tokensPerMinute", tokensPerMinute, in: 1...1_000_000_000_000)
        turns = try count("turns", turns, in: 1...1_000_000_000)
        window = try fields.optionalSpan("windowSeconds", in: 1...86_400) ?? window
        hold = try fields.optionalSpan("holdSeconds", in: 1...86_400) ?? hold
    }
}
