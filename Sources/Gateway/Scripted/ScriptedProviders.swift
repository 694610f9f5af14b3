import Kernel

/// The scripted models within Reeve: one for each provider of that kind that has no address of its own. Each listens on
/// a port of the loopback address that the system chooses, so that its calls go the way of all calls.
public final class ScriptedProviders: Sendable {
    /// The settings, with the addresses of those that were started.
    public let settings: GatewaySettings
    private let listeners: [ScriptedListener]

    private init(_ settings: GatewaySettings, _ listeners: [ScriptedListener]) {
        self.settings = settings
        self.listeners = listeners
    }

    /// Starts all that the settings have.
    ///
    /// - Parameter settingsFile: The path of the settings file, beside which relative paths begin.
    public static func start(
        _ settings: GatewaySettings, settingsFile: String, world: World
    ) async throws -> ScriptedProviders {
        var addresses: [String: BaseURL] = [:]
        var listeners: [ScriptedListener] = []
        do {
            for (provider, script) in try scripts(settings, settingsFile: settingsFile) {
                let model = ScriptedModel(script, isDrill: false, world: world)
                let listener = try await ScriptedServer(model, time: world.time).listen(port: 0)
                listeners.append(listener)
                addresses[provider] = BaseURL(
                    isTLS: false, host: ScriptedServer.loopback, port: listener.port, path: "/v1")
            }
        } catch {
            for listener in listeners { await listener.close() }
            throw error
        }
        return ScriptedProviders(settings.located(addresses), listeners)
    }

    public func close() async {
        for listener in listeners { await listener.close() }
    }

    /// The scripts of all providers that answer within Reeve. Throws ``Problem`` `invalid` with the path of the setting
    /// whose file is no script.
    static func scripts(
        _ settings: GatewaySettings, settingsFile: String
    ) throws -> [(provider: String, script: Script)] {
        try settings.providers.filter { $0.kind == .scripted && $0.baseURL == nil }.map { provider in
            guard let path = provider.script else {
                return (provider.name, provider.name == settings.drill?.name ? DrillModel.script : Script())
            }
            do {
                let place = KeySource.path(path, besides: settingsFile)
                return (provider.name, try Script(file: place))
            } catch let problem as Problem {
                throw Problem.invalid(
                    "providers/\(provider.name)/script", "\(path): \(problem.detail.trimmingPrefix(": "))",
                    hint: problem.hint.isEmpty ? "docs/guide/mock-model.md says what a script is." : problem.hint)
            }
        }
    }
}
