/// A set of ASCII bytes.
struct ByteSet: Sendable, Equatable {
    private var low: UInt64 = 0
    private var high: UInt64 = 0

    init(_ ranges: ClosedRange<Unicode.Scalar>..., and others: String = "") {
        for range in ranges {
            for value in range.lowerBound.value...range.upperBound.value where value < 128 { insert(UInt8(value)) }
        }
        for byte in others.utf8 where byte < 128 { insert(byte) }
    }

    private mutating func insert(_ byte: UInt8) {
        if byte < 64 { low |= 1 << UInt64(byte) } else { high |= 1 << UInt64(byte - 64) }
    }

    func contains(_ byte: UInt8) -> Bool {
        byte < 64 ? low >> UInt64(byte) & 1 == 1 : byte < 128 && high >> UInt64(byte - 64) & 1 == 1
    }

    static let digits = ByteSet("0"..."9")
    static let upper = ByteSet("A"..."Z")
    static let letters = ByteSet("A"..."Z", "a"..."z")
    static let alphanumeric = ByteSet("0"..."9", "A"..."Z", "a"..."z")
    static let upperAlphanumeric = ByteSet("0"..."9", "A"..."Z")
    static let hexadecimal = ByteSet("0"..."9", "a"..."f")
    static let word = ByteSet("0"..."9", "A"..."Z", "a"..."z", and: "_")
    /// Base64 for addresses, RFC 4648 §5.
    static let base64URL = ByteSet("0"..."9", "A"..."Z", "a"..."z", and: "_-")
    static let base64 = ByteSet("0"..."9", "A"..."Z", "a"..."z", and: "+/")
    static let dotted = ByteSet("0"..."9", "A"..."Z", "a"..."z", and: "_-.")
}

/// The shape of a secret that is known by how it begins: a prefix, and so many characters of an alphabet.
///
/// Prefixes, alphabets and lengths are facts from the default rules of gitleaks (`config/gitleaks.toml`) and from the
/// issuers' own pages, which each entry names. Lengths are least lengths where an issuer has changed them before, so
/// that the next change is still caught.
public struct SecretFormat: Sendable, Equatable {
    /// What tells a secret from a long word.
    enum Proof: Sendable, Equatable {
        case none
        /// It looks drawn by lot: 12 letters and digits in a row, of both kinds.
        case random
    }

    /// Stands in the place of what was found, and in the counts.
    public let name: String
    let prefix: [UInt8]
    let alphabet: ByteSet
    /// Characters behind the prefix.
    let length: ClosedRange<Int>
    let proof: Proof
    /// The public page that says so.
    let source: String

    init(
        _ name: String, _ prefix: String, _ alphabet: ByteSet, min: Int, max: Int = .max, proof: Proof = .none,
        source: String
    ) {
        self.name = name
        self.prefix = Array(prefix.utf8)
        self.alphabet = alphabet
        length = min...Swift.max(min, max)
        self.proof = proof
        self.source = source
    }

    /// A stretch that a random key has and a word of a language has not.
    static let randomStretch = 12

    func isProven(_ text: Slice<UnsafeBufferPointer<UInt8>>) -> Bool {
        guard proof == .random else { return true }
        let (bytes, alphanumeric) = (text.base, ByteSet.alphanumeric)
        var stretch = 0
        var hasDigit = false
        var hasLetter = false
        for index in text.indices {
            let byte = bytes[index]
            guard alphanumeric.contains(byte) else {
                (stretch, hasDigit, hasLetter) = (0, false, false)
                continue
            }
            stretch += 1
            if byte <= UInt8(ascii: "9") { hasDigit = true } else { hasLetter = true }
            if stretch >= Self.randomStretch, hasDigit, hasLetter { return true }
        }
        return false
    }

    private static let gitleaks = "gitleaks default rules"
    private static let github = "GitHub docs, \"About authentication to GitHub\", token formats"
    private static let slack = "Slack docs, \"Token types\""
    private static let stripe = "Stripe docs, \"API keys\""
    private static let aws = "AWS IAM user guide, \"Unique identifiers\""

