import Foundation

/// One process as Linux shows it in `/proc/<pid>/stat` (proc_pid_stat(5)).
public struct ProcessEntry: Sendable, Equatable {
    public let pid: Int32
    /// `R` running, `S` sleeping, `Z` dead but not yet waited for, …
    public let state: Character
    public let parent: Int32
    public let group: Int32
    /// Clock ticks in user and kernel mode, with those of its children that it has waited for.
    public let cpuTicks: Int64
    public let residentPages: Int64

    /// Reads the one line of a `stat` file; `nil` where it has not that form.
    public init?(stat: String) {
        // The command's name may hold blanks and parentheses, so the fields are counted from the last one.
        guard let open = stat.firstIndex(of: "("), let close = stat.lastIndex(of: ")"), open < close,
            let pid = Int32(stat[..<open].trimmingCharacters(in: .whitespaces))
        else { return nil }
        let fields = stat[stat.index(after: close)...].split(whereSeparator: \.isWhitespace)
        guard fields.count > 21, let state = fields[0].first, let parent = Int32(fields[1]),
            let group = Int32(fields[2]), let resident = Int64(fields[21])
        else { return nil }
        self.pid = pid
        self.state = state
        self.parent = parent
        self.group = group
        self.cpuTicks = (11...14).reduce(0) { $0 + (Int64(fields[$1]) ?? 0) }
        self.residentPages = resident
    }

    public var isAlive: Bool { state != "Z" && state != "X" }
}

/// What the kernel shows of the processes of this machine. Empty where there is no `/proc`.
public enum ProcessTable {
    /// Every process that can be seen now.
    public static func all() -> [ProcessEntry] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { name in
            guard Int32(name) != nil, let stat = read("/proc/\(name)/stat") else { return nil }
            return ProcessEntry(stat: String(decoding: stat, as: UTF8.self))
        }
    }

    /// The living processes of a group.
    public static func living(inGroup group: Int32) -> [ProcessEntry] {
        all().filter { $0.group == group && $0.isAlive }
    }

    /// Living processes that carry `name=value` in the environment they were started with, readable ones only.
    public static func living(withEnvironment entry: String) -> [ProcessEntry] {
        let needle = Array(entry.utf8)
        return all().filter { process in
            guard process.isAlive, let environment = read("/proc/\(process.pid)/environ") else { return false }
            return environment.split(separator: 0).contains { $0.elementsEqual(needle) }
        }
    }

    /// A file of `/proc`, whose size is not known before it is read.
    private static func read(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var content: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4_096)
        // An environment is at most a few megabytes (ARG_MAX); anything longer is not looked at further.
        while content.count < 4 << 20 {
            let count = Foundation.read(descriptor, &buffer, buffer.count)
            guard count > 0 else { break }
            content.append(contentsOf: buffer[..<count])
        }
        return content
    }
}

/// CPU time and memory of a process group.
public struct GroupUsage: Sendable, Equatable {
    /// Seconds of CPU time since the group began, of living processes and those they waited for.
    public var cpuSeconds: Double
    /// Resident bytes; pages that processes share count once for each.
    public var memoryBytes: Int64
    public var processes: Int

    public init(cpuSeconds: Double = 0, memoryBytes: Int64 = 0, processes: Int = 0) {
        self.cpuSeconds = cpuSeconds
        self.memoryBytes = memoryBytes
        self.processes = processes
    }

    /// The group's use at this moment.
    public static func now(ofGroup group: Int32) -> GroupUsage {
        let ticks = Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
        let page = Int64(sysconf(Int32(_SC_PAGESIZE)))
        return ProcessTable.living(inGroup: group).reduce(into: GroupUsage()) { usage, process in
            usage.cpuSeconds += Double(process.cpuTicks) / ticks
            usage.memoryBytes += process.residentPages * page
            usage.processes += 1
        }
    }

    /// Percent of one core between two readings `seconds` apart; never negative, though a process may have gone.
    public func cpuPercent(since earlier: GroupUsage, seconds: Double) -> Double {
        guard seconds > 0 else { return 0 }
        let percent = (cpuSeconds - earlier.cpuSeconds) / seconds * 100
        return max(0, (percent * 10).rounded() / 10)
    }
}

/// Buries processes that nobody waits for. Only the first process of a container inherits such orphans.
public struct OrphanReaper: Sendable {
    private var seen: Set<Int32> = []

    public init() {}

    /// Waits for children of ours that were dead at the last call already: those that somebody here waits for are gone
    /// by then. Does nothing unless this is process 1.
    public mutating func sweep() {
        guard getpid() == 1 else { return }
        let dead = Set(ProcessTable.all().filter { $0.parent == 1 && $0.state == "Z" }.map(\.pid))
        for pid in dead.intersection(seen) {
            var status: Int32 = 0
            _ = waitpid(pid, &status, WNOHANG)
        }
        seen = dead.subtracting(seen)
    }
}
