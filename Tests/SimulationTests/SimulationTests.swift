import Foundation
import Kernel
import TestSupport
import Testing

/// Seeds of the simulation. `script/simulate` runs more of them; the environment says which:
/// `REEVE_SIMULATION_SEED` one, `REEVE_SIMULATION_SEEDS` how many from `REEVE_SIMULATION_FIRST` on,
/// `REEVE_SIMULATION_STEPS` how many steps each.
@Suite(.serialized) struct SimulationTests {
    private static func number(_ name: String) -> Int? { ProcessInfo.processInfo.environment[name].flatMap { Int($0) } }

    private static let steps = number("REEVE_SIMULATION_STEPS") ?? 160

    private static let seeds: [UInt64] = {
        if let seed = number("REEVE_SIMULATION_SEED") { return [UInt64(seed)] }
        let first = number("REEVE_SIMULATION_FIRST") ?? 1
        return (first..<(first + (number("REEVE_SIMULATION_SEEDS") ?? 3))).map(UInt64.init)
    }()

    /// Seeds that found something once: a line of `regressions.txt` is `seed steps what-it-found`.
    private static let regressions: [(seed: UInt64, steps: Int)] = {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("regressions.txt")
        let text = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").filter { !$0.hasPrefix("#") }.compactMap { line in
            let words = line.split(separator: " ", maxSplits: 2)
            guard words.count == 3, let seed = UInt64(words[0]), let steps = Int(words[1]) else { return nil }
            return (seed, steps)
        }
    }()

    @Test("A fleet that misbehaves breaks nothing", arguments: seeds)
    func fleet(_ seed: UInt64) async throws { try await Self.simulate(seed, steps: Self.steps) }

    @Test("What was found once stays found", arguments: regressions.indices)
    func regression(_ index: Int) async throws {
        try await Self.simulate(Self.regressions[index].seed, steps: Self.regressions[index].steps)
    }

    /// Runs a seed on every engine at once, against the model.
    private static func simulate(_ seed: UInt64, steps: Int) async throws {
        try await TestStorage.withLocation(.sqlite) { file in
            guard TestEngine.available.contains(.postgres) else {
                return try await simulate(seed, steps, [(.sqlite, file)])
            }
            try await TestStorage.withLocation(.postgres) { database in
                try await simulate(seed, steps, [(.sqlite, file), (.postgres, database)])
            }
        }
    }

    private static func simulate(
        _ seed: UInt64, _ steps: Int, _ places: [(engine: TestEngine, location: StorageLocation)]
    ) async throws {
        var simulation = try Simulation(seed: seed, places: places)
        do {
            try await simulation.run(steps: steps)
            await simulation.close()
        } catch {
            await simulation.close()
            throw error
        }
    }
}
