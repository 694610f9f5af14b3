/// Bounds of the gateway's settings. A settings file that passes one is refused with the path of what is too much.
enum GatewayLimits {
    static let providers = 200
    static let models = 2_000
    static let targetsPerModel = 16
    static let taskTypes = 1_000
    static let floatingNames = 1_000
    static let pricesPerModel = 100
    /// Characters of a provider's or a model's name.
    static let nameCharacters = 200
    static let urlCharacters = 2_000
    static let pathCharacters = 4_000
    static let headersPerProvider = 32
    static let headerCharacters = 4_000
    static let queryItemsPerProvider = 32
    /// Users or organisations with a key of their own at one provider.
    static let keysPerProvider = 10_000
    static let patternsPerModel = 100
    /// Dollars per million tokens. With nine decimals that makes fifteen digits, as many as a JSON number keeps.
    static let priceDollars: Int64 = 100_000
    /// Seconds of any deadline.
    static let deadlineSeconds = 86_400.0
    static let retries: Int64 = 10
}
