import TestSupport
import Testing

@testable import Kernel

struct IdentifierTests {
    private enum Thing: Identified { static let idPrefix = "thing" }

    @Test func hasTheFormOfAUUIDv7() throws {
        let world = World.test()
        for _ in 0..<200 {
            let id = Identifier<Thing>(world)
            let digits = Array(id.text.dropFirst("thing_".count))
            #expect(id.text.hasPrefix("thing_"))
            #expect(digits.count == 32)
            #expect(digits[12] == "7")
            #expect("89ab".contains(digits[16]))
            let milliseconds = try #require(Int64(String(digits[..<12]), radix: 16))
            #expect(milliseconds == world.now.microseconds / 1_000)
            #expect(Identifier<Thing>(id.text) == id)
        }
    }

    @Test func sortsByCreation() {
        let time = ManualTime()
        let world = World.test(time: time)
        let ids = (0..<500).map { _ in
            time.advance(by: .milliseconds(1))
            return Identifier<Thing>(world)
        }
        #expect(ids == ids.sorted())
        #expect(Set(ids).count == ids.count)
    }

    @Test func isTheSameInTheSameWorld() {
        #expect(Identifier<Thing>(.test(seed: 3)) == Identifier<Thing>(.test(seed: 3)))
        #expect(Identifier<Thing>(.test(seed: 3)) != Identifier<Thing>(.test(seed: 4)))
    }

    @Test(
        arguments: [
            "", "thing_", "thing_0", "task_00000000000070008000000000000000", "thing-00000000000070008000000000000000",
            "thing_0000000000007000800000000000000G", "thing_0000000000007000800000000000000A",
            "thing_000000000000700080000000000000000", "thing_0000000000007000800000000000000",
            " thing_00000000000070008000000000000000",
            "thing_0000000000007000800000000000000\u{0}", "Thing_00000000000070008000000000000000",
        ])
    func refuses(_ text: String) {
        #expect(Identifier<Thing>(text) == nil)
    }

    @Test func digestsAreThoseOfTheStandard() {
        #expect(Digest.sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(Digest.sha256([UInt8]()) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    }
}
