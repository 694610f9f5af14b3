import Foundation
import Kernel
import TestSupport
import Testing

@testable import Control

@Suite("Bundles: what is judged before anybody runs with it")
struct BundleLintTests {
    static let manifest = """
        models:
          main: claude-sonnet-4-20250514
        prompts:
          system: prompts/system.md
        tools:
          - tools/search.yaml
        parameters:
          temperature: 0.2
          style: formal
        limits:
          maxTokensPerCall: 4000
          requestsPerHour: 20
        secrets:
          search: secret://org/search
        """
    static let tool = """
        name: search
        description: Looks things up
        inputSchema:
          type: object
          properties:
            query: {type: string}
        """

    /// Like a key of OpenAI's, put together here so that no scanner takes this file for a leak.
    private static let key = "sk" + "-q7Xv2LmP9sKd4RtY8wBn3ZcH"

    static func bundle(_ manifest: String = manifest, tool: String = tool, more: [BundleFile] = []) throws
        -> AgentBundle
    {
        try AgentBundle(
            [
                BundleFile(path: "agent.yaml", content: manifest),
                BundleFile(path: "prompts/system.md", content: "You look things up.\n"),
                BundleFile(path: "tools/search.yaml", content: tool),
            ] + more)
    }

    static func findings(_ bundle: AgentBundle, pins: Set<String> = []) -> [BundleFinding] {
        BundleLint { pins.contains($0) }.findings(bundle)
    }

    @Test("a good bundle has no findings")
    func good() throws {
        #expect(Self.findings(try Self.bundle()) == [])
    }

    @Test(
        "each fault is told with its rule and its line",
        arguments: [
            ("main: claude-sonnet-4-20250514", "main: claude-sonnet-4", BundleRule.unpinnedModel, 2),
            ("main: claude-sonnet-4-20250514", "main: gpt-4o", .unpinnedModel, 2),
            ("main: claude-sonnet-4-20250514", "main: gpt-4o-latest", .unpinnedModel, 2),
            ("main: claude-sonnet-4-20250514", "main: [a]", .schema, 2),
            ("models:", "modles:", .unknownKey, 1),
            ("  temperature: 0.2", "  temprature: 0.2", .unknownKey, 8),
            ("  temperature: 0.2", "  temperature: warm", .schema, 8),
            ("  temperature: 0.2", "  temperature: 3", .schema, 8),
            ("  temperature: 0.2", "  apiKey: hunter22", .secretValue, 8),
            ("maxTokensPerCall: 4000", "maxTokenPerCall: 4000", .unknownKey, 11),
            ("maxTokensPerCall: 4000", "maxTokensPerCall: -1", .schema, 11),
            ("requestsPerHour: 20", "requestsPerHour: many", .schema, 12),
            ("search: secret://org/search", "search: hunter22", .secretValue, 14),
            ("search: secret://org/search", "search: secret://nobody/x/y", .schema, 14),
            ("search: secret://org/search", "search: secret://user/x", .schema, 14),
            ("tools/search.yaml", "tools/other.yaml", .missingTool, 6),
            ("tools/search.yaml", "../search.yaml", .schema, 6),
            ("prompts/system.md", "prompts/other.md", .schema, 4),
            ("  style: formal", "  style: \"sk\" + \"-live\"", .schema, 9),
            ("  style: formal", "  style: \(key)", .secretValue, 9),
            // The YAML library tells of a repeated key at its mapping.
            ("  style: formal", "  temperature: 1", .schema, 8),
        ])
    func faults(old: String, new: String, rule: BundleRule, line: Int) throws {
        let manifest = Self.manifest.replacingOccurrences(of: old, with: new)
        let found = Self.findings(try Self.bundle(manifest))
        #expect(found.map(\.rule) == [rule], "\(found)")
        #expect(found.first?.line == line, "\(found)")
        #expect(found.first?.path == "agent.yaml")
    }

