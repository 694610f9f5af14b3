import Testing

@testable import Kernel

@Suite("Bounded patterns")
struct BoundedPatternTests {
    private func isFound(_ pattern: String, _ text: String, steps: Int = 1_000_000) throws -> Bool? {
        var left = steps
        let found = try BoundedPattern(pattern).isFound(in: text, stepsLeft: &left)
        return left < 0 ? nil : found
    }

    @Test(
        "what matches",
        arguments: [
            ("", ""), ("a", "xay"), ("^a$", "a"), ("^(?:ab|cd)+$", "abcdab"), ("^a{2,3}$", "aaa"), ("^a{2,}$", "aaaa"),
            ("^a{0}$", ""), ("^[^a-c]$", "d"), ("^[]$|x", "x"), ("^[\\]\\-]+$", "]-"), ("^[a-]+$", "a-"),
            ("^\\d\\D\\w\\W\\s\\S$", "1a_- x"), ("\\bword\\b", "a word here"), ("^\\u0041\\x42\\u{1F600}$", "AB😀"),
            ("^\\ud83d\\ude00$", "😀"), ("^.$", "😀"), ("^\\p{L}+$", "Grüße"),
            ("^\\P{L}$", "1"), ("^[\\p{Lu}\\d]+$", "Ä7"),
            ("^\\p{gc=Lu}$", "Ä"), ("^a{,3}$", "a{,3}"), ("^(?!x)[a-z]+$", "abc"), ("^(?=.*\\d)(?=.*[a-z]).+$", "a1"),
            ("^(?<year>\\d{4})$", "2026"), ("^\\/\\.\\-$", "/.-"), ("^\\cA\\t\\0$|y", "y"), ("(a*)*b", "aaab"),
            ("^(a|ab)(c|bcd)(d*)$", "abcd"), ("a??b", "b"), ("^[\\s\\S]*$", "a\nb"), ("^$", ""), ("\\B", "ab"),
            ("^((?!bad).)*$", "all good"),
        ])
    func matches(pattern: String, text: String) throws {
        #expect(try isFound(pattern, text) == true, "\(pattern) in \(text)")
    }

    @Test(
        "what does not",
        arguments: [
            ("^a$", "a\n"), ("^a$", "b"), ("^.$", "\n"), ("^\\d$", "٣"), ("^\\w$", "é"), ("a{3}", "aa"), ("[]", "a"),
            ("^(?!x)", "x"), ("^(?=.*\\d)", "abc"), ("\\bx\\b", "axb"), ("^[^\\d\\s]$", " "), ("^\\p{Lu}$", "a"),
            ("^((?!bad).)*$", "not bad"), ("^(a|b){2}$", "aba"),
        ])
    func mismatches(pattern: String, text: String) throws {
        #expect(try isFound(pattern, text) == false, "\(pattern) in \(text)")
    }

    @Test(
        "what is refused",
        arguments: [
            "(", ")", "[a", "a**", "*a", "+", "^*", "(?=a)*", "(?<=a)b", "(?<!a)b", "(a)\\1", "\\k<n>", "\\", "[b-a]",
            "[\\d-z]", "a{3,2}", "a{10001}", "(a{1000}){1000}", "((){1000}){1000}", "\\p{Klingon}", "\\pL",
            "\\a", "\\Z",
            "(?i)a", "\\u12", "\\x1", "\\u{110000}", "\\01", "(?<n a)", "\\c1",
        ])
    func refusals(pattern: String) {
        #expect(throws: BoundedPattern.Failure.self, "\(pattern)") { try BoundedPattern(pattern) }
    }

    @Test("patterns that ruin a backtracking matcher take time in line with the text")
    func boundedTime() throws {
        let text = String(repeating: "a", count: 5_000)
        for pattern in ["^(a+)+$", "^(a|a)*b", "(x+x+)+y", "^(a*)*$|b", "(.*)*(.*)*c"] {
            #expect(try isFound(pattern, text + "!", steps: 500_000) == false, "\(pattern)")
        }
        #expect(try isFound("(?=(a*)*b)c", text, steps: 500_000) == nil)
        #expect(throws: BoundedPattern.Failure.self) {
            try BoundedPattern(String(repeating: "a", count: BoundedPattern.charactersMax + 1))
        }
        let nested = String(repeating: "(", count: 60) + String(repeating: ")", count: 60)
        #expect(throws: BoundedPattern.Failure.self) { try BoundedPattern(nested) }
    }

    @Test(
        "what every match has somewhere is known",
        arguments: [
            ("timeout", "timeout"), ("^Time ?out$", "time"), ("(?i)TIMEOUT.*\\d", "timeout"), ("a|b", ""),
            ("ab(c|d)efg", "efg"), ("(?:abc)+x", "abc"), ("(abc)*x", "x"), ("a\\bbc", "abc"), ("[aA]b", "ab"),
            ("[ab]c", "c"), ("(?i)ké", "k"), ("x{3}y", "x"), ("", ""), ("é", ""),
        ])
    func literal(pattern: String, literal: String) throws {
        #expect(try BoundedPattern(pattern, syntax: .re2).literal == literal)
    }
}
