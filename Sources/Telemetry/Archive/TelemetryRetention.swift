import Kernel

/// How many whole days records are kept behind the day of their arrival, by category.
public struct TelemetryRetention: Sendable, Equatable {
    private let days: [TelemetryCategory: Int]
    /// Days that the traces are kept that somebody may come back to; see ``RetentionKeeper``.
    let keptTracesDays: Int
    /// Bytes of those; beyond them a trace is kept no longer merely because it failed.
    let keptTracesBytes: Int

    public init(_ settings: Settings.Telemetry) {
        days = [
            .reasoning: settings.reasoningDays, .tool: settings.toolDays, .model: settings.modelDays,
            .system: settings.systemDays, .error: settings.errorDays, .audit: settings.auditDays,
        ]
        (keptTracesDays, keptTracesBytes) = (settings.keptTracesDays, settings.keptTracesBytes)
    }

    func days(_ category: TelemetryCategory) -> Int { days[category] ?? .max }

    /// Days of what is kept longest.
    var longest: Int { days.values.max() ?? 0 }

    /// Whether the time of a part's records is over.
    func isOver(_ part: ArchivePart, today: Int) -> Bool {
        switch part.tier {
        case .ordinary: today - part.day > days(part.category)
        case .kept: today - part.day > max(keptTracesDays, days(part.category))
        }
    }
}
