import Foundation
import Kernel
import Testing

@testable import Runner

/// All drills under the rules as they are shipped, with half hours, hours and days of a clock that is moved on; the
/// same under rules tightened to seconds run against a server of its own in `Tests/Clients/test_drills.py`.
@Suite("Drills under virtual time", .serialized)
struct VirtualDrillTests {
    @Test("found, contained and recovered within the bounds of the shipped rule", arguments: VirtualDrill.all)
    func run(_ drill: VirtualDrill) async throws {
        let (report, incident, stopped) = try await drill.run()
        #expect(report.isPassed, "\(report.json.prettyText)")
        #expect(report.json["virtualTime"] == true && report.alert == drill.alert)
        #expect(report.touched.isEmpty && !report.healthy.contains(where: stopped.contains))
        let milestones = incident["milestones"]
        for word in ["detected", "contained", "mitigated", "verified", "resolved"] {
            #expect(milestones?["\(word)At"]?.string != nil, "\(word)")
        }
        DrillsPage.note(report)
    }

    @Test("every drill has its course under the shipped rules, and the page tells of it")
    func complete() {
        #expect(Set(VirtualDrill.all.map(\.name)) == Set(DrillRun.names))
        #expect(DrillsPage.isInStep(), "docs/reference/drills.md is behind: run these tests with REEVE_UPDATE_DOCS=1")
    }
}
