import Kernel

/// The calls that only memory knows. The gateway's side implements it.
///
/// A call stays in it until it is kept: a reader that asks here first and the store second misses none. Both verbs are
/// called for each request of a page, so they answer from memory at once.
public protocol LiveCalls: Sendable {
    /// Calls that run, and those that ended and are not kept yet.
    func running() -> [Call]
    func running(_ id: Identifier<Call>) -> Call?
}

/// Where there is no gateway.
public struct NoLiveCalls: LiveCalls {
    public init() {}
    public func running() -> [Call] { [] }
    public func running(_ id: Identifier<Call>) -> Call? { nil }
}
