import Foundation
import TestSupport
import Testing

@testable import Kernel

/// What is sealed opens under its own key and context, and under nothing else.
@Suite struct SealerTests {
    private static let context = SealContext(path: "project/marketing/openai", version: 3, field: "value")
    private static let first = String(repeating: "11", count: 32)
    private static let second = String(repeating: "22", count: 32)

    private static func sealer(_ lines: String, seed: UInt64 = 1) throws -> Sealer {
        Sealer(ring: try MasterKeyRing(SecretBytes(lines), from: "the test"), entropy: SeededEntropy(seed: seed))
    }

    private static func code(_ body: () throws -> some Any) -> String? {
        do {
            _ = try body()
            return nil
        } catch {
            return (error as? Problem)?.code.name
        }
    }

    @Test(arguments: ["", "x", "a value with ü and \0", String(repeating: "long ", count: 20_000)])
    func opensWhatItSealed(value: String) throws {
        let sealer = try Self.sealer("1 \(Self.first)")
        let sealed = try sealer.seal(SecretBytes(value), Self.context)
        #expect(try sealer.open(sealed, Self.context).text == value)
        #expect(try sealer.seal(SecretBytes(value), Self.context) != sealed)
        #expect(value.utf8.count < 8 || !String(decoding: sealed, as: UTF8.self).contains(value.prefix(8)))
    }

    @Test func anyChangedBitIsNoticed() throws {
        let sealer = try Self.sealer("1 \(Self.first)")
        let sealed = try sealer.seal(SecretBytes("the value"), Self.context)
        for index in sealed.indices {
            for bit in [0, 3, 7] {
                var changed = sealed
                changed[index] ^= 1 << UInt8(bit)
                let code = Self.code { try sealer.open(changed, Self.context) }
                // The master key's version and check are told apart from the rest.
                #expect(code == (1..<13 ~= index ? "master_key" : "seal_broken"), "byte \(index)")
            }
        }
    }

    @Test func whatIsCutOffOrGrownIsNoticed() throws {
        let sealer = try Self.sealer("1 \(Self.first)")
        let sealed = try sealer.seal(SecretBytes("the value"), Self.context)
        for count in sealed.indices {
            #expect(
                Self.code { try sealer.open(Array(sealed[..<count]), Self.context) } == "seal_broken", "\(count) bytes")
        }
        #expect(Self.code { try sealer.open(sealed + [0], Self.context) } == "seal_broken")
    }

    @Test(arguments: [
        SealContext(path: "project/marketing/other", version: 3, field: "value"),
        SealContext(path: "project/marketing/openai", version: 4, field: "value"),
        SealContext(path: "project/marketing/openai", version: 3, field: "next"),
        SealContext(path: "project/marketing/openai3", version: 3, field: "value"),
    ])
    func anotherContextOpensNothing(context: SealContext) throws {
        let sealer = try Self.sealer("1 \(Self.first)")
        let sealed = try sealer.seal(SecretBytes("the value"), Self.context)
        #expect(Self.code { try sealer.open(sealed, context) } == "seal_broken")
        #expect(Self.code { try sealer.rewrap(sealed, context) } == "seal_broken")
        #expect(context.bytes != Self.context.bytes)
    }

    @Test func olderVersionsOpenAndAreWrappedAnew() throws {
        let old = try Self.sealer("1 \(Self.first)")
        let sealed = try old.seal(SecretBytes("the value"), Self.context)
        let both = try Self.sealer("# two of them\n2 \(Self.second)\n\n1 \(Self.first)\n", seed: 2)
        #expect(both.version == 2)
        #expect(try both.open(sealed, Self.context).text == "the value")
        let anew = try both.rewrap(sealed, Self.context)
        #expect(Sealer.masterVersion(of: sealed) == 1)
        #expect(Sealer.masterVersion(of: anew) == 2)
        let new = try Self.sealer("2 \(Self.second)", seed: 3)
        #expect(try new.open(anew, Self.context).text == "the value")
        #expect(Self.code { try new.open(sealed, Self.context) } == "master_key")
        #expect(Self.code { try old.open(anew, Self.context) } == "master_key")
    }

    @Test func anotherKeyOfTheSameVersionIsNamed() throws {
        let sealed = try Self.sealer("1 \(Self.first)").seal(SecretBytes("the value"), Self.context)
        let other = try Self.sealer(Self.second)
        #expect(Self.code { try other.open(sealed, Self.context) } == "master_key")
    }

    @Test(arguments: [
        "", "# nothing", "1", "1 xyz", "0 \(first)", "1 \(first)\n1 \(second)", "1 \(first) more",
        "\(first)\n\(second)",
        "1 \(first)0", "-1 \(first)", "9999999 \(first)",
    ])
    func textsThatAreNoKey(text: String) {
        #expect(Self.code { try Self.sealer(text) } == "master_key")
    }

    @Test func formsOfAKey() throws {
        let base64 = Data(repeating: 0x11, count: 32).base64EncodedString()
        let sealed = try Self.sealer("1 \(Self.first)").seal(SecretBytes("v"), Self.context)
        for text in [Self.first, "\(Self.first)\r\n", base64, "1\t\(base64)\n"] {
            #expect(try Self.sealer(text).open(sealed, Self.context).text == "v")
        }
    }

    @Test func noSecretIsShown() throws {
        let secret = SecretBytes("hidden-away")
        var shown = "\(secret) \(String(reflecting: secret)) \(Mirror(reflecting: secret).children.count)"
        dump(secret, to: &shown)
        dump(try MasterKeyRing(SecretBytes("1 \(Self.first)"), from: "the test"), to: &shown)
        #expect(!shown.contains("hidden") && !shown.contains("1111") && !shown.contains("17"))
    }
}

