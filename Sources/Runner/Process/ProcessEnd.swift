/// How a process ended.
public enum ProcessEnd: Sendable, Hashable {
    case exited(Int32)
    case signaled(Int32)

    /// The status a shell would show: 128 + the signal's number for a signal (POSIX XCU 2.8.2).
    public var shellStatus: Int32 {
        switch self {
        case .exited(let status): status
        case .signaled(let signal): 128 + signal
        }
    }
}

extension ProcessEnd: CustomStringConvertible {
    public var description: String {
        switch self {
        case .exited(let status): "exit \(status)"
        case .signaled(9): "killed (signal 9: out of memory, or by force)"
        case .signaled(let signal): "signal \(signal)"
        }
    }
}

/// What a program says by its exit status. The numbers are those of sysexits.h (4.3BSD) and of POSIX shells.
///
/// | status | verdict |
/// |---|---|
/// | 0 | `done` |
/// | 75 (EX_TEMPFAIL) | `temporary`: it asks to be tried again |
/// | 64–78 otherwise (EX_USAGE … EX_CONFIG) | `permanent`: another try would end the same way |
/// | 137, or SIGKILL | `killed`: the kernel's out-of-memory killer, or somebody's force |
/// | anything else | `failed` |
public enum ExitVerdict: String, Sendable, CaseIterable {
    case done, temporary, permanent, killed, failed

    public init(_ end: ProcessEnd) {
        switch end {
        case .exited(0): self = .done
        case .exited(75): self = .temporary
        case .exited(64...78): self = .permanent
        case .exited(137), .signaled(9): self = .killed
        default: self = .failed
        }
    }
}