    /// All that are looked for. An earlier entry gives the name where two fit.
    public static let all: [SecretFormat] = [
        .init("anthropic_key", "sk-ant-", .base64URL, min: 20, source: gitleaks),
        .init("openrouter_key", "sk-or-", .base64URL, min: 20, proof: .random, source: "OpenRouter docs"),
        // OpenAI's of every kind (`sk-`, `sk-proj-`, `sk-svcacct-`), and those of the many that took its shape.
        .init("openai_key", "sk-", .base64URL, min: 20, proof: .random, source: gitleaks),
        .init("stripe_key", "sk_live_", .alphanumeric, min: 10, source: stripe),
        .init("stripe_key", "sk_test_", .alphanumeric, min: 10, source: stripe),
        .init("stripe_key", "rk_live_", .alphanumeric, min: 10, source: stripe),
        .init("stripe_key", "rk_test_", .alphanumeric, min: 10, source: stripe),
        .init("stripe_webhook_secret", "whsec_", .base64, min: 24, source: stripe),
        .init("aws_access_key", "AKIA", .upperAlphanumeric, min: 16, max: 16, source: aws),
        .init("aws_access_key", "ASIA", .upperAlphanumeric, min: 16, max: 16, source: aws),
        .init("github_token", "ghp_", .alphanumeric, min: 36, source: github),
        .init("github_token", "gho_", .alphanumeric, min: 36, source: github),
        .init("github_token", "ghu_", .alphanumeric, min: 36, source: github),
        .init("github_token", "ghs_", .alphanumeric, min: 36, source: github),
        .init("github_token", "ghr_", .alphanumeric, min: 36, source: github),
        .init("github_token", "github_pat_", .word, min: 36, source: github),
        .init("gitlab_token", "glpat-", .base64URL, min: 20, source: gitleaks),
        .init("slack_token", "xoxb-", .base64URL, min: 16, proof: .random, source: slack),
        .init("slack_token", "xoxp-", .base64URL, min: 16, proof: .random, source: slack),
        .init("slack_token", "xoxa-", .base64URL, min: 16, proof: .random, source: slack),
        .init("slack_token", "xoxr-", .base64URL, min: 16, proof: .random, source: slack),
        .init("slack_token", "xoxs-", .base64URL, min: 16, proof: .random, source: slack),
        .init("slack_token", "xapp-", .base64URL, min: 16, proof: .random, source: slack),
        .init("google_api_key", "AIza", .base64URL, min: 35, source: gitleaks),
        .init("google_access_token", "ya29.", .dotted, min: 20, proof: .random, source: "Google OAuth 2.0 docs"),
        .init("huggingface_token", "hf_", .alphanumeric, min: 30, source: gitleaks),
        .init("npm_token", "npm_", .alphanumeric, min: 36, source: gitleaks),
        .init("pypi_token", "pypi-AgEIcHlwaS5vcmc", .base64URL, min: 50, source: gitleaks),
        .init("groq_key", "gsk_", .alphanumeric, min: 40, source: "Groq docs"),
        .init("xai_key", "xai-", .base64URL, min: 60, source: "xAI docs"),
        .init("perplexity_key", "pplx-", .alphanumeric, min: 40, source: gitleaks),
        .init("replicate_token", "r8_", .alphanumeric, min: 30, proof: .random, source: "Replicate docs"),
        .init("sendgrid_key", "SG.", .dotted, min: 60, source: gitleaks),
        .init("digitalocean_token", "dop_v1_", .hexadecimal, min: 64, source: gitleaks),
        .init("databricks_token", "dapi", .hexadecimal, min: 32, source: gitleaks),
        .init("vault_token", "hvs.", .base64URL, min: 24, source: gitleaks),
        .init("age_key", "AGE-SECRET-KEY-1", .upperAlphanumeric, min: 58, source: gitleaks),
        .init("reeve_key", "reeve_", .word, min: 32, proof: .random, source: "Reeve's own keys"),
    ]
}
