import Logging

/// Everything an operator may set, as a tree with each default beside its field.
///
/// ``SettingsLoader`` makes one from the defaults, a file, the environment and flags; ``SettingsTable`` holds the name,
/// range and meaning of each field. Nothing reads a setting from anywhere else.
public struct Settings: Sendable {
    public var http = HTTP()
    public var storage = Storage()
    public var log = Log()
    public var limits = Limits()
    public var agents = Agents()
    public var tasks = Tasks()
    public var events = Events()
    public var incidents = Incidents()
    public var catalogue = Catalogue()
    public var calls = Calls()
    public var batches = Batches()
    public var telemetry = Telemetry()
    public var alerts = Alerts()
    public var oncall = OnCall()
    public var secrets = Secrets()

    public init() {}

    /// The section `alerts` of the settings file, as it stands there: rules, receivers and routes have names of the
    /// operator's own.
    public struct Alerts: Sendable {
        public static let section = "alerts"

        public var document: JSONValue = .null
        /// The file that it came from; paths in it begin beside it.
        public var file = ""

        public init() {}
    }

    /// The sections of the settings file that the gateway reads itself, as they stand there: they hold names that are
    /// the operator's own, so no table can list them.
    public struct Catalogue: Sendable {
        public static let sections = ["providers", "models", "allowFloating", "loops", "taskTypes"]

        /// An object with those of the sections that were given.
        public var document: JSONValue = .null
        /// The file that they came from; paths in them begin beside it.
        public var file = ""

        public init() {}
    }

    /// Where the key that seals secrets comes from: one of them, or the data directory; and how values are rotated.
    public struct Secrets: Sendable {
        public var masterKeyFile: String?
        /// `0` for none: no key comes on standard input.
        public var masterKeyDescriptor = 0
        public var masterKeyCommand: String?
        /// When values may be rotated, and when not; nothing for at any time.
        public var rotationWindows: String?
        /// Whether probes may ask this machine and private networks, and without TLS.
        public var probePrivate = false
        /// Whether what only looks like a key is taken out of what comes in.
        public var findsKeys = true
        /// Formats that are left alone, with commas between.
        public var keyFormatsExcept: String?

        public init() {}
    }

    /// Who answers.
    public struct OnCall: Sendable {
        /// Schedules and chains; a path in the settings file begins beside that.
        public var file: String?

        public init() {}
    }

    /// Where Reeve is reached.
    public struct HTTP: Sendable {
        public var host = "127.0.0.1"
        public var port = 7070
        /// The address for links, where it differs from host and port.
        public var publicURL: String?

        public init() {}

        /// The host as it stands in a link: an address that means all of them is reached as this machine.
        public var linkHost: String {
            if host == "0.0.0.0" || host == "::" { return "127.0.0.1" }
            return host.contains(":") ? "[\(host)]" : host
        }
    }

    /// Where data is kept.
    public struct Storage: Sendable {
        public var dataDirectory = "./reeve-data"
        /// A PostgreSQL address; SQLite in the data directory where there is none. May hold a password.
        public var databaseURL: String?

        public init() {}
    }

    /// Reeve's own log.
    public struct Log: Sendable {
        public enum Format: String, Sendable, CaseIterable {
            /// Text on a terminal, JSON elsewhere.
            case auto
            case json
            case text
        }

        public var level = Logger.Level.info
        public var format = Format.auto

        public init() {}
    }

    /// How agents are watched.
    public struct Agents: Sendable {
        public var heartbeatSecondsMin = 10
        public var heartbeatsPerSecondTarget = 50
        public var heartbeatGraceSeconds = 10
        public var failoverGraceSeconds = 30
        public var healthIntervalSeconds = 15
        public var healthTimeoutSeconds = 3
        public var healthRetries = 3

        public init() {}
    }

    /// How tasks are leased, retried and kept.
    public struct Tasks: Sendable {
        public var leaseSecondsDefault = 60
        public var startSeconds = 60
        public var timeoutSecondsDefault = 14_400
        public var maxAttemptsDefault = 3
        public var leaseLossesMax = 3
        public var reviewRoundsMax = 3
        public var cancelGraceSeconds = 30
        public var affinitySeconds = 60
        public var backoffBaseSeconds = 2
        public var backoffCapSeconds = 300
        public var finishedRetentionDays = 90
        public var sweepMilliseconds = 250

        public init() {}
    }

    /// Model calls.
    public struct Calls: Sendable {
        public var retentionDays = 90

        public init() {}
    }

    /// Batches of model calls and their files.
    public struct Batches: Sendable {
        public var fileBytes = 64 << 20
        public var keptBytes = 4 << 30
        public var lines = 50_000
        public var parallel = 8
        public var retentionDays = 30

        public init() {}
    }

    /// Traces that agents send.
    public struct Telemetry: Sendable {
        public var storeURL: String?
        public var kafka: String?
        public var kafkaQueueBytes = 256 << 20
        public var spoolBytes = 256 << 20
        public var diskQuota = 20 << 30
        public var ownSpans = true
        public var gatewayContent = true
        public var liveSilenceSeconds = 900
        public var reasoningDays = 7
        public var toolDays = 30
        public var modelDays = 30
        public var systemDays = 30
        public var errorDays = 90
        public var auditDays = 365
        public var metricsDays = 30
        public var keptTracesDays = 90
        public var keptTracesBytes = 5 << 30
        public var sampleInterval = 15

        public init() {}
    }

    /// The event log.
    public struct Events: Sendable {
        public var retentionDays = 365

        public init() {}
    }

    /// Incidents.
    public struct Incidents: Sendable {
        public var quietMinutes = 5
        public var resolveMinutes = 30
        public var reopenMinutes = 30
        public var postmortemHours = 48
        public var retentionDays = 400
        public var drillDays = 30

        public init() {}
    }
}
