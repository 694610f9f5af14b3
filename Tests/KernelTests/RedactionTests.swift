import TestSupport
import Testing

@testable import Kernel

/// What is taken out of answers, in one piece and in many. Examples are put together here, so that no scanner of this
/// repository takes them for lost keys.
@Suite struct RedactionTests {
    static let random48 = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0fG3iJ6lM9oP2rS5uX8"
    static let random93 = [random48, "-", drawn(44)].joined()
    static let jwt = [
        "ey", "JhbGciOiJIUzI1NiJ9.ey", "JzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    ].joined()
    static let pemBody = "MIIEowIBAAKCAQEAx1234567890abcdefghijklmnopqrstuvwxyzABCDEFGHIJK"

    static func drawn(_ count: Int) -> String { String(random48.prefix(count)) }

    static func key(_ parts: String...) -> String { parts.joined() }

    static func pem(_ label: String, line: String = "\n") -> String {
        "-----" + "BEGIN \(label)-----\(line)\(pemBody)\(line)\(pemBody)\(line)-----" + "END \(label)-----"
    }

    @Test(
        "Secrets of each format",
        arguments: [
            ("openai_key", key("sk-", random48)), ("openai_key", key("sk-", "proj-", random93)),
            ("anthropic_key", key("sk-", "ant-api03-", random93, "AA")),
            ("openrouter_key", key("sk-", "or-v1-", random48)),
            ("stripe_key", key("sk_", "live_", drawn(24))), ("aws_access_key", key("AKIA", "IOSFODNN7EXAMPLE")),
            ("github_token", key("ghp_", drawn(36))), ("github_token", key("github_", "pat_", random48)),
            ("gitlab_token", key("glpat-", drawn(20))), ("slack_token", key("xoxb-", "123456789012-", random48)),
            ("google_api_key", key("AIza", drawn(35))), ("huggingface_token", key("hf_", drawn(34))),
            ("npm_token", key("npm_", drawn(36))), ("groq_key", key("gsk_", random48, "abcd")),
            ("perplexity_key", key("pplx-", random48)), ("sendgrid_key", key("SG.", random48, ".", random48)),
            ("vault_token", key("hvs.", random93)),
            ("reeve_key", key("reeve_", "agent_", "0123456789abcdef0123456789abcdef")),
            ("jwt", jwt), ("private_key", pem("RSA PRIVATE KEY")), ("private_key", pem("PRIVATE KEY", line: "\\n")),
            ("private_key", pem("ENCRYPTED PRIVATE KEY", line: "\r\n    ")),
            ("private_key", pem("OPENSSH PRIVATE KEY")),
            ("private_key", pem("PGP PRIVATE KEY BLOCK", line: "\nVersion: GnuPG v2\n\n")),
        ])
    func secrets(name: String, secret: String) {
        let frames = [("", ""), ("the key is ", "."), ("\"", "\","), ("Schlüssel–", " – ja"), ("k=", "\nnext")]
        for (before, after) in frames {
            #expect(Redactor.redact(before + secret + after) == before + "[redacted:\(name)]" + after)
        }
    }

    @Test(
        "What only looks like it",
        arguments: [
            "", "sk-", "sk-short", "a sk-fading-circle-container-wrapper class", key("task-", random48),
            key("risk-", random48), key("AKIA", "IOSFODNN7EXAMPLE9"), key("AKIA", "IOSFODNN7EXAMPL"),
            "ASIAN INFRASTRUCTURE", "ghp_tooshort",
            "reeve_gateway_overhead_seconds_bucket_total", "eyJ is how a token begins", "eyJhbGci.x.y", "eyJ.eyJ.eyJ",
            pem("CERTIFICATE"), "-----", "-----BEGIN ", key("-----", "BEGIN PRIVATE KEY-----"),
            key("-----", "BEGIN PRIVATE KEY-----\n...\n-----", "END PRIVATE KEY-----"),
            key("It starts with `-----", "BEGIN RSA PRIVATE KEY-----` and then come many lines of text in Base64."),
            "xoxb-", "日本語のテキスト 🙂", "SG.", "https://example.com/AIza", "hf_hub_download(repo_id=name)",
        ])
    func harmless(text: String) { #expect(Redactor.redact(text) == text) }

    @Test(
        arguments: [
            ("mail jo.doe+x@mail.example.com.", "mail [redacted:email]."), ("<a@b.co>", "<[redacted:email]>"),
            ("a@b", "a@b"), ("@handle and x@", "@handle and x@"), ("a@b.c1", "a@b.c1"), ("a@-.com", "a@-.com"),
            (String(repeating: "x", count: 65) + "@b.com", String(repeating: "x", count: 65) + "@b.com"),
            ("4111 1111 1111 1111", "[redacted:card]"), ("4111-1111-1111-1111 12/27", "[redacted:card] 12/27"),
            ("5500000000000004,", "[redacted:card],"), ("378282246310005", "[redacted:card]"),
            ("3782 822463 10005", "[redacted:card]"), ("4111 1111 1111 1112", "4111 1111 1111 1112"),
            ("41111111111111111111", "41111111111111111111"), ("id4111111111111111", "id4111111111111111"),
            ("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"),
            ("9111111111111111", "9111111111111111"),
            ("DE89 3704 0044 0532 0130 00", "[redacted:iban]"), ("GB82WEST12345698765432.", "[redacted:iban]."),
            ("NO9386011117947", "[redacted:iban]"), ("DE88 3704 0044 0532 0130 00", "DE88 3704 0044 0532 0130 00"),
            ("DE89370400440532013000X", "DE89370400440532013000X"),
            ("XX89370400440532013000", "XX89370400440532013000"),
            ("call +49 30 901820 now", "call [redacted:phone] now"), ("+1 (415) 555-2671", "[redacted:phone]"),
            ("415-555-2671", "[redacted:phone]"), ("(415) 555-2671!", "[redacted:phone]!"),
            ("415-555-26712", "415-555-26712"), ("1 + 2", "1 + 2"), ("+1234567", "+1234567"),
            ("+1234567890123456", "+1234567890123456"), ("2026-11-20 08:15", "2026-11-20 08:15"),
            ("10.0.0.1", "10.0.0.1"),
        ])
    func personalData(text: String, expected: String) {
        #expect(Redactor.redact(text, .all) == expected)
        #expect(Redactor.redact(text) == text)
    }

    @Test func findingsAreCounted() {
        var redactor = Redactor(.all)
        _ = redactor.push("a@b.com c@d.org sk-" + Self.random48)
        _ = redactor.finish()
        #expect(redactor.findings == ["email": 2, "openai_key": 1])
    }

    @Test func twoKeysInARowAndOneWithoutAnEnd() {
        let open = "-----" + "BEGIN PRIVATE KEY-----\n\(Self.pemBody)\n"
        #expect(Redactor.redact(open + Self.pem("RSA PRIVATE KEY") + " end") == "[redacted:private_key] end")
        #expect(Redactor.redact(open + Self.pemBody) == "[redacted:private_key]")
        // Prose behind a key that was never ended comes back after a few words.
        let prose = String(repeating: "these are words of a text ", count: 40)
        let shown = Redactor.redact(open + prose)
        #expect(shown.hasPrefix("[redacted:private_key]"))
        #expect(shown.utf8.count > prose.utf8.count / 2)
        #expect(!shown.contains("MII"))
        let endless = open + String(repeating: "A", count: KeyBody.bodyMax + 1_000)
        #expect(Redactor.redact(endless).utf8.count < 1_100)
    }

    @Test func longTokensGoWhole() {
        let long = "sk-" + String(repeating: Self.random48, count: 50)
        #expect(Redactor.redact("x \(long) y") == "x [redacted:openai_key] y")
        let (header, payload) = (String(repeating: "a", count: 500), String(repeating: "b", count: 9_000))
        let wide = Self.key("ey", "J", header, ".ey", "J", payload, ".c")
        #expect(Redactor.redact("x \(wide). y") == "x [redacted:jwt]. y")
    }

    static let samples: [String] = [
        key("the key is sk-", random48, " and more"), key("a ", jwt, ". b"), key("x\n", pem("RSA PRIVATE KEY"), "\ny"),
        "mail jo@example.com, pay 4111 1111 1111 1111 or DE89 3704 0044 0532 0130 00 or call +49 30 901820.",
        "nothing to see here 日本 🙂 sk- ghp_ eyJ ----- (415) 55", key("sk-", random48), "jo@example.co", "sk-abc",
    ]

    @Test(arguments: samples.indices)
    func piecesGiveTheSameAsTheWhole(_ index: Int) {
        let text = Self.samples[index]
        let whole = Redactor.redact(text, .all)
        let scalars = Array(text.unicodeScalars)
        for size in [1, 2, 3, 7, 20, 64] {
            var redactor = Redactor(.all)
            var shown = ""
            for start in stride(from: 0, to: scalars.count, by: size) {
                var piece = String.UnicodeScalarView()
                piece.append(contentsOf: scalars[start..<min(scalars.count, start + size)])
                shown += redactor.push(String(piece))
            }
            shown += redactor.finish()
            #expect(shown == whole)
            #expect(redactor.heldBytes == 0)
        }
    }

    /// Texts of fragments that begin, continue and end secrets, cut at random.
    @Test(arguments: [1, 2, 3, 4, 5])
    func randomTextsInRandomPieces(seed: UInt64) {
        let fragments = [
            "sk-", "ghp_", Self.random48, "eyJ", ".eyJ", ".", "-----", "BEGIN PRIVATE KEY", "END PRIVATE KEY", "\n",
            " ",
            "@", "example.com", "4111", "1111", "-", "+49", "DE89", "3704004405320130", "00", "é", "🙂", "a", "AKIA",
            "Z",
            String(repeating: "x", count: 300), Self.jwt, Self.pemBody, "(415) ", "555-2671", "_", "0",
        ]
        let entropy = SeededEntropy(seed: seed)
        func below(_ limit: Int) -> Int { Int(entropy.next() % UInt64(limit)) }
        for _ in 0..<150 {
            let text = (0..<below(30)).map { _ in fragments[below(fragments.count)] }.joined()
            for rules in [RedactionRules.secretsOnly, .all] {
                var redactor = Redactor(rules)
                var shown = ""
                var rest = text.unicodeScalars[...]
                while !rest.isEmpty {
                    let piece = rest.prefix(1 + below(40))
                    rest = rest.dropFirst(piece.count)
                    shown += redactor.push(String(piece))
                    #expect(redactor.heldBytes <= Redactor.holdMax)
                }
                shown += redactor.finish()
                #expect(shown == Redactor.redact(text, rules), "\(text.debugDescription)")
                if redactor.findings.isEmpty { #expect(shown == text) }
            }
        }
    }

    @Test func withoutRulesNothingIsHeld() {
        var redactor = Redactor(RedactionRules(secrets: [], hasTokensAndKeys: false))
        #expect(redactor.push("sk-" + Self.random48) == "sk-" + Self.random48)
        #expect(redactor.heldBytes == 0)
    }

    /// Texts that begin something at each byte; the work stays in proportion.
    @Test(arguments: ["sk-", "eyJ.", "a.", "-----BEGIN ", "+1", "4", "AA11", "eyJhbGciOiJI"])
    func hostileTextsTakeNoLongerThanTheyMay(unit: String) {
        let text = String(repeating: unit, count: 60_000 / unit.utf8.count)
        var redactor = Redactor(.all)
        let shown = redactor.push(text) + redactor.finish()
        #expect(shown == text || !redactor.findings.isEmpty)
    }

    @Test func eachFormatSaysWhereItIsFrom() {
        for format in SecretFormat.all {
            #expect(!format.source.isEmpty && format.prefix.count >= 3 && format.length.lowerBound >= 10)
            #expect(format.prefix.count + format.length.lowerBound < Redactor.tokenMax)
        }
    }
}
