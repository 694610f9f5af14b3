import Kernel

/// How many whole days records are kept behind the day of their arrival, by category.
public struct TelemetryRetention: Sendable, Equatable {
    private let days: [TelemetryCategory: Int]

    public init(_ settings: Settings.Telemetry) {
        days = [
            .reasoning: settings.reasoningDays, .tool: settings.toolDays, .model: settings.modelDays,
            .system: settings.systemDays, .error: settings.errorDays, .audit: settings.auditDays,
        ]
    }

    func days(_ category: TelemetryCategory) -> Int { days[category] ?? .max }
}
