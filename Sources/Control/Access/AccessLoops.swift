import Kernel

extension AccessService {
    /// What access does by itself: write last uses down, drop what is past its time.
    public var loops: [Loop] {
        [
            Loop("access.uses", every: .seconds(10)) { try await flushUses() },
            Loop("access.retire", every: .seconds(10)) { try await retire() },
            Loop("access.purge", every: .minutes(10)) { try await purge() },
        ]
    }
}
