import Kernel

/// What containments hold of models at this moment.
public struct ModelHoldings: Sendable, Equatable {
    /// Claims that are looked at.
    static let claimsMax = 5_000

    /// Models whose tasks are not handed out.
    public var paused: Set<String> = []
    /// Targets, as `provider/model`, that are left alone.
    public var breakers: Set<String> = []
    /// The model that answers in the place of another. The oldest claim counts.
    public var routes: [String: String] = [:]

    public init() {}

    public init(in transaction: Transaction) throws {
        for claim in try ContainmentStore().modelClaims(limit: Self.claimsMax, in: transaction) {
            switch claim.target.kind {
            case .dispatch: paused.insert(claim.target.name)
            case .breaker: breakers.insert(claim.target.name)
            default:
                if routes[claim.target.name] == nil { routes[claim.target.name] = claim.mark["to"]?.string }
            }
        }
    }
}
