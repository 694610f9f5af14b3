import Kernel

/// How calls for embeddings are joined (`embeddingBatch`); off where a model has none.
struct EmbeddingBatchSettings: Sendable, Equatable {
    /// Inputs of one request (OpenAI API reference, Embeddings: an array of at most 2,048).
    static let inputsMax = 2_048
    /// The longest that a call waits for others.
    static let waitMax = Span.seconds(10)
    /// Bytes of inputs of one request. OpenAI takes 300,000 tokens of all inputs together; what is denser than text is
    /// sent apart once it was refused.
    static let bytesMax = 1 << 20

    /// Inputs of one joint request; a call that has as many goes alone.
    var inputs = 256
    var wait = Span.milliseconds(5)

    /// From `true` or `{maxInputs, maxWaitMs}`; `nil` for `false`.
    init?(_ value: JSONValue, path: String) throws {
        let names = ["maxInputs", "maxWaitMs"]
        guard let fields = try Fields.ifOn(value, path: path, names: names) else { return nil }
        inputs = Int(try fields.optionalInt("maxInputs", in: 2...Int64(Self.inputsMax)) ?? Int64(inputs))
        let longest = Self.waitMax.microseconds / 1_000
        wait = try fields.optionalInt("maxWaitMs", in: 1...longest).map { .milliseconds($0) } ?? wait
    }
}
