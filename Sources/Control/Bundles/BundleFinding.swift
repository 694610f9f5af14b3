import Kernel

/// What a check of a bundle looks for.
public enum BundleRule: String, Sendable, CaseIterable {
    case unpinnedModel = "unpinned-model"
    case unknownKey = "unknown-key"
    case secretValue = "secret-value"
    case missingTool = "missing-tool"
    case toolName = "tool-name"
    case schema

    /// One sentence for the report of a scanner.
    public var summary: String {
        switch self {
        case .unpinnedModel: "A model is named without the version that answers, so it changes by itself"
        case .unknownKey: "A key that nothing reads, such as a misspelt one"
        case .secretValue: "A secret stands in the bundle, where a reference belongs"
        case .missingTool: "A tool's file is not in the bundle"
        case .toolName: "A tool has another name for models than in the bundle, or one that another tool has"
        case .schema: "A value is not of the kind that is expected there"
        }
    }
}

/// One thing that is wrong with a bundle, and where.
public struct BundleFinding: Sendable, Equatable {
    public let rule: BundleRule
    public let path: String
    /// Both counted from 1.
    public let line: Int
    public let column: Int
    public let message: String

    public init(_ rule: BundleRule, _ path: String, line: Int, column: Int = 1, _ message: String) {
        self.rule = rule
        self.path = path
        self.line = max(1, line)
        self.column = max(1, column)
        self.message = message
    }
}

extension BundleFinding: JSONConvertible, CustomStringConvertible {
    public var json: JSONValue {
        [
            "rule": .string(rule.rawValue), "file": .string(path), "line": line.json, "column": column.json,
            "message": .string(message),
        ]
    }

    public var description: String { "\(path):\(line):\(column): \(rule.rawValue): \(message)" }
}

/// Findings as code scanners exchange them: SARIF 2.1.0 (OASIS).
public enum BundleSARIF {
    /// - Parameter folder: The bundle's folder, as seen from where the report is read; empty for that place itself.
    public static func report(_ findings: [BundleFinding], folder: String, toolVersion: String) -> JSONValue {
        let rules = BundleRule.allCases
        let driver: JSONValue = [
            "name": "reeve", "version": .string(toolVersion),
            "rules": .array(
                rules.map {
                    [
                        "id": .string($0.rawValue), "shortDescription": ["text": .string($0.summary)],
                        "defaultConfiguration": ["level": "error"],
                    ]
                }),
        ]
        let results = findings.map { result($0, folder: folder, index: rules.firstIndex(of: $0.rule) ?? 0) }
        return [
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0",
            "runs": [["tool": ["driver": driver], "columnKind": "unicodeCodePoints", "results": .array(results)]],
        ]
    }

    private static func result(_ finding: BundleFinding, folder: String, index: Int) -> JSONValue {
        let path = folder.isEmpty ? finding.path : "\(folder)/\(finding.path)"
        let uri = path.split(separator: "/", omittingEmptySubsequences: false)
            .map { PagePath.encoded(String($0)) }.joined(separator: "/")
        return [
            "ruleId": .string(finding.rule.rawValue), "ruleIndex": index.json, "level": "error",
            "message": ["text": .string(finding.message)],
            "locations": [
                [
                    "physicalLocation": [
                        "artifactLocation": ["uri": .string(uri)],
                        "region": ["startLine": finding.line.json, "startColumn": finding.column.json],
                    ]
                ]
            ],
        ]
    }
}
