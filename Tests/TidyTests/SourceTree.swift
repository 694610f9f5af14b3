import Foundation

/// The project's files, as text.
struct SourceFile {
    /// From the project's root: `Sources/Kernel/Limits/Limits.swift`.
    let path: String
    let text: String

    let lines: [Substring]
    /// The lines without comments and without what stands in quotes: what the compiler acts on.
    let code: [(number: Int, text: String)]

    var name: String { (path as NSString).lastPathComponent }
    var folder: String { (path as NSString).deletingLastPathComponent }
    var module: String { String(path.split(separator: "/").dropFirst().first ?? "") }

    init(path: String, text: String) {
        self.path = path
        self.text = text
        lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        code = path.hasSuffix(".swift") ? Self.code(lines) : []
    }

    private static func code(_ lines: [Substring]) -> [(number: Int, text: String)] {
        var isInLiteral = false
        return lines.enumerated().compactMap { index, line in
            let isFence = line.contains("\"\"\"") && line.components(separatedBy: "\"\"\"").count % 2 == 0
            defer { if isFence { isInLiteral.toggle() } }
            if isInLiteral || line.trimmingPrefix(while: { $0 == " " }).hasPrefix("//") { return nil }
            let unquoted =
                line.utf8.contains(UInt8(ascii: "\""))
                ? String(line).replacing(/"(\\.|[^"\\])*"/, with: "\"\"") : String(line)
            let code =
                unquoted.utf8.contains(UInt8(ascii: "/")) ? unquoted.components(separatedBy: " // ")[0] : unquoted
            return (index + 1, code)
        }
    }
}

enum SourceTree {
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    static func files(below folder: String, endings: [String]) -> [SourceFile] {
        let base = root.appendingPathComponent(folder)
        guard let walk = FileManager.default.enumerator(atPath: base.path) else { return [] }
        return walk.compactMap { $0 as? String }.sorted().compactMap { path in
            guard endings.contains((path as NSString).pathExtension), !path.hasPrefix("vendor/"),
                !path.contains("/vendor/")
            else { return nil }
            let text = try? String(contentsOf: base.appendingPathComponent(path), encoding: .utf8)
            return text.map { SourceFile(path: "\(folder)/\(path)", text: $0) }
        }
    }

    static let sources = files(below: "Sources", endings: ["swift"])
    static let tests = files(below: "Tests", endings: ["swift"])
    static let documents =
        files(below: "docs", endings: ["md"])
        + ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"].compactMap { name in
            (try? String(contentsOf: root.appendingPathComponent(name), encoding: .utf8))
                .map { SourceFile(path: name, text: $0) }
        }
}