    @Test("a misspelt key is told with the one that was meant")
    func nearest() throws {
        let found = Self.findings(try Self.bundle(Self.manifest.replacingOccurrences(of: "limits:", with: "limit:")))
        #expect(found.first?.message.contains("did you mean \"limits\"?") == true)
    }

    @Test(
        "a tool whose input is no JSON Schema is told where it stands",
        arguments: [
            ("query: {type: string}", "query: {type: text}", 6), ("type: object", "type: array", 4),
            ("name: search", "name: search for it", 1), ("inputSchema:", "inputSchema: [", 5),
        ])
    func tools(old: String, new: String, line: Int) throws {
        let found = Self.findings(try Self.bundle(tool: Self.tool.replacingOccurrences(of: old, with: new)))
        #expect(found.map(\.rule) == [.schema], "\(found)")
        #expect(found.first?.path == "tools/search.yaml")
        #expect(found.first?.line == line, "\(found)")
    }

    @Test("a tool has the name in the bundle that models see, and no other tool has it")
    func toolNames() throws {
        func found(_ tools: String, _ files: [String: String]) throws -> [String] {
            let manifest = Self.manifest.replacingOccurrences(of: "  - tools/search.yaml", with: tools)
            let more = files.sorted { $0.key < $1.key }.map { BundleFile(path: $0.key, content: $0.value) }
            return Self.findings(try Self.bundle(manifest, more: more)).map {
                "\($0.path):\($0.line) \($0.rule.rawValue)"
            }
        }
        let web = "description: d\nname: search.web\n"
        // Both forms, by the file's name or by the bundle's.
        #expect(try found("  search: tools/search.yaml", [:]) == [])
        #expect(try found("  search.web: tools/a.yaml", ["tools/a.yaml": web]) == [])
        #expect(try found("  web: tools/a.yaml", ["tools/a.yaml": web]) == ["tools/a.yaml:2 tool-name"])
        #expect(try found("  - tools/a.yaml", ["tools/a.yaml": web]) == ["tools/a.yaml:2 tool-name"])
        let wrapped = "{type: function, function: {name: other}}"
        #expect(try found("  - tools/a.json", ["tools/a.json": wrapped]) == ["tools/a.json:1 tool-name"])
        // Programs and files without a name go by the bundle's.
        #expect(try found("  - tools/run.py", ["tools/run.py": "name: x"]) == [])
        #expect(try found("  - tools/a.yaml", ["tools/a.yaml": "description: d"]) == [])
        // Two of one name: the second is told, and so is that it is called otherwise here.
        let twice = try found(
            "  search: tools/search.yaml\n  find: tools/a.yaml", ["tools/a.yaml": "name: search"])
        #expect(twice == ["tools/a.yaml:1 tool-name", "tools/a.yaml:1 tool-name"])
        let one = try found(
            "  search: tools/search.yaml\n  find: tools/a.yaml\n", ["tools/a.yaml": "name: find"])
        #expect(one == [])
        let message = Self.findings(
            try Self.bundle(
                Self.manifest.replacingOccurrences(of: "  - tools/search.yaml", with: "  web: tools/search.yaml"))
        ).first?.message
        #expect(message?.contains("`search: tools/search.yaml`") == true, "\(message ?? "")")
    }

    @Test("a tool that is switched off is so by every name that models may call it by")
    func namesForModels() throws {
        let manifest = BundleManifest("tools: {a: tools/a.yaml, b: tools/b.yaml, c: tools/c.yaml}")
        let bundle = try AgentBundle([
            BundleFile(path: "agent.yaml", content: ""), BundleFile(path: "tools/a.yaml", content: "name: b"),
            BundleFile(path: "tools/b.yaml", content: "name: x"), BundleFile(path: "tools/c.yaml", content: "name: c"),
        ])
        let schema = ConfigSchema(manifest, toolNames: BundleTool.names(manifest, bundle))
        #expect(schema.namesForModels(ofTool: "a") == ["b", "a"])
        #expect(schema.namesForModels(ofTool: "b") == ["x"], "what models call b is another tool")
        #expect(schema.namesForModels(ofTool: "c") == ["c"])
        #expect(schema.namesForModels(ofTool: "d") == ["d"])
    }

