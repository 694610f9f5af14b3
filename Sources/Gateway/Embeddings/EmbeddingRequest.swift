import Kernel

/// What a call for embeddings asks (OpenAI API reference, Embeddings), so that several can be sent as one. Pure.
struct EmbeddingRequest: Sendable {
    /// Texts, or texts as numbers of tokens: a provider takes no mixture.
    enum Form: String, Sendable {
        case text, tokens
    }

    let form: Form
    let inputs: [JSONValue]
    /// Bytes that the inputs take, roughly.
    let bytes: Int
    /// Tokens of the inputs: counted where they are tokens, else guessed from their bytes. At least one.
    let tokens: Int64
    /// All else: model, dimensions, encoding, user.
    private let rest: JSONObject

    /// `nil` where it cannot be joined: it is odd, which the provider shall say, or too large.
    init?(_ body: [UInt8]) {
        guard body.count <= EmbeddingBatchSettings.bytesMax,
            var object = (try? JSONParser.parse(body, depthMax: TopLevelScan.depthMax))?.object,
            object.names.count(where: { $0 == "input" }) == 1, let input = object["input"],
            let (form, inputs) = Self.read(input),
            (1...EmbeddingBatchSettings.inputsMax).contains(inputs.count)
        else { return nil }
        object["input"] = nil
        rest = object
        self.form = form
        self.inputs = inputs
        bytes = body.count
        let counted = inputs.reduce(Int64(0)) { sum, input in
            if let tokens = input.array { return sum + Int64(tokens.count) }
            return sum + TokenUsage.tokens(bytes: Int64(input.string?.utf8.count ?? 0))
        }
        tokens = max(1, counted)
    }

    private static func read(_ input: JSONValue) -> (Form, [JSONValue])? {
        if case .string = input { return (.text, [input]) }
        guard let items = input.array, let first = items.first else { return nil }
        if case .string = first { return items.allSatisfy { $0.string != nil } ? (.text, items) : nil }
        if first.int != nil { return items.allSatisfy { $0.int != nil } ? (.tokens, [input]) : nil }
        let areTokens = items.allSatisfy { item in
            item.array.map { !$0.isEmpty && $0.allSatisfy { $0.int != nil } } ?? false
        }
        return areTokens ? (.tokens, items) : nil
    }

    /// The same for requests that differ in their inputs only.
    var likeness: String { "\(form.rawValue) \(CallKey.canonical(.object(rest)).text)" }

    /// One request for the inputs of all of them, in their order; all of the same ``likeness``.
    static func joined(_ requests: [EmbeddingRequest]) -> [UInt8] {
        var object = requests.first?.rest ?? JSONObject()
        object["input"] = .array(requests.flatMap(\.inputs))
        return JSONValue.object(object).bytes
    }
}
