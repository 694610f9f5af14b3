import Foundation
import TestSupport
import Testing

@testable import Kernel

/// Values of known secrets are found in every form and every piece, and nothing else is.
@Suite struct KnownSecretsTests {
    private static let key = [UInt8](repeating: 7, count: 32)

    private static func known(_ values: (String, String)...) -> KnownSecrets {
        KnownSecrets(values.map { (path: $0.0, value: SecretBytes($0.1)) }, key: key)
    }

    private static let value = #"p4ss"w\rd/ü 100% +x?"#

    private static let forms: [(name: String, text: String)] = [
        ("plain", value),
        ("JSON", String(JSONValue.string(value).text.dropFirst().dropLast())),
        ("JSON with slashes", String(JSONValue.string(value).text.dropFirst().dropLast()).replacing("/", with: #"\/"#)),
        ("ASCII JSON", String(JSONValue.string(value).text.dropFirst().dropLast()).replacing("ü", with: #"\u00fc"#)),
        ("JSON in JSON", JSONValue.string(JSONValue.list([value]).text).text),
        ("percent", "p4ss%22w%5Crd%2F%C3%BC%20100%25%20%2Bx%3F"),
        ("lower percent", "p4ss%22w%5crd%2f%c3%bc%20100%25%20%2bx%3f"),
        ("path", "p4ss%22w%5Crd/%C3%BC%20100%25%20%2Bx%3F"),
        ("form", "p4ss%22w%5Crd%2F%C3%BC+100%25+%2Bx%3F"),
        ("hexadecimal", Hexadecimal.encode(value.utf8)),
    ]

    @Test(arguments: forms.map(\.name))
    func formsAreFound(name: String) throws {
        let form = try #require(Self.forms.first { $0.name == name }).text
        let known = Self.known(("org/x", Self.value))
        let (text, paths) = known.redact("before \(form) after")
        #expect(paths == ["org/x"])
        #expect(text.hasPrefix("before ") && text.hasSuffix(" after"))
        #expect(text.contains("[redacted:org/x]"))
        #expect(!text.contains("p4ss") && !text.contains("100%"))
    }

    @Test(arguments: 0..<6)
    func base64IsFoundAtEveryPlace(shift: Int) throws {
        let known = Self.known(("org/x", Self.value))
        let around = String(repeating: "u", count: shift)
        let encoded = Data("\(around)\(Self.value):tail".utf8).base64EncodedString()
        for text in [encoded, encoded.replacing("+", with: "-").replacing("/", with: "_")] {
            #expect(known.redact(text).paths == ["org/x"])
        }
    }

    @Test func overlapsLeaveNothing() {
        let known = Self.known(("org/a", "abcdefghij"), ("org/b", "ghijklmnop"), ("org/c", "abcdefghijklmnopqrst"))
        #expect(known.redact("<abcdefghijklmnop>").text == "<[redacted:org/a]>")
        #expect(known.redact("<abcdefghijklmnop>").paths == ["org/a", "org/b"])
        #expect(known.redact("<abcdefghijklmnopqrst>").text == "<[redacted:org/c]>")
        #expect(known.redact("abcdefghijabcdefghij").text == "[redacted:org/a][redacted:org/a]")
    }

    @Test func shortValuesAndEmptyListsFindNothing() {
        #expect(Self.known(("org/a", "1234567")).isEmpty)
        #expect(Self.known().redact("anything at all").text == "anything at all")
        #expect(Self.known(("org/a", "12345678")).redact("1234567").text == "1234567")
    }

    @Test func linesOfALongValueAreFoundAlone() {
        let value = "-----" + "BEGIN THING-----\nMIIBVwIBADANBgkqhkiG9w0\nshort\n-----" + "END THING-----"
        let known = Self.known(("org/pem", value))
        #expect(known.redact("x MIIBVwIBADANBgkqhkiG9w0").text == "x [redacted:org/pem]")
        #expect(known.redact("short -----BEGIN THING-----").paths.isEmpty)
    }

    @Test func longValuesAreFoundWhole() {
        let entropy = SeededEntropy(seed: 3)
        let value = Hexadecimal.encode(entropy.bytes(5_000))
        let known = Self.known(("org/long", value))
        #expect(known.redact("a \(value) b").text == "a [redacted:org/long][redacted:org/long] b")
        var stream = KnownSecretStream(known)
        var longest = 0
        var shown: [UInt8] = []
        for piece in Array("a \(value) b".utf8).chunks(of: 100) {
            shown += stream.push(piece)
            longest = max(longest, stream.heldBytes)
        }
        shown += stream.finish()
        #expect(String(decoding: shown, as: UTF8.self) == "a [redacted:org/long][redacted:org/long] b")
        #expect(longest <= KnownSecrets.pieceMax)
    }

    @Test func formsAreBounded() {
        let entropy = SeededEntropy(seed: 9)
        let values = (0..<30_000).map { (path: "org/\($0)", value: SecretBytes(Hexadecimal.encode(entropy.bytes(8)))) }
        let known = KnownSecrets(values, key: Self.key)
        #expect(known.isFull)
        #expect(!KnownSecrets(Array(values.prefix(100)), key: Self.key).isFull)
    }

    @Test func nothingShowsTheValue() {
        var shown = ""
        dump(Self.known(("org/x", Self.value)), to: &shown)
        #expect(!shown.contains("p4ss"))
    }

    /// Random texts with values planted at random, in whole and in random pieces: what comes out is what a plain search
    /// makes of it.
    @Test(arguments: 1...12)
    func randomTexts(seed: UInt64) {
        let entropy = SeededEntropy(seed: seed)
        func below(_ limit: Int) -> Int { Int(entropy.fraction() * Double(limit)) }
        let letters = Array("abcAB12".utf8)
        func word(_ length: Int) -> String {
            String(decoding: (0..<length).map { _ in letters[below(7)] }, as: UTF8.self)
        }
        // Values begin alike, as keys of one issuer do, and none is a part of another: each ends with its own sign.
        let signs = Array("!#$&*=@^|~")
        let values = signs.indices.map { ("org/\($0)", "sk-ab-" + word(2 + below(40)) + String(signs[$0])) }
        let known = KnownSecrets(values.map { (path: $0.0, value: SecretBytes($0.1)) }, key: Self.key)
        for _ in 0..<40 {
            var text = ""
            var expected = ""
            for _ in 0..<below(12) {
                let noise = below(2) == 0 ? word(below(30)) : "sk-ab-" + word(below(9))
                text += noise + " "
                expected += noise + " "
                guard below(3) > 0 else { continue }
                let value = values[below(values.count)]
                text += value.1
                expected += "[redacted:\(value.0)]"
            }
            #expect(known.redact(text).text == expected)
            var stream = KnownSecretStream(known)
            var shown: [UInt8] = []
            var rest = Array(text.utf8)[...]
            while !rest.isEmpty {
                let size = min(rest.count, 1 + below(20))
                shown += stream.push(rest.prefix(size))
                rest = rest.dropFirst(size)
            }
            shown += stream.finish()
            #expect(String(decoding: shown, as: UTF8.self) == expected)
            #expect(stream.heldBytes == 0)
        }
    }
}

extension Array {
    fileprivate func chunks(of size: Int) -> [ArraySlice<Element>] {
        stride(from: 0, to: count, by: size).map { self[$0..<Swift.min(count, $0 + size)] }
    }
}
