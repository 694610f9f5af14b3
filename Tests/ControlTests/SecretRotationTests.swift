import Kernel
import Testing

@testable import Control

@Suite("A secret's rotation")
struct SecretRotationTests {
    private static let start = Timestamp(microseconds: 1_800_000_000_000_000)
    private static let unused = SecretRotation.Use(lastAt: nil, running: 0)

    /// A rotation that was taken to a state by its ordinary way.
    private static func rotation(_ state: SecretRotation.State) throws -> SecretRotation {
        var rotation = SecretRotation(oldVersion: 1, newVersion: 2, at: start)
        if state == .staged { return rotation }
        if state == .returned {
            try rotation.returnToOld(at: start)
            return rotation
        }
        try rotation.verify(.probe("HTTP 200"))
        if state == .verified { return rotation }
        try rotation.issue(at: start)
        var now = start
        while rotation.state != state {
            now = now + .hours(25)
            let isOn = rotation.step(at: now, use: unused, isDeploying: false)
            #expect(isOn)
        }
        return rotation
    }

    private static func apply(_ verb: SecretRotation.Verb, to rotation: inout SecretRotation) throws {
        switch verb {
        case .verify: try rotation.verify(.word(of: "ada"))
        case .issue: try rotation.issue(at: start)
        case .return: try rotation.returnToOld(at: start)
        case .compromise: try rotation.compromise(at: start)
        case .drain, .retire: break
        }
    }

    @Test(
        "each state takes its own verbs and no other, and a refusal changes nothing",
        arguments: SecretRotation.State.allCases)
    func verbs(state: SecretRotation.State) throws {
        for verb in SecretRotation.Verb.allCases where verb != .drain && verb != .retire {
            var rotation = try Self.rotation(state)
            let before = rotation
            if rotation.allowed.contains(verb) {
                try Self.apply(verb, to: &rotation)
                #expect(rotation.state != state)
            } else {
                let problem = #expect(throws: Problem.self) { try Self.apply(verb, to: &rotation) }
                #expect(problem?.code == .badTransition && problem?.hint.isEmpty == false)
                #expect(rotation == before)
            }
        }
        #expect(try Self.rotation(state).state.isOver == Self.rotation(state).allowed.isEmpty)
    }

    @Test("who asks gets a version that is good, in each state", arguments: SecretRotation.State.allCases)
    func versions(state: SecretRotation.State) throws {
        let rotation = try Self.rotation(state)
        #expect(rotation.acceptedVersions.first == rotation.currentVersion)
        #expect(rotation.acceptedVersions.count == ([.overlap, .draining].contains(state) ? 2 : 1))
        #expect((rotation.currentVersion == 2) == [.overlap, .draining, .retired].contains(state))
    }

    @Test("the old value stays for a day, however little it is used")
    func overlap() throws {
        var rotation = try Self.rotation(.verified)
        try rotation.issue(at: Self.start)
        let almost = Self.start + .hours(24) - .seconds(1)
        let early = rotation.step(at: almost, use: Self.unused, isDeploying: false)
        #expect(!early)
        let drains = rotation.step(at: Self.start + .hours(24), use: Self.unused, isDeploying: false)
        #expect(drains)
        #expect(rotation.state == .draining)
        let retires = rotation.step(at: Self.start + .hours(24), use: Self.unused, isDeploying: false)
        #expect(retires)
        #expect(rotation.state == .retired && rotation.endedAt == Self.start + .hours(24))
        let after = rotation.step(at: .distantFuture, use: Self.unused, isDeploying: false)
        #expect(!after)
    }

    @Test(
        "the old value stays while something runs with it, or used it within the overlap, or is deployed"
    )
    func draining() throws {
        var rotation = try Self.rotation(.draining)
        let late = Self.start + .hours(1_000)
        let before = rotation
        let whileRunning = rotation.step(at: late, use: .init(lastAt: nil, running: 1), isDeploying: false)
        #expect(!whileRunning)
        let whileUsed = rotation.step(at: late, use: .init(lastAt: late - .hours(23), running: 0), isDeploying: false)
        #expect(!whileUsed)
        let whileDeploying = rotation.step(at: late, use: Self.unused, isDeploying: true)
        #expect(!whileDeploying)
        #expect(rotation == before)
        let unused = rotation.step(at: late, use: .init(lastAt: late - .hours(24), running: 0), isDeploying: false)
        #expect(unused)
        #expect(rotation.state == .retired)
    }

    @Test(
        "what others know is cut at once, proven or not",
        arguments: [SecretRotation.State.staged, .verified, .overlap, .draining])
    func compromise(state: SecretRotation.State) throws {
        var rotation = try Self.rotation(state)
        try rotation.compromise(at: Self.start + .seconds(1))
        #expect(rotation.state == .retired && rotation.isCompromise)
        #expect(rotation.acceptedVersions == [2])
    }

    @Test("an overlap is at least a day and at most thirty")
    func bounds() {
        for (asked, given) in [(Span.zero, Span.hours(24)), (.hours(48), .hours(48)), (.hours(9_999), .hours(720))] {
            #expect(SecretRotation(oldVersion: 1, newVersion: 2, overlap: asked, at: Self.start).overlap == given)
        }
    }
}