/// Where the master key may come from, and what is refused.
@Suite struct MasterKeySourceTests {
    private static let text = "1 " + String(repeating: "ab", count: 32) + "\n"
    private let folder = FileManager.default.temporaryDirectory.path + "/reeve-key-" + UUID().uuidString
    private let entropy = SeededEntropy(seed: 5)

    private func file(_ name: String, _ text: String, mode: Int) throws -> String {
        let path = "\(folder)/\(name)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
        return path
    }

    private func code(_ source: MasterKeySource, hasSealed: Bool = false) -> String? {
        do {
            _ = try source.load(hasSealed: hasSealed, entropy: entropy)
            return nil
        } catch {
            return (error as? Problem)?.code.name
        }
    }

    @Test(arguments: [0o400, 0o600, 0o440, 0o404, 0o644, 0o500])
    func modes(mode: Int) throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let path = try file("key", Self.text, mode: mode)
        #expect(code(.file(path)) == (mode == 0o400 ? nil : "master_key"))
        #expect(code(.made(path)) == (mode == 0o400 ? nil : "master_key"))
    }

    @Test func theFirstStartMakesOneAndLaterOnesReadIt() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let path = "\(folder)/master.key"
        let made = try MasterKeySource.made(path).load(hasSealed: false, entropy: entropy)
        #expect(made.isNew)
        let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        #expect(mode == 0o400)
        let again = try MasterKeySource.made(path).load(hasSealed: true, entropy: entropy)
        #expect(!again.isNew)
        #expect(again.ring.current.check == made.ring.current.check)
    }

    @Test func aLostKeyIsNotReplaced() throws {
        let path = "\(folder)/master.key"
        #expect(code(.made(path), hasSealed: true) == "master_key")
        #expect(!FileManager.default.fileExists(atPath: path))
        #expect(code(.file(path)) == "master_key")
        #expect(code(.file("/")) == "master_key")
    }

    @Test func commandsAndDescriptors() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let path = try file("key", Self.text, mode: 0o400)
        #expect(code(.command("cat '\(path)'")) == nil)
        #expect(code(.command("cat '\(path)'; exit 3")) == "master_key")
        #expect(code(.command("exit 0")) == "master_key")
        #expect(code(.command("head -c 70000 /dev/zero")) == "master_key")
        let open = open(path, O_RDONLY)
        #expect(code(.descriptor(open)) == nil)
        close(open)
        #expect(code(.descriptor(open)) == "master_key")
    }
}
