import Foundation
import Kernel
import Testing

@testable import Control

@Suite("Bundles: differences and who made them")
struct BundleDiffTests {
    private func diff(_ old: String?, _ new: String?) -> String {
        BundleDiff.unified(
            old.map { [BundleFile(path: "a.md", content: $0)] } ?? [],
            new.map { [BundleFile(path: "a.md", content: $0)] } ?? [])
    }

    @Test("a change is shown with the lines around it, as diff -u has it")
    func change() {
        let old = (1...9).map { "\($0)\n" }.joined()
        let new = old.replacingOccurrences(of: "5\n", with: "five\n5b\n")
        #expect(
            diff(old, new) == """
                --- a/a.md
                +++ b/a.md
                @@ -2,7 +2,8 @@
                 2
                 3
                 4
                -5
                +five
                +5b
                 6
                 7
                 8

                """)
        #expect(diff(old, old) == "")
    }

    @Test("changes that are far apart are two parts")
    func parts() {
        let lines = (1...30).map(String.init)
        var changed = lines
        changed[1] = "x"
        changed[28] = "y"
        let text = diff(lines.joined(separator: "\n") + "\n", changed.joined(separator: "\n") + "\n")
        #expect(text.split(separator: "\n").filter { $0.hasPrefix("@@") } == ["@@ -1,5 +1,5 @@", "@@ -26,5 +26,5 @@"])
    }

    @Test("a new file, a file that went, and a last line without an end")
    func ends() {
        #expect(diff(nil, "a\n") == "--- /dev/null\n+++ b/a.md\n@@ -0,0 +1 @@\n+a\n")
        #expect(diff("a\n", nil) == "--- a/a.md\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n")
        #expect(
            diff("a\n", "a")
                == "--- a/a.md\n+++ b/a.md\n@@ -1 +1 @@\n-a\n+a\n\\ No newline at end of file\n")
    }

    @Test("texts that have nothing in common are replaced, within bounds")
    func hostile() {
        let old = (0..<20_000).map { "a\($0)\n" }.joined()
        let new = (0..<20_000).map { "b\($0)\n" }.joined()
        let text = diff(old, new)
        #expect(text.hasPrefix("--- a/a.md\n+++ b/a.md\n@@ -1,20000 +1,20000 @@\n-a0\n"))
        #expect(text.utf8.count <= BundleDiff.bytesMax + 100)
    }

    @Test("each line is laid to the version that last changed it")
    func blame() {
        let lines = BundleBlame.lines([
            ("v1", "one\ntwo\nthree\n"), ("v2", "one\n2\nthree\n"), ("v3", "zero\none\n2\nthree\n"), ("v4", nil),
            ("v5", "zero\none\n"),
        ])
        #expect(lines.map(\.version) == ["v5", "v5"])
        let kept = BundleBlame.lines([
            ("v1", "one\ntwo\nthree\n"), ("v2", "one\n2\nthree\n"), ("v3", "zero\none\n2\nthree\n"),
        ])
        #expect(kept.map(\.version) == ["v3", "v1", "v2", "v1"])
        #expect(kept.map(\.text) == ["zero", "one", "2", "three"])
        #expect(kept.map(\.number) == [1, 2, 3, 4])
    }
}
