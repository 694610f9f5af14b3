import Foundation
import TestSupport
import Testing

@testable import Kernel

/// Keys that are known by their form alone: found however they are written, and nothing else is.
@Suite struct KeyPatternsTests {
    /// Random keys and the texts around them, all of one seed.
    private struct Draw {
        let entropy: SeededEntropy

        init(seed: UInt64) { entropy = SeededEntropy(seed: seed) }

        func below(_ limit: Int) -> Int { Int(entropy.next() % UInt64(limit)) }

        func text(_ alphabet: String, _ count: Int) -> String {
            let letters = Array(alphabet.utf8)
            return String(decoding: (0..<count).map { _ in letters[below(letters.count)] }, as: UTF8.self)
        }

        static let digits = "0123456789"
        static let upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + digits
        static let letters = upper + "abcdefghijklmnopqrstuvwxyz"
        static let base64URL = letters + "-_"

        /// A key as its issuer makes it: of the format's alphabet, in a length that is in use.
        func key(_ format: SecretFormat) -> String {
            let alphabet =
                format.alphabet == .upperAlphanumeric
                ? Self.upper : format.alphabet == .hexadecimal ? Self.digits + "abcdef" : Self.letters
            let least = format.length.lowerBound
            let count = min(format.length.upperBound, least + below(60))
            // A random stretch behind numbers and hyphens, as Slack's have.
            let head = format.alphabet == .base64URL && least >= 16 && below(2) == 0 ? text(Self.digits, 8) + "-" : ""
            return String(decoding: format.prefix, as: UTF8.self) + head + text(alphabet, count) + proof(format)
        }

        private func proof(_ format: SecretFormat) -> String { format.proof == .random ? "aB3dE6gH9jK2" : "" }

        func token() -> String {
            "eyJ" + text(Self.base64URL, 12 + below(900)) + ".eyJ" + text(Self.base64URL, 12 + below(2_000)) + "."
                + text(Self.base64URL, 43)
        }

        func privateKey(line: String) -> String {
            let label = ["RSA ", "", "EC ", "OPENSSH ", "ENCRYPTED "][below(5)] + "PRIVATE KEY"
            let body = (0..<3 + below(40)).map { _ in text(Self.letters + "+/", 64) }.joined(separator: line)
            return "-----" + "BEGIN \(label)-----\(line)\(body)\(line)-----" + "END \(label)-----"
        }
    }

    private static let frames = [
        ("", ""), ("the key is ", "."), ("\"", "\","), ("Schlüssel–", " – ja"), ("k=", "\nnext"), ("KEY='", "'"),
        // Within JSON, and within an address, the letters of an escape stand right before it.
        (#"{"a":"x\n"#, #"\nmore"}"#), (#"["\t"#, #""]"#), (#"{"a":"{\"b\":\"\\n"#, #"\"}"}"#),
        (#"\u000a"#, #"\u0022"#), ("?a=b%26key%3D", "%26c"), ("x%0A", "%0Ay"),
    ]

    @Test(arguments: 1...6) func randomKeysOfEachFormatAreFound(seed: UInt64) {
        let draw = Draw(seed: seed)
        for format in SecretFormat.all {
            for (before, after) in Self.frames {
                let key = draw.key(format)
                let found = KeyPatterns.all.redact(before + key + after)
                #expect(found?.text == "\(before)[redacted:\(format.name)]\(after)", "\(before) \(key) \(after)")
                #expect(found?.found == [format.name: 1])
                #expect(KeyPatterns.all.mayFind(Array("9\(key)".utf8)), "within a message of other bytes")
            }
        }
        for (before, after) in Self.frames {
            let token = draw.token()
            #expect(KeyPatterns.all.redact(before + token + after)?.text == "\(before)[redacted:jwt]\(after)")
            for line in ["\n", "\r\n", "\\n", "%0A", " "] {
                var key = draw.privateKey(line: line)
                if line == "%0A" { key = key.replacing(" ", with: draw.below(2) == 0 ? "%20" : "+") }
                #expect(
                    KeyPatterns.all.redact(before + key + after)?.text == "\(before)[redacted:private_key]\(after)",
                    "\(before) \(key) \(after)")
            }
        }
    }

    /// A text in pieces is what ``Redactor`` is for; both find the same.
    @Test(arguments: 1...4) func piecesGiveTheSameAsTheWhole(seed: UInt64) {
        let draw = Draw(seed: seed)
        for format in SecretFormat.all {
            let text =
                "got \(draw.key(format)) and \(draw.key(SecretFormat.all[draw.below(SecretFormat.all.count)])), so"
            var redactor = Redactor()
            var shown = ""
            var rest = text[...]
            while !rest.isEmpty {
                let piece = rest.prefix(1 + draw.below(20))
                rest = rest.dropFirst(piece.count)
                shown += redactor.push(String(piece))
            }
            #expect(shown + redactor.finish() == KeyPatterns.all.redact(text)?.text)
        }
    }

    private static let million = 1_000_000

    private static func found(in text: String) -> Int {
        KeyPatterns.all.redact(text)?.found.values.reduce(0, +) ?? 0
    }

    @Test func randomTextsHaveNone() {
        let draw = Draw(seed: 7)
        func lines(_ line: () -> String) -> String {
            var text = ""
            while text.utf8.count < Self.million { text += line() + "\n" }
            return text
        }
        let digests = lines { "sha256:" + draw.text("0123456789abcdef", 64) + " " + draw.text("0123456789ABCDEF", 32) }
        #expect(Self.found(in: digests) == 0)
        let ids = lines { "\(draw.text("0123456789abcdef", 8))-\(draw.text("0123456789abcdef", 4))-4a0c-9d11 task_01" }
        #expect(Self.found(in: ids) == 0)
        #expect(Self.found(in: lines { draw.text(Draw.letters + "+/", 76) }) == 0)
        #expect(Self.found(in: lines { draw.text(Draw.base64URL, 400) }) <= KeyPatterns.falseFindsMax)
    }

    /// This repository's own code, page and documents: code and prose about keys, more than anything else has.
    @Test func codeAndProseHaveNone() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        var (bytes, found): (Int, [String]) = (0, [])
        for folder in ["Sources", "docs", "Web", "examples"] {
            let files = FileManager.default.enumerator(
                at: root.appending(path: folder), includingPropertiesForKeys: nil)
            while let file = files?.nextObject() as? URL {
                guard ["swift", "md", "js", "css", "json", "yaml", "py", "sql"].contains(file.pathExtension),
                    let content = try? Data(contentsOf: file)
                else { continue }
                bytes += content.count
                if let (_, names) = KeyPatterns.all.redact(Array(content)) {
                    found.append("\(file.lastPathComponent): \(names)")
                }
            }
        }
        #expect(bytes > 5 * Self.million)
        #expect(found == [], "\(found)")
    }

