import Kernel

/// Answers to questions that mean the same (`cache: {semantic: …}`); off where a cache has none.
struct SemanticSettings: Sendable, Equatable {
    /// Entries, as each is compared with.
    static let entriesMax: Int64 = 2_000
    /// Numbers of a vector; the largest that providers make have 4,096.
    static let dimensionsMax = 8_192
    /// Bytes of a question; what is longer seldom means the same as anything else.
    static let questionBytesMax = 8 << 10

    /// The model that embeds questions, as agents would call it.
    var model: String
    /// The cosine of two questions that counts as the same.
    var similarity = 0.97
    var entries = 500
    /// Calls with a higher temperature want something new each time. One that states none has 1, as providers do.
    var temperatureMax = 0.5
    /// How long a call waits for its question's vector.
    var wait = Span.seconds(2)

    init(_ fields: Fields) throws {
        try fields.refuseOthers(than: ["model", "similarity", "entries", "temperatureMax", "waitSeconds"])
        model = try fields.string("model", max: GatewayLimits.nameCharacters)
        similarity = try fields.optionalDouble("similarity", in: 0.5...1) ?? similarity
        entries = Int(try fields.optionalInt("entries", in: 1...Self.entriesMax) ?? Int64(entries))
        temperatureMax = try fields.optionalDouble("temperatureMax", in: 0...2) ?? temperatureMax
        wait = try fields.optionalSpan("waitSeconds", in: 0.01...30) ?? wait
    }
}
