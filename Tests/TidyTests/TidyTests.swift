import Foundation
import Testing

/// How files look. Each rule has its reason in `docs/DEVELOPMENT.md`.
@Suite struct TidyTests {
    static let linesMax = 500
    static let columnsMax = 120
    static let functionLinesMax = 60

    @Test("Files and lines stay short")
    func sizes() {
        for file in SourceTree.sources + SourceTree.tests {
            #expect(
                file.lines.count <= Self.linesMax + 1, "\(file.path) has \(file.lines.count) lines: split it by topic")
            for (index, line) in file.lines.enumerated() where line.count > Self.columnsMax {
                Issue.record("\(file.path):\(index + 1) has \(line.count) columns")
            }
        }
    }

    @Test("Functions stay short")
    func functions() throws {
        let modifiers = #"((public|private|fileprivate|static|mutating|@\w+(\(.*\))?|override|nonisolated) )*"#
        let start = try Regex(#"^\s*"# + modifiers + #"(func|init|deinit)\b"#)
        for file in SourceTree.sources {
            let lines = file.lines
            for (index, line) in lines.enumerated()
            where line.contains(start) && (line.hasSuffix("{") || line.hasSuffix("(")) {
                let indent = line.prefix { $0 == " " }
                let end = lines[index...].firstIndex { $0 == indent + "}" } ?? index
                #expect(
                    end - index <= Self.functionLinesMax,
                    "\(file.path):\(index + 1) begins a function of \(end - index) lines")
            }
        }
    }

    /// What may stand only where it is made to be replaced, or nowhere.
    static let bans: [(pattern: String, homes: [String], instead: String)] = [
        (#"\bDate\(\)"#, [], "take the time from `World`"),
        (#"\bUUID\(\)"#, [], "make an `Identifier`"),
        (#"\.random\("#, ["Sources/Kernel/Time/"], "take chance from `World`"),
        (#"\bTask\.sleep\b"#, ["Sources/Kernel/Time/"], "sleep with `world.time`"),
        (
            #"\bprint\("#, ["Sources/reeve/", "Sources/Runner/"],
            "services do not talk; return a value or log at the boundary"
        ),
        (#"\btry!"#, [], "throw, or prove it with a precondition that says why"),
        (#"[\w\)\]]!(?![=\w\"])"#, [], "unwrap with a guard"),
        (#"\bfatalError\b"#, [], "use a precondition that says what was wrong"),
        (#"\b(TODO|FIXME|XXX)\b"#, [], "do it now, or leave it out"),
    ]

    @Test("Nothing banned is used", arguments: bans.indices)
    func banned(_ index: Int) throws {
        let rule = Self.bans[index]
        let pattern = try Regex(rule.pattern)
        for file in SourceTree.sources where !rule.homes.contains(where: file.path.hasPrefix) {
            for line in file.code where line.text.contains(pattern) {
                Issue.record(
                    "\(file.path):\(line.number) \(line.text.trimmingCharacters(in: .whitespaces)): \(rule.instead)")
            }
        }
    }

    @Test("Each unchecked Sendable is proven in its comment")
    func uncheckedSendable() {
        for file in SourceTree.sources {
            let lines = file.lines
            for (index, line) in lines.enumerated()
            where line.contains("@unchecked Sendable") && !line.trimmingCharacters(in: .whitespaces).hasPrefix("///") {
                let comment = lines[..<index].reversed().prefix {
                    $0.trimmingCharacters(in: .whitespaces).hasPrefix("///")
                }
                #expect(
                    comment.contains { $0.contains("`@unchecked Sendable`") },
                    "\(file.path):\(index + 1) says `@unchecked Sendable` without its proof in the comment above")
            }
        }
    }

    @Test("Public types say what they are for")
    func docComments() throws {
        let declaration = try Regex(#"^public (final )?(struct|class|enum|actor|protocol) (\w+)"#)
        for file in SourceTree.sources {
            let lines = file.lines
            for (index, line) in lines.enumerated() where line.contains(declaration) {
                let above = index > 0 ? lines[index - 1] : ""
                let isIDSubject = line.contains(": Identified")
                #expect(
                    isIDSubject || above.hasPrefix("///") || above.hasPrefix("@"),
                    "\(file.path):\(index + 1) has no doc comment")
            }
        }
    }

    @Test("No drawer for leftovers")
    func names() {
        for file in SourceTree.sources {
            for word in ["Utils", "Helper", "Common", "Misc", "Manager"] {
                #expect(!file.name.contains(word), "\(file.path): name it for what it does")
            }
        }
    }

    @Test("No test is switched off or asserts nothing")
    func honestTests() {
        for file in SourceTree.tests where !file.path.hasPrefix("Tests/TidyTests/") {
            for word in ["#expect(true)", ".disabled(", "XCTSkip", "Task.sleep"] {
                #expect(!file.text.contains(word), "\(file.path) has \(word)")
            }
        }
    }
}