    @Test("a catalogue's own name pins where it says so")
    func catalogue() throws {
        let bundle = try Self.bundle(
            Self.manifest.replacingOccurrences(of: "claude-sonnet-4-20250514", with: "house-model"))
        #expect(Self.findings(bundle).map(\.rule) == [.unpinnedModel])
        #expect(Self.findings(bundle, pins: ["house-model"]) == [])
    }

    @Test("a bundle is named by its content, whatever the order of its files")
    func version() throws {
        let bundle = try Self.bundle()
        #expect(try AgentBundle(bundle.files.reversed()).version == bundle.version)
        #expect(try Self.bundle(more: [BundleFile(path: "a.md", content: "")]).version != bundle.version)
        #expect(bundle.version.count == 64)
    }

    @Test(
        "paths that lead elsewhere are refused",
        arguments: [
            "", "/etc/passwd", "../x.md", "a/../../x.md", "a//b.md", ".env", "a/.git/config", "a\\b.md", "C:x.md",
            "a\nb.md", "1/2/3/4/5/6/7/8/9.md", "Agent.yaml", String(repeating: "a", count: 401),
        ])
    func paths(path: String) throws {
        #expect(throws: Problem.self) { try Self.bundle(more: [BundleFile(path: path, content: "x")]) }
    }

    @Test("limits of a bundle hold")
    func limits() throws {
        let large = String(repeating: "x", count: AgentBundle.fileBytesMax)
        #expect(throws: Problem.self) { try Self.bundle(more: [BundleFile(path: "a.md", content: large + "x")]) }
        let many = (0..<AgentBundle.filesMax).map { BundleFile(path: "f\($0).md", content: "") }
        #expect(throws: Problem.self) { try Self.bundle(more: many) }
        let heavy = (0...AgentBundle.bytesMax / AgentBundle.fileBytesMax).map {
            BundleFile(path: "f\($0).md", content: large)
        }
        #expect(throws: Problem.self) { try Self.bundle(more: heavy) }
        #expect(throws: Problem.self) { try Self.bundle(more: [BundleFile(path: "a.md", content: "a\0b")]) }
        #expect(throws: Problem.self) { try AgentBundle([BundleFile(path: "a.md", content: "")]) }
    }

    @Test("the report of a scanner names rule, file and line")
    func sarif() throws {
        let finding = BundleFinding(.unknownKey, "tools/a b.yaml", line: 3, column: 5, "no")
        let report = BundleSARIF.report([finding], folder: "bundles/writer", toolVersion: "1")
        #expect(report["version"] == "2.1.0")
        let result = report["runs"]?.array?.first?["results"]?.array?.first
        #expect(result?["ruleId"] == "unknown-key")
        let place = result?["locations"]?.array?.first?["physicalLocation"]
        #expect(place?["artifactLocation"]?["uri"] == "bundles/writer/tools/a%20b.yaml")
        #expect(place?["region"] == ["startLine": 3, "startColumn": 5])
    }

    @Test("a folder is read without what is hidden, and no link is followed")
    func folder() throws {
        let folder = NSTemporaryDirectory() + "bundle-\(ProcessInfo.processInfo.processIdentifier)-folder"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let bundle = try Self.bundle()
        try BundleFolder.write(bundle.files, to: folder)
        try DurableFile.write(Array("x".utf8), to: "\(folder)/.env")
        try DurableFile.write(Array("x".utf8), to: "\(folder)/program.bin")
        #expect(try AgentBundle(BundleFolder.read(folder)) == bundle)
        try FileManager.default.createSymbolicLink(atPath: "\(folder)/x.md", withDestinationPath: "/etc/passwd")
        #expect(throws: Problem.self) { try BundleFolder.read(folder) }
        #expect(throws: Problem.self) {
            try BundleFolder.write([BundleFile(path: "../x.md", content: "")], to: folder)
        }
    }
}
