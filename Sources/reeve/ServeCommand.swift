import ArgumentParser
import Foundation
import Kernel
import Logging
import Server

/// `reeve serve`: the server. Exit status: 0 stopped as asked, 1 refused to start or failed, 2 a wrong call.
struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Start the server, and print the address and a one-time login link.")

    @Option(help: "The address to listen on (http.host).")
    var host: String?

    @Option(help: "The port to listen on; 0 takes a free one (http.port).")
    var port: String?

    @Option(name: .customLong("data-dir"), help: "The folder that everything is kept in (storage.dataDirectory).")
    var dataDirectory: String?

    @Option(help: "A PostgreSQL address; SQLite in the data directory without one (storage.databaseURL).")
    var database: String?

    @Option(help: "A clickhouse:// address for traces and logs; files without one (telemetry.storeURL).")
    var telemetry: String?

    @Option(name: .customLong("config"), help: "The settings file; reeve.yaml of this folder where it exists.")
    var file: String?

    func run() async throws {
        do {
            let settings = try loadSettings()
            let relay = LogRelay()
            let watch = SecretWatch(entropy: World.live.entropy, patterns: try KeyPatterns(settings.secrets))
            LogLines.bootstrap(
                level: settings.log.level, style: settings.log.style, time: World.live.time, relay: relay, watch: watch)
            OpenFiles.raiseLimit()
            CoreDumps.switchOff()
            // Whatever is made from here on is its owner's alone.
            umask(0o077)
            try await serve(settings, relay, watch)
        } catch let problem as Problem {
            Self.complain(problem)
            throw ExitCode(problem.code == .notFound ? 2 : 1)
        }
    }

    private func loadSettings() throws -> Settings {
        let environment = ProcessInfo.processInfo.environment
        var flags: [String: String] = [:]
        flags["http.host"] = host
        flags["http.port"] = port
        flags["storage.dataDirectory"] = dataDirectory
        flags["storage.databaseURL"] = database
        flags["telemetry.storeURL"] = telemetry
        let path = SettingsLoader.file(named: file ?? environment["REEVE_CONFIG"])
        return try SettingsLoader.load(file: path, environment: environment, flags: flags)
    }

    private func serve(_ settings: Settings, _ relay: LogRelay, _ watch: SecretWatch) async throws {
        let app = try await buildApp(settings, relay: relay, watch: watch)
        if let advice = app.adminKey.advice { Self.say(advice, to: .standardError) }
        let services = app.services(stoppingAt: [.sigterm, .sigint]) { port in
            let address = settings.http.publicURL ?? "http://\(settings.http.linkHost):\(port)"
            let way = app.loginLink.map { "\(address)\($0.location)" } ?? "\(address)/login"
            Self.say("Reeve is at \(address) – log in once with \(way)", to: .standardOutput)
        }
        try await services.run()
    }

    private static func complain(_ problem: Problem) {
        var text = problem.detail
        if !problem.hint.isEmpty { text += "\n" + problem.hint }
        if let cause = problem.cause { text += "\n(\(cause))" }
        say(text, to: .standardError)
    }

    /// What cannot be said, such as to a file on a full disk, does not end the program.
    private static func say(_ text: String, to file: FileHandle) { try? file.write(contentsOf: Data("\(text)\n".utf8)) }
}

extension Settings.Log {
    fileprivate var style: LogLines.Style {
        switch format {
        case .auto: LogLines.fittingStyle
        case .json: .json
        case .text: .text
        }
    }
}

/// How many files and connections the process may have open.
private enum OpenFiles {
    /// Takes what the system allows: a fleet's connections are more than the usual default.
    static func raiseLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}

/// What the process leaves behind when it crashes.
private enum CoreDumps {
    /// Leaves no memory behind, as keys and secrets stand in it. Handlers that read dumps from a pipe do not ask for
    /// the limit (core(5)), so what would be dumped is emptied too.
    static func switchOff() {
        var limit = rlimit(rlim_cur: 0, rlim_max: 0)
        _ = setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &limit)
        let filter = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC)
        if filter >= 0 {
            _ = write(filter, "0", 1)
            close(filter)
        }
        hideMemory()
    }

    /// Keeps the memory from the other programs of its user, who would read it through `/proc` or as debuggers do
    /// (PR_SET_DUMPABLE in prctl(2)). Last of all, as the files of the process in `/proc` are root's from then on.
    private static func hideMemory() {
        #if os(Linux)
            let setDumpable: Int32 = 4  // linux/prctl.h
            // It takes any number of arguments, and Swift calls no such function. On Linux they are where those of
            // another one are, so it is called as one that takes five.
            typealias Control = @convention(c) (Int32, UInt, UInt, UInt, UInt) -> Int32
            guard let address = dlsym(nil, "prctl") else { return }
            _ = unsafeBitCast(address, to: Control.self)(setDumpable, 0, 0, 0, 0)
        #endif
    }
}
