import Kernel

/// One place where a model can be had.
struct ModelTarget: Sendable, Equatable {
    let provider: String
    /// The provider's own name of the model.
    let model: String
    /// Whether it goes on where a beginning of its answer is put in its mouth.
    var canPrefill = false
    /// Prices of this target, where they are not those of the model.
    var price: PriceTable?

    /// How records name it.
    var label: String { "\(provider)/\(model)" }
}

/// What agents ask for by name: where it can be had, in which order, what it costs, and how calls of it are guarded.
struct ModelSettings: Sendable, Equatable {
    /// What becomes of a call without a known price.
    enum Unpriced: String, Sendable, CaseIterable {
        /// It is booked with an unknown cost.
        case book
        /// It is refused before it costs anything.
        case refuse
    }

    let name: String
    var tier: ModelTier?
    /// Tried in this order.
    var targets: [ModelTarget]
    var price: PriceTable?
    var unpriced = Unpriced.book
    var deadlines = DeadlineSettings()
    var breaker = BreakerSettings()
    var retries = RetrySettings()
    var queue = QueueSettings()
    var cache: CacheSettings?
    var sharesCallsInFlight = false
    /// How calls for embeddings are joined; `nil` for not at all.
    var embeddingBatch: EmbeddingBatchSettings?
    var disconnect = DisconnectPolicy.cancel
    /// Whether a stream that breaks is continued at the next target.
    var continuesStreams = false
    var allowsFloating = false
    var input = InputGuardSettings()
    var output = OutputGuardSettings()
    /// How answers are judged; `nil` for not at all.
    var quality: QualitySettings?
    /// Tokens that the model's context holds, for its utilisation; absent, none is told.
    var contextTokens: Int64?
    /// Tokens of one answer at most, for holds of calls that set no limit.
    var outputTokensMax: Int64?

    /// The prices of a target: its own, else the model's.
    func price(of target: ModelTarget) -> PriceTable? { target.price ?? price }
}

extension ModelSettings {
    static let members = [
        "tier", "targets", "price", "unpriced", "deadlines", "breaker", "retries", "queue", "cache", "singleFlight",
        "embeddingBatch", "disconnect", "continuation", "allowFloating", "input", "output", "quality", "contextTokens",
        "outputTokensMax",
    ]

    /// - Parameter floating: Names that need not be pinned.
    init(name: String, _ fields: Fields, providers: [String], floating: Set<String>) throws {
        try fields.refuseOthers(than: Self.members)
        self.name = name
        tier = try fields.optionalChoice("tier", ModelTier.self)
        allowsFloating = try fields.optionalBool("allowFloating") ?? false
        targets = try Self.targets(fields, providers: providers)
        if !allowsFloating, !floating.contains(name) {
            for (index, target) in targets.enumerated() {
                guard !PinnedModel.isPinned(target.model), !floating.contains(target.model) else { continue }
                throw Problem.invalid(
                    "\(fields.path("targets"))/\(index)/model",
                    "\"\(target.model)\" is not pinned to a version: it does not end in a date such as -2024-07-18",
                    hint: "Name a dated version, or set allowFloating: true here, or list the name in allowFloating.")
            }
        }
        price = try fields.value("price").map { try PriceTable($0, path: fields.path("price")) }
        unpriced = try fields.optionalChoice("unpriced", Unpriced.self) ?? unpriced
        try readCallSettings(fields)
        input = try fields.optionalFields("input").map(InputGuardSettings.init) ?? input
        output = try fields.optionalFields("output").map(OutputGuardSettings.init) ?? output
        quality = try fields.optionalFields("quality").map(QualitySettings.init)
        contextTokens = try fields.optionalInt("contextTokens", in: 1...1_000_000_000)
        outputTokensMax = try fields.optionalInt("outputTokensMax", in: 1...1_000_000_000)
    }

    private mutating func readCallSettings(_ fields: Fields) throws {
        deadlines = try fields.optionalFields("deadlines").map(DeadlineSettings.init) ?? deadlines
        breaker = try fields.optionalFields("breaker").map(BreakerSettings.init) ?? breaker
        retries =
            try fields.value("retries").map { try RetrySettings($0, path: fields.path("retries")) } ?? retries
        queue = try fields.optionalFields("queue").map(QueueSettings.init) ?? queue
        if let value = fields.value("cache") { cache = try CacheSettings(value, path: fields.path("cache")) }
        sharesCallsInFlight = try fields.optionalBool("singleFlight") ?? false
        if let value = fields.value("embeddingBatch") {
            embeddingBatch = try EmbeddingBatchSettings(value, path: fields.path("embeddingBatch"))
        }
        disconnect =
            try fields.value("disconnect").map { try DisconnectPolicy($0, path: fields.path("disconnect")) }
            ?? disconnect
        continuesStreams = try fields.optionalBool("continuation") ?? false
    }

    private static func targets(_ fields: Fields, providers: [String]) throws -> [ModelTarget] {
        let items = try fields.objects("targets", max: GatewayLimits.targetsPerModel)
        guard !items.isEmpty else {
            throw Problem.invalid(
                fields.path("targets"), "at least one target is needed", hint: "A target is {provider, model}.")
        }
        var labels: Set<String> = []
        return try items.map { item in
            try item.refuseOthers(than: ["provider", "model", "prefill", "price"])
            let provider = try item.string("provider", max: GatewayLimits.nameCharacters)
            guard providers.contains(provider) else {
                let known = providers.isEmpty ? "there are none" : "known are \(providers.joined(separator: ", "))"
                throw Problem.invalid(item.path("provider"), "there is no provider \"\(provider)\"; \(known)")
            }
            let model = try item.string("model", max: GatewayLimits.nameCharacters)
            try GatewaySettings.check(name: model, path: item.path("model"))
            let target = ModelTarget(
                provider: provider, model: model, canPrefill: try item.optionalBool("prefill") ?? false,
                price: try item.value("price").map { try PriceTable($0, path: item.path("price")) })
            guard labels.insert(target.label).inserted else {
                throw Problem.invalid(item.path("model"), "this target stands twice")
            }
            return target
        }
    }
}
