import Kernel

/// Decides what follows when a supervised program ends: a pure state machine, fed with ends, asked for nothing else.
///
/// The back-off is capped and exponential with full jitter, so that a fleet that fell together does not rise together.
public struct RestartPolicy: Sendable, Equatable {
    /// After which ends the program is started again.
    public enum Mode: String, Sendable, CaseIterable {
        /// After every end but a permanent failure.
        case always
        /// After every end but success and a permanent failure.
        case onFailure = "on-failure"
        case never
    }

    public enum Decision: Sendable, Equatable {
        /// The program is finished with; `verdict` says whether well.
        case stop(ExitVerdict)
        case restart(after: Span)
        /// It died too often in too short a time: a person has to look.
        case crashLoop(deaths: Int)
    }

    public var mode: Mode
    /// The first ceiling of the delay; each further end in a row doubles it.
    public var backoffBase = Span.seconds(1)
    public var backoffCap = Span.minutes(5)
    /// A program that ran this long was healthy: its earlier ends are forgotten.
    public var healthyAfter = Span.minutes(10)
    /// So many deaths within ``crashLoopWindow`` are a crash loop.
    public var crashLoopDeaths = 5
    public var crashLoopWindow = Span.minutes(10)

    /// Ends since the program was last healthy.
    public private(set) var endsInRow = 0
    private var deaths: [Timestamp] = []

    public init(mode: Mode) {
        self.mode = mode
    }

    /// The program ended at `now` after it `ran` so long. `fraction` is a fresh random number in 0..<1.
    ///
    /// A `temporary` end is the program's own wish to be tried later, so it delays but is no death.
    public mutating func ended(
        _ verdict: ExitVerdict, ran: Span, at now: Timestamp, fraction: Double
    ) -> Decision {
        if ran >= healthyAfter {
            endsInRow = 0
            deaths = []
        }
        if verdict == .permanent || mode == .never { return .stop(verdict) }
        if verdict == .done, mode == .onFailure { return .stop(verdict) }
        if verdict == .failed || verdict == .killed {
            deaths = deaths.filter { now - $0 < crashLoopWindow } + [now]
            if deaths.count >= crashLoopDeaths { return .crashLoop(deaths: deaths.count) }
        }
        let delay = ceiling(endsInRow) * fraction
        endsInRow += 1
        return .restart(after: delay)
    }

    /// The longest delay after `ends` earlier ends in a row: min(cap, base · 2^ends).
    func ceiling(_ ends: Int) -> Span {
        // Beyond 2^30 the cap has long been reached, and the shift stays within range.
        min(backoffCap, backoffBase * Double(1 << min(ends, 30)))
    }
}
