import ArgumentParser
import Foundation
import Kernel
import Runner
import Synchronization

/// `reeve top`: the fleet, the queues and what happens, live on a terminal.
struct TopCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top", abstract: "Watch the fleet live; q ends it.",
        discussion: "In a pipe it prints what there is once. \(Failing.exits)")

    @OptionGroup var connection: ConnectionOptions
    @Option(help: "Seconds between two readings.") var interval = 1.0

    func validate() throws {
        guard (0.1...3_600).contains(interval) else { throw ValidationError("--interval is 0.1 to 3600 seconds.") }
    }

    func run() async throws {
        try await Failing.translated(isJSON: false) {
            let reeve = try connection.client()
            // Whether the server and the key are right is found out before the screen is taken.
            let first = try await Self.read(reeve)
            guard Screen.isTerminal else {
                let lines = TopScreen.lines(first, columns: 200, rows: 200, at: reeve.world.now)
                return print(lines.joined(separator: "\n"))
            }
            await live(reeve, first)
        }
    }

    private static func read(_ reeve: ReeveClient) async throws -> TopView {
        async let agents = reeve.list(["api", "v1", "agents"], limit: 500)
        async let queues = reeve.list(["api", "v1", "queues"], limit: 100)
        async let tasks = reeve.list(["api", "v1", "tasks"], limit: 20)
        var view = TopView(url: reeve.url)
        view.agents = try await agents.items
        view.queues = try await queues.items
        view.tasks = try await tasks.items
        return view
    }

    private func live(_ reeve: ReeveClient, _ first: TopView) async {
        let model = TopModel(first)
        let quit = Promise<Void>()
        let signals = SignalWatch([SIGINT, SIGTERM, SIGHUP]) { _ in quit.fulfil(()) }
        await Screen.whole {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await self.refresh(reeve, quit, model) }
                group.addTask {
                    let tail = EventFollower(client: reeve, query: [], after: nil)
                    try? await tail.run(limit: nil) { model.add($0) }
                }
                group.addTask { await self.keys(quit) }
                group.addTask {
                    while quit.current == nil, !Task.isCancelled {
                        let size = Screen.size ?? (80, 24)
                        Screen.draw(
                            TopScreen.lines(
                                model.view, columns: size.columns, rows: size.rows, at: reeve.world.now))
                        _ = await Pause.sleep(.milliseconds(200), unless: quit, reeve.world)
                    }
                }
                _ = await quit.value()
                group.cancelAll()
            }
        }
        withExtendedLifetime(signals) {}
    }

    private func refresh(_ reeve: ReeveClient, _ quit: Promise<Void>, _ model: TopModel) async {
        while quit.current == nil, !Task.isCancelled {
            do {
                model.take(try await Self.read(reeve))
            } catch {
                model.note((error as? ClientFailure)?.words.what ?? "\(error)")
            }
            _ = await Pause.sleep(.seconds(interval), unless: quit, reeve.world)
        }
    }

    /// Reads keys on a thread of its own, as a read from a terminal waits.
    private func keys(_ quit: Promise<Void>) async {
        let ended = Promise<Void>()
        Thread {
            while quit.current == nil {
                if let key = Screen.key(within: 0.2), key == "q" || key == "Q" || key == "\u{3}" { quit.fulfil(()) }
            }
            ended.fulfil(())
        }.start()
        _ = await ended.value()
    }
}

/// What the screen shows, shared by those who read and the one who draws.
private final class TopModel: Sendable {
    private let state: Mutex<TopView>

    init(_ view: TopView) {
        state = Mutex(view)
    }

    var view: TopView { state.withLock { $0 } }

    /// A fresh reading; events stay.
    func take(_ fresh: TopView) {
        state.withLock { view in
            let events = view.events
            view = fresh
            view.events = events
        }
    }

    func note(_ trouble: String) { state.withLock { $0.trouble = trouble } }

    func add(_ event: JSONValue) { state.withLock { $0.events = $0.events.suffix(199) + [event] } }
}
