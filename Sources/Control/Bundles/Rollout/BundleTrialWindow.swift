import Kernel

/// While a version of a bundle is given to a part of the fleet, nothing else changes what agents get: what went wrong
/// then would be put down to the version.
public struct BundleTrialWindow: DeploymentWindow {
    private let store = BundleTrialStore()

    public init() {}

    public func closed(at now: Timestamp, in transaction: Transaction) throws -> String? {
        try store.open(limit: 1, in: transaction).first.map { "the end of the roll-out \($0) of a bundle" }
    }
}