    @Test func aKeyWithoutAnEndTakesNothingElseWithIt() {
        let open = "-----" + "BEGIN RSA PRIVATE KEY-----"
        let body = Draw(seed: 3).text(Draw.letters, 64)
        let json = KeyPatterns.all.redact(#"{"a":"\#(open)\n\#(body)\n\#(body)","b":{"c":"-----"}}"#)
        #expect(json?.text == #"{"a":"[redacted:private_key]","b":{"c":"-----"}}"#)
        // A line of each text of a document is no key of one of them.
        #expect(KeyPatterns.all.redact(#"[{"a":"\#(open)"},{"a":"\#(body)"}]"#) == nil)
        // Cut within an escape, too.
        let cut = KeyPatterns.all.redact(#"{"a":"\#(open)\n\#(body)\"","b":1}"#)
        #expect(cut?.text == #"{"a":"[redacted:private_key]\"","b":1}"#)
        let text = KeyPatterns.all.redact("\(open)\n\(body)\n\(body)\r\n--boundary\r\nname: x")
        #expect(text?.text == "[redacted:private_key]\r\n--boundary\r\nname: x")
        // In code the quotes are the text's own.
        let code = "k = \"\(open)\\n\" +\n \"\(body)\\n\" +\n \"-----" + "END RSA PRIVATE KEY-----\""
        #expect(KeyPatterns.all.redact(code)?.text == "k = \"[redacted:private_key]\"")
    }

    @Test func formatsCanBeLeftAlone() throws {
        let key = "ghp_" + Draw(seed: 1).text(Draw.letters, 36)
        let token = Draw(seed: 1).token()
        let patterns = try KeyPatterns(exceptList: " jwt, github_token ", field: "x")
        #expect(patterns.redact("a \(key) \(token)") == nil && !patterns.mayFind(Array(key.utf8)))
        #expect(KeyPatterns.none.isEmpty && KeyPatterns.none.redact("a \(key)") == nil)
        #expect(try KeyPatterns(exceptList: nil, field: "x").redact("a \(key)") != nil)
        let problem = #expect(throws: Problem.self) { try KeyPatterns(exceptList: "jwt,gihub", field: "x") }
        #expect(problem?.field == "x" && problem?.detail.contains("github_token") == true)
    }

    @Test func otherBytesPassAsTheyCame() {
        let key = Array(("ghp_" + Draw(seed: 2).text(Draw.letters, 36)).utf8)
        let bytes = [0xFF, 0x00, 0xC3] + key + [0x80, 0x00, 0xFE]
        #expect(
            KeyPatterns.all.redact(bytes)?.bytes == [0xFF, 0x00, 0xC3] + "[redacted:github_token]".utf8 + [
                0x80, 0, 0xFE,
            ])
        for count in 0..<4 { #expect(KeyPatterns.all.redact(Array(key.prefix(count))) == nil) }
    }

    /// Processor time, as others run beside.
    private static func cost(_ body: () -> Void) -> Double {
        func now() -> Double {
            var time = timespec()
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
            return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
        }
        let start = now()
        body()
        return now() - start
    }

    private static let line =
        #"{"timestamp":"2026-11-23T08:15:30.123Z","level":"info","message":"the brief was written in 3 steps"}"# + "\n"

    /// Looking for keys costs less than looking for known values, which every text goes through already.
    @Test func theLookIsCheap() {
        let text = Array(String(repeating: Self.line, count: Self.million / Self.line.utf8.count).utf8)
        let known = KnownSecrets(
            [("org/x", SecretBytes("correct horse battery"))], key: [UInt8](repeating: 1, count: 32))
        let before = Self.cost { #expect(known.redact(text).paths.isEmpty) }
        let more = Self.cost { #expect(KeyPatterns.all.redact(text) == nil) }
        #expect(more < before * 2, "\(more) beside \(before)")
    }

    /// Texts that begin something at each byte: the work stays in proportion.
    @Test(arguments: ["sk-", "eyJ", "eyJ.", "eyJ-", "-----BEGIN ", "-", "hf_a", "sk-ant-sk-or-", "AKIA"])
    func hostileTexts(unit: String) {
        hostile(String(repeating: unit, count: 200_000 / unit.utf8.count))
    }

    @Test func manyKeysWithoutAnEnd() {
        let open = "-----" + "BEGIN PRIVATE KEY-----\n" + Draw(seed: 5).text(Draw.letters, 64) + "\n"
        hostile(String(repeating: open, count: 200_000 / open.utf8.count) + String(repeating: "a b ", count: 20_000))
    }

    private func hostile(_ text: String) {
        let harmless = String(repeating: "a", count: text.utf8.count)
        let floor = Self.cost { _ = KeyPatterns.all.redact(harmless) }
        let cost = Self.cost { _ = KeyPatterns.all.redact(text) }
        #expect(cost < max(0.05, floor) * 600, "\(cost) beside \(floor)")
    }

    @Test func aKeyThatComesLineByLine() {
        let draw = Draw(seed: 9)
        func taken(_ lines: [String]) -> [String] {
            var keys = KeyLines()
            return lines.map { keys.take($0.utf8) ?? $0 }
        }
        let mark = "[redacted:private_key]"
        let body = (0..<3).map { _ in draw.text(Draw.letters + "+/", 64) } + ["abc="]
        let (open, end) = ("-----" + "BEGIN RSA PRIVATE KEY-----", "-----" + "END RSA PRIVATE KEY-----")
        #expect(taken([open] + body + [end, body[0]]) == [open, mark, mark, mark, mark, end, body[0]])
        let head = ["Proc-Type: 4,ENCRYPTED", "DEK-Info: AES-128-CBC,AB", ""]
        #expect(
            taken([open] + head + [body[0], "another program", body[1]]) == [open] + head + [
                mark, "another program", mark,
            ])
        #expect(taken(["a " + open + " b"] + body) == ["a " + open + " b"] + body)
        let certificate = "-----" + "BEGIN CERTIFICATE-----"
        #expect(taken([certificate] + body) == [certificate] + body)
        #expect(taken([open, "words", "abc", body[0]]) == [open, "words", "abc", mark])
        let others = (0...KeyLines.othersMax).map { "line \($0), with words" }
        #expect(taken([open] + others + body) == [open] + others + body)
        #expect(taken([open] + Array(repeating: body[0], count: KeyLines.linesMax + 1)).last == body[0])
    }

    @Test func whatIsFoundIsToldAndCounted() {
        let watch = SecretWatch(entropy: SeededEntropy(seed: 1))
        let key = "ghp_" + Draw(seed: 4).text(Draw.letters, 36)
        watch.add([("org/x", SecretBytes("correct horse battery"))])
        #expect(
            watch.clean("a \(key) correct horse battery", at: "logs") == "a [redacted:github_token] [redacted:org/x]")
        #expect(watch.clean(name: key, at: "headers") == key)
        #expect(watch.clean(["k": .string(key)], at: "events") == ["k": "[redacted:github_token]"])
        let own = "reeve_ingest_" + Draw(seed: 4).text("0123456789abcdef", 32)
        let both = watch.clean(keyed: Array(#"{"routing_key":"\#(own)","a":"\#(key)"}"#.utf8), at: "v2")
        #expect(String(decoding: both, as: UTF8.self) == #"{"routing_key":"\#(own)","a":"[redacted:github_token]"}"#)
        let checked = watch.clean(
            checked: Array(#"{"a":"\#(key)","reason":"\#(key)"}"#.utf8), remarks: ["reason"], at: "bundles")
        #expect(String(decoding: checked, as: UTF8.self) == #"{"a":"\#(key)","reason":"[redacted:github_token]"}"#)
        let told: [SecretLeak: Int] = [
            SecretLeak(path: "org/x", door: "logs"): 1, SecretLeak(.pattern("github_token"), door: "logs"): 1,
            SecretLeak(.pattern("github_token"), door: "events"): 1,
            SecretLeak(.pattern("github_token"), door: "v2"): 1,
            SecretLeak(.pattern("github_token"), door: "bundles"): 2,
        ]
        #expect(watch.takeLeaks() == told)
        watch.giveBack(told)
        #expect(watch.takeLeaks() == told && watch.takeLeaks().isEmpty)
        #expect(watch.totals.map(\.count).reduce(0, +) == 6)
        #expect(watch.totals.contains { $0 == ("known", "logs", 1) })
    }
}
