import Kernel
import Testing

@testable import Telemetry

@Suite("Patterns of labels")
struct LabelPatternTests {
    struct Row: CustomTestStringConvertible, Sendable {
        let pattern: String
        let matching: [String]
        let other: [String]
        var testDescription: String { pattern }

        init(_ pattern: String, _ matching: [String], not other: [String]) {
            (self.pattern, self.matching, self.other) = (pattern, matching, other)
        }
    }

    static let rows: [Row] = [
        Row("", [""], not: ["a"]), Row("a|b|", ["a", "b", ""], not: ["ab", "c"]), Row(".*", ["", "a b"], not: ["\n"]),
        Row(".+", ["a"], not: ["", "a\n"]), Row("a.c", ["abc", "aéc"], not: ["ac", "a\nc", "xabc", "abcx"]),
        Row("(?i)Ab", ["ab", "AB"], not: ["a"]), Row("(?i:a)b", ["Ab", "ab"], not: ["aB"]),
        Row("(?s)a.b", ["a\nb"], not: []),
        Row("[a-c]+", ["abc"], not: ["abd", ""]), Row("[^a-c]", ["d", "\n"], not: ["a"]),
        Row("[]a-]", ["]", "a", "-"], not: ["b"]),
        Row("a{2,3}", ["aa", "aaa"], not: ["a", "aaaa"]), Row("a{2}", ["aa"], not: ["a"]),
        Row("a{,2}", ["a{,2}"], not: ["a"]),
        Row(#"\d+\.\d"#, ["10.5"], not: ["10x5"]), Row(#"\w\s\S"#, ["a b"], not: ["a  "]),
        Row("[[:alpha:]_]+", ["a_b"], not: ["1"]),
        Row(#"(a+)+b"#, ["aab"], not: [String(repeating: "a", count: 5_000)]), Row(#"\Qa.b\E"#, ["a.b"], not: ["axb"]),
        Row("^a$", ["a"], not: ["b"]), Row("a*?b", ["aab"], not: ["a"]), Row("(|a)*b", ["aab", "b"], not: ["c"]),
        Row(#"\bfoo\b"#, ["foo"], not: ["foox"]), Row("\\x41", ["A"], not: ["x41"]),
        Row(#"\p{Lu}\PN"#, ["Äx"], not: ["äx", "Ä1"]), Row(#"(?i)\p{Lu}[^x]"#, ["äb"], not: ["1b", "aX"]),
    ]

    @Test("match the whole of a value, in time that is bounded", arguments: rows)
    func match(_ row: Row) throws {
        let pattern = try LabelPattern(row.pattern)
        for text in row.matching { #expect(pattern.isMatch(text), "\(text)") }
        for text in row.other { #expect(!pattern.isMatch(text), "\(text.prefix(20))") }
    }

    @Test(
        "what is none is refused",
        arguments: [
            "(", ")", "[", "a**", "*", "a{3,2}", "a{1001}", #"\"#, #"\y"#, "(?=a)", "(?<a", #"\1"#, "[z-a]", "[[:x:]]",
            "(a{1000}){1000}", String(repeating: "(", count: 60) + String(repeating: ")", count: 60),
            String(repeating: "a", count: BoundedPattern.charactersMax + 1),
        ])
    func refuse(_ text: String) {
        #expect(throws: BoundedPattern.Failure.self) { try LabelPattern(text) }
    }

    @Test(
        "groups go into a template",
        arguments: [
            ("(.*):(.*)", "$2-$1", "a:b", "b-a"), ("(.*):.*", "${1}x", "a:b", "ax"), ("(.*):.*", "$1x", "a:b", ""),
            ("(?P<n>a+)(b)?", "$n|$2|$3|$$|$", "aa", "aa|||$|$"), ("(a*)(a*)", "$1,$2", "aa", "aa,"),
            ("(a*?)(a*)", "$1,$2", "aa", ",aa"), ("(a|ab)(c|bcd)", "$1,$2", "abcd", "a,bcd"), ("a", "$1", "b", nil),
        ])
    func expand(_ pattern: String, _ template: String, _ value: String, _ result: String?) throws {
        #expect(try LabelPattern(pattern).expand(template, with: value) == result)
    }

    @Test("labels are in the order of their names, and none is empty")
    func labels() {
        let labels = LabelSet([("b", "2"), ("a", "1"), ("", "x"), ("c", ""), ("ab", "3"), ("b", "4")])
        #expect(labels.pairs.map(\.name) == ["", "a", "ab", "b"])
        #expect(labels["b"] == "4" && labels["c"] == "" && labels["a"] == "1")
        #expect(labels.setting("aa", "x").pairs.map(\.name) == ["", "a", "aa", "ab", "b"])
        #expect(labels.setting("z", "x")["z"] == "x")
        #expect(labels.setting("ab", "").pairs.map(\.name) == ["", "a", "b"])
        #expect(labels.setting("ab", "y")["ab"] == "y")
        #expect(labels.keeping(LabelNames(["a", "q"])) == LabelSet([("a", "1")]))
        #expect(labels.dropping(LabelNames(["a", ""])) == LabelSet([("ab", "3"), ("b", "4")]))
        #expect(LabelSet([("a", "1")]) < LabelSet([("a", "1"), ("b", "1")]))
        #expect(LabelSet([("a", "e\u{301}")]) != LabelSet([("a", "é")]))
        #expect(LabelSet([("a", "x\0y")])["a"] == "x\u{FFFD}y")
    }
}
