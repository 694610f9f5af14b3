import Testing

@testable import Telemetry

@Suite("Where expressions are wrong")
struct RuleFaultPlacesTests {
    /// Expressions as YAML may write them, each with one call of a function that is none.
    private static let written: [String: String] = [
        "plain": "up > foo(up)",
        "plain, over lines": "up\n        >\n\n        foo(up)",
        "plain, behind letters of several bytes": "up{a=\"äöü\"} > foo(up)",
        "anchor": "&a  up > foo(up)",
        "single quotes": "'up > foo(up)'",
        "single quotes, doubled": "'up{a=\"it''s '''' here\"} > foo(up)'",
        "single quotes, over lines": "'up{a=\"''\"}   \n\n        >\n        foo(up)'",
        "double quotes": #""up > foo(up)""#,
        "double quotes, escapes": #""up{a=\"\\\\ \x41\u00e4\U0001F600\t\"} > foo(up)""#,
        "double quotes, a new line": #""up >\n  foo(up)""#,
        "double quotes, over lines": "\"up{a=\\\"\\\"} \\\n        >  \n\n        \\ foo(up)\"",
        "tag": "!!str \"up > foo(up)\"",
        "literal": "|\n      up\n      > foo(up)\n",
        "literal, its first line": "|\n      foo(up)\n      > 1\n",
        "literal, stripped": "|-\n      up\n        > foo(up)\n",
        "literal, kept": "|+\n      up\n      > foo(up)\n\n\n",
        "literal, empty lines": "|\n\n   \n      up\n\n        >\n\n      foo(up)\n",
        "literal, indentation given": "|2\n      up\n      > foo(up)\n",
        "literal, given and stripped, with a comment": "|2-  # so much\n      up\n      > foo(up)\n",
        "literal behind an anchor and a tag": "&x !!str |\n      up\n      > foo(up)\n",
        "literal, deep": "|\n              up >\n                foo(up)\n",
        "folded": ">\n      up\n      > foo(up)\n",
        "folded, stripped": ">-\n      up >\n      foo(up)\n",
        "folded, paragraphs": ">\n      up\n\n\n      >\n\n      foo(up)\n",
        "folded, lines that stand deeper": ">\n      up\n        >\n         1 +\n      foo(up)\n",
    ]

    private static func file(_ expression: String) -> String {
        let end = expression.hasSuffix("\n") ? "" : "\n"
        return "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: \(expression)\(end)    for: 5m\n"
    }

    private static func places(_ text: String) throws -> [String] {
        do {
            _ = try RuleReader.read(text)
            return []
        } catch { return error.faults.map { "\($0.line):\($0.column)" } }
    }

    @Test("The place is the file's, however the expression is written", arguments: written.keys.sorted())
    func place(form: String) throws {
        for text in try [Self.file(#require(Self.written[form]))].flatMap({ [$0, $0.replacing("\n", with: "\r\n")] }) {
            let before = try #require(text.firstRange(of: "foo(")).lowerBound
            let lines = text[..<before].split(omittingEmptySubsequences: false) { $0.isNewline }
            let last = try #require(lines.last)
            #expect(try Self.places(text) == ["\(lines.count):\(last.unicodeScalars.count + 1)"], "\(text)")
        }
    }

    @Test("What ends too soon is told behind its last word")
    func end() throws {
        #expect(try Self.places(Self.file("|\n      up\n      >\n\n")) == ["7:8"])
        #expect(try Self.places(Self.file("'sum(up'")) == ["5:18"])
        #expect(try Self.places(Self.file("up >")) == ["5:15"])
    }
}
