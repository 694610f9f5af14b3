import Foundation
import Kernel
import Testing

@testable import Control

/// The table of `docs/reference/rollouts.md`; `script/rollout-table` writes it.
@Suite("The table of roll-outs")
struct BundleRolloutTableTests {
    private static let place = ProcessInfo.processInfo.environment["REEVE_ROLLOUT_TABLE"]

    /// Roll-outs of a version that is no worse or is so by just the last margin, and of each that is still worse.
    private static let runs = (bounded: 2_000, worse: 500)

    @Test("what became of many", .enabled(if: Self.place != nil))
    func table() throws {
        var dice = BundleRolloutTests.Dice(state: 2_026)
        var lines = [
            "| attempts an hour | fails as often, times | roll-outs | taken back | given to all | left to a person |",
            "|---|---|---|---|---|---|",
        ]
        for perHour in [60.0, 600] {
            for ratio in [1.0, 2, 3, 5] {
                let count = ratio <= 2 ? Self.runs.bounded : Self.runs.worse
                let ends = (0..<count).map { _ in
                    BundleRolloutTests.end(
                        ratio: ratio, perHour: perHour, lookingEvery: .seconds(60), &dice)
                }
                func share(_ state: BundleRollout.State) -> Double {
                    Double(ends.count { $0 == state }) / Double(count)
                }
                func percent(_ share: Double) -> String { String(format: "%.2f %%", share * 100) }
                lines.append(
                    "| \(Int(perHour)) | ×\(Int(ratio)) | \(count) | \(percent(share(.takenBack))) "
                        + "| \(percent(share(.finished))) | \(percent(share(.held) + share(.frozen))) |")
                if ratio == 1 { #expect(share(.takenBack) <= Gate.alpha, "at \(perHour) an hour") }
                // From 5 % to 10 % is the margin of the last gate: whoever is worse by more passes still more rarely.
                if ratio > 1 { #expect(share(.finished) <= Gate.alpha, "×\(ratio) at \(perHour) an hour") }
            }
        }
        let text = lines.joined(separator: "\n") + "\n"
        try text.write(toFile: Self.place ?? "", atomically: true, encoding: .utf8)
    }
}
